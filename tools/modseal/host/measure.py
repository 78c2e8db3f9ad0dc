"""What a verification of a host has found, as measurements: a log that replays to the value of a PCR of a TPM.

Each line of the log has the digest of its event, and the register becomes SHA-256 over its old value and that digest
(TPM 2.0 Library, part 1, section 17.2 "Extend of a PCR"). So one value stands for policy, level, modules, the image
that is merged and the verdict, in this order, and a quote of it by a TPM proves the log to somebody who is not on the
host.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from modseal import limits
from modseal.errors import FormatError, RefusedError
from modseal.format import canonical_json
from modseal.format.shape import Scalar, Table, Text, TextMap
from modseal.host.scan import digest_of
from modseal.host.verify import Verification

PCR = 13
"""System extensions are measured into it (UAPI Group, "Linux TPM PCR Registry")."""
START = bytes(32)

_SHAPE = Table(
    {
        "digest": Text(re.compile("[0-9a-f]{64}"), form="64 lower-case hex digits", most=64),
        "event": TextMap(Text(most=64), Scalar(), most=limits.HOST_FACTS),
    }
)


class Measurement(NamedTuple):
    """One thing that was measured, as plain values."""

    event: dict[str, Any]

    @property
    def digest(self) -> bytes:
        """The SHA-256 of its canonical JSON."""
        return hashlib.sha256(canonical_json.dump(self.event)).digest()

    def line(self) -> bytes:
        """As a line of the log."""
        return canonical_json.dump({"digest": self.digest.hex(), "event": self.event}) + b"\n"


def measurements(found: Verification) -> Iterator[Measurement]:
    """What is measured of a host: nothing in it depends on the time, so that equal hosts have equal values.

    Without a state there is no policy and no level. The image is that of the active generation, by all that was found
    of it (`scan.digest_of`); null where systemd-sysext may be led to another one.
    """
    if found.state:
        policy = found.state.policy
        files = ",".join(digest for _, digest in policy.files)
        yield Measurement({"what": "policy", "sha256": policy.text, "files": files})
        yield Measurement({"what": "level", "level": str(found.state.level)})
    for module in found.modules:
        record = module.record
        event = {"what": "module", "name": module.name, "version": module.version, "manifest": record.manifest}
        yield Measurement(event)
    yield Measurement({"what": "image", "sha256": None if found.image is None else digest_of(found.image)})
    yield Measurement({"what": "verdict", "verdict": str(found.verdict), "findings": len(found.findings)})


def extend(value: bytes, measured: Iterable[Measurement]) -> bytes:
    """The value of a register after some measurements."""
    for one in measured:
        value = hashlib.sha256(value + one.digest).digest()
    return value


def replay(data: bytes, name: str) -> Sequence[Measurement]:
    """The measurements of a log, each with the digest of its own event.

    Raises `FormatError` (bad-manifest, limit-exceeded) for what is no such log, `RefusedError` (log-broken) for a
    digest that is another one.
    """
    if len(data) > limits.HOST_LOG_SIZE:
        raise FormatError("limit-exceeded", f"{name} has over {limits.HOST_LOG_SIZE} bytes").because("no-event-log")
    if not data:
        raise canonical_json.bad(name, "it is empty, and an event log ends with a verdict").because("no-event-log")
    found = []
    for number, line in enumerate(data.splitlines(keepends=True), 1):
        plain = canonical_json.load(line, f"{name}, line {number}")
        problem = next(iter(_SHAPE.problems(plain)), None)
        if problem:
            raise canonical_json.bad(f"{name}, line {number}", str(problem))
        one = Measurement(plain["event"])
        if one.line() != line:
            detail = f"{name}, line {number}: the digest is not that of its event"
            raise RefusedError("log-broken", detail, line=number)
        found.append(one)
    return tuple(found)
