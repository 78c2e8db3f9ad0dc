"""What one bundle may cost, counted: DOS-01 and DOS-02. No test here measures time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from unittest import mock

import pytest
from cryptography import x509

from builders import cms as cms_builder
from builders import crls
from builders.bundles import Bundle, codes, judge, make
from builders.pki import NOW, ca, issue, leaf, name, new_key, root, signer
from builders.policies import anchor, trusting
from modseal import limits
from modseal.errors import FormatError
from modseal.format import der, strict_xml
from modseal.pki import algorithms, certificate, path, public_key, revocation
from modseal.pki.effort import Effort
from modseal.pki.path import NoPath, PathRules, find_paths
from modseal.pki.revocation import RevocationRules
from modseal.trust import examine
from modseal.trust.examination import Status, Verdict


@pytest.fixture
def operations(monkeypatch: pytest.MonkeyPatch) -> Iterator[mock.Mock]:
    """Counts the public-key operations that are really done, from a cold start."""
    forget()
    counted = mock.Mock(side_effect=algorithms.verify)
    monkeypatch.setattr(algorithms, "verify", counted)
    yield counted
    forget()


def forget() -> None:
    for cache in (
        certificate._parse,
        path._remembered_paths,
        path._remembered_failures,
        revocation._signature_problem,
    ):
        cache.cache_clear()


def with_budget(allowed: int) -> Any:
    return mock.patch.object(limits, "EFFORT", allowed)


def crowd(blocks: int = 16, signers: int = 4, candidates: int = 15) -> Bundle:
    """Every signer of every block is named by a key identifier that fits all certificates, and none verifies."""
    good = make("seal")
    key_id = b"\7" * 20
    strangers = [leaf(f"S{number}", key=new_key("p521", number % 3), key_id=key_id) for number in range(candidates)]
    one = cms_builder.Signer(
        strangers[0], sid=cms_builder.by_key_id(key_id), version=3, signature=lambda good: good[:-1] + b"\0"
    )
    infos = [
        replace(one, sign=lambda _, n=n: cms_builder.sign_raw(new_key("p521"), bytes([n]))) for n in range(signers)
    ]
    block = cms_builder.Block(infos, certificates=[each.der for each in strangers], version=3)
    return good.with_signature(cms_builder.pem(block.encode(good.manifest_bytes)) * blocks)


def test_DOS_01_a_crowd_of_candidates_stops_at_the_budget(operations: mock.Mock) -> None:
    found = judge(crowd(), trusting())
    assert found.verdict is Verdict.REJECTED
    assert "limit-exceeded" in codes(found)
    assert operations.call_count < 1000  # 960 signatures of 110 units each would be more than twice as many
    with with_budget(5_000):
        forget()
        operations.reset_mock()
        assert "limit-exceeded" in codes(judge(crowd(), trusting()))
        assert 0 < operations.call_count <= 100


def test_DOS_01_what_was_verified_before_changes_no_verdict(operations: mock.Mock) -> None:
    """The same bundle costs the same from a warm cache, although nothing is done again."""
    bundle = make("seal", leaf("Below", issuer=(middle := ca("Middle", issuer=root()))).with_chain(middle))
    cold, warm = (spent_on(bundle) for _ in range(2))
    assert cold == warm > 0
    for allowed, verdict in ((cold, Verdict.ACCEPTED), (cold - 1, Verdict.REJECTED)):
        with with_budget(allowed):
            for _ in range(2):
                assert judge(bundle, trusting()).verdict is verdict
            forget()
            assert judge(bundle, trusting()).verdict is verdict


def spent_on(bundle: Bundle) -> int:
    made: list[Effort] = []

    def keep() -> Effort:
        made.append(Effort())
        return made[-1]

    with mock.patch.object(examine, "Effort", keep):
        judge(bundle, trusting())
    (effort,) = made
    return effort.spent


def test_DOS_01_no_trusted_signer_makes_up_for_what_was_not_looked_at() -> None:
    """The first signer is trusted; what the second one's chain costs is more than is left."""
    bundle = make("seal").signed(signer(), leaf("Stranger", issuer=root(7)))
    assert judge(bundle, trusting()).verdict is Verdict.ACCEPTED
    refused = []
    for allowed in range(1, spent_on(bundle)):
        with with_budget(allowed):
            found = judge(bundle, trusting())
        assert found.verdict is Verdict.REJECTED
        refused += [check.step for check in found.checks if check.id.endswith(".effort")]
        assert any(check.code == "limit-exceeded" and check.status is Status.FAILED for check in found.checks)
    assert set(refused) == {1, 3}


def test_DOS_02_long_names_are_refused_before_they_are_prepared() -> None:
    """Normalising combining characters costs the square of their number."""
    from cryptography import x509

    from builders.pki import name

    text = "a" + "\u0301\u0327" * 60_000
    attribute = x509.NameAttribute(x509.ObjectIdentifier("1.3.6.1.4.1.99999.3"), text, _validate=False)
    stranger = ca(subject=x509.Name([*name("x"), attribute]), issuer=root())
    with mock.patch("unicodedata.normalize", side_effect=lambda _, text: text) as prepared:
        found = judge(make("seal").signed(signer(), certificates=[signer().der, stranger.der]), trusting())
    assert (found.verdict, "limit-exceeded" in codes(found)) == (Verdict.REJECTED, True)
    assert all(len(call.args[1]) <= limits.NAME_VALUE for call in prepared.call_args_list)


def test_DOS_01_anchors_that_share_a_ca_cost_one_search(operations: mock.Mock) -> None:
    """The chain is searched and verified once for all of them; each then has its own word on the module."""
    many = trusting(*(anchor(root(), name=f"Anchor {number}") for number in range(256)))
    counts = []
    for policy in (trusting(), many):
        forget()
        operations.reset_mock()
        assert judge(make("seal"), policy).verdict is Verdict.ACCEPTED
        counts.append(operations.call_count)
    assert counts[0] == counts[1] > 0


def test_DOS_01_crossing_cas_under_many_anchors_stop_at_the_budget(operations: mock.Mock) -> None:
    """Each end of a chain is compared with every anchor, which is charged."""
    keys = [new_key("p256", 710 + number) for number in range(6)]
    shared = name("Crossing")
    cas = [
        ca("Crossing", key=key, subject=shared, issuer_name=shared, signing_key=keys[n - 1], key_id=None)
        for n, key in enumerate(keys)
    ]
    anchors = [ca(f"Other {number}", key=new_key("p256", number % 3)).parsed for number in range(64)]
    stranger = issue("Stranger", issuer=cas[0], key_id=None)
    spent = []
    for count in (1, 64):
        effort = Effort()
        found = find_paths(
            stranger.parsed, [one.parsed for one in cas], anchors[:count], PathRules(), NOW, effort=effort
        )
        assert isinstance(found, NoPath)
        spent.append(effort.spent)
    assert spent[1] > spent[0]
    assert operations.call_count <= 2 * limits.PATH_SIGNATURES


def test_DOS_01_a_list_is_hashed_once_however_many_signers_it_is_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    (crl,) = crls.read(crls.make(root()))
    rules = RevocationRules((crl,), required=True)
    real, seen = algorithms.verify, []

    def counted(*arguments: Any) -> None:
        seen.append(arguments)
        real(*arguments)

    monkeypatch.setattr(algorithms, "verify", counted)
    effort = Effort()
    for number in range(16):
        chain = (signer(number=number).parsed, root().parsed)
        assert revocation.judge(chain, rules, NOW, effort=effort) == []
    assert len(seen) == 1
    assert effort.spent >= 16, "each is charged all the same: a verdict does not depend on what is remembered"


@pytest.mark.parametrize(
    "change",
    [
        lambda good: [*good, *((f"1.3.6.1.4.1.99999.{n}", [cms_builder.NULL]) for n in range(100))],
        lambda good: [*good, ("1.3.6.1.4.1.99999.1", [der.encode_integer(n) for n in range(100)])],
    ],
)
def test_DOS_03_a_crowd_of_attributes_is_refused_before_anything_is_verified(
    operations: mock.Mock, change: Any
) -> None:
    good = make("seal")
    found = judge(good.with_block(cms_builder.block(good.manifest_bytes, signer(), attributes=change)), trusting())
    assert (found.verdict, "limit-exceeded" in codes(found)) == (Verdict.REJECTED, True)
    assert operations.call_count == 0


def test_DOS_03_a_crowd_of_extensions_is_refused_before_the_library_makes_objects_of_them() -> None:
    oids = (x509.ObjectIdentifier(f"1.3.6.1.4.1.99999.{n}") for n in range(100))
    crowded = leaf("Crowded", extensions=[(x509.UnrecognizedExtension(oid, b""), False) for oid in oids])
    with pytest.raises(FormatError) as caught, mock.patch.object(public_key, "load") as library:
        certificate._read(crowded.der)
    assert library.call_count == 0
    assert caught.value.failure.code == "limit-exceeded"
    assert "limit-exceeded" in codes(judge(make("seal", crowded), trusting()))


@pytest.mark.parametrize("more", [b"<a>" * 600_000, b"<!---->" * 600_000])
def test_DOS_03_a_crowd_of_tags_is_refused_before_they_are_read(more: bytes) -> None:
    good = make("vib")
    text = good.manifest_bytes
    with mock.patch.object(strict_xml, "_XmlReader") as reader:
        found = judge(good.with_manifest_bytes(text.replace(b"<vib", more + b"<vib", 1)), trusting())
    assert (found.verdict, "limit-exceeded" in codes(found)) == (Verdict.REJECTED, True)
    assert reader.call_count == 0
