"""`Containerfile`: its rules, and its steps run one by one without a container engine.

What needs an engine (pulling the base, layers, the user) is not tested here; docs/how-to/run-in-a-container.md
says how to try it. Everything that the steps say is: the context that .dockerignore leaves, the wheel that is built
from it, the environment that it is installed into, and a verdict from there without a network.
"""

from __future__ import annotations

import fnmatch
import re
import shlex
import shutil
import site
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest

from modseal.report import pages
from pipeline.conftest import POLICY, ROOT, Desk


class Line(NamedTuple):
    """An instruction of a Containerfile."""

    name: str
    rest: str


def instructions() -> list[Line]:
    text = (ROOT / "Containerfile").read_text("utf-8")
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    joined = "\n".join(lines).replace("\\\n", " ")
    return [
        Line(name, " ".join(rest.split())) for name, _, rest in (line.partition(" ") for line in joined.splitlines())
    ]


LINES = instructions()
STARTS = [number for number, line in enumerate(LINES) if line.name == "FROM"]
BUILD, FINAL = LINES[STARTS[0] : STARTS[1]], LINES[STARTS[1] :]
ALLOWED = {"ARG", "FROM", "WORKDIR", "COPY", "RUN", "LABEL", "ENV", "USER", "ENTRYPOINT", "CMD"}
COPIED = [word for line in BUILD if line.name == "COPY" for word in shlex.split(line.rest)[:-1]]


def value(lines: list[Line], name: str) -> str:
    (found,) = (line.rest for line in lines if line.name == name)
    return found


def test_no_image_is_built_on_a_base_without_a_digest() -> None:
    before = LINES[: STARTS[0]]
    assert [line.rest for line in before if line.name == "ARG"] == [
        "PYTHON_DIGEST",
        "BASE=docker.io/library/python:3.13-slim@${PYTHON_DIGEST}",
    ]
    assert [line.rest for line in LINES if line.name == "FROM"] == ["${BASE} AS build", "${BASE}"]


def test_the_image_is_the_environment_and_nothing_of_the_build() -> None:
    assert {line.name for line in LINES} <= ALLOWED
    assert not [line for line in FINAL if line.name == "RUN"]
    assert [line.rest for line in FINAL if line.name == "COPY"] == ["--from=build /opt/modseal /opt/modseal"]


def test_the_program_is_modseal_and_its_user_is_not_root() -> None:
    assert value(FINAL, "ENTRYPOINT") == '["modseal"]'
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", value(FINAL, "USER"))
    assert value(FINAL, "ENV").startswith("PATH=/opt/modseal/bin:")
    assert "PYTHONDONTWRITEBYTECODE=1" in value(FINAL, "ENV")


def left_by_ignore(path: str) -> bool:
    """Whether .dockerignore leaves a path in the context: the last line that fits decides."""
    left = True
    for pattern in (ROOT / ".dockerignore").read_text("utf-8").splitlines():
        bare = pattern.removeprefix("!").removeprefix("**/")
        parts = [path.rsplit("/", count)[0] for count in range(path.count("/") + 1)]
        if pattern and not pattern.startswith("#"):
            names = {part.rpartition("/")[2] for part in parts} if "**/" in pattern else set()
            if any(fnmatch.fnmatchcase(part, bare) for part in {*parts, *names}):
                left = pattern.startswith("!")
    return left


def test_the_context_has_what_is_copied_and_no_key() -> None:
    for name in COPIED:
        assert (ROOT / name).exists()
        assert left_by_ignore(name)
    assert left_by_ignore("tools/modseal/cli/main.py")
    for name in ("keys-example/partner/signer.key", ".git/config", "signer.key", "tools/modseal/__pycache__/a.pyc"):
        assert not left_by_ignore(name)


# The steps.


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with what the steps of the build made: wheels/ and environment/.

    Without a network: pip builds with the hatchling that is here, and does not look for the dependencies, which the
    environment then takes from here.
    """
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("container")
    context = folder / "context"
    for name in COPIED:
        source, target = ROOT / name, context / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    here = {"/tools/bin/python": sys.executable, "python3": sys.executable}
    places = {"/wheels": f"{folder}/wheels", "/opt/modseal": f"{folder}/environment"}
    offline = {"PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0", "PATH": "/usr/bin:/bin", "HOME": str(folder)}
    for line in BUILD:
        if line.name == "RUN" and not line.rest.endswith("venv /tools"):
            words = [here.get(word, word) for word in shlex.split(line.rest)]
            for known, place in places.items():
                words = [word.replace(known, place) if word.startswith(known) else word for word in words]
            subprocess.run(words, cwd=context, env=offline, check=True, capture_output=True)
    (libraries,) = (folder / "environment/lib").glob("python*/site-packages")
    (libraries / "dependencies.pth").write_text("\n".join(site.getsitepackages()))
    return folder


def test_the_wheel_has_the_package_its_schemas_and_the_manual_pages(built: Path) -> None:
    (wheel,) = (built / "wheels").iterdir()
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    ends = [name.partition("/")[2] for name in names]
    assert {path.name for path in (ROOT / "schemas").iterdir()} <= {Path(name).name for name in names}
    assert "modseal/py.typed" in names
    for page in (ROOT / "docs/man1").iterdir():
        assert f"data/share/man/man1/{page.name}" in ends


def test_the_wheel_has_the_pages_that_help_shows_and_nothing_else_of_the_docs(built: Path) -> None:
    (wheel,) = (built / "wheels").iterdir()
    with zipfile.ZipFile(wheel) as archive:
        names = {Path(name).stem for name in archive.namelist() if name.startswith("modseal/pages/")}
        strays = [name for name in archive.namelist() if name.startswith("docs/") or name.endswith("generate.py")]
    assert names == pages.pages().keys()
    assert strays == []


def test_the_installed_program_shows_its_pages_and_schemas(built: Path, tmp_path: Path) -> None:
    program = str(built / "environment/bin/modseal")
    for arguments, first in ((("policy",), "# Policies"), (("--schema", "module"), "{")):
        done = subprocess.run([program, "help", *arguments], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert done.stdout.startswith(f"{first}\n")


def test_no_link_of_the_packages_description_is_relative_to_the_repository(built: Path) -> None:
    (wheel,) = (built / "wheels").iterdir()
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (archive.read(name).decode() for name in archive.namelist() if name.endswith("/METADATA"))
    header, _, description = metadata.partition("\n\n")
    urls = dict(re.findall(r"^Project-URL: (\w+), (\S+)$", header, re.MULTILINE))
    assert urls.keys() == {"Homepage", "Documentation", "Changelog", "Source"}
    targets = re.findall(r"\]\(([^)]+)\)", description)
    assert targets
    for target in targets:
        assert target.startswith(urls["Homepage"]), target
        path = target.removeprefix(urls["Documentation"].removesuffix("/docs")).lstrip("/")
        assert (ROOT / path).exists(), target


def test_the_image_has_every_library_that_modseal_names(built: Path) -> None:
    """The wheels of the second step come from the index: what it asks for is what the wheel says."""
    (wheel,) = (built / "wheels").iterdir()
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (archive.read(name).decode() for name in archive.namelist() if name.endswith("/METADATA"))
    named = set(re.findall(r"^Requires-Dist: ([A-Za-z0-9_.-]+)(?!.*extra ==)", metadata, re.MULTILINE))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert named == {re.split(r"[<>=~]", text)[0] for text in project["dependencies"]}


def isolated() -> list[str]:
    """What starts a program without a network, where this machine lets us."""
    for command in (["unshare", "--net"], ["unshare", "--map-root-user", "--net"]):
        if shutil.which(command[0]) and subprocess.run([*command, "true"], capture_output=True).returncode == 0:
            return command
    return []


@pytest.mark.parametrize(("bundle", "code", "verdict"), [("good.seal", 0, "accepted"), ("bad.seal", 1, "rejected")])
def test_the_image_verifies_without_a_network_and_writes_nothing(
    desk: Desk, built: Path, bundle: str, code: int, verdict: str
) -> None:
    environment = built / "environment"
    before = sorted(environment.rglob("*"))
    bare = {"PATH": f"{environment}/bin:/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": "/nonexistent"}
    done = Desk(desk.folder, bare).run(*isolated(), "modseal", "verify", bundle, "--policy", POLICY)
    assert (done.returncode, done.stderr) == (code, "")
    assert done.stdout.startswith(f"{bundle}: {verdict}")
    assert sorted(environment.rglob("*")) == before


def test_the_manual_pages_are_where_man_looks(built: Path) -> None:
    pages = built / "environment/share/man/man1"
    assert {page.name for page in pages.iterdir()} == {page.name for page in (ROOT / "docs/man1").iterdir()}
