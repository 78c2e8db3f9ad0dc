"""Names that are not UTF-8: every JSON tells them apart, a strict reader can read it, and modseal finds them again."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from builders import policies, trust_bundles
from builders.audits import folder_of
from builders.transcript import Transcript, run
from modseal.report.text import safe

NAMES = {
    b"a\xff.seal": "a\\xff.seal",
    b"a\xfe.seal": "a\\xfe.seal",
    b"a\\xff.seal": "a\\\\xff.seal",
    b"a\\udcff.seal": "a\\\\udcff.seal",
}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A depot of one bundle under three names, of which two are not UTF-8 and one looks like the escape of another."""
    policies.write(tmp_path)
    [path] = folder_of(tmp_path / "depot", 1)
    for name in NAMES:
        (path.parent / os.fsdecode(name)).write_bytes(path.read_bytes())
    path.unlink()
    return tmp_path


def strict(text: str) -> Any:
    """A document, read as a reader does that takes no lone surrogate."""
    document = json.loads(text)
    json.dumps(document, ensure_ascii=False).encode("utf-8")
    return document


def audit(site: Path, *arguments: str, leaves: tuple[str, ...] = ()) -> Transcript:
    return run("audit", *arguments, cwd=site, leaves=leaves)


def test_the_report_of_an_audit_has_each_name_once(site: Path) -> None:
    document = strict(audit(site, "depot", "--policy", "policy.toml", "--format", "json").out)
    assert {one["bundle"] for one in document["results"]} == {f"depot/{text}" for text in NAMES.values()}
    assert {one["bundle"] for one in document["findings"]} == {f"depot/{text}" for text in NAMES.values()}
    twice = [one for one in document["findings"] if one["rule"] == "same-content-twice"]
    assert {name for one in twice for name in one["related"]} < {f"depot/{text}" for text in NAMES.values()}


def test_a_report_is_read_back_with_the_names_of_the_files(site: Path) -> None:
    paths = [f"depot/{os.fsdecode(name)}" for name in NAMES]
    done = audit(site, *paths, "--policy", "policy.toml", "--format", "json", "-o", "r.json", leaves=("r.json",))
    assert done.code == 0, done.err
    assert strict((site / "r.json").read_text())["paths"] == [f"depot/{text}" for text in NAMES.values()]
    checked = audit(site, "verify-report", "r.json")
    assert checked.code == 0, checked.out
    again = audit(site, *paths, "--policy", "policy.toml", "--format", "json", "--baseline", "r.json")
    assert sum(strict(again.out)["summary"]["findings"].values()) == 0
    (site / paths[0]).unlink()
    gone = audit(site, "verify-report", "r.json", "--format", "json")
    assert "depot/a\\xff.seal" in {one["bundle"] for one in strict(gone.out)["deviations"]}
    audit(site, "depot", "--policy", "policy.toml", "--format", "json", "-o", "s.json", leaves=("s.json",))
    changed = strict(audit(site, "diff", "r.json", "s.json", "--format", "json").out)
    assert [one["bundle"] for one in changed["removed"]] == ["depot/a\\xff.seal"]


@pytest.mark.parametrize("name", NAMES)
def test_verify_and_inspect_write_names_alike(site: Path, name: bytes) -> None:
    path = f"depot/{os.fsdecode(name)}"
    verified = strict(run("verify", path, "--policy", "policy.toml", "--format", "json", cwd=site).out)
    inspected = strict(run("inspect", path, "--format", "json", cwd=site).out)
    assert verified["results"][0]["bundle"] == inspected["bundle"] == f"depot/{NAMES[name]}"


def test_a_file_that_is_not_there_has_its_name_in_a_readable_error(site: Path) -> None:
    document = strict(audit(site, os.fsdecode(b"no\xff.seal"), "--policy", "policy.toml", "--format", "json").out)
    assert document["results"][0]["bundle"] == "no\\xff.seal"
    assert "no\\xff.seal" in document["results"][0]["error"]["detail"]


def test_a_comparison_has_the_names_of_both_files(site: Path) -> None:
    first, second, *_ = (f"depot/{os.fsdecode(name)}" for name in NAMES)
    done = run("diff", first, second, "--format", "json", cwd=site)
    document = strict(done.out)
    assert [document[side]["bundle"] for side in ("left", "right")] == ["depot/a\\xff.seal", "depot/a\\xfe.seal"]


def test_an_explanation_has_the_name_of_the_file(site: Path) -> None:
    name = f"depot/{os.fsdecode(next(iter(NAMES)))}"
    done = run("policy", "explain", name, "--policy", "policy.toml", "--format", "json", cwd=site)
    assert strict(done.out)["bundle"] == "depot/a\\xff.seal"


def test_a_trust_bundle_has_the_name_of_its_file(site: Path) -> None:
    name = os.fsdecode(b"t\xff.trust")
    trust_bundles.write(site, trust_bundles.make(), name)
    assert strict(run("inspect", name, "--format", "json", cwd=site).out)["bundle"] == "t\\xff.trust"


@pytest.mark.parametrize("form", ["text", "csv", "junit", "html"])
def test_every_form_of_a_report_spells_a_name_as_json_does(site: Path, form: str) -> None:
    more = ("--verbose",) if form == "text" else ()
    printed = audit(site, "depot", "--policy", "policy.toml", "--format", form, *more).out
    printed = re.sub("(?s)<script.*?</script>", "", printed)  # a page has them once more, as JSON
    spelled = set(re.findall(r"(?<=/|>)a[\\\w]+\.seal", printed))
    assert spelled == set(NAMES.values())


def test_names_of_verified_inspected_and_signed_files_are_told_apart(site: Path) -> None:
    for name, text in NAMES.items():
        path = f"depot/{os.fsdecode(name)}"
        assert run("verify", path, "--policy", "policy.toml", cwd=site).out.startswith(f"depot/{text}: accepted")
        assert run("inspect", path, cwd=site).out.startswith(f"depot/{text}: ")


def test_a_control_character_is_not_spelled_as_a_byte() -> None:
    assert (safe("\x80"), safe("\udc80"), safe("\n"), safe("\x7f")) == ("\\u0080", "\\x80", "\\n", "\\x7f")
