"""A small Debian with systemd and this Python's version, made once by mmdebstrap, which takes a minute and a mirror."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from builders.transcript import SOURCE

RELEASE = "bookworm"
PROGRAM = """\
#!/usr/bin/python3
import sys
sys.path[:0] = ["/mnt/modseal/tools", "/mnt/modseal/packages"]
from modseal.cli.main import main
sys.argv[0] = "/usr/bin/modseal"
main()
"""

NEEDED = [
    pytest.mark.slow,
    pytest.mark.skipif(not os.environ.get("MODSEAL_HOST_SYSTEM"), reason="takes minutes; `make host-system` runs it"),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(
        not (shutil.which("systemd-nspawn") and shutil.which("mmdebstrap")), reason="needs systemd-nspawn, mmdebstrap"
    ),
]
"""What tests need that boot it."""


def debian(factory: pytest.TempPathFactory) -> Path:
    """Its root, in which `modseal` is this one. MODSEAL_HOST_SYSTEM can name a folder that is kept."""
    given = os.environ["MODSEAL_HOST_SYSTEM"]
    folder = Path(given) if given.startswith("/") else factory.getbasetemp() / "debian"
    if not folder.exists():
        packages = "systemd,systemd-sysv,dbus,python3"
        command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={packages}", RELEASE, str(folder)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"no Debian could be made here: {done.stderr.splitlines()[-1:]}")
    version = subprocess.run(
        [*("chroot", folder, "python3", "-c", "import sys; print(*sys.version_info[:2])")],
        capture_output=True,
        text=True,
        check=True,
    )
    if version.stdout.split() != [str(part) for part in sys.version_info[:2]]:
        pytest.skip(f"its Python is {version.stdout.strip()}, and the packages are for another one")
    program = folder / "usr/bin/modseal"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    shutil.rmtree(folder / "var/lib/modseal", ignore_errors=True)
    (folder / "var/log/journal").mkdir(exist_ok=True)
    return folder


def boot_command(root: Path) -> list[str]:
    """Boots it until it switches itself off. Its network is that of this machine."""
    packages = Path(sys.prefix) / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    return [
        *("systemd-nspawn", "-q", "--register=no", "--keep-unit", "-D", str(root), "-b"),
        f"--bind-ro={SOURCE}:/mnt/modseal/tools",
        f"--bind-ro={packages}:/mnt/modseal/packages",
    ]
