"""The reports for people and for code-scanning services."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from builders.bundles import Bundle, make
from builders.pki import NOW
from builders.policies import trusting
from modseal.bundle.verify import Result, verify
from modseal.codes import CODES
from modseal.report import sarif, text
from modseal.trust.policy import Policy


def result(folder: Path, bundle: Bundle | bytes, policy: Policy | None = None, name: str = "b.seal") -> Result:
    (folder / name).write_bytes(bundle if isinstance(bundle, bytes) else bundle.data)
    return verify(folder / name, policy or trusting(), NOW, with_digest=False)


def test_an_accepted_bundle_is_a_few_lines(tmp_path: Path) -> None:
    lines = text.render(result(tmp_path, make("seal"))).splitlines()
    assert lines[0].endswith("b.seal: accepted")
    assert [line.split("  ")[1] for line in lines[1:]] == ["module", "claimed level", "proven level", "signer"]


def test_a_rejection_has_code_evidence_and_one_next_step(tmp_path: Path) -> None:
    good = make("seal")
    found = result(tmp_path, good.with_member("base", data=good["base"].data[:-1] + b"!"))
    told = text.render(found)
    assert "7 payloads     failed         payload-digest-mismatch: " in told
    assert "payload: base" in told
    assert told.count("next: ") == 1
    assert told.splitlines()[-1] == f"  next: {CODES['payload-digest-mismatch'].next_step}"


def test_the_next_step_is_that_of_the_first_reason(tmp_path: Path) -> None:
    told = text.render(result(tmp_path, make("vib").unsigned()))
    assert told.splitlines()[-1] == f"  next: {CODES['unsigned'].next_step}"
    assert "(unproved: no valid signature covers it)" in told


def test_thousands_of_failures_are_cut(tmp_path: Path) -> None:
    good = make("seal", files={f"opt/{number:04}": b"" for number in range(100)})
    other = make("seal", files={f"opt/x{number:04}": b"" for number in range(100)})
    from builders.bundles import tar_of

    told = text.render(result(tmp_path, good.with_tar(tar_of(other))))
    assert len(told.splitlines()) < 60
    assert "--format json has them all" in told


def test_verbose_shows_what_passed_too(tmp_path: Path) -> None:
    told = text.render(result(tmp_path, make("seal")), verbose=True)
    assert {line.split()[0] for line in told.splitlines() if " passed " in line} == set("0123456789")


@pytest.mark.parametrize("hostile", ["\x1b[31mred", "a\nb: accepted", "\u202etxt", "\x00", "\udcff", "\u2028"])
def test_text_from_files_cannot_draw(hostile: str) -> None:
    assert text.safe(hostile).isprintable()
    assert text.safe("plain \u00e4") == "plain \u00e4"


def test_no_next_step_asks_to_trust_more() -> None:
    for name, code in CODES.items():
        lowered = code.next_step.lower()
        for word in (
            "--unverified",
            "allow-unsigned",
            "--force",
            "lower the",
            "disable",
            "skip",
            "minimum-level",
            "accept-expired",
        ):
            assert word not in lowered, name


def log(*results: Result) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(sarif.render(results))
    return document


def test_sarif_has_one_rule_a_code_and_one_result_a_failure(tmp_path: Path) -> None:
    bad = result(tmp_path, make("vib").unsigned())
    document = log(bad, result(tmp_path, make("seal"), name="good.seal"))
    (run,) = document["runs"]
    assert document["version"] == "2.1.0"
    assert document["$schema"].endswith("sarif-schema-2.1.0.json")
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert rules == sorted({entry["ruleId"] for entry in run["results"]})
    assert bad.examination is not None
    failures = [check for check in bad.examination.checks if check.code and check.status in ("failed", "inconclusive")]
    causes = [one.code for one in failures if one.code != "level-not-granted"]  # which follows from: unsigned
    assert [entry["ruleId"] for entry in run["results"]] == causes == ["unsigned"]
    assert {entry["level"] for entry in run["results"]} <= {"error", "warning"}
    for entry in run["results"]:
        assert entry["message"]["text"]
        (location,) = entry["locations"]
        assert location["physicalLocation"]["artifactLocation"]["uri"].startswith("file:///")


def test_sarif_of_an_unreadable_file_is_a_warning(tmp_path: Path) -> None:
    (entry,) = log(verify(tmp_path / "absent", trusting(), NOW, with_digest=False))["runs"][0]["results"]
    assert (entry["ruleId"], entry["level"]) == ("io-error", "warning")


def test_sarif_says_that_a_bundle_was_not_accepted_even_without_a_code(tmp_path: Path) -> None:
    for bundle in (make("seal").unsigned(), make("seal").data[:-2], b""):
        found = result(tmp_path, bundle)
        assert log(found)["runs"][0]["results"]


@pytest.mark.parametrize(
    ("name", "uri"), [("a b.seal", "a%20b.seal"), ("\u00e4.seal", "%C3%A4.seal"), ("a#b", "a%23b")]
)
def test_sarif_uris_are_escaped(tmp_path: Path, name: str, uri: str) -> None:
    (entry, *_) = log(result(tmp_path, b"", name=name))["runs"][0]["results"]
    assert entry["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].endswith(f"/{uri}")


def test_sarif_survives_names_that_are_no_unicode(tmp_path: Path) -> None:
    (entry, *_) = log(result(tmp_path, b"", name="\udcff"))["runs"][0]["results"]
    assert entry["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].endswith("/%FF")
