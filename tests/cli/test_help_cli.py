"""`modseal help`: the pages that are installed, by name."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from builders.transcript import run
from modseal.auditing import rules
from modseal.auditing.rules import RULES
from modseal.causes import CAUSES
from modseal.cli.main import COMMANDS, PAGES
from modseal.codes import CODES
from modseal.report import pages

ROOT = Path(__file__).parents[2]


def test_the_list_has_every_page_with_its_heading(tmp_path: Path) -> None:
    out = run("help", cwd=tmp_path).out
    for name, page in pages.pages().items():
        assert re.search(rf"^  {name} +{re.escape(page.title)}$", out, re.MULTILINE)
        assert page.title


def test_every_page_of_the_docs_is_shown() -> None:
    own = {path.stem for path in (ROOT / "docs").glob("*.md")} - {"mutation", "performance"}
    own |= {path.stem for path in (ROOT / "docs/how-to").glob("*.md")}
    assert pages.pages().keys() == own | {"readme"}


@pytest.mark.parametrize("name", ["policy", "sign-in-a-pipeline", "readme"])
def test_a_page_is_shown_as_it_is(tmp_path: Path, name: str) -> None:
    assert run("help", name, cwd=tmp_path).out == pages.pages()[name].text()


@pytest.mark.parametrize("words", [("verify",), ("policy", "check"), ("keys", "ca")])
def test_a_command_is_shown_as_its_own_help_shows_it(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert run("help", *words, cwd=tmp_path).out == run(*words, "--help", cwd=tmp_path).out


@pytest.mark.parametrize("code", ["no-path", "usage"])
def test_a_code_is_shown_with_its_meaning_and_next_step(tmp_path: Path, code: str) -> None:
    out = run("help", code, cwd=tmp_path).out
    assert out.startswith(f"{code}: {dict(CODES)[code].meaning}\n")  # type: ignore[index]


@pytest.mark.parametrize("id_", ["forced-vib", "left-out", "metadata-weak-digest"])
def test_a_rule_of_an_audit_is_shown_with_its_meaning_reason_and_next_step(tmp_path: Path, id_: str) -> None:
    rule = rules.BY_ID[id_]
    out = run("help", id_, cwd=tmp_path).out
    assert out.startswith(f"{rule.id} ({rule.severity}): {rule.title}\n")
    assert {f"what: {rule.what}", f"why: {rule.why}", f"next: {rule.remedy}"} <= set(out.splitlines())


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("polcy",), "did you mean 'policy'?"),
        (("sign-in-pipeline",), "did you mean 'sign-in-a-pipeline'?"),
        (("no-pth",), "did you mean 'no-path'?"),
        (("forced-vibs",), "did you mean 'forced-vib'?"),
        (("qqqqq",), "`modseal help` lists all topics"),
        (("../policy",), "there is no topic"),
        (("policy", "chekc"), "there is no topic"),
        (("--schema", "modul"), "did you mean 'module'?"),
        (("--schema", "../x"), "give one of"),
        (("policy", "--schema", "policy"), "either"),
    ],
)
def test_a_topic_that_is_none_gets_a_hint(tmp_path: Path, words: tuple[str, ...], hint: str) -> None:
    done = run("help", *words, cwd=tmp_path)
    assert (done.code, done.out) == (2, "")
    assert hint in done.err


@pytest.mark.parametrize("name", ["module", "policy", "report", "audit", "manifest"])
def test_a_schema_is_printed_as_it_is(tmp_path: Path, name: str) -> None:
    out = run("help", "--schema", name, cwd=tmp_path).out
    assert out == (ROOT / f"schemas/{name}.schema.json").read_text()
    assert json.loads(out)["$id"].startswith("urn:modseal:")


def test_the_help_of_every_command_points_at_pages_that_are_there(tmp_path: Path) -> None:
    assert PAGES.keys() == COMMANDS.keys() - {"help"}
    for name, named in PAGES.items():
        out = run(name, "--help", cwd=tmp_path).out
        assert re.findall(r"^    modseal help (\S+)$", out, re.MULTILINE) == list(named)
        assert set(named) <= pages.pages().keys()


def test_the_help_of_a_command_below_a_group_points_at_them_too(tmp_path: Path) -> None:
    assert "\n    modseal help policy\n" in run("policy", "check", "--help", cwd=tmp_path).out


def test_every_next_step_names_pages_that_the_reader_has() -> None:
    steps = [code.next_step or "" for code in CODES.values()] + list(CAUSES.values())
    named = {page for step in steps for page in re.findall(r"modseal help ([a-z-]+)", step)}
    assert {"policy", "limits", "vib"} <= named <= pages.pages().keys()
    assert [step for step in steps if "docs/" in step] == []


def test_every_rule_of_audits_names_a_part_of_a_page_that_is_there() -> None:
    """With the section or the table, since the pages are long."""
    words = [text for rule in RULES for text in (rule.title, rule.what, rule.why, rule.remedy, rule.example)]
    assert [text for text in words if "docs/" in text or ".md" in text] == []
    named = [found for text in words for found in re.findall(r"`modseal help ([a-z-]+)`(?:, section (\d+))?", text)]
    assert len(named) >= 3
    for page, section in named:
        assert f"## {section}" in pages.pages()[page].text()
    assert "### `[anchor.may]`" in pages.pages()["policy"].text()
