"""`make demo-host` shows what it says, to its end."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from builders import guards
from docs.console import prepare


@pytest.mark.slow
def test_the_demo_of_a_host_runs_to_its_end(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    environment = prepare(folder)
    done = subprocess.run(
        ["sh", "docs/examples/demo-host.sh"], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for said in (
        "payload-digest-mismatch",
        "level-below-host",
        "version-downgraded",
        "installed-changed",
        "denied",
        "recalled",
    ):
        assert said in done.stdout
    assert "old-depot: version 1 is older than version 2, which was seen already" in done.stderr
    guarded = guards.why_impossible() is None
    assert ("content-not-installed" in done.stdout) is guarded
    assert ("left out" in done.stdout) is not guarded
    assert done.stdout.count("Hello, ") == 2 + guarded
    assert "evil" not in done.stdout.splitlines()
    assert "events, unbroken" in done.stdout.splitlines()[-1]
