"""What a file is recognised by: only where every later change of it would show."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from modseal.files import identity
from modseal.files.mounts import Mount

_SETTLED = """
import os, sys, time
sys.path[:0] = {path!r}
from modseal.files import identity
identity._SETTLED = 0
file = os.open(sys.argv[1], os.O_RDONLY)
print(identity.settled_identity(file) is not None)
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(identity, "_SETTLED", 0)
    path = tmp_path / "file"
    path.write_bytes(b"content")
    time.sleep(0.01)
    return path


def settled(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return identity.settled_identity(descriptor) is not None
    finally:
        os.close(descriptor)


def test_a_file_that_somebody_writes_to_is_not_settled(file: Path) -> None:
    if not settled(file):
        pytest.skip("the file system of this folder is none whose times show every change")
    with file.open("r+b"):
        assert not settled(file)
    assert settled(file)


@pytest.mark.parametrize(
    ("kind", "options", "counts"),
    [
        ("ext4", "rw", True),
        ("tmpfs", "rw", False),
        ("fuse.sshfs", "rw", False),
        ("", "", False),
        ("overlay", "rw,lowerdir=/l", False),
        ("overlay", "rw,upperdir=/nowhere/at/all", False),
    ],
)
def test_only_file_systems_whose_times_show_mapped_writes_count(
    file: Path, monkeypatch: pytest.MonkeyPatch, kind: str, options: str, counts: bool
) -> None:
    identity._mount_counts_mapped_writes.cache_clear()
    found = Mount("1", "0:1", "/", ("rw",), kind, tuple(options.split(",")))
    monkeypatch.setattr(identity, "mount_of", lambda _number: found)
    assert settled(file) is counts
    identity._mount_counts_mapped_writes.cache_clear()


@pytest.mark.parametrize(("kind", "counts"), [("ext4", True), ("squashfs", True), ("overlay", False), ("tmpfs", False)])
def test_where_the_kind_is_known_it_counts_alone(file: Path, kind: str, counts: bool) -> None:
    """The layers below an overlay can be written to past it, without a trace."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        assert (identity.settled_identity(descriptor, kind) is not None) is counts
    finally:
        os.close(descriptor)


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="mounting takes root and unshare")
def test_no_file_of_a_real_tmpfs_is_settled(tmp_path: Path) -> None:
    """A page of it that was read before through a writable mapping is written without a trace in its times."""
    script = 'mount -t tmpfs none "$0" && echo x >"$0/file" && sleep 0.1 && exec "$1" -c "$2" "$0/file"'
    code = _SETTLED.format(path=sys.path)
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, tmp_path, sys.executable, code]
    done = subprocess.run(command, capture_output=True, text=True)
    if "mount:" in done.stderr or "unshare:" in done.stderr:
        pytest.skip("mounting is not allowed here")
    assert (done.stdout, done.stderr) == ("False\n", "")
