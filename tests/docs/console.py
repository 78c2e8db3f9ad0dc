"""Runs what the documentation shows.

A ```console block has `$ ` lines (with `> ` lines that continue them) and the output that is expected
below. `...` stands for any text, on a line of its own for any number of lines. A block with a file's name
after its language is written to that file. All blocks of a page run in one folder, in one shell, one after another. A
command that fails must be followed by `$ echo $?`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")) if "```console" in path.read_text("utf-8")
)
TOOLS = ("openssl", "ar", "tar", "curl", "gpg", "jq", "unzip", "softhsm2-util", "pkcs11-tool")
"""Programs that a page may need and a machine may lack."""

_BLOCK = re.compile(r"^```(console|[a-z]+ \S+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_MARK = "@@@ done"


class Command(NamedTuple):
    """One command and what it is said to print."""

    text: str
    expected: list[str]


def steps(page: str) -> list[Command | tuple[str, str]]:
    """The commands of a page, and (name, content) of the files that it shows, in order."""
    found: list[Command | tuple[str, str]] = []
    for kind, body in _BLOCK.findall(page):
        if kind == "console":
            found += commands(body)
        else:
            found.append((kind.split()[1], body))
    return found


def commands(block: str) -> list[Command]:
    """The commands of one block."""
    found: list[Command] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append(Command(line[2:], []))
        elif line.startswith("> ") or line == ">":
            last = found.pop()
            found.append(last._replace(text=f"{last.text}\n{line[2:]}"))
        else:
            found[-1].expected.append(line)
    return found


def prepare(folder: Path) -> dict[str, str]:
    """A folder like the root of a checkout, with `modseal` on the path of the returned environment."""
    shutil.copytree(ROOT / "keys-example", folder / "keys-example")
    shutil.copytree(ROOT / "docs" / "examples", folder / "docs" / "examples", symlinks=True)
    for key in folder.glob("keys-example/*/*.key"):
        key.chmod(0o600)
    programs = folder.parent / "bin"
    programs.mkdir()
    modseal = programs / "modseal"
    modseal.write_text(f"#!{sys.executable}\nfrom modseal.cli.main import main\nmain()\n")
    modseal.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if name in ("HOME", "LANG", "TMPDIR", "XDG_CACHE_HOME")}
    return {**kept, "PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT / "tools"), "LC_ALL": "C.UTF-8"}


def run(found: list[Command | tuple[str, str]], folder: Path, environment: dict[str, str]) -> list[tuple[str, int]]:
    """What each command printed (both streams), and its exit status."""
    lines = ["status=0"]
    for number, step in enumerate(found):
        if isinstance(step, Command):
            lines += [f"(exit $status)\n{step.text}", f"status=$?; printf '\\n{_MARK} %d\\n' $status"]
        else:
            (folder / f".step-{number}").write_text(step[1], "utf-8")
            lines.append(f"mv .step-{number} {step[0]}")
    done = subprocess.run(
        ["bash", "-c", "\n".join(lines)],
        cwd=folder,
        env=environment,
        text=True,
        timeout=300,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    parts = re.split(rf"\n{_MARK} (\d+)\n", done.stdout)
    return list(zip(parts[0::2], map(int, parts[1::2]), strict=False))


def matches(expected: list[str], output: str) -> bool:
    """Whether some output is what a page says; a page that says nothing is satisfied by anything."""
    pattern = "".join("(?:.*\n)*" if line == "..." else _line_pattern(line) for line in expected)
    return not expected or re.fullmatch(pattern, output.rstrip("\n") + "\n") is not None


def _line_pattern(line: str) -> str:
    return re.escape(line).replace(r"\.\.\.", ".*") + "\n"


def missing_tools(page: str) -> list[str]:
    """Programs that a page's commands name and this machine does not have."""
    named = (tool for tool in TOOLS if re.search(rf"^(?:\$|>) .*\b{tool} ", page, re.MULTILINE))
    return [tool for tool in named if not shutil.which(tool)]
