"""Which line of the policy decided each check."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from builders.bundles import Bundle, make
from builders.pki import NOW, leaf, root, signer
from builders.policies import write
from modseal.bundle.verify import verify
from modseal.format.level import Level
from modseal.policy.sources import load
from modseal.report import explanation
from modseal.trust.examination import STEPS


def explained(folder: Path, bundle: Bundle, policy: str, at: datetime = NOW) -> list[dict[str, Any]]:
    """All checks, each with what decided it."""
    (folder / "root.pem").write_bytes(root().pem)
    (folder / "policy.toml").write_text('schema = "modseal/policy@1"\n' + policy)
    (folder / "m.seal").write_bytes(bundle.data)
    rules = load(str(folder / "policy.toml"))
    result = verify(folder / "m.seal", rules, at, with_digest=False)
    document = json.loads(explanation.render_json(result, rules, "2026-01-01T00:00:00Z"))
    assert document["schema"] == "modseal/explanation@1"
    assert [step["name"] for step in document["steps"]] == list(STEPS)
    return [check for step in document["steps"] for check in step["checks"]]


def places(checks: list[dict[str, Any]], code_or_id: str) -> list[tuple[int | None, str]]:
    found = [check for check in checks if code_or_id in (check["code"], check["id"])]
    assert found, [(check["id"], check["code"]) for check in checks]
    return [(one["line"], one["key"]) for check in found for one in check["decided_by"]]


ANCHOR = '[[anchor]]\nname = "Root"\ncertificate = "root.pem"\ngrants = "certified"\n'
PARTNER = 'minimum-level = "partner"\n'


@pytest.mark.parametrize(
    ("policy", "code", "expected"),
    [
        ('minimum-level = "certified"\n' + ANCHOR, "level-below-minimum", [(2, "minimum-level")]),
        (PARTNER + ANCHOR.replace("certified", "community"), "level-not-granted", [(6, "anchor 'Root'.grants")]),
        (PARTNER + ANCHOR + 'vendors = ["Other"]\n', "vendor-out-of-scope", [(7, "anchor 'Root'.vendors")]),
        (PARTNER + ANCHOR + 'names = ["other"]\n', "name-out-of-scope", [(7, "anchor 'Root'.names")]),
        (PARTNER + ANCHOR + "[signers]\nminimum = 2\n", "too-few-signers", [(8, "signers.minimum")]),
        (
            PARTNER + ANCHOR + f'[signers]\nrequired = ["sha256:{"0" * 64}"]\n',
            "required-signer-missing",
            [(8, "signers.required")],
        ),
        (PARTNER + ANCHOR + '[algorithms]\nallow = ["ed25519"]\n', "algorithm-not-allowed", [(8, "algorithms.allow")]),
        (PARTNER + ANCHOR + '[versions]\nacme-agent = "9"\n', "version-below-floor", [(8, "versions.acme-agent")]),
        (PARTNER + ANCHOR + '[deny]\nnames = ["acme-*"]\n', "denied", [(8, "deny.names")]),
        (
            PARTNER + ANCHOR + '[attachments]\nrequired = ["sbom"]\n',
            "attachment-missing",
            [(8, "attachments.required")],
        ),
        (PARTNER + ANCHOR + "[time]\nrequire-timestamp = true\n", "untrusted-time", [(8, "time.require-timestamp")]),
        (PARTNER + ANCHOR, "chain.path", [(3, "anchor 'Root'")]),
        (PARTNER + ANCHOR, "level.grant", [(3, "anchor 'Root'"), (2, "minimum-level")]),
        (PARTNER + ANCHOR, "revocation.crl", [(None, "revocation")]),
        (PARTNER + ANCHOR, "container.archive", []),
        (PARTNER + ANCHOR, "signature.block", []),
        (PARTNER + ANCHOR, "payloads.content", []),
    ],
)
def test_a_check_names_the_line_that_decided_it(
    tmp_path: Path, policy: str, code: str, expected: list[tuple[int | None, str]]
) -> None:
    got = places(explained(tmp_path, make("seal"), policy), code)
    assert got == expected


def test_what_a_certificate_is_for_no_policy_decides(tmp_path: Path) -> None:
    checks = explained(tmp_path, make("seal", leaf("TLS", purposes=None)), PARTNER + ANCHOR)
    assert places(checks, "wrong-purpose") == []


def test_where_no_anchor_fits_all_are_named(tmp_path: Path) -> None:
    pinned = f'[[anchor]]\nname = "Pin"\nfingerprint = "sha256:{"0" * 64}"\ngrants = "certified"\n'
    checks = explained(
        tmp_path, make("seal"), PARTNER + pinned + pinned.replace("Pin", "Other").replace("0" * 64, "1" * 64)
    )
    assert places(checks, "no-path") == [(3, "anchor 'Pin'"), (7, "anchor 'Other'")]


def test_an_unsigned_community_module_is_explained_by_the_one_line_that_allows_it(tmp_path: Path) -> None:
    policy = 'minimum-level = "community"\nallow-unsigned-community = true\n'
    checks = explained(tmp_path, make("seal", claimed_level=Level.COMMUNITY).unsigned(), policy)
    for step in range(1, 7):
        assert {one["key"] for check in checks if check["step"] == step for one in check["decided_by"]} == {
            "allow-unsigned-community"
        }


def test_a_community_module_outside_its_paths_is_explained_by_them(tmp_path: Path) -> None:
    policy = 'minimum-level = "community"\n' + ANCHOR + '[paths]\ncommunity = ["usr"]\n'
    checks = explained(tmp_path, make("seal", claimed_level=Level.COMMUNITY), policy)
    assert set(places(checks, "path-not-allowed")) == {(8, "paths.community")}


def test_the_text_has_every_step_and_a_place_that_an_editor_can_jump_to(tmp_path: Path) -> None:
    path = write(tmp_path, minimum="certified")
    (tmp_path / "m.seal").write_bytes(make("seal", signer()).data)
    rules = load(str(path))
    text = explanation.render_text(verify(tmp_path / "m.seal", rules, NOW, with_digest=False), rules, "T")
    for number, name in enumerate(STEPS):
        assert f"\n{number} {name}\n" in text
    assert f"{path}:2: minimum-level" in text
    assert "integrity: no policy can change this" in text
    assert text.splitlines()[-1].startswith("next: ")


def test_a_bundle_that_cannot_be_read_is_undecided(tmp_path: Path) -> None:
    rules = load(str(write(tmp_path)))
    result = verify(tmp_path / "none.seal", rules, NOW, with_digest=False)
    assert "undecided" in explanation.render_text(result, rules, "T")
    assert json.loads(explanation.render_json(result, rules, "T"))["error"]["code"] == "io-error"
