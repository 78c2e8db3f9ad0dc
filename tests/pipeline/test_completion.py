"""`modseal completion`: what a shell offers, asked of the real shells."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from builders.transcript import run, run_process
from modseal.cli.completion import SCRIPTS, joined
from modseal.cli.main import COMMANDS
from pipeline.conftest import Desk

HOSTILE = 'q$(touch pwned) `touch pwned`".seal'
PATIENCE = 30
"""Seconds until a shell that says nothing is given up; a test ends as soon as it has said what it should."""


def needs(shell: str) -> None:
    if not shutil.which(shell):
        pytest.skip(f"needs {shell}")


@pytest.fixture
def shelf(tmp_path: Path, environment: dict[str, str]) -> Desk:
    """A folder with names of every kind."""
    for name in ("one bundle.seal", "two.vib", "notes.txt", "site.toml", HOSTILE):
        (tmp_path / name).touch()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "x.seal").touch()
    return Desk(tmp_path, environment)


# The answers.


def answers(*words: str, shell: str = "zsh", cwd: Path) -> list[list[str]]:
    done = run("completion", shell, "--", *words, cwd=cwd)
    assert (done.code, done.err) == (0, "")
    return [line.split("\t") for line in done.out.splitlines()]


def values(*words: str, shell: str = "zsh", cwd: Path) -> list[str]:
    return [line[1] for line in answers(*words, shell=shell, cwd=cwd) if line[0] == "value"]


def test_every_command_is_offered_with_a_few_words_on_it(tmp_path: Path) -> None:
    assert answers("", cwd=tmp_path) == [["value", name, text] for name, (_, text) in COMMANDS.items()]


def test_commands_and_options_are_offered_by_how_they_start(tmp_path: Path) -> None:
    assert values("ver", cwd=tmp_path) == ["verify"]
    assert values("--ver", cwd=tmp_path) == ["--verbose", "--version"]
    assert values("policy", "en", cwd=tmp_path) == ["endorse"]
    assert values("verify", "--fo", cwd=tmp_path) == ["--format"]


def test_choices_are_offered(tmp_path: Path) -> None:
    assert values("verify", "--format", "", cwd=tmp_path) == ["text", "json", "sarif"]
    assert values("verify", "--format=j", cwd=tmp_path) == ["json"]
    assert "ed25519" in values("keys", "new", "--type", "e", cwd=tmp_path)


def test_policies_are_the_built_in_ones_and_files(tmp_path: Path) -> None:
    expected = [["value", "strict"], ["value", "vmware"], ["value", "store:"], ["files", ".toml"]]
    for words in (("verify", "--policy", ""), ("policy", "check", ""), ("sign", "a.seal", "--policy", "")):
        assert answers(*words, cwd=tmp_path) == expected


@pytest.mark.parametrize("command", ["verify", "inspect", "extract", "sbom", "sign", "timestamp"])
def test_bundles_are_offered_by_their_endings(tmp_path: Path, command: str) -> None:
    assert answers(command, "", cwd=tmp_path) == [["files", ".seal .vib"]]


def test_folders_and_other_files_are_offered_where_they_belong(tmp_path: Path) -> None:
    assert answers("extract", "-C", "", cwd=tmp_path) == [["dirs"]]
    assert answers("keys", "crl", "--ca", "", cwd=tmp_path) == [["dirs"]]
    assert answers("sign", "a.seal", "--key", "", cwd=tmp_path) == [["files"]]


@pytest.mark.parametrize(
    "words", [("nonsense", ""), ("verify", "--nonsense", ""), ("verify", "--at", "never", "x", "")]
)
def test_a_wrong_command_line_is_no_failure(tmp_path: Path, words: tuple[str, ...]) -> None:
    answers(*words, cwd=tmp_path)


def test_an_answer_has_no_lines_of_its_own_making(tmp_path: Path) -> None:
    for line in answers("verify", "a\nvalue\tevil", "", cwd=tmp_path):
        assert line == ["files", ".seal .vib"]


@pytest.mark.parametrize(
    ("words", "whole"),
    [
        (["verify", "--format", "=", "js"], ["verify", "--format=js"]),
        (["verify", "--format", "="], ["verify", "--format="]),
        (["verify", "--policy", "store", ":", "x", "a.seal"], ["verify", "--policy", "store:x", "a.seal"]),
        (["verify", "'a b'", '"c d'], ["verify", "a b", "c d"]),
        (["verify", "a\\ b", ""], ["verify", "a b", ""]),
        ([""], [""]),
    ],
)
def test_words_of_bash_are_put_together(words: list[str], whole: list[str]) -> None:
    assert joined(words) == whole


@pytest.mark.parametrize("shell", SCRIPTS)
def test_nothing_but_the_script_is_printed(tmp_path: Path, shell: str) -> None:
    done = run_process("completion", shell, cwd=tmp_path)
    assert (done.code, done.out, done.err) == (0, SCRIPTS[shell], "")


def test_an_unknown_shell_is_a_usage_error(tmp_path: Path) -> None:
    assert run("completion", "tcsh", cwd=tmp_path).code == 2


def test_no_variable_of_the_environment_answers_in_place_of_a_verdict(tmp_path: Path) -> None:
    for instruction in ("bash_source", "bash_complete", "zsh_source"):
        hijack = {"_MODSEAL_COMPLETE": instruction, "COMP_WORDS": "modseal ver", "COMP_CWORD": "1"}
        done = run_process("verify", "none.seal", "--policy", "strict", cwd=tmp_path, env=hijack)
        assert done.code == 3
        assert done.out.startswith("none.seal: undecided")


# The shells.


def bash(shelf: Desk, *words: str) -> list[str]:
    """What the function of the script offers bash; `compopt` works in a real completion alone."""
    program = """
        compopt() { :; }
        eval "$(modseal completion bash)"
        COMP_WORDS=(modseal "$@") COMP_CWORD=$#
        _modseal modseal "${!#}" ""
        ((${#COMPREPLY[@]})) && printf '%s\\n' "${COMPREPLY[@]}"
    """
    done = shelf.run("bash", "-uc", program, "bash", *words)
    assert done.stderr == ""
    return sorted(done.stdout.splitlines())


def test_bash_offers_what_fits(shelf: Desk) -> None:
    assert bash(shelf, "ver") == ["verify"]
    assert bash(shelf, "verify", "--format", "=", "j") == ["json"]
    assert bash(shelf, "verify", "") == sorted(["one bundle.seal", "two.vib", HOSTILE, "sub"])
    assert bash(shelf, "verify", '"one b') == ["one bundle.seal"]
    assert bash(shelf, "verify", "sub/") == ["sub/x.seal"]
    assert bash(shelf, "verify", "n") == ["notes.txt"], "a bundle may have any name"
    assert bash(shelf, "verify", "--policy", "s") == ["site.toml", "store:", "strict", "sub"]
    assert bash(shelf, "extract", "-C", "") == ["sub"]


def fish(shelf: Desk, line: str) -> list[str]:
    program = "modseal completion fish | source; complete -C $argv[1]"
    done = shelf.run("fish", "-N", "-c", program, line)
    assert done.stderr == ""
    return sorted(found.partition("\t")[0] for found in done.stdout.splitlines())


def test_fish_offers_what_fits(shelf: Desk) -> None:
    needs("fish")
    assert fish(shelf, "modseal ver") == ["verify"]
    assert fish(shelf, "modseal verify ") == sorted(["one bundle.seal", "two.vib", HOSTILE, "sub/"])
    assert fish(shelf, "modseal verify n") == ["notes.txt"]
    assert fish(shelf, "modseal verify --format=j") == ["--format=json"]
    assert fish(shelf, "modseal verify --policy s") == ["site.toml", "store:", "strict", "sub/"]
    assert fish(shelf, "modseal extract -C ") == ["sub/"]
    assert not (shelf.folder / "pwned").exists()


TYPED = [
    ("modseal ver", "modseal verify "),
    ("modseal verify --format=j", "modseal verify --format=json "),
    ("modseal verify one", r"modseal verify one\ bundle.seal "),
    ("modseal verify q", r"modseal verify q\$\(touch\ pwned\)\ \`touch\ pwned\`\".seal "),
    ("modseal verify --policy vm", "modseal verify --policy vmware "),
    ("modseal extract -C s", "modseal extract -C sub/"),
]
"""What is typed before a tab, and what then stands on the command line."""


def typed(shelf: Desk, command: list[str], setup: str) -> None:
    """Type at a shell on a terminal, and see each line completed."""
    terminal, its_end = pty.openpty()
    environment = {**shelf.environment, "TERM": "dumb", "COLUMNS": "200"}
    streams = {"stdin": its_end, "stdout": its_end, "stderr": its_end}
    with subprocess.Popen(["setsid", "--ctty", *command], cwd=shelf.folder, env=environment, **streams) as shell:
        os.close(its_end)
        try:
            os.write(terminal, f"{setup}; echo rea''dy\n".encode())
            wait_for(terminal, "ready")
            for before, after in TYPED:
                os.write(terminal, f"{before}\t".encode())
                wait_for(terminal, after)
                os.write(terminal, b"\x15")  # ^U: away with the line
        finally:
            shell.kill()
            os.close(terminal)
    assert not (shelf.folder / "pwned").exists()


def wait_for(terminal: int, text: str) -> None:
    seen, end = "", time.monotonic() + PATIENCE
    while text not in re.sub(r"[\x07\r\n]|.\x08", "", seen):
        assert time.monotonic() < end, f"no {text!r} in {seen!r}"
        if select.select([terminal], [], [], 1)[0]:
            seen += os.read(terminal, 65536).decode()


@pytest.mark.slow
def test_bash_completes_what_is_typed_on_a_terminal(shelf: Desk) -> None:
    typed(shelf, ["bash", "--norc", "--noprofile", "-i"], 'source <(modseal completion bash); PS1="> "')


@pytest.mark.slow
def test_zsh_completes_what_is_typed_on_a_terminal(shelf: Desk) -> None:
    needs("zsh")
    functions = shelf.folder.parent / "functions"
    functions.mkdir()
    (functions / "_modseal").write_text(SCRIPTS["zsh"])
    typed(
        shelf,
        ["zsh", "-f", "-i"],
        f"fpath=({functions} $fpath); autoload -Uz compinit; compinit -u -D; PS1='> '; unsetopt autoremoveslash",
    )
