"""What the owner asks of a host: to take an update, or to go back.

    modseal-request SIZE SIGNATURE       and a line feed; both in bytes, as decimal numbers
    the request                          canonical JSON of SIZE bytes
    its signature                        RSA with PKCS #1 v1.5 and SHA-256, over `_SIGNED` and the request
    the parts of an update               one behind the other, in the order and the sizes that the request names

An update may leave out program and root, the first two parts, for a host that has both already. Who brings a request,
and over what, says nothing: it is taken for its signature alone, by the key that signs what the firmware starts.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cryptography import x509

from modseal import limits
from modseal.boot.authenticode import ALGORITHM
from modseal.boot.documents import NUMBER, FileName, Sha256Text
from modseal.errors import FormatError, RefusedError
from modseal.files.open import open_file
from modseal.format import canonical_json, rules
from modseal.format.shape import Array, Integer, Table, Text
from modseal.pki import algorithms

UPDATE, ROLLBACK = "modseal/image-update@1", "modseal/image-rollback@1"
PROGRAM, ROOT = "boot.efi", "root.img"
"""The names of an update's first two parts."""
_SIGNED = b"modseal: a request of the owner to a host\0"
"""In front of what is signed, so that no signature of another kind is one of a request."""
_HEAD = re.compile(rb"modseal-request ([1-9][0-9]{0,7}) ([1-9][0-9]{0,3})\n")
_HOST = Text(rules.MODULE_NAME, form=rules.MODULE_NAME_FORM, most=limits.NAME_LENGTH)
_STATE = Table({"version": NUMBER, "generation": NUMBER})
_PART = Table({"name": FileName, "size": Integer(1, limits.UPDATE_SIZE), "sha256": Sha256Text})
_SHAPES = {
    UPDATE: Table(
        {
            "schema": Text(choices=(UPDATE,)),
            "host": _HOST,
            "state": _STATE,
            "program": Sha256Text,
            "root": Sha256Text,
            "blocks": Integer(1, 2**31 - 1),
            "parts": Array(_PART, least=3, most=2 * limits.HOST_MODULES + 4),
        }
    ),
    ROLLBACK: Table({"schema": Text(choices=(ROLLBACK,)), "host": _HOST, "running": _STATE, "state": _STATE}),
}


@dataclass(frozen=True, slots=True, order=True)
class Running:
    """What a host runs: the version of its root image, and the generation of its modules."""

    version: int
    generation: int

    def __str__(self) -> str:
        return f"version {self.version}, generation {self.generation}"


@dataclass(frozen=True, slots=True)
class UpdatePart:
    """A file of an update, and its SHA-256 in hex."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class UpdateRequest:
    """Bring the host to a state. `program` is the Authenticode digest of its program, `root` the root hash, in hex."""

    host: str
    state: Running
    program: str
    root: str
    blocks: int
    parts: tuple[UpdatePart, ...]


@dataclass(frozen=True, slots=True)
class RollbackRequest:
    """Bring the host back from one state to another. Where another one runs, it asks for nothing."""

    host: str
    running: Running
    state: Running

    def problem(self) -> str | None:
        """Why it is no way back: of the two numbers none may be higher, and one must be lower."""
        newer = self.state.version > self.running.version or self.state.generation > self.running.generation
        if newer or self.state == self.running:
            return f"{self.running} to {self.state} is no way back: one number must be lower, and none higher"
        return None


Request = UpdateRequest | RollbackRequest


def encode(request: Request, sign: Callable[[bytes], bytes]) -> bytes:
    """A request with its signature: what comes before the parts. `sign` signs by `ALGORITHM`."""
    schema = UPDATE if isinstance(request, UpdateRequest) else ROLLBACK
    document = canonical_json.dump({"schema": schema, **asdict(request)})
    signature = sign(_SIGNED + document)
    return b"modseal-request %d %d\n" % (len(document), len(signature)) + document + signature


def read(take: Callable[[int], bytes], owner: x509.Certificate) -> Request:
    """The request at the beginning of what is delivered, proved. `take` gives so many bytes, or fewer at the end.

    Nothing is parsed that the owner has not signed. Raises `RefusedError` (update-invalid, bad-signature).
    """
    head = b""
    while not head.endswith(b"\n") and len(head) < limits.DELIVERY_HEAD and (one := take(1)):
        head += one
    sizes = _sizes(head)
    if sizes is None:
        raise invalid("it does not begin as a request")
    document, signature = map(take, sizes)
    try:
        algorithms.verify(ALGORITHM, owner.public_key(), signature, _SIGNED + document)
    except FormatError:
        raise RefusedError("bad-signature", "the request is not signed by this host's owner") from None
    return _decode(document)


def is_one(path: Path) -> bool:
    """Whether a file begins as a request. Raises `InputError`."""
    with open_file(path) as descriptor:
        return _sizes(os.read(descriptor, limits.DELIVERY_HEAD)) is not None


def _sizes(head: bytes) -> tuple[int, int] | None:
    """The bytes of a request and of its signature, as its first line says them; None where that is no such line."""
    found = _HEAD.match(head)
    return (int(found[1]), int(found[2])) if found and int(found[1]) <= limits.REQUEST_SIZE else None


def _decode(document: bytes) -> Request:
    try:
        plain: Any = canonical_json.load(document, "the request")
        schema = plain.pop("schema") if isinstance(plain, dict) else None
        if not isinstance(schema, str) or schema not in _SHAPES:
            raise invalid(f"it is of another form than this host knows: {schema!r}")
        wrong = next(iter(_SHAPES[schema].problems({"schema": schema, **plain})), None)
    except FormatError as error:
        raise invalid(str(error)) from None
    if wrong:
        raise invalid(str(wrong))
    plain["state"] = Running(**plain["state"])
    if schema == ROLLBACK:
        back = RollbackRequest(plain["host"], Running(**plain["running"]), plain["state"])
        if problem := back.problem():
            raise invalid(problem)
        return back
    plain["parts"] = tuple(UpdatePart(**one) for one in plain["parts"])
    names = [one.name for one in plain["parts"]]
    if names[:2] != [PROGRAM, ROOT] or len(set(names)) != len(names):
        raise invalid(f"its parts are not {PROGRAM}, {ROOT}, and files of a generation, each once")
    if sum(one.size for one in plain["parts"]) > limits.UPDATE_SIZE:
        raise invalid(f"its parts have over {limits.UPDATE_SIZE} bytes")
    return UpdateRequest(**plain)


def invalid(why: str) -> RefusedError:
    """What was delivered is not what the owner asks of this host."""
    return RefusedError("update-invalid", f"the request cannot be followed: {why}")
