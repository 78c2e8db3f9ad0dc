"""The README works as it is pasted, in the environment that `make demo` leaves and in one that pip has made.

Both are made here without a network: pip builds with the hatchling that is here, and takes the libraries from here.
"""

from __future__ import annotations

import os
import re
import shutil
import site
import subprocess
import sys
from pathlib import Path

import pytest

from docs.console import ROOT, Command, matches, run, steps

README = (ROOT / "README.md").read_text("utf-8")
SHELL = re.findall(r"^```sh\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
COPIED = ("Makefile", "pyproject.toml", "README.md", "LICENSE", "tools", "schemas", "docs", "keys-example")


def offline(folder: Path, **more: str) -> dict[str, str]:
    """An environment without this test run's own programs and settings, and without an index."""
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "LC_ALL": "C.UTF-8",
        "PIP_NO_INDEX": "1",
        "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PYTHONPATH": os.pathsep.join(site.getsitepackages()),
        **more,
    }


def shell(command: str, folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        ["sh", "-euc", command], cwd=folder, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def copy_checkout(folder: Path) -> None:
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A copy of the checkout once the first block of the README has been run in it; and the environment then."""
    pytest.importorskip("hatchling")
    if not shutil.which("make"):
        pytest.skip("no make")
    folder = tmp_path_factory.mktemp("checkout")
    copy_checkout(folder)
    found = offline(folder)
    printed = shell(f"make PYTHON={sys.executable} demo > demo.log 2>&1\n{after_demo()}env", folder, found)
    assert "refused, as it must be" in (folder / "demo.log").read_text()
    activated = dict(line.split("=", 1) for line in printed.splitlines() if "=" in line)
    return folder, {**found, "PATH": activated["PATH"], "VIRTUAL_ENV": activated["VIRTUAL_ENV"]}


def after_demo() -> str:
    """What the README has after `make demo`, in the same block: how its environment is activated."""
    first, _, rest = SHELL[0].partition("\n")
    assert first == "make demo"
    return rest


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A copy of the checkout once the second block of the README has been run in it: the package comes from a wheel."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("installed")
    copy_checkout(folder)
    python = tmp_path_factory.mktemp("python") / "python3"
    python.symlink_to(sys.executable)
    found = offline(folder, PATH=f"{python.parent}:/usr/bin:/bin")
    printed = shell(f"{{\n{SHELL[1]}\n}} > pip.log 2>&1\nenv", folder, found)
    activated = dict(line.split("=", 1) for line in printed.splitlines() if "=" in line)
    (libraries,) = (folder / ".venv/lib").glob("python*/site-packages")
    # What is installed beside this test run must not stand for what is missing in the wheel.
    assert (libraries / "modseal/pages/policy.md").exists()
    path = os.pathsep.join([str(libraries), *site.getsitepackages()])
    return folder, {**found, "PATH": activated["PATH"], "PYTHONPATH": path}


@pytest.mark.slow
@pytest.mark.parametrize("way", ["checkout", "installed"])
def test_every_command_works_as_pasted(way: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    home, environment = request.getfixturevalue(way)
    folder = tmp_path / "own"
    folder.mkdir()
    where = subprocess.run(
        ["sh", "-c", "command -v modseal"], env=environment, capture_output=True, text=True, check=True
    ).stdout.strip()
    assert Path(where).is_relative_to(home)
    found = steps(README)
    shown = [step for step in found if isinstance(step, Command)]
    results = run(found, folder, environment)
    assert len(results) == len(shown)
    followers = [*(step.text for step in shown[1:]), ""]
    for command, (output, status), follower in zip(shown, results, followers, strict=True):
        assert matches(command.expected, output), f"$ {command.text}\nprinted:\n{output}"
        assert status == 0 or follower == "echo $?", output


@pytest.mark.parametrize("way", ["checkout", "installed"])
def test_the_documentation_is_there_too(way: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    _, environment = request.getfixturevalue(way)
    assert shell("modseal help policy", tmp_path, environment) == (ROOT / "docs/policy.md").read_text("utf-8")
    listed = shell("modseal help", tmp_path, environment)
    for name in re.findall(r"`modseal help ([a-z-]+)`", README):
        assert re.search(rf"^  {name} ", listed, re.MULTILINE), name


def test_the_readme_names_no_file_that_only_a_checkout_has() -> None:
    for step in steps(README):
        assert isinstance(step, Command)
        assert not re.search(r"\b(docs|keys-example|tools)/", step.text), step.text


def test_every_command_is_in_the_table() -> None:
    from modseal.cli.main import COMMANDS

    named = set(re.findall(r"^\| `modseal ([a-z-]+)\b", README, re.MULTILINE))
    assert named == COMMANDS.keys()
