"""The ways round a policy of the kernel that are closed before anything else runs, by whatever is the first process.

Limits of PID 1 that every process inherits, and switches of the kernel that only tighten: once they are closed, not
even root can go back. Only the standard library is used: all of it has to be in the verified image of the system.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Collection, Mapping
from pathlib import Path

SETTINGS = {
    "kernel/yama/ptrace_scope": "3",  # no process changes the memory of another one
    "kernel/kexec_load_disabled": "1",  # a signed kernel with somebody else's initramfs
    "kernel/unprivileged_bpf_disabled": "1",
    "vm/memfd_noexec": "2",
}
"""Settings below /proc/sys and the values after which the kernel takes no lower one."""
MAC_ADMIN = 33
"""Who has it can change IPE's mode and policy (include/uapi/linux/capability.h)."""

LOAD, AND, EQUAL, AT_LEAST, ANY_OF, RETURN = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06
"""Instructions of a filter of system calls (linux/bpf_common.h): words, and comparisons with a constant."""
ALLOW, KILL, REFUSE, ABSENT = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026
"""What a filter gives (linux/seccomp.h): the last two are errors, EPERM and ENOSYS."""
NUMBER, ARCHITECTURE, FIRST, SECOND = 0, 4, 16, 24
"""Places in `struct seccomp_data`: the number, the architecture, the low halves of the first two arguments."""
X86_64, X32 = 0xC000003E, 0x40000000
"""An architecture (linux/audit.h), and the bit that numbers of its x32 calls have."""

_SYSTEM = Path("/proc/sys")
_HELPERS = ("kernel/usermodehelper/bset", "kernel/usermodehelper/inheritable")
"""What programs that the kernel starts by itself can have, such as core_pattern's: they inherit nothing from PID 1."""
_PR_SET_SECCOMP, _PR_CAPBSET_READ, _PR_CAPBSET_DROP, _PR_SET_MDWE = 22, 23, 24, 65
_SECCOMP_MODE_FILTER, _REFUSE_EXEC_GAIN = 2, 1
"""Options of prctl(2)."""
_READ_IMPLIES_EXEC, _ASK = 0x0400000, 0xFFFFFFFF
"""Arguments of personality(2): a flag, and what only asks."""
_PERSONALITY = {X86_64: 135, 0x40000003: 136, 0xC00000B7: 92, 0x40000028: 136}
"""The number of personality(2) for each architecture (linux/audit.h): x86-64 and i386, arm64 and arm."""


def close(settings: Mapping[str, str], not_for_helpers: Collection[int] = (MAC_ADMIN,)) -> list[str]:
    """Close them all: `SETTINGS` and these, and take these capabilities from programs that the kernel starts.

    Gives the settings that this kernel lacks. Raises `OSError`, `ValueError` where something that is there stays open.
    """
    for name in _HELPERS:
        put(_SYSTEM / name, without((_SYSTEM / name).read_text(encoding="ascii"), *not_for_helpers))
    wanted = {**SETTINGS, **settings}
    missing = [name for name in wanted if not (_SYSTEM / name).exists()]
    for name, value in wanted.items():
        if name not in missing:
            put(_SYSTEM / name, value)
    drop_from_bounding_set(MAC_ADMIN)
    refuse_new_code()
    return missing


def without(words: str, *capabilities: int) -> str:
    """Two decimal numbers of 32 bits, low and high, as /proc/sys/kernel/usermodehelper has them, less capabilities."""
    low, high = map(int, words.split())
    kept = (low | high << 32) & ~sum(1 << one for one in set(capabilities))
    return f"{kept & 0xFFFFFFFF} {kept >> 32}"


def drop_from_bounding_set(capability: int) -> None:
    """No program that is started from here on can get this capability (capabilities(7)); one unknown here is fine.

    Raises `OSError`.
    """
    if _prctl(_PR_CAPBSET_READ, capability) == 1:
        _checked(_prctl(_PR_CAPBSET_DROP, capability), "drop a capability")


def refuse_new_code() -> None:
    """No memory that was ever writable becomes code, in this process and all of its descendants (PR_SET_MDWE).

    Needs CAP_SYS_ADMIN, or that no new privileges can be had. Raises `OSError`.
    """
    _checked(_prctl(_PR_SET_MDWE, _REFUSE_EXEC_GAIN), "memory-deny-write-execute")
    filter_calls(no_code_by_reading())


def step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """One instruction; a comparison passes over so many of those that follow it (`struct sock_filter`)."""
    return struct.pack("=HBBI", code, if_true, if_false, value)


def filter_calls(program: bytes) -> None:
    """Have the kernel judge every system call of this process, and of all that it starts, by a filter (seccomp(2)).

    Needs CAP_SYS_ADMIN, or that no new privileges can be had. Raises `OSError`.
    """
    code = ctypes.create_string_buffer(program, len(program))
    filter_ = ctypes.create_string_buffer(struct.pack("@HP", len(program) // 8, ctypes.addressof(code)))
    _checked(_prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(filter_)), "filter system calls")


def no_code_by_reading() -> bytes:
    """The filter that refuses READ_IMPLIES_EXEC: with it brk(2) gives memory that is writable and code.

    Nobody judges that memory, neither MDWE nor IPE.
    """
    steps = []
    for architecture, number in _PERSONALITY.items():
        steps += [
            step(LOAD, ARCHITECTURE),
            step(EQUAL, architecture, 0, 7),
            step(LOAD, NUMBER),
            step(EQUAL, number, 1, 0),
            step(EQUAL, number | X32, 0, 4),
            step(LOAD, FIRST),
            step(EQUAL, _ASK, 2, 0),
            step(ANY_OF, _READ_IMPLIES_EXEC, 0, 1),
            step(RETURN, REFUSE),
        ]
    return b"".join([*steps, step(RETURN, ALLOW)])


def _prctl(option: int, value: int, more: int = 0) -> int:
    words = map(ctypes.c_ulong, (value, more, 0, 0))
    return int(ctypes.CDLL(None, use_errno=True).prctl(option, *words))


def _checked(result: int, what: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def put(place: Path, value: str) -> None:
    """Give a setting a value, unless it has it, and see that it has it then. Raises `OSError`, `ValueError`."""
    if place.read_text(encoding="ascii").split() != value.split():
        write(place, value.encode())
    if place.read_text(encoding="ascii").split() != value.split():
        raise ValueError(f"the kernel does not keep {value} in {place}")


def write(place: Path, data: bytes) -> None:
    """Write in one call: the kernel takes a policy or a setting whole. Raises `OSError`, `ValueError`."""
    descriptor = os.open(place, os.O_WRONLY | os.O_CLOEXEC)
    try:
        if os.write(descriptor, data) != len(data):
            raise ValueError(f"{place} took a part only")
    finally:
        os.close(descriptor)
