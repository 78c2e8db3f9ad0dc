"""System calls of Linux that Python has no function for: mounts, kernel modules, capabilities, the end of the machine.

The initramfs has this module and little else, so nothing but the standard library is imported. Everything raises
`OSError`.
"""

from __future__ import annotations

import ctypes
import os
import struct

_LIBC = ctypes.CDLL(None, use_errno=True)

READ_ONLY, NO_SUID, NO_DEV, NO_EXEC = 1, 2, 4, 8
REMOUNT, BIND, MOVE = 32, 4096, 8192
"""Flags of mount(2)."""
PLAIN = NO_SUID | NO_DEV | NO_EXEC
"""For what has nothing but data."""

_NEW_MOUNTS = 0x00020000
"""`CLONE_NEWNS` of unshare(2) and setns(2)."""

_FINIT_MODULE = 313
_CAPSET = 126
"""Numbers of system calls on x86-64 (arch/x86/entry/syscalls/syscall_64.tbl)."""
_CAPABILITY_VERSION = 0x20080522
"""`_LINUX_CAPABILITY_VERSION_3` (linux/capability.h)."""

_PR_SET_DUMPABLE, _PR_SET_KEEPCAPS, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _AMBIENT_RAISE = 4, 8, 38, 47, 2
"""Options of prctl(2)."""

RESTART, POWER_OFF = 0x01234567, 0x4321FEDC
"""Commands of reboot(2)."""

CAPABILITIES = {
    "chown": 0,
    "dac_override": 1,
    "dac_read_search": 2,
    "fowner": 3,
    "fsetid": 4,
    "kill": 5,
    "setgid": 6,
    "setuid": 7,
    "setpcap": 8,
    "linux_immutable": 9,
    "net_bind_service": 10,
    "net_broadcast": 11,
    "net_admin": 12,
    "net_raw": 13,
    "ipc_lock": 14,
    "ipc_owner": 15,
    "sys_module": 16,
    "sys_rawio": 17,
    "sys_chroot": 18,
    "sys_ptrace": 19,
    "sys_pacct": 20,
    "sys_admin": 21,
    "sys_boot": 22,
    "sys_nice": 23,
    "sys_resource": 24,
    "sys_time": 25,
    "sys_tty_config": 26,
    "mknod": 27,
    "lease": 28,
    "audit_write": 29,
    "audit_control": 30,
    "setfcap": 31,
    "mac_override": 32,
    "mac_admin": 33,
    "syslog": 34,
    "wake_alarm": 35,
    "block_suspend": 36,
    "audit_read": 37,
    "perfmon": 38,
    "bpf": 39,
    "checkpoint_restore": 40,
}
"""By the names of capabilities(7), in lower case and without `cap_`."""


def _checked(result: int, what: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source: str, target: str, kind: str, flags: int = 0, options: str = "") -> None:
    """Mount a file system, or move one that is mounted."""
    done = _LIBC.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode() or None)
    _checked(done, f"mount {kind or source} on {target}")


def show_read_only(place: str, flags: int = 0) -> None:
    """From here on what is at a place can only be read there, and what is mounted below it is not shown."""
    mount(place, place, "", BIND)
    mount("", place, "", REMOUNT | BIND | READ_ONLY | flags)


def unmount(target: str) -> None:
    """Take away what is mounted at a place."""
    _checked(_LIBC.umount2(target.encode(), 0), f"unmount {target}")


def mounts() -> int:
    """What this process sees mounted, as a descriptor for `enter_mounts`. /proc must be there."""
    return os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)


def copy_mounts() -> None:
    """From here on this process has a copy of the mounts for itself, and what it forks."""
    _checked(_LIBC.unshare(_NEW_MOUNTS), "copy the mounts")


def enter_mounts(descriptor: int) -> None:
    """See what another process sees; the root of that becomes this one's root and working folder."""
    _checked(_LIBC.setns(descriptor, _NEW_MOUNTS), "enter the mounts")


def load_module(path: str) -> None:
    """Load a kernel module, signed for this kernel; one that is there already is fine."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _checked(_LIBC.syscall(_FINIT_MODULE, descriptor, b"", 0), f"load {path}")
    except FileExistsError:
        pass
    finally:
        os.close(descriptor)


def keep_capabilities(kept: int) -> None:
    """Give up all other capabilities of this process; `kept` has a bit for each. None is inheritable."""
    low, high = kept & 0xFFFFFFFF, kept >> 32
    header = struct.pack("=Ii", _CAPABILITY_VERSION, 0)
    _checked(_LIBC.syscall(_CAPSET, header, struct.pack("=6I", low, low, 0, high, high, 0)), "set capabilities")


def keep_on_change_of_user() -> None:
    """Who becomes a user other than root keeps permitted what it has, until it gives that up or runs a program."""
    _checked(_LIBC.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0), "keep capabilities")


def hand_down_capabilities(numbers: frozenset[int]) -> None:
    """Have these capabilities and no others, and hand them down to programs, whoever they run as."""
    kept = sum(1 << number for number in numbers)
    low, high = kept & 0xFFFFFFFF, kept >> 32
    header = struct.pack("=Ii", _CAPABILITY_VERSION, 0)
    _checked(_LIBC.syscall(_CAPSET, header, struct.pack("=6I", low, low, low, high, high, high)), "set capabilities")
    for number in numbers:
        _checked(_LIBC.prctl(_PR_CAP_AMBIENT, _AMBIENT_RAISE, number, 0, 0), "hand a capability down")


def last_capability() -> int:
    """The highest capability that this kernel has."""
    with open("/proc/sys/kernel/cap_last_cap", encoding="ascii") as file:
        return int(file.read())


def no_new_privileges() -> None:
    """No set-user-id bit and no file capability counts any more, here and below."""
    _checked(_LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no new privileges")


def close_to_others() -> None:
    """Only who has CAP_SYS_PTRACE sees from here on, by /proc, the files and memory of this process and its forks."""
    _checked(_LIBC.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0), "close /proc to others")


def end_machine(command: int) -> None:
    """Restart the machine or switch it off, once everything is written. Returns only where it cannot."""
    os.sync()
    _LIBC.reboot(ctypes.c_int(command))
