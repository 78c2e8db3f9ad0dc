"""The system calls that no service has, whatever its capabilities: those with which root gets round what is closed.

A filter of the kernel (seccomp(2)) that a process hands down to all that it starts, and cannot take back. Capabilities
are not enough: with CAP_SYS_ADMIN, a device of device-mapper can carry the root hash of a module and, by an option of
dm-verity, any content; what is mounted over the files of process 1 is run by it; a filter leaves the rest of that
capability to those that need it. An event of fanotify(7) brings a file as another process has opened it, in its mounts.
"""

from __future__ import annotations

from modseal.host import ways_round
from modseal.host.ways_round import step

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


def program() -> bytes:
    """The filter: `struct sock_filter` after `struct sock_filter`.

    Who calls the kernel as a process of another architecture is killed. `clone3` is not there, because its flags are in
    memory: C libraries use `clone` then.
    """
    refuse = step(ways_round.RETURN, ways_round.REFUSE)
    steps = [
        step(ways_round.LOAD, ways_round.ARCHITECTURE),
        step(ways_round.EQUAL, ways_round.X86_64, 1, 0),
        step(ways_round.RETURN, ways_round.KILL),
        step(ways_round.LOAD, ways_round.NUMBER),
        step(ways_round.AT_LEAST, ways_round.X32, 0, 1),
        refuse,
        step(ways_round.EQUAL, _CLONE3, 0, 1),
        step(ways_round.RETURN, ways_round.ABSENT),
    ]
    for number in sorted(_REFUSED.values()):
        steps += [step(ways_round.EQUAL, number, 0, 1), refuse]
    steps += [
        step(ways_round.EQUAL, _PRLIMIT, 0, 4),
        step(ways_round.LOAD, ways_round.FIRST),
        step(ways_round.EQUAL, 0, 1, 0),  # its own limits; lower ones of process 1 would end that
        refuse,
        step(ways_round.RETURN, ways_round.ALLOW),
        step(ways_round.EQUAL, _CLONE, 0, 4),
        step(ways_round.LOAD, ways_round.FIRST),
        step(ways_round.ANY_OF, _NAMESPACES, 0, 1),
        refuse,
        step(ways_round.RETURN, ways_round.ALLOW),
        step(ways_round.EQUAL, _IOCTL, 1, 0),
        step(ways_round.RETURN, ways_round.ALLOW),
        step(ways_round.LOAD, ways_round.SECOND),
        step(ways_round.AND, 0xFF00),
    ]
    for kind in _KINDS:
        steps += [step(ways_round.EQUAL, kind << 8, 0, 1), refuse]
    return b"".join([*steps, step(ways_round.RETURN, ways_round.ALLOW)])


def install() -> None:
    """From here on this process, and what it starts, has none of these calls. Raises `OSError`.

    It must have no way to new privileges (`syscalls.no_new_privileges`).
    """
    ways_round.filter_calls(program())
