"""What services see: the root, with the modules' files in /usr and /opt, and nothing with which a host is changed."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

from modseal.boot import enforcement, syscalls
from modseal.boot.prove import OpenImage

_SECURITY = "/sys/kernel/security"
_DEVICES = {"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9}
"""Numbers of the memory devices (Documentation/admin-guide/devices.txt): 1, and these."""
_LINKS = {"fd": "", "stdin": "/0", "stdout": "/1", "stderr": "/2"}
_OF_DEVICES = tuple(f"/proc/{name}" for name in ("acpi", "bus", "driver", "dynamic_debug", "fs", "irq", "mtrr"))
"""What root can write to there, with which devices are set up."""
_SIZE = "size=10%,nr_inodes=20k"
"""Of the memory: what services fill, process 1 must not miss."""
_EMPTY = {"/tmp": 0o1777, "/var": 0o755, "/dev/shm": 0o1777}  # noqa: S108 - empty at every start


def lay_over(opened: Sequence[OpenImage]) -> int:
    """Make that view; gives it as `syscalls.mounts` does. Process 1 and its forks go on seeing the root's own files.

    What they import later is never a module's. A service has no disk, no variables of the firmware, no data partition,
    no TPM and no watchdog, whoever it runs as; /sys can only be read. Raises `OSError`.
    """
    own = syscalls.mounts()
    syscalls.copy_mounts()
    for name in ("usr", "opt"):
        lower = [f"{one.place}/{name}" for one in opened if os.path.isdir(f"{one.place}/{name}")]
        if lower:
            # The first counts: no module covers a file of the root.
            options = "lowerdir=" + ":".join([f"/{name}", *lower])
            flags = syscalls.READ_ONLY | syscalls.NO_SUID | syscalls.NO_DEV
            syscalls.mount("modules", f"/{name}", "overlay", flags, options)
    security = os.open(_SECURITY, os.O_PATH | os.O_CLOEXEC)
    syscalls.show_read_only("/sys", syscalls.PLAIN)
    syscalls.mount(f"/proc/self/fd/{security}", _SECURITY, "", syscalls.BIND)
    syscalls.show_read_only(_SECURITY, syscalls.PLAIN)
    os.close(security)
    _devices()
    # Of other processes a service sees those of its user, whatever its capabilities: none of process 1's family.
    syscalls.mount("proc", "/proc", "proc", syscalls.PLAIN, "hidepid=ptraceable")
    for place in (*enforcement.SETTINGS_PLACES, *filter(os.path.exists, _OF_DEVICES)):
        syscalls.show_read_only(place, syscalls.PLAIN)
    syscalls.mount("tmpfs", "/run", "tmpfs", syscalls.NO_SUID | syscalls.NO_DEV, f"mode=0755,{_SIZE}")
    syscalls.mount("tmpfs", "/data", "tmpfs", syscalls.PLAIN | syscalls.READ_ONLY, "mode=0755")
    for place, mode in _EMPTY.items():
        syscalls.mount("tmpfs", place, "tmpfs", syscalls.PLAIN, f"mode={mode:o},{_SIZE}")
    theirs = syscalls.mounts()
    syscalls.enter_mounts(own)
    os.close(own)
    return theirs


def _devices() -> None:
    """A /dev with what every program may use. Its own nodes cannot be exchanged, and no other ones made."""
    flags = syscalls.NO_SUID | syscalls.NO_EXEC
    syscalls.mount("tmpfs", "/dev", "tmpfs", flags, "mode=0755,size=64k")
    for name, number in _DEVICES.items():
        os.mknod(f"/dev/{name}", 0o666 | stat.S_IFCHR, os.makedev(1, number))
        os.chmod(f"/dev/{name}", 0o666)  # noqa: S103 - whoever a program runs as
    for name, target in _LINKS.items():
        os.symlink(f"/proc/self/fd{target}", f"/dev/{name}")
    os.mkdir("/dev/shm")  # noqa: S108 - a place of its own is mounted on it
    syscalls.mount("", "/dev", "", syscalls.REMOUNT | syscalls.READ_ONLY | flags)
