"""A real systemd, in a container: what is installed is merged by systemd's own tool, and only if it is proved at boot.

It makes a small Debian with mmdebstrap, which takes a minute and a mirror, so it runs with `make host-system` alone.
The container's Python is Debian's; modseal and what it needs come from this Python, which must be of the same version.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from builders.debian import NEEDED, boot_command
from builders.debian import debian as debian_root
from builders.transcript import SOURCE, run

PROBE = """\
[Unit]
DefaultDependencies=no
After=multi-user.target
[Service]
Type=oneshot
StandardOutput=file:/probe.out
StandardError=file:/probe.out
ExecStart=/bin/sh -c '/opt/hello/bin/hello; systemd-sysext status --no-legend; touch /opt/new; \
systemctl --no-block poweroff'
[Install]
WantedBy=multi-user.target
"""

pytestmark = NEEDED


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Debian with systemd and Python, in which the unit is installed and a probe says what it sees."""
    folder = debian_root(tmp_path_factory)
    units = folder / "etc/systemd/system"
    (units / "probe.service").write_text(PROBE)
    (units / "modseal-host-verify.service").write_text(run("host", "unit", cwd=folder.parent).out)
    for unit in ("probe.service", "modseal-host-verify.service", "systemd-sysext.service"):
        subprocess.run(["systemctl", "--quiet", f"--root={folder}", "enable", unit], check=True)
    return folder


def boot(root: Path) -> tuple[list[str], str]:
    """What the probe said, and the line of the verification at boot."""
    (root / "probe.out").unlink(missing_ok=True)
    done = subprocess.run(boot_command(root), capture_output=True, timeout=120, stdin=subprocess.DEVNULL)
    log = subprocess.run(
        ["journalctl", "-q", "-D", str(root / "var/log/journal"), "-u", "modseal-host-verify", "-o", "cat"],
        capture_output=True,
        text=True,
    )
    said = [line for line in log.stdout.splitlines() if line.startswith("host ")]
    assert (root / "probe.out").exists(), done.stdout[-2000:]
    return (root / "probe.out").read_text().splitlines(), said[-1] if said else ""


def test_what_is_proved_at_boot_is_merged_and_what_is_not_is_not(debian: Path, tmp_path: Path) -> None:
    examples = SOURCE.parent / "docs/examples/hello"
    assert run("keys", "example", "keys", cwd=tmp_path).code == 0
    assert run("pack", examples, "-o", "hello.seal", cwd=tmp_path).code == 0
    signer = ("--key", "keys/partner/signer.key", "--cert", "keys/partner/signer.pem")
    assert run("sign", "hello.seal", *signer, cwd=tmp_path).code == 0
    host = ("--root", debian)
    assert run("host", "init", *host, "--policy", "keys/policy.toml", cwd=tmp_path).code == 0
    assert run("host", "install", "hello.seal", *host, cwd=tmp_path).code == 0

    seen, verdict = boot(debian)
    assert seen[0].startswith("Hello, ")
    assert [line.split()[:2] for line in seen if line.startswith("/")] == [["/opt", "modseal"], ["/usr", "modseal"]]
    assert any("Read-only file system" in line for line in seen)
    assert verdict.startswith("host accepted: generation 1")

    program = debian / "var/lib/extensions/modseal/opt/hello/bin/hello"
    program.write_text("#!/bin/sh\necho evil\n")
    seen, verdict = boot(debian)
    assert not any("evil" in line or line.startswith("Hello") for line in seen)
    assert [line.split()[:2] for line in seen if line.startswith("/") and "none" in line] == [
        ["/opt", "none"],
        ["/usr", "none"],
    ]
    assert verdict.startswith("host rejected: generation 1: hello: installed-changed")
