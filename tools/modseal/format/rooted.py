"""What trust bundles, depot indexes and recalls have in common: a version, times, and who may sign the next version."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from modseal import limits
from modseal.errors import FormatError, foreign
from modseal.format import canonical_json, times
from modseal.format.shape import MAXIMUM_VERSION, Array, Integer, Shape, Table, Text
from modseal.values import dataclass, regex

HEX = Text(regex(r"[0-9a-f]{64}"), form="64 lower-case hex digits", most=64)
TIME = Text(
    regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"),
    form="a time like 2026-01-31T12:00:00Z",
    most=20,
)
ROOT = Table(
    {
        "signers": Array(
            HEX, least=1, most=limits.ROOT_SIGNERS, about="SHA-256 of the root signers' certificates, sorted."
        ),
        "threshold": Integer(1, limits.ROOT_SIGNERS, about="How many of them must sign this version and the next."),
    }
)
VERSION = Integer(1, MAXIMUM_VERSION, about="Counts up.")


@dataclass(frozen=True, slots=True)
class Root:
    """Who may sign the next version: certificate fingerprints (SHA-256, hex), and how many of them it takes."""

    threshold: int
    signers: tuple[str, ...]

    @property
    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"signers": list(self.signers), "threshold": self.threshold}


def read_root(plain: dict[str, Any]) -> Root:
    """A root that has the shape `ROOT`."""
    return Root(plain["threshold"], tuple(plain["signers"]))


def problems(plain: dict[str, Any], invalid: Callable[[str], FormatError]) -> Iterator[str]:
    """What is wrong with times and root of a document that has its shape."""
    if "root" in plain:
        signers, threshold = plain["root"]["signers"], plain["root"]["threshold"]
        if signers != sorted(set(signers)):
            yield "root.signers: must be sorted, each once"
        if threshold > len(signers):
            yield f"root.threshold: is {threshold}, and there are {len(signers)} root signers"
    if parse_time(plain["expires"], invalid) <= parse_time(plain["issued"], invalid):
        yield "expires: is not after issued"


def parse_time(text: str, invalid: Callable[[str], FormatError]) -> datetime:
    """The aware time of a text as such documents write it. Raises what `invalid` makes of the reason."""
    with foreign(lambda _: invalid(f"{text!r} is not a time")):
        return times.parse_time(text)


def load(
    data: bytes, name: str, shape: Shape, invalid: Callable[..., FormatError], rules: Callable[[Any], Iterator[str]]
) -> Any:
    """The plain data of a canonical document that has its shape and keeps its `rules`.

    Raises what `invalid` makes of the reason; its evidence `reason` has the code of what the bytes break.
    """
    try:
        plain = canonical_json.load(data, name)
        require(plain, shape, invalid, rules)
        canonical_json.require_canonical(data, plain, name)
    except FormatError as error:
        if error.failure.code in ("bad-manifest", "limit-exceeded"):
            raise invalid(error.failure.detail, reason=error.failure.code) from error
        raise
    return plain


def require(
    plain: Any, shape: Shape, invalid: Callable[..., FormatError], rules: Callable[[Any], Iterator[str]]
) -> None:
    """The shape, and the rules over several values: what the reader asks and the writer asks too."""
    problem = next(iter(map(str, shape.problems(plain))), "") or next(rules(plain), "")
    if problem:
        raise invalid(problem)
