"""The signers that a manifest expects: what a stripped signature looks like then (SIG-05)."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import cms
from builders.bundles import accepted, codes, judge, make, refused
from builders.pki import Identity, leaf, new_key, root, signer
from builders.policies import anchor, trusting
from modseal import limits
from modseal.bundle.inspect import inspect
from modseal.errors import FormatError
from modseal.format import manifest_json, rules
from modseal.format.level import Level
from modseal.report import inspection
from modseal.trust.examination import Status, Verdict

VENDOR, PARTNER = signer("p256"), signer("rsa")


def key(identity: Identity) -> str:
    return rules.key_name(identity.parsed.key_der)


def expecting(*identities: Identity) -> tuple[str, ...]:
    return tuple(sorted(map(key, identities)))


BOTH = expecting(VENDOR, PARTNER)


def test_a_bundle_that_all_expected_signers_signed_is_accepted() -> None:
    found = accepted(make("seal", VENDOR, PARTNER, expected_signers=BOTH), trusting())
    assert "level.expected" in {check.id for check in found.checks if check.status is Status.PASSED}


@pytest.mark.parametrize("left", [VENDOR, PARTNER], ids=["first", "second"])
def test_SIG_05_a_stripped_signature_is_seen_without_a_word_in_the_policy(left: Identity, tmp_path: Path) -> None:
    stripped = make("seal", left, expected_signers=BOTH)
    found = refused(stripped, trusting(), "expected-signer-missing", tmp_path)
    assert codes(found) == ["expected-signer-missing"]
    missing = [check.evidence["expected"] for check in found.checks if check.code == "expected-signer-missing"]
    assert missing == [name for name in BOTH if name != key(left)]


def test_an_expected_signer_need_not_be_trusted_here() -> None:
    stranger = leaf("Stranger", issuer=root(7))
    accepted(make("seal", VENDOR, stranger, expected_signers=expecting(VENDOR, stranger)), trusting())


def test_expecting_somebody_makes_nobody_trusted(tmp_path: Path) -> None:
    stranger = leaf("Stranger", issuer=root(7))
    refused(make("seal", stranger, expected_signers=expecting(stranger)), trusting(), "no-path", tmp_path)


def test_a_new_certificate_for_the_same_key_will_do() -> None:
    renewed = leaf("Test p256 signer, renewed", key=VENDOR.key)
    assert renewed.fingerprint != VENDOR.fingerprint
    accepted(make("seal", renewed, expected_signers=expecting(VENDOR)), trusting())


def test_a_namesake_with_another_key_will_not_do(tmp_path: Path) -> None:
    namesake = leaf("Test rsa signer 0", key=new_key("rsa", 77))
    refused(make("seal", VENDOR, namesake, expected_signers=BOTH), trusting(), "expected-signer-missing", tmp_path)


def test_more_signers_than_expected_are_welcome() -> None:
    accepted(make("seal", VENDOR, PARTNER, expected_signers=expecting(VENDOR)), trusting())


def test_a_block_that_does_not_verify_does_not_count(tmp_path: Path) -> None:
    other = make("seal", PARTNER, version="9", expected_signers=BOTH)
    bundle = make("seal", VENDOR, expected_signers=BOTH)
    both = bundle.with_signature(bundle.signature + other.signature)
    found = refused(both, trusting(), "content-digest-mismatch", tmp_path)
    assert "expected-signer-missing" in codes(found)


def test_a_block_that_cannot_be_judged_leaves_it_open(tmp_path: Path) -> None:
    bundle = make("seal", VENDOR, expected_signers=BOTH)
    info = cms.Signer(PARTNER, signature_algorithm=cms.algorithm(cms.UNKNOWN))
    unknown = bundle.with_block(cms.Block([info]).encode(bundle.manifest_bytes))
    refused(unknown, trusting(), "unsupported-algorithm", tmp_path, verdict=Verdict.UNDECIDED)


def test_an_unsigned_community_module_that_expects_signers_is_refused(tmp_path: Path) -> None:
    bundle = make("seal", claimed_level=Level.COMMUNITY, expected_signers=BOTH).unsigned()
    policy = trusting(anchor(root()), allow_unsigned_community=True)
    refused(bundle, policy, "expected-signer-missing", tmp_path)


def test_without_the_list_nothing_is_expected() -> None:
    assert "level.expected" not in {check.id for check in judge(make("seal"), trusting()).checks}


def test_what_is_expected_is_shown_unproved(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(make("seal", expected_signers=BOTH).data)
    found = inspect(tmp_path / "b")
    assert f"  expects        {BOTH[0]}" in inspection.render_text(found).splitlines()
    assert BOTH[1] in inspection.render_json(found)


# The format.

MANIFEST = make("seal", expected_signers=BOTH).manifest
NAMES = st.binary(min_size=32, max_size=32).map(lambda value: f"key-sha256:{value.hex()}")


@settings(max_examples=50)
@given(st.lists(NAMES, unique=True, max_size=limits.EXPECTED_SIGNERS).map(sorted))
def test_any_list_reads_back_as_it_was_written(names: list[str]) -> None:
    from dataclasses import replace

    manifest = replace(MANIFEST, expected_signers=tuple(names))
    data = manifest_json.encode(manifest)
    assert manifest_json.decode(data) == manifest
    assert (b"expected-signers" in data) is bool(names)


@pytest.mark.parametrize(
    "names",
    [
        [],
        list(reversed(BOTH)),
        [BOTH[0], BOTH[0]],
        ["sha256:" + "0" * 64],
        ["0" * 64],
        ["key-sha256:" + "A" * 64],
        ["key-sha256:" + "0" * 63],
        [1],
        "key-sha256:" + "0" * 64,
        [f"key-sha256:{number:064x}" for number in range(limits.EXPECTED_SIGNERS + 1)],
    ],
)
def test_another_form_of_the_list_is_refused(names: object) -> None:
    bundle = make("seal").edit(lambda plain: plain.update({"expected-signers": names}))
    with pytest.raises(FormatError) as caught:
        manifest_json.decode(bundle.manifest_bytes)
    assert caught.value.failure.code == "bad-manifest"


def test_a_vib_has_no_such_list() -> None:
    with pytest.raises(FormatError, match=r"only a \.seal has"):
        make("vib", expected_signers=BOTH)


def test_the_writer_refuses_what_the_reader_would() -> None:
    for names in (tuple(reversed(BOTH)), ("nonsense",)):
        with pytest.raises(FormatError):
            make("seal", expected_signers=names)
