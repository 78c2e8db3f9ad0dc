"""What `modseal image` says, as text."""

from __future__ import annotations

from collections.abc import Mapping

from modseal.boot.attestation import Expected, HostProof
from modseal.codes import CODES
from modseal.image.ask import HostAnswer
from modseal.image.build import Built
from modseal.report.text import safe


def built(found: Built) -> str:
    """An image: its root hash, its modules, and the size of each part."""
    total = sum(found.sizes.values())
    lines = [f"{safe(found.name)} version {found.version}", f"root {found.root}"]
    lines += [f"module {safe(one)}" for one in found.modules]
    lines += [f"{name:8}{size / 1e6:8.1f} MB" for name, size in (*found.sizes.items(), ("together", total))]
    return "\n".join(lines)


def expected(found: Expected) -> str:
    """What a host must say."""
    lines = [f"register {number:2}  {value.hex()}" for number, value in sorted(found.registers.items())]
    return "\n".join([*lines, *(f"event        {_event(one)}" for one in found.events)])


def answered(said: HostAnswer) -> str:
    """What a host says of a request."""
    if said.outcome == "accepted":
        return f"accepted: the host restarts, and tries version {said.version}, generation {said.generation}"
    lines = [": ".join(safe(one) for one in (said.outcome, said.code, said.detail) if one)]
    if code := CODES.get(said.code):  # type: ignore[call-overload]
        lines.append(f"  next: {code.next_step}")
    return "\n".join(lines)


def attested(found: HostProof) -> str:
    """What a host has proved, and how that differs from what is expected."""
    lines = [f"proved by the TPM with the key sha256:{found.key}", *(f"  {_event(one)}" for one in found.events)]
    lines += [f"{one.code}: {safe(one.detail)}" for one in found.differences]
    if found.differences:
        return "\n".join([*lines, f"  next: {found.differences[0].next_step}"])
    return "\n".join([*lines, "the host runs what is expected"])


def _event(event: Mapping[str, object]) -> str:
    what = event.get("what", "")
    return " ".join([safe(what), *(f"{safe(name)}={safe(value)}" for name, value in event.items() if name != "what")])
