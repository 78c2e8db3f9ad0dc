"""Tells the kernel what may run from here on, and closes the ways round it: after that, not even root can go back.

What is closed, and the way that it closes, is in docs/reference-host.md, with what was tried against each.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from modseal.boot import syscalls
from modseal.errors import RefusedError, UndecidedError
from modseal.host import export, ways_round
from modseal.host.ways_round import write

_IPE = "/sys/kernel/security/ipe"
_POLICY = f"{_IPE}/policies/{export.POLICY_NAME}"
_VERSION = re.compile(r"policy_version=([0-9]{1,5})\.([0-9]{1,5})\.([0-9]{1,5})$", re.MULTILINE)
_NOT_FOR_HELPERS = (ways_round.MAC_ADMIN, syscalls.CAPABILITIES["sys_module"])
"""What programs that the kernel starts by itself, such as core_pattern's, cannot have."""

SETTINGS = {
    "kernel/modules_disabled": "1",
    "kernel/core_pattern": "core",
    "kernel/kptr_restrict": "2",
    "kernel/dmesg_restrict": "1",
    "user/max_user_namespaces": "0",
    "fs/protected_symlinks": "1",
    "fs/protected_hardlinks": "1",
    "fs/suid_dumpable": "0",
}
"""Below /proc/sys, besides `ways_round.SETTINGS`. The kernel takes no lower value of the first one; root can set the
others."""


def load(signed: bytes, roots: Sequence[str]) -> None:
    """Load a signed IPE policy, if it lets run exactly the images of these root hashes, in this order.

    The kernel verifies its signature, by the owner's key in the firmware: so the owner has signed each root hash.
    Raises `RefusedError`, `UndecidedError` (host-invalid).
    """
    with suppress(FileNotFoundError, OSError):
        write(Path(_POLICY, "delete"), b"1")
    try:
        write(Path(_IPE, "new_policy"), signed)
    except OSError as error:
        raise RefusedError("bad-signature", f"the kernel refuses the generation's IPE policy: {error}") from None
    with open(f"{_POLICY}/policy", encoding="ascii") as file:
        text = file.read().rstrip("\0")
    found = _VERSION.search(text.partition("\n")[0])
    parts = [int(one) for one in found.groups()] if found else [0, 0, 0]
    number = (parts[0] << 32) + (parts[1] << 16) + parts[2]
    if text != export.ipe_policy(number, [bytes.fromhex(one) for one in roots]):
        raise UndecidedError("host-invalid", "the IPE policy is not that of this root and this generation")


def activate() -> None:
    """From here on the kernel runs what the loaded policy lists. Raises `UndecidedError` (host-invalid), `OSError`."""
    write(Path(_POLICY, "active"), b"1")
    with open(f"{_IPE}/enforce", encoding="ascii") as file:
        if file.read().strip("\0\n") != "1":
            raise UndecidedError("host-invalid", "the kernel does not enforce its policy")


def close_ways_round() -> list[str]:
    """Take from everything that runs from here on what could undo the policy. Gives the settings that the kernel lacks.

    Raises `OSError`, `UndecidedError` (host-invalid) where something that is there cannot be closed.
    """
    try:
        missing = ways_round.close(SETTINGS, _NOT_FOR_HELPERS)
    except ValueError as error:
        raise UndecidedError("host-invalid", str(error)) from None
    kept = (one for one in range(syscalls.last_capability() + 1) if one != ways_round.MAC_ADMIN)
    syscalls.keep_capabilities(sum(1 << one for one in kept))
    return missing
