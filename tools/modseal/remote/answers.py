"""What a host says, from replies of any shape: its own document, held against the shape that hosts write in."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from modseal.codes import CODES
from modseal.errors import RefusedError, UndecidedError
from modseal.host import values
from modseal.host.result_shape import SHAPE
from modseal.remote.connection import Reply, invalid
from modseal.remote.inventory import RemoteHost
from modseal.remote.questions import ROOT, Question

ACCEPTED, REJECTED, UNDECIDED = VERDICTS = ("accepted", "rejected", "undecided")
ENDED = ("Completed", "Exception", "Cancelled", "Killed")
"""States of a task (DSP2046, Task.TaskState) in which nothing more comes of it."""
_GOING = ("New", "Starting", "Pending", "Running")
_BUSY = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_DENIED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


def document(target: RemoteHost, question: Question, reply: Reply) -> dict[str, Any]:
    """The host's own document.

    Raises `UndecidedError` for all that cannot be one, and `RefusedError` where the host does not let us ask.
    """
    failed = reply.status >= HTTPStatus.BAD_REQUEST
    found = _untyped(_below(reply.body, *(("error",) if failed else ()), "Oem", "Modseal"))
    if found is None and reply.status in _DENIED:
        detail = f"{target.shown}: the certificate {target.certificate} may not ask for {question.word}"
        raise RefusedError("host-denied", detail, host=target.host)
    if found is None and reply.status in _BUSY:
        raise UndecidedError("host-unreachable", f"{target.shown}: it is busy", host=target.host).because("remote-busy")
    if found is None:
        invalid(target, f"HTTP {reply.status} without a result")
    if failed and isinstance(found, dict) and "schema" not in found:  # refused before the host itself was asked
        known = next((code for name, code in CODES.items() if name == found.get("code")), None)
        undecided = known is None or known.undecided
        found = {"schema": values.PROBLEM, "verdict": UNDECIDED if undecided else REJECTED, "evidence": {}, **found}
    if not failed and question.schema == values.LOG and isinstance(found, dict) and "events" not in found:
        members = _below(reply.body, "Members")  # a collection has its lines as members, each a document of its own
        lines = [_untyped(_below(one, "Oem", "Modseal")) for one in members] if isinstance(members, list) else None
        found = {"schema": values.LOG, **found, "events": lines}
    problems = SHAPE.problems(found)
    if problems:
        invalid(target, str(problems[0]))
    if found["schema"] not in (question.schema, values.PROBLEM):
        invalid(target, f"a {found['schema']} does not answer {question.word}")
    if found["schema"] == values.CHANGE and found["action"] != question.word:
        invalid(target, f"a {found['action']!r} does not answer {question.word}")
    if failed and verdict(found) == ACCEPTED:
        invalid(target, f"HTTP {reply.status} is not an accepted result")
    return found  # type: ignore[no-any-return]


def verdict(found: Mapping[str, Any]) -> str:
    """What the host decided: documents without a verdict are there because nothing spoke against them."""
    return str(found.get("verdict", ACCEPTED))


def path_of_task(target: RemoteHost, reply: Reply) -> str | None:
    """Where a host says how far it is, where it took the question for later: below its own service, nowhere else."""
    if reply.status != HTTPStatus.ACCEPTED:
        return None
    return own_path(target, reply.location)


def has_ended(target: RemoteHost, reply: Reply) -> bool:
    """Whether a task has come to its end."""
    state = _below(reply.body, "TaskState")
    if state not in (*ENDED, *_GOING):
        invalid(target, "a task in no state that is known")
    return state in ENDED


def own_path(target: RemoteHost, path: object) -> str:
    """A path that a host names, which must be one of its own service."""
    if (
        not isinstance(path, str)
        or not path.startswith(f"{ROOT}/")
        or not all(part.replace("-", "").replace("_", "").replace(".", "").isalnum() for part in path[1:].split("/"))
        or not path.isascii()
        or "/.." in path
    ):
        invalid(target, "it names a place that is not one of its own")
    return path


def push_path(target: RemoteHost, reply: Reply) -> str:
    """Where bundles are sent to."""
    return own_path(target, _below(reply.body, "MultipartHttpPushUri"))


def _untyped(found: Any) -> Any:
    """A document without the type that Redfish wants each object to have which is not its own."""
    return {key: value for key, value in found.items() if key != "@odata.type"} if isinstance(found, dict) else found


def _below(body: object, *names: str) -> Any:
    for name in names:
        body = body.get(name) if isinstance(body, dict) else None
    return body
