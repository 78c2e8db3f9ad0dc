"""Tells the kernel what may run from here on, and closes the ways round it: after that, not even root can go back.

What is closed, and the way that it closes, is in docs/reference-host.md, with what was tried against each.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from cryptography import x509

from modseal.boot import syscalls
from modseal.errors import FormatError, RefusedError, UndecidedError
from modseal.host import export, ways_round
from modseal.host.ways_round import write
from modseal.pki import pkcs7

_IPE = "/sys/kernel/security/ipe"
_POLICY = f"{_IPE}/policies/{export.POLICY_NAME}"
SETTINGS = {
    "kernel/modules_disabled": "1",
    "kernel/core_pattern": "core",
    "kernel/kptr_restrict": "2",
    "kernel/dmesg_restrict": "1",
    "user/max_user_namespaces": "0",
    "kernel/shm_rmid_forced": "1",
    "kernel/shmall": "8192",
    "fs/protected_symlinks": "1",
    "fs/protected_hardlinks": "1",
    "fs/suid_dumpable": "0",
}
"""Below /proc/sys, besides `ways_round.SETTINGS`. The kernel takes no lower value of the first one; the others keep
theirs because nothing below /proc/sys can be written to any more."""
SETTINGS_PLACES = ("/proc/sys", "/proc/sysrq-trigger")
"""What can only be read where it is mounted, by process 1 too: root owns the files, and needs no capability."""


def load(signed: bytes, number: int, roots: Sequence[str], owner: x509.Certificate) -> None:
    """Load the IPE policy of a generation with this number: it lets run exactly the images of these root hashes.

    The owner has signed each root hash. The kernel verifies the signature too, but by each key that it knows, and a
    variable of the firmware can bring it others. Raises `RefusedError`, `UndecidedError` (host-invalid).
    """
    text = export.ipe_policy(number, [bytes.fromhex(one) for one in roots])
    try:
        pkcs7.verify(signed, text.encode(), owner)
    except FormatError:
        detail = "the IPE policy is not that of this root and this generation, signed by the owner"
        raise UndecidedError("host-invalid", detail) from None
    with suppress(FileNotFoundError, OSError):
        write(Path(_POLICY, "delete"), b"1")
    try:
        write(Path(_IPE, "new_policy"), signed)
    except OSError as error:
        raise RefusedError("bad-signature", f"the kernel refuses the generation's IPE policy: {error}") from None
    with open(f"{_POLICY}/policy", encoding="ascii") as file:
        if file.read().rstrip("\0") != text:
            raise UndecidedError("host-invalid", "the kernel has another IPE policy than that which it was given")


def activate() -> None:
    """From here on the kernel runs what the loaded policy lists. Raises `UndecidedError` (host-invalid), `OSError`."""
    write(Path(_POLICY, "active"), b"1")
    with open(f"{_IPE}/enforce", encoding="ascii") as file:
        if file.read().strip("\0\n") != "1":
            raise UndecidedError("host-invalid", "the kernel does not enforce its policy")


def close_ways_round() -> list[str]:
    """Take from everything that runs from here on what could undo the policy. Gives the settings that the kernel lacks.

    Programs that the kernel starts by itself, such as core_pattern's, have no capability: no limit of ours is theirs.
    Raises `OSError`, `UndecidedError` (host-invalid) where something that is there cannot be closed.
    """
    try:
        missing = ways_round.close(SETTINGS, range(syscalls.last_capability() + 1))
    except ValueError as error:
        raise UndecidedError("host-invalid", str(error)) from None
    for place in SETTINGS_PLACES:
        syscalls.show_read_only(place, syscalls.PLAIN)
    syscalls.close_to_others()
    kept = (one for one in range(syscalls.last_capability() + 1) if one != ways_round.MAC_ADMIN)
    syscalls.keep_capabilities(sum(1 << one for one in kept))
    return missing
