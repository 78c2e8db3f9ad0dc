"""`verify` needs no network and opens none: traced by Python, traced by the kernel, and with no network there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KEYS = ROOT / "keys-example"
VERIFY = "import sys; from modseal.cli.main import run; sys.exit(run(sys.argv[1:]))"
AUDITED = f"""
import sys
def hook(event, arguments):
    if event.startswith(("socket.", "urllib.", "http.", "ftplib.", "smtplib.", "ssl.")):
        print("NETWORK", event, arguments)
sys.addaudithook(hook)
{VERIFY}
"""


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    """The arguments of a verification that accepts, with a CRL and a policy of several anchors."""
    key = tmp_path / "signer.key"
    shutil.copyfile(KEYS / "partner/signer.key", key)
    key.chmod(0o600)
    bundle = str(tmp_path / "hello.seal")
    signing = ["--key", str(key), "--cert", str(KEYS / "partner/signer.pem")]
    for step in (["pack", str(ROOT / "docs/examples/hello"), "-o", bundle], ["sign", bundle, *signing]):
        process([sys.executable, "-c", VERIFY, *step])
    return ["verify", bundle, "--policy", str(KEYS / "policy.toml"), "--format", "json"]


def process(command: list[str]) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tools")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_python_sees_no_use_of_a_socket(arguments: list[str]) -> None:
    assert "NETWORK" not in process([sys.executable, "-c", AUDITED, *arguments])


def test_the_trace_would_see_one() -> None:
    """The test above can fail: a socket that is only made is noticed."""
    made = AUDITED.replace(VERIFY, "import socket; socket.socket().close()")
    assert "NETWORK" in process([sys.executable, "-c", made])


def test_the_kernel_sees_no_socket(arguments: list[str], tmp_path: Path) -> None:
    if not shutil.which("strace"):
        pytest.skip("no strace")
    log = tmp_path / "trace"
    trace = ["strace", "-f", "-o", str(log), "-e", "trace=socket,connect,sendto,bind"]
    probe = subprocess.run([*trace, "true"], capture_output=True, text=True)
    if probe.returncode:
        pytest.skip("this machine does not permit tracing")
    process([*trace, sys.executable, "-c", VERIFY, *arguments])
    calls = [line for line in log.read_text().splitlines() if "(" in line and "exited with" not in line]
    assert calls == []


def test_without_any_network_the_verdict_is_the_same(arguments: list[str]) -> None:
    if not shutil.which("unshare") or subprocess.run(["unshare", "-n", "true"], capture_output=True).returncode:
        pytest.skip("this machine does not permit a network namespace")
    assert '"verdict": "accepted"' in process(["unshare", "-n", sys.executable, "-c", VERIFY, *arguments])
