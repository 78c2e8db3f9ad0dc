"""The data partition: the first generation, in an ext4 file system that depends on its content alone."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from modseal.errors import InputError, SpecError, UsageError

_SECONDS = 600
_PATH = ":".join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
_LOST = "lost+found"


def write(folder: Path, image: Path, size: int, time: int, uuid: str) -> None:
    """Make an ext4 file system of `size` bytes with the content of a folder; everything belongs to root.

    `mke2fs -d` takes the change time and the owner of each file from here. They are set right afterwards, so that
    neither says who built the image, or when. Modes are those of the folder.
    Raises `SpecError` where the size is too small, `UsageError`, `InputError`.
    """
    with image.open("wb") as file:
        file.truncate(size)
    config = image.with_suffix(".conf")
    config.write_text(_CONFIG)
    environment = {"E2FSPROGS_FAKE_TIME": str(time), "MKE2FS_CONFIG": str(config), "LC_ALL": "C.UTF-8"}
    options = f"hash_seed={uuid},root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0,nodiscard,no_copy_xattrs"
    make = ["mke2fs", "-q", "-t", "ext4", "-b", "4096", "-I", "256", "-J", "size=4", "-U", uuid]
    for path in sorted(folder.rglob("*")):
        os.utime(path, (time, time), follow_symlinks=False)
    os.utime(folder, (time, time))
    try:
        _run([*make, "-E", options, "-d", str(folder), str(image)], environment)
    except InputError as error:
        used = sum(one.stat().st_size for one in folder.rglob("*") if one.is_file())
        if used > size // 2:
            detail = f"data-size: {size >> 20} MiB are too few for {used} bytes of modules and their images"
            raise SpecError(detail).because("image-spec") from error
        raise
    lines = []
    for name in ("/", *(f"/{one.relative_to(folder)}" for one in sorted(folder.rglob("*"))), f"/{_LOST}"):
        values = {"ctime": time, "ctime_extra": 0, "atime_extra": 0, "mtime_extra": 0, "uid": 0, "gid": 0}
        lines += [f'set_inode_field "{name}" {field} {_value(field, value)}' for field, value in values.items()]
    _run(["debugfs", "-w", "-f", "-", str(image)], environment, "\n".join(lines) + "\n")


_CONFIG = """[defaults]
base_features = ext_attr,dir_index,filetype,sparse_super,large_file
[fs_types]
ext4 = {
features = has_journal,extent,64bit,flex_bg,huge_file,dir_nlink,extra_isize,metadata_csum
}
small = {
blocksize = 4096
}
"""
"""In the place of this machine's mke2fs.conf, which would decide about the features."""


def _value(name: str, value: int) -> str:
    return f"@{value:#x}" if name == "ctime" else str(value)


def _run(command: Sequence[str], environment: dict[str, str], given: str = "") -> None:
    program = shutil.which(command[0], path=_PATH)
    if program is None:
        raise UsageError(f"{command[0]} is not installed; it is in the package e2fsprogs")
    done = subprocess.run(  # noqa: S603 - paths and numbers of our own
        [program, *command[1:]],
        env=environment,
        input=given,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    # Both tools greet on standard error.
    trouble = [one for one in done.stderr.splitlines() if one and not one.startswith(("mke2fs ", "debugfs "))]
    if done.returncode or trouble:
        raise InputError(f"{command[0]} failed: {' '.join(trouble)[-200:]}").because("tool-failed")
