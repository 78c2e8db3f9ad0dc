"""`modseal-init`: the first process of a host that the kernel's IPE protects. It becomes the system's own init.

The exported policy alone can be switched off by root, and got round (docs/enforcement.md). What closes that is done
before anything else runs, and cannot be undone: limits of PID 1 that every process inherits, and switches of the kernel
that only tighten. If one of the steps fails the system does not start: the kernel panics.

Only the standard library is used: all of it has to be in the verified image of the system.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

SYSTEM_INIT = "/sbin/init"
POLICIES = ("/run/modseal/modseal.pol.p7b", "/etc/modseal/modseal.pol.p7b")
"""Where the signed policy is looked for. An image that it lists cannot hold it: the initramfs puts it into /run."""
PARAMETERS = ("proc_mem.force_override=never",)
"""What the kernel's command line has to have, as nothing else can set it."""
SETTINGS = {
    "kernel/yama/ptrace_scope": "3",  # no process changes the memory of another one
    "kernel/kexec_load_disabled": "1",  # a signed kernel with somebody else's initramfs
    "kernel/unprivileged_bpf_disabled": "1",
    "vm/memfd_noexec": "2",
}
"""Settings below /proc/sys and the values after which the kernel takes no lower one."""

_SECURITY = Path("/sys/kernel/security")
_POLICY_NAME = "modseal"
_CAP_MAC_ADMIN = 33
"""Who has it can change IPE's mode and policy (include/uapi/linux/capability.h)."""
_PR_CAPBSET_READ, _PR_CAPBSET_DROP, _PR_SET_MDWE = 23, 24, 65
_MDWE_REFUSE_EXEC_GAIN = 1


def main() -> NoReturn:
    """Close every way round the policy, then become `/sbin/init` with the same arguments."""
    try:
        _mount_security()
        require_parameters(Path("/proc/cmdline").read_text(encoding="ascii"))
        _enforce(_policy())
        _lock_down()
        for name, value in SETTINGS.items():
            _set(Path("/proc/sys") / name, value)
        for name in ("bset", "inheritable"):
            _narrow_helpers(Path("/proc/sys/kernel/usermodehelper") / name)
        _drop_capability()
        _refuse_writable_code()
        os.execv(SYSTEM_INIT, [SYSTEM_INIT, *sys.argv[1:]])  # noqa: S606 - a path of our own
    except (OSError, ValueError) as error:
        os.write(2, f"modseal-init: the system does not start: {error}\n".encode())
        os._exit(1)


def require_parameters(line: str, required: Sequence[str] = PARAMETERS) -> None:
    """Raises `ValueError` where the kernel's command line lacks one, or contradicts it later."""
    words = line.split()
    for one in required:
        name = one.partition("=")[0]
        if [word for word in words if word.partition("=")[0] == name][-1:] != [one]:
            raise ValueError(f"the kernel's command line has no {one}")


def without(words: str, capability: int) -> str:
    """Two decimal numbers of 32 bits, low and high, as /proc/sys/kernel/usermodehelper has them, less a capability."""
    low, high = map(int, words.split())
    kept = (low | high << 32) & ~(1 << capability)
    return f"{kept & 0xFFFFFFFF} {kept >> 32}"


def _mount_security() -> None:
    if not (_SECURITY / "ipe").is_dir():
        _call("mount", b"securityfs", os.fsencode(_SECURITY), b"securityfs", 0, None)
    if not (_SECURITY / "ipe").is_dir():
        raise ValueError("this kernel has no IPE")


def _policy() -> bytes | None:
    """The signed policy; None where there is none, and the initramfs has loaded it."""
    for name in POLICIES:
        if Path(name).exists():
            return Path(name).read_bytes()
    return None


def _enforce(policy: bytes | None) -> None:
    """Load a policy or, where one of that name is loaded, one that is not older; make it the active one."""
    place = _SECURITY / "ipe/policies" / _POLICY_NAME
    if policy is not None:
        _write(place / "update" if place.is_dir() else _SECURITY / "ipe/new_policy", policy)
    _set(place / "active", "1")
    _set(_SECURITY / "ipe/enforce", "1")


def _lock_down() -> None:
    """Keep root from the kernel's memory and from unsigned kernel modules (Secure Boot has done so already)."""
    place = _SECURITY / "lockdown"
    if "[none]" in place.read_text(encoding="ascii"):
        _write(place, b"integrity")


def _narrow_helpers(place: Path) -> None:
    """Programs that the kernel starts by itself, such as core_pattern's, inherit nothing from PID 1."""
    value = without(place.read_text(encoding="ascii"), _CAP_MAC_ADMIN)
    _write(place, value.encode())
    if place.read_text(encoding="ascii").split() != value.split():
        raise ValueError(f"{place} is not {value}")


def _drop_capability() -> None:
    _call("prctl", _PR_CAPBSET_DROP, _CAP_MAC_ADMIN, 0, 0, 0)
    if _call("prctl", _PR_CAPBSET_READ, _CAP_MAC_ADMIN, 0, 0, 0):
        raise ValueError("CAP_MAC_ADMIN is still in the bounding set")


def _refuse_writable_code() -> None:
    """No memory that was ever writable becomes code, in this process and all of its descendants."""
    _call("prctl", _PR_SET_MDWE, _MDWE_REFUSE_EXEC_GAIN, 0, 0, 0)


def _call(name: str, *arguments: bytes | int | None) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    words = [ctypes.c_ulong(one) if isinstance(one, int) else one for one in arguments]
    result = int(getattr(libc, name)(*words))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name} {arguments}: {os.strerror(number)}")
    return result


def _set(place: Path, value: str) -> None:
    """Write a setting, unless it has the value, and see that it has it then."""
    if place.read_text(encoding="ascii").strip() != value:
        _write(place, value.encode())
    if place.read_text(encoding="ascii").strip() != value:
        raise ValueError(f"{place} is not {value}")


def _write(place: Path, data: bytes) -> None:
    """In one write: the kernel takes a policy or a setting whole."""
    descriptor = os.open(place, os.O_WRONLY)
    try:
        if os.write(descriptor, data) != len(data):
            raise ValueError(f"{place} took a part only")
    finally:
        os.close(descriptor)
