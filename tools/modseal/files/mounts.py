"""Through which mount a file is opened, and what the kernel says of it (proc_pid_mountinfo(5))."""

from __future__ import annotations

from typing import NamedTuple

from modseal.values import regex

_ESCAPE = regex(r"\\([0-7]{3})")


class Mount(NamedTuple):
    """A mount: its number, the device of its file system, where it is, its options, its file system's kind and options.

    It is the device of the whole file system. `stat` gives others for files of an overlay, and for parts of btrfs.
    """

    number: str
    device: str
    point: str
    options: tuple[str, ...]
    kind: str
    file_system_options: tuple[str, ...]


def mount_number(descriptor: int) -> str:
    """The number of the mount through which a file was opened (proc_pid_fdinfo(5)). Raises `OSError`."""
    with open(f"/proc/self/fdinfo/{descriptor}", encoding="ascii") as lines:
        return next(line.split()[1] for line in lines if line.startswith("mnt_id:"))


def mount_of(number: str, process: str = "self") -> Mount | None:
    """The mount of this number; None where it is none of the mounts that a process sees. Raises `OSError`."""
    with open(f"/proc/{process}/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            before, _, after = line.rstrip("\n").partition(" - ")
            found, _, device, _, point, options, *_ = before.split(" ")
            if found == number:
                kind, _, more = after.split(" ", 2)  # what is mounted can be an empty text
                point = _ESCAPE.sub(lambda code: chr(int(code[1], 8)), point)
                return Mount(number, device, point, tuple(options.split(",")), kind, tuple(more.split(",")))
    return None
