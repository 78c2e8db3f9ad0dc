"""Tells the kernel what may run from here on, and closes the ways round it: after that, not even root can go back.

What is closed, and the way that it closes, is in docs/reference-host.md, with what was tried against each.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress

from modseal.boot import syscalls
from modseal.errors import RefusedError, UndecidedError
from modseal.host import export

_IPE = "/sys/kernel/security/ipe"
_POLICY = f"{_IPE}/policies/{export.POLICY_NAME}"
_VERSION = re.compile(r"policy_version=([0-9]{1,5})\.([0-9]{1,5})\.([0-9]{1,5})$", re.MULTILINE)
_MAC_ADMIN = syscalls.CAPABILITIES["mac_admin"]
_LATER = (1 << syscalls.CAPABILITIES["sys_module"]) | (1 << _MAC_ADMIN)

SETTINGS = (
    ("kernel/yama/ptrace_scope", "3"),
    ("kernel/kexec_load_disabled", "1"),
    ("kernel/core_pattern", "core"),
    ("kernel/modules_disabled", "1"),
    ("kernel/unprivileged_bpf_disabled", "1"),
    ("kernel/kptr_restrict", "2"),
    ("kernel/dmesg_restrict", "1"),
    ("user/max_user_namespaces", "0"),
    ("vm/memfd_noexec", "2"),
    ("fs/protected_symlinks", "1"),
    ("fs/protected_hardlinks", "1"),
    ("fs/suid_dumpable", "0"),
)
"""Of /proc/sys. The first, the second and the fourth cannot be set back, by anybody."""


def activate(signed: bytes, roots: Sequence[str]) -> None:
    """Load a signed IPE policy, and activate it if it lets run exactly the images of these root hashes, in this order.

    The kernel verifies its signature, by the owner's key in the firmware. Raises `RefusedError`, `UndecidedError`
    (host-invalid).
    """
    with suppress(FileNotFoundError, OSError):
        _write(f"{_POLICY}/delete", b"1")
    try:
        _write(f"{_IPE}/new_policy", signed)
    except OSError as error:
        raise RefusedError("bad-signature", f"the kernel refuses the generation's IPE policy: {error}") from None
    with open(f"{_POLICY}/policy", encoding="ascii") as file:
        text = file.read().rstrip("\0")
    found = _VERSION.search(text.partition("\n")[0])
    parts = [int(one) for one in found.groups()] if found else [0, 0, 0]
    number = (parts[0] << 32) + (parts[1] << 16) + parts[2]
    if text != export.ipe_policy(number, [bytes.fromhex(one) for one in roots]):
        raise UndecidedError("host-invalid", "the IPE policy is not that of this root and this generation")
    _write(f"{_POLICY}/active", b"1")
    with open(f"{_IPE}/enforce", encoding="ascii") as file:
        if file.read().strip("\0\n") != "1":
            raise UndecidedError("host-invalid", "the kernel does not enforce its policy")


def close_ways_round() -> list[str]:
    """Take from everything that runs from here on what could undo the policy. Gives the settings that the kernel lacks.

    Raises `OSError` where something that is there cannot be closed.
    """
    missing = []
    mask = ~_LATER
    _write("/proc/sys/kernel/usermodehelper/bset", f"{mask & 0xFFFFFFFF} {mask >> 32 & 0xFFFFFFFF}".encode())
    for name, value in SETTINGS:
        try:
            _write(f"/proc/sys/{name}", value.encode())
        except FileNotFoundError:
            missing.append(name)
    syscalls.refuse_new_code()
    syscalls.drop_from_bounding_set(_MAC_ADMIN)
    syscalls.keep_capabilities(sum(1 << one for one in range(syscalls.last_capability() + 1) if one != _MAC_ADMIN))
    return missing


def _write(path: str, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)
