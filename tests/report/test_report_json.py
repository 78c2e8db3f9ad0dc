"""The JSON report: every report fits its schema, which is closed and knows every code."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from builders import cms
from builders.bundles import KINDS, Bundle, Member, make
from builders.json_schemas import require_closed
from builders.pki import NOW, ca, leaf, new_key, signer
from builders.policies import anchor, trusting
from modseal.bundle.verify import Result, verify
from modseal.codes import CODES
from modseal.format.level import Level
from modseal.format.manifest import Kind
from modseal.report import json_report
from modseal.trust.policy import Policy

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "report.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def report(folder: Path, bundle: Bundle | bytes, policy: Policy | None = None) -> dict[str, Any]:
    (folder / "b").write_bytes(bundle if isinstance(bundle, bytes) else bundle.data)
    return rendered(verify(folder / "b", policy or trusting(), NOW, with_digest=True))


def rendered(*results: Result) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json_report.render(results, "test policy", NOW))
    VALIDATOR.validate(document)
    return document


def variants(kind: Kind) -> dict[str, Bundle | bytes]:
    good = make(kind)
    stranger = leaf("Stranger", issuer=ca("Stranger root", key=new_key("p256", 70)))
    return {
        "good": good,
        "unsigned": good.unsigned(),
        "two signers": good.signed(signer(), stranger),
        "stranger": make(kind, stranger),
        "expired": make(kind, leaf("Expired", end=NOW - timedelta(days=1))),
        "extra member": good.insert(3, Member("extra", b"x")),
        "payload": good.with_member(good.members[2].name, data=b"changed"),
        "manifest": good.with_manifest_bytes(b"{}"),
        "signature": good.with_signature(b"nonsense"),
        "algorithm": good.signed(signer(), signature_algorithm=cms.algorithm(cms.UNKNOWN)),
        "cut": good.data[:-1],
        "empty": b"",
    }


@pytest.mark.parametrize("which", list(variants("seal")))
@pytest.mark.parametrize("kind", KINDS)
def test_every_report_fits_the_schema(kind: Kind, which: str, tmp_path: Path) -> None:
    (result,) = report(tmp_path, variants(kind)[which])["results"]
    assert (result["verdict"] == "accepted") == (which in ("good", "two signers"))
    assert {check["step"] for check in result["checks"]} == set(range(10))


def test_a_file_that_cannot_be_read_has_an_error_and_no_checks(tmp_path: Path) -> None:
    (result,) = rendered(verify(tmp_path / "absent", trusting(), NOW, with_digest=True))["results"]
    assert (result["verdict"], result["sha256"], result["checks"], result["error"]["code"]) == (
        "undecided",
        None,
        [],
        "io-error",
    )


def test_levels_and_signers_are_told_as_they_are(tmp_path: Path) -> None:
    (result,) = report(
        tmp_path,
        make("seal", claimed_level=Level.ACCEPTED),
        trusting(anchor(signer("p256", 3), Level.PARTNER), anchor(ca("x"), name="x")),
    )["results"]
    assert (result["claimed_level"], result["proven_level"]) == ("accepted", None)
    assert [(one["trusted"], one["anchor"]) for one in result["signers"]] == [(False, None)]


def test_the_document_is_ascii_and_keeps_any_name(tmp_path: Path) -> None:
    text = json_report.render([verify(tmp_path / "n\u00e4me\udcff\n", trusting(), NOW, with_digest=False)], "p", NOW)
    assert text.isascii()
    assert json.loads(text)["results"][0]["bundle"].endswith("n\u00e4me\\xff\n")


def test_the_schema_has_exactly_the_published_codes() -> None:
    check = SCHEMA["properties"]["results"]["items"]["properties"]["checks"]["items"]["properties"]
    assert check["code"]["oneOf"] == [{**check["code"]["oneOf"][0], "enum": list(CODES)}, {"type": "null"}]


def test_the_schema_is_closed_everywhere() -> None:
    require_closed(SCHEMA)


def test_the_schema_refuses_what_is_not_a_report(tmp_path: Path) -> None:
    document = report(tmp_path, make("seal"))
    for change in ({"schema": "modseal/report@2"}, {"extra": 1}, {"results": {}}, {"at": "now"}):
        assert not VALIDATOR.is_valid({**document, **change})
    document["results"][0]["verdict"] = "fine"
    assert not VALIDATOR.is_valid(document)
