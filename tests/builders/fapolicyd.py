"""fapolicyd, its own daemon, on a tmpfs that is its whole system. Needs root; nothing else is ever judged by it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builders import guards, guest

TOOLS = ("fapolicyd", "fapolicyd-cli", "busybox")
_CONFIG = """permissive = 0
nice_val = 0
q_size = 640
uid = root
gid = root
do_stat_report = 0
detailed_report = 0
db_max_size = 50
subj_cache_size = 1549
obj_cache_size = 8191
watch_fs = tmpfs
trust = file
integrity = sha256
syslog_format = rule,dec,perm,exe,:,path,trust
"""
_RULES = "allow perm=execute all : trust=1\ndeny_log perm=execute all : all\n"
_MAGIC = ("usr/share/fapolicyd/fapolicyd-magic.mgc", "usr/share/misc/magic.mgc", "usr/lib/file/magic.mgc")


def why_impossible() -> str | None:
    """Why it cannot run here, or None."""
    absent = [name for name in TOOLS if not guest.has(name)]
    return f"{', '.join(absent)}: not installed" if absent else guards.why_impossible()


@dataclass(frozen=True)
class Fapolicyd:
    """A running daemon whose system is the tmpfs at `mount`, which others see as `root`."""

    namespace: str
    mount: Path
    root: Path
    log: Path

    def run(self, *command: object, **options: Any) -> subprocess.CompletedProcess[bytes]:
        """A command in its system. What may not run gives 126."""
        enter = ["nsenter", "--target", self.namespace, "--mount", "chroot", str(self.mount)]
        return subprocess.run([*enter, *map(str, command)], capture_output=True, timeout=60, **options)


@contextmanager
def system(folder: Path) -> Iterator[tuple[Path, Path, str]]:
    """A small system on a tmpfs in a mount namespace of its own: where it is there and here, and the namespace."""
    mount = folder / "system"
    mount.mkdir()
    hold = 'mount -t tmpfs none "$0" && echo mounted && exec sleep 600'
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", hold, str(mount)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"mounted\n"
        try:
            yield mount, _fill(Path(f"/proc/{holder.pid}/root{mount}")), str(holder.pid)
        finally:
            holder.kill()


def _fill(root: Path) -> Path:
    guest.new_root(root)
    for name in TOOLS:
        guest.put_program(root, name, f"usr/bin/{name}")
    guest.put_program(root, "/bin/true", "usr/lib/true")  # for the loader and the C library
    for name in _MAGIC:
        if Path("/", name).exists():
            guest.put(root / name, Path("/", name).resolve())
    for name in ("run/fapolicyd", "var/lib/fapolicyd", "etc/fapolicyd/rules.d", "etc/fapolicyd/trust.d"):
        (root / name).mkdir(parents=True)
    (root / "etc/passwd").write_text("root:x:0:0:root:/:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    (root / "etc/fapolicyd/fapolicyd.conf").write_text(_CONFIG)
    for name in ("compiled.rules", "rules.d/10-trusted.rules"):
        (root / "etc/fapolicyd" / name).write_text(_RULES)
    os.mknod(root / "dev/null", 0o20666, os.makedev(1, 3))
    return root


@contextmanager
def running(folder: Path, system: tuple[Path, Path, str], trust: Path) -> Iterator[Fapolicyd]:
    """The daemon with an exported trust file; what the system itself needs is added by its own tool."""
    mount, root, namespace = system
    log = folder / "fapolicyd.log"
    found = Fapolicyd(namespace, mount, root, log)
    shutil.copy(trust, root / "etc/fapolicyd/trust.d")
    (root / "etc/fapolicyd/fapolicyd.trust").write_bytes(b"")
    loader = next(one for one in (root / "usr").rglob("ld-linux*") if not one.is_symlink())
    for path in (f"/{loader.relative_to(root)}", "/usr/bin/fapolicyd-cli", "/usr/bin/busybox"):
        found.run("fapolicyd-cli", "--file", "add", path).check_returncode()
    enter = ["nsenter", "--target", namespace, "--mount", "sh", "-c"]
    start = '[ -e "$0/proc/self" ] || mount -t proc proc "$0/proc"; exec chroot "$0" /usr/bin/fapolicyd --debug-deny'
    with log.open("wb") as output, subprocess.Popen([*enter, start, mount], stdout=output, stderr=output) as process:
        try:
            guards.eventually(lambda: b"Starting to listen" in log.read_bytes() or process.poll() is not None)
            assert process.poll() is None, log.read_text()
            yield found
        finally:
            process.terminate()


def database(text: str) -> dict[str, tuple[int, str]]:
    """What `fapolicyd-cli --dump-db` prints: size and SHA-256 by path."""
    rows = re.findall(r"^filedb (.+) ([0-9]+) ([0-9a-f]{64})$", text, re.MULTILINE)
    return {path: (int(size), digest) for path, size, digest in rows}
