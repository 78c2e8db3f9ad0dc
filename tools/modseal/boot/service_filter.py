"""The system calls that no service has, whatever its capabilities: those with which root gets round what is closed.

A filter of the kernel (seccomp(2)) that a process hands down to all that it starts, and cannot take back. Capabilities
are not enough: with CAP_SYS_ADMIN, a device of device-mapper can carry the root hash of a module and, by an option of
dm-verity, any content; what is mounted over the files of process 1 is run by it; a filter leaves the rest of that
capability to those that need it. An event of fanotify(7) brings a file as another process has opened it, in its mounts.
"""

from __future__ import annotations

import struct

from modseal.host.ways_round import filter_calls

_REFUSED = {
    "ptrace": 101,
    "modify_ldt": 154,
    "pivot_root": 155,
    "acct": 163,
    "mount": 165,
    "umount2": 166,
    "swapon": 167,
    "swapoff": 168,
    "iopl": 172,
    "ioperm": 173,
    "init_module": 175,
    "delete_module": 176,
    "kexec_load": 246,
    "add_key": 248,
    "request_key": 249,
    "keyctl": 250,
    "unshare": 272,
    "perf_event_open": 298,
    "fanotify_init": 300,
    "fanotify_mark": 301,
    "name_to_handle_at": 303,
    "open_by_handle_at": 304,
    "setns": 308,
    "process_vm_readv": 310,
    "process_vm_writev": 311,
    "kcmp": 312,
    "finit_module": 313,
    "kexec_file_load": 320,
    "bpf": 321,
    "userfaultfd": 323,
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "pidfd_getfd": 438,
    "mount_setattr": 442,
    "quotactl_fd": 443,
    "open_tree_attr": 467,
}
"""Numbers on x86-64 (arch/x86/entry/syscalls/syscall_64.tbl)."""
_IOCTL, _CLONE, _PRLIMIT, _CLONE3 = 16, 56, 302, 435
_KINDS = (0xFD, 0x4C)
"""Kinds of ioctl(2) that make block devices: of device-mapper (linux/dm-ioctl.h) and of loop devices (linux/loop.h)."""
_NAMESPACES = 0x7E020000
"""Flags of clone(2) for namespaces of one's own."""

_X86_64, _X32 = 0xC000003E, 0x40000000
_NUMBER_AT, _ARCHITECTURE_AT, _FIRST_AT, _SECOND_AT = 0, 4, 16, 24
"""Places in `struct seccomp_data`: the number, the architecture, the low halves of the first two arguments."""
_LOAD, _AND, _EQUAL, _AT_LEAST, _ANY_OF, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06
"""Instructions of the filter (linux/bpf_common.h): words, and comparisons with a constant."""
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _ENOSYS = 1, 38


def program() -> bytes:
    """The filter: `struct sock_filter` after `struct sock_filter`.

    Who calls the kernel as a process of another architecture is killed. `clone3` is not there, because its flags are in
    memory: C libraries use `clone` then.
    """
    refuse = _step(_RETURN, _ERROR | _EPERM)
    steps = [
        _step(_LOAD, _ARCHITECTURE_AT),
        _step(_EQUAL, _X86_64, 1, 0),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER_AT),
        _step(_AT_LEAST, _X32, 0, 1),
        refuse,
        _step(_EQUAL, _CLONE3, 0, 1),
        _step(_RETURN, _ERROR | _ENOSYS),
    ]
    for number in sorted(_REFUSED.values()):
        steps += [_step(_EQUAL, number, 0, 1), refuse]
    steps += [
        _step(_EQUAL, _PRLIMIT, 0, 4),
        _step(_LOAD, _FIRST_AT),
        _step(_EQUAL, 0, 1, 0),  # its own limits; with those of process 1, which root may lower, it would end that
        refuse,
        _step(_RETURN, _ALLOW),
        _step(_EQUAL, _CLONE, 0, 4),
        _step(_LOAD, _FIRST_AT),
        _step(_ANY_OF, _NAMESPACES, 0, 1),
        refuse,
        _step(_RETURN, _ALLOW),
        _step(_EQUAL, _IOCTL, 1, 0),
        _step(_RETURN, _ALLOW),
        _step(_LOAD, _SECOND_AT),
        _step(_AND, 0xFF00),
    ]
    for kind in _KINDS:
        steps += [_step(_EQUAL, kind << 8, 0, 1), refuse]
    return b"".join([*steps, _step(_RETURN, _ALLOW)])


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def install() -> None:
    """From here on this process, and what it starts, has none of these calls. Raises `OSError`.

    It must have no way to new privileges (`syscalls.no_new_privileges`).
    """
    filter_calls(program())
