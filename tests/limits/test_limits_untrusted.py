"""How far the payloads of a bundle are unpacked that no trusted signer stands for: as far as it helps its reader."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from builders import bundles
from builders.pki import NOW, root
from builders.policies import trusting
from limits.cover import bounds
from modseal import limits
from modseal.bundle.extract import extract
from modseal.bundle.inspect import inspect
from modseal.bundle.open import open_bundle
from modseal.format.level import Level
from modseal.trust.examination import Status, Verdict
from modseal.trust.integrity import examine_integrity


def unsigned(kind: str) -> tuple[bundles.Bundle, int]:
    """An unsigned bundle, and to how many bytes its payload unpacks."""
    bundle = bundles.make(kind).unsigned()  # type: ignore[arg-type]
    size = bundle.manifest.payloads[0].unpacked_size
    assert size
    return bundle, size


@bounds("UNTRUSTED_UNPACKED")
@pytest.mark.parametrize("kind", ["seal", "vib"])
@pytest.mark.parametrize(("more", "told"), [(1, True), (0, True), (-1, False)])
def test_a_bundle_that_no_trusted_signer_stands_for_is_unpacked_so_far(monkeypatch, kind, more, told):
    bundle, size = unsigned(kind)
    monkeypatch.setattr(limits, "UNTRUSTED_UNPACKED", size + more)
    examination = bundles.judge(bundle, trusting())
    assert examination.verdict is Verdict.REJECTED
    assert examination.primary is not None
    assert examination.primary.code == "unsigned"
    contents = [check for check in examination.checks if check.id == "payloads.content"]
    assert [check.code for check in contents] == [None if told else "not-unpacked"]
    files = [check.status for check in examination.checks if check.step == 8 and check.id != "files.powers"]
    assert files == [Status.PASSED if told else Status.INCONCLUSIVE]


@bounds("UNTRUSTED_VZSTD")
@pytest.mark.parametrize(("more", "told"), [(1, True), (0, True), (-1, False)])
def test_a_vzstd_payload_takes_its_window_in_memory(monkeypatch, more, told):
    bundle = bundles.make("vib", payload_type="vzstd").unsigned()
    size = bundle.manifest.payloads[0].unpacked_size
    assert size
    monkeypatch.setattr(limits, "UNTRUSTED_VZSTD", size + more)
    assert ("not-unpacked" not in bundles.codes(bundles.judge(bundle, trusting()))) is told


def test_a_broken_signature_is_none(monkeypatch):
    bundle = bundles.make("seal")
    other = bundle.with_member("manifest.json", data=bundle.manifest_bytes.replace(b"acme-agent", b"acme-agenT"))
    monkeypatch.setattr(limits, "UNTRUSTED_UNPACKED", 1)
    assert "not-unpacked" in bundles.codes(bundles.judge(other, trusting()))


def test_what_a_trusted_signer_stands_for_is_unpacked_whole(monkeypatch):
    monkeypatch.setattr(limits, "UNTRUSTED_UNPACKED", 1)
    bundles.accepted(bundles.make("seal"), trusting())


def test_a_strangers_signature_is_as_good_as_none(monkeypatch):
    """Anybody can make a key and sign with it."""
    monkeypatch.setattr(limits, "UNTRUSTED_UNPACKED", 1)
    assert "not-unpacked" in bundles.codes(bundles.judge(bundles.make("vib"), trusting(root(7))))


def test_what_the_policy_takes_unsigned_is_unpacked_whole(monkeypatch):
    monkeypatch.setattr(limits, "UNTRUSTED_UNPACKED", 1)
    bundle = bundles.make("seal", claimed_level=Level.COMMUNITY).unsigned()
    bundles.accepted(bundle, replace(trusting(), allow_unsigned_community=True))


def test_payloads_share_what_is_allowed(monkeypatch):
    bundle, size = unsigned("seal")
    second = replace(bundle.manifest.payloads[0], name="second")
    member = replace(bundle.members[2], name="second")
    two = bundle.with_manifest(payloads=(bundle.manifest.payloads[0], second)).insert(3, member)
    monkeypatch.setattr(limits, "UNTRUSTED_UNPACKED", 2 * size - 1)
    checks = [check for check in bundles.judge(two.unsigned(), trusting()).checks if check.code == "not-unpacked"]
    assert [check.evidence["payload"] for check in checks] == ["second"]


def test_who_packs_signs_inspects_or_unpacks_unverified_reads_all(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(limits, "UNTRUSTED_UNPACKED", 1)
    path = tmp_path / "a.seal"
    path.write_bytes(unsigned("seal")[0].data)
    with open_bundle(path) as bundle:
        assert examine_integrity(bundle, NOW).verdict is Verdict.ACCEPTED
    assert extract(path, tmp_path / "out", None, NOW).verdict is Verdict.ACCEPTED
    assert not inspect(path).problems
