"""Fixtures of the pipeline tests: `modseal` as a program on the PATH, and a folder with bundles of each verdict."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from builders.transcript import SOURCE, run

ROOT = Path(__file__).parents[2]
POLICY = "keys-example/policy.toml"


@dataclass(frozen=True)
class Desk:
    """A folder like the root of a user's repository, and the environment of a job that runs there."""

    folder: Path
    environment: dict[str, str]

    def run(self, *command: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a program; `more` are further variables of its environment."""
        return subprocess.run(
            [str(each) for each in command],
            cwd=self.folder,
            env={**self.environment, **more},
            text=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=120,
            check=False,
        )


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables of a job: little more than a PATH with `modseal`."""
    programs = tmp_path_factory.mktemp("bin")
    program = programs / "modseal"
    program.write_text(f"#!{sys.executable}\nfrom modseal.cli.main import main\nmain()\n")
    program.chmod(0o755)
    path = f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {"PATH": path, "PYTHONPATH": str(SOURCE), "HOME": str(programs), "LC_ALL": "C.UTF-8"}


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`keys-example/`, and `good.seal` (accepted), `bad.seal` (rejected) and `none.seal` (unsigned)."""
    folder = tmp_path_factory.mktemp("desk")
    shutil.copytree(ROOT / "keys-example", folder / "keys-example")
    for key in folder.glob("keys-example/*/*.key"):
        key.chmod(0o600)
    assert run("pack", ROOT / "docs/examples/hello", "-o", "none.seal", cwd=folder).code == 0
    who = ("--key", "keys-example/partner/signer.key", "--cert", "keys-example/partner/signer.pem")
    assert run("sign", "none.seal", *who, "-o", "good.seal", cwd=folder).code == 0
    good = (folder / "good.seal").read_bytes()
    (folder / "bad.seal").write_bytes(good.replace(b'"name":"hello"', b'"name":"hullo"'))
    return folder


@pytest.fixture
def desk(bundles: Path, environment: dict[str, str], tmp_path: Path) -> Desk:
    """A copy of the bundles that a test may change."""
    folder = tmp_path / "a desk"
    shutil.copytree(bundles, folder)
    return Desk(folder, environment)
