"""The manual pages: every command and option is there, and groff and man render them without a warning."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import click
import pytest

from modseal.cli.main import COMMANDS
from pipeline.conftest import ROOT

PAGES = ROOT / "docs" / "man1"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("man_for_tests", ROOT / "docs/man.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


MAN = load()
ENTRIES = {entry.name.replace(" ", "-"): entry for entry in MAN.entries()}
SECTIONS = ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "EXAMPLES", "SEE ALSO"]


def rendered(*paths: Path) -> str:
    """What man shows of pages: without overstriking, on lines that never end."""
    if not shutil.which("groff"):
        pytest.skip("needs groff")
    options = ["-man", "-Tutf8", "-ww", "-P-cbou", "-rLL=900n", "-rHY=0"]
    done = subprocess.run(["groff", *options, *paths], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout


@pytest.fixture(scope="module")
def shown() -> dict[str, str]:
    """Each page as it is rendered, in one run of groff."""
    names = sorted(ENTRIES)
    whole = rendered(*(PAGES / f"{name}.1" for name in names))
    parts = re.split(r"^[A-Z-]+\(1\) +modseal manual +[A-Z-]+\(1\)$", whole, flags=re.MULTILINE)[1:]
    assert len(parts) == len(names)
    return dict(zip(names, parts, strict=True))


def test_each_command_has_its_page_and_no_page_lacks_its_command() -> None:
    assert {path.stem for path in PAGES.iterdir()} == set(ENTRIES)
    assert {f"modseal-{name}" for name in COMMANDS} < set(ENTRIES)
    assert "modseal-policy-endorse" in ENTRIES


def test_each_page_has_its_sections_in_their_order(shown: dict[str, str]) -> None:
    for name, text in shown.items():
        headings = [line for line in text.splitlines() if re.fullmatch(r"[A-Z][A-Z ]+", line)]
        group = bool(ENTRIES[name].below)
        expected = [one for one in SECTIONS if one != "EXAMPLES" or not group or one in headings]
        assert [one for one in headings if one != "COMMANDS"] == expected, name
        assert ("COMMANDS" in headings) == group


def test_each_option_is_shown_with_its_help(shown: dict[str, str]) -> None:
    for name, text in shown.items():
        flat = " ".join(text.split())
        for parameter in ENTRIES[name].command.get_params(ENTRIES[name].context):
            assert " ".join((parameter.get_help_record(ENTRIES[name].context) or ("",))[0].split()) in flat
            if isinstance(parameter, click.Option):
                assert all(re.search(rf"^ +(.*, )?{option}\b", text, re.MULTILINE) for option in parameter.opts), name
                assert " ".join((parameter.help or "").replace("`", "").split()) in flat, name


def test_each_command_of_a_group_is_listed_on_its_page(shown: dict[str, str]) -> None:
    for name, entry in ENTRIES.items():
        for below in entry.below:
            assert re.search(rf"^ +{name}-{below}\(1\)\n +[A-Z].*\.$", shown[name], re.MULTILINE)


def test_the_name_line_is_one_that_indexes_can_read(shown: dict[str, str]) -> None:
    for name, text in shown.items():
        assert re.search(rf"^NAME\n +{name} - \S.{{0,110}}[^.]$", text, re.MULTILINE), name


def test_a_hyphen_is_one_that_a_shell_knows() -> None:
    """Where a printer or a terminal has typographic hyphens, an unescaped one cannot be pasted."""
    for path in PAGES.iterdir():
        _, *lines = path.read_text("utf-8").splitlines()
        assert not [line for line in lines if re.search(r"(?<!\\)-", line)], path.name


def test_each_page_that_is_referred_to_exists(shown: dict[str, str]) -> None:
    for text in shown.values():
        assert set(re.findall(r"\b(modseal[a-z-]*)\(1\)", text)) <= set(ENTRIES)


def test_examples_are_shown_to_the_letter(shown: dict[str, str]) -> None:
    assert "$ openssl rand -base64 24 > $who.pass" not in shown["modseal-keys-ca"]
    assert "$ for who in root partner signer; do openssl rand -base64 24 > $who.pass; done" in shown["modseal-keys-ca"]
    assert (
        """fingerprint() { openssl x509 -in "$1" -outform DER | sha256sum | cut -d ' ' -f 1; }"""
        in shown["modseal-policy-update"]
    )


@pytest.mark.parametrize("text", [".SH evil", "'br", r"a\fBb", "-x --y", "'\"`^~\\", "a|b"])
def test_text_is_rendered_as_it_stands(tmp_path: Path, text: str) -> None:
    page = tmp_path / "page.1"
    page.write_text(f'.TH X 1 "" "" ""\n.SH NAME\n{MAN.roff(text)}\n')
    assert f" {text}\n" in rendered(page)


def test_man_itself_shows_a_page(tmp_path: Path) -> None:
    if not shutil.which("man"):
        pytest.skip("needs man")
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MANWIDTH": "80", "HOME": str(tmp_path)}
    done = subprocess.run(
        ["man", "--warnings", "-l", PAGES / "modseal-verify.1"], capture_output=True, text=True, env=environment
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "modseal-verify - prove bundles under a policy" in done.stdout


def test_the_exit_statuses_are_those_of_the_readme() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert {int(number) for number in re.findall(r"\*\*(\d)\*\*", text)} == set(MAN.STATUS)
