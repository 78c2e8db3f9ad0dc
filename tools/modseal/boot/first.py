"""The first program: opens the root by the root hash of the kernel's command line, and becomes process 1 on it.

It runs from the initramfs, which has an interpreter, this folder's three smallest modules and the kernel's modules.
The command line is part of the image that the firmware verified. What it does not name is not opened: there is no
other root, no shell and no second try. Where it fails, it says why and restarts the machine.
"""

from __future__ import annotations

import os
import sys
import time

from modseal.boot import mapper, syscalls

_PARTITIONS = ("root-a", "root-b")
_TRIES = 100
"""Tenths of a second in which a disk must have appeared."""
_PAUSE = 5
"""Seconds between the last words and the restart, so that they can be read."""


class BootError(Exception):
    """What keeps this machine from starting."""


def say(text: str) -> None:
    """One line on the console."""
    sys.stdout.write(f"modseal: {text}\n")
    sys.stdout.flush()


def main() -> None:
    """Never returns."""
    try:
        _start()
    except (BootError, OSError, KeyError, ValueError) as error:
        say(f"this machine does not start: {error}")
        time.sleep(_PAUSE)
    finally:
        syscalls.end_machine(syscalls.RESTART)


def _start() -> None:
    for kind, place in (("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev"), ("tmpfs", "/run")):
        os.makedirs(place, exist_ok=True)
        options = "mode=0755" if kind == "tmpfs" else ""
        syscalls.mount(kind, place, kind, syscalls.NO_SUID | (0 if kind == "devtmpfs" else syscalls.NO_DEV), options)
    with open("/modules/order", encoding="ascii") as file:
        for name in file.read().split():
            syscalls.load_module(f"/modules/{name}.ko")
    root, blocks = _named()
    slot = _open(root, blocks)
    program = os.open("/usr/bin/python3", os.O_RDONLY)
    for place in ("/proc", "/sys", "/dev", "/run"):
        syscalls.mount(place, f"/newroot{place}", "", syscalls.MOVE)
    os.chdir("/newroot")
    _empty("/", os.stat("/").st_dev)
    syscalls.mount("/newroot", "/", "", syscalls.MOVE)
    os.chroot(".")
    os.chdir("/")
    os.set_inheritable(program, True)
    code = "from modseal.process_1 import main; main()"
    arguments = ["python3", "-IBS", "-c", f"import sys; sys.path.append('/usr/lib/modseal'); {code}", slot, root]
    os.execve(f"/proc/self/fd/{program}", arguments, {"PATH": "/usr/bin"})  # noqa: S606 - no shell, on purpose


def _named() -> tuple[str, int]:
    """The root hash and the number of blocks, of the command line."""
    with open("/proc/cmdline", encoding="ascii") as file:
        words = [word.partition("=") for word in file.read().split()]
    found = {name: value for name, _, value in words if name.startswith("modseal.")}
    return found["modseal.root"], int(found["modseal.blocks"])


def _open(root: str, blocks: int) -> str:
    """Mount the partition that has this root hash at /newroot; gives the partition's name."""
    os.makedirs("/newroot", exist_ok=True)
    why = "no partition is called root-a or root-b"
    for _ in range(_TRIES):
        for name, device in _partitions().items():
            try:
                _mount(device, name, root, blocks)
            except OSError as error:
                why = f"{name} is not the root that the command line names ({error})"
            else:
                return name
        if len(_partitions()) == len(_PARTITIONS):
            break
        time.sleep(0.1)
    raise BootError(why)


def _mount(device: str, name: str, root: str, blocks: int) -> None:
    shown = mapper.open_verity(device, name, root, blocks)
    try:
        syscalls.mount(shown, "/newroot", "erofs", syscalls.READ_ONLY | syscalls.NO_SUID | syscalls.NO_DEV)
    except OSError:
        mapper.close(name)
        raise


def _partitions() -> dict[str, str]:
    """The partitions that may have a root, by name."""
    found = {}
    for one in os.listdir("/sys/class/block"):
        with open(f"/sys/class/block/{one}/uevent", encoding="utf-8") as file:
            values = dict(line.rstrip("\n").split("=", 1) for line in file)
        if values.get("PARTNAME") in _PARTITIONS:
            found[values["PARTNAME"]] = f"/dev/{one}"
    return dict(sorted(found.items()))


def _empty(folder: str, device: int) -> None:
    """Remove everything of the initramfs: nothing of it may be there later, and its memory is needed."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.stat(follow_symlinks=False).st_dev != device:
                continue
            if entry.is_dir(follow_symlinks=False):
                _empty(entry.path, device)
                try:
                    os.rmdir(entry.path)
                except OSError:
                    continue  # the root is mounted below it
            else:
                os.unlink(entry.path)
