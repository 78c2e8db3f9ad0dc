"""`make demo-remote` shows what it says, to its end."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from docs.console import prepare

pytest.importorskip("aiohttp", reason="the extra `serve` is not installed")


@pytest.mark.slow
def test_the_demo_of_managed_hosts_runs_to_its_end(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    environment = prepare(folder)
    command = ["sh", "docs/examples/demo-remote.sh"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    for said in ("level-below-host", "bad-signature", "role-too-low", "host-locked-down"):
        assert said in done.stdout + done.stderr, said
    assert "events, unbroken" in done.stdout.splitlines()[-1]
