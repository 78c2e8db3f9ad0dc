"""What each part of the work is charged: the prices written down a second time, and sums of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from builders import crls
from builders.cms import sequence
from builders.pki import NOW, Identity, ca, leaf, new_key, root, signer
from modseal import limits
from modseal.format import der
from modseal.pki.certificate import Certificate
from modseal.pki.effort import Effort, ExhaustedError, of_certificate, of_signature
from modseal.pki.path import NoPath, Path, PathRules, find_path, find_paths, revocation_failures
from modseal.pki.revocation import RevocationRules

P256, STEP, JUDGED = 20, 2, 10
"""A signature of P-256; a step of the search; a certificate of a chain."""
DIRECT = STEP + P256 + 2 * JUDGED
"""A signer that the anchor itself has issued."""
BELOW_ONE = STEP + P256 + STEP + P256 + 3 * JUDGED
"""The same with a CA between."""


@pytest.mark.parametrize(
    ("kind", "units"),
    [("rsa", 1 + 6), ("rsa-e3", 1), ("p256", 20), ("p384", 100), ("p521", 110), ("ed25519", 60), ("ml-dsa-65", 60)],
)
def test_a_signature_costs_by_its_key_and_by_what_is_hashed(kind: str, units: int) -> None:
    key = new_key(kind, 1).public_key()
    assert [of_signature(key, size) for size in (0, 8191, 8192, 81920)] == [units, units, units + 1, units + 10]


@pytest.mark.parametrize(("bits", "units"), [(1023, 1), (1024, 1 + 2), (1536, 1 + 2), (3072, 1 + 10), (4096, 1 + 17)])
def test_a_longer_rsa_key_costs_the_square_of_its_whole_kilobits(bits: int, units: int) -> None:
    key = rsa.RSAPublicNumbers(65537, 2**bits - 1).public_key()
    assert of_signature(key, 0) == units


def test_a_certificate_costs_by_its_size() -> None:
    assert [of_certificate(size) for size in (0, 15, 16, 1600)] == [10, 10, 11, 110]


def test_an_examination_ends_with_the_first_unit_too_many_and_stays_ended() -> None:
    effort = Effort()
    effort.spend(limits.EFFORT)
    assert effort.exhausted_at is None
    effort.step = 3
    with pytest.raises(ExhaustedError) as caught:
        effort.spend(1)
    assert caught.value.failure.code == "limit-exceeded"
    assert caught.value.failure.evidence == {"allowed": limits.EFFORT}
    assert f"more than {limits.EFFORT} units" in caught.value.failure.detail
    assert effort.failure == caught.value.failure
    effort.step = 5
    with pytest.raises(ExhaustedError):
        effort.spend(0)
    assert effort.exhausted_at == 3, "the step where it ended"


def searched(
    one: Identity, *between: Identity, anchors: Sequence[Identity] = (), rules: PathRules | None = None
) -> int:
    effort = Effort()
    tops = [each.parsed for each in anchors or (root(),)]
    find_paths(one.parsed, [each.parsed for each in between], tops, rules or PathRules(), NOW, effort=effort)
    return effort.spent


def test_a_search_costs_its_steps_its_signatures_and_the_chains_that_it_judges() -> None:
    middle = ca("CA", issuer=root())
    assert searched(signer()) == DIRECT
    assert searched(leaf(issuer=middle), middle) == BELOW_ONE
    assert searched(leaf(issuer=middle)) == STEP, "nobody has issued it, as far as is known"


def test_the_best_path_costs_what_all_of_them_cost() -> None:
    effort = Effort()
    assert isinstance(find_path(signer().parsed, (), (root().parsed,), PathRules(), NOW, effort=effort), Path)
    assert effort.spent == DIRECT


def test_sixteen_anchors_cost_one_unit_more_at_each_step() -> None:
    strangers = [ca(f"Stranger {number}", key=new_key("p256", 800)) for number in range(32)]
    for count, more in ((14, 0), (15, 1), (30, 1), (31, 2)):
        assert searched(signer(), anchors=[*strangers[:count], root()]) == DIRECT + more


def test_names_cost_by_the_comparisons_with_the_constraints_above_them() -> None:
    dns = [x509.DNSName(f"{letter}.example") for letter in "abcdefgh"]
    constraints = x509.NameConstraints([*dns[:6]], [x509.DNSName("x.test"), x509.DNSName("y.test")])
    middle = ca("CA", issuer=root(), extensions=[(constraints, True)])
    for count in (0, 3, 6):
        names = [(x509.SubjectAlternativeName(dns[:count]), False)] if count else []
        one = leaf(issuer=middle, extensions=names)
        assert searched(one, middle) == BELOW_ONE + (1 + count) * (6 + 2) // 5


def oid(number: int) -> str:
    return f"1.3.6.1.4.1.99999.{number}"


def test_policies_cost_the_square_of_what_a_certificate_says_of_them() -> None:
    def stating(policies: int, mappings: int) -> Identity:
        stated = [x509.PolicyInformation(x509.ObjectIdentifier(oid(number)), None) for number in range(policies)]
        pairs = [sequence(der.encode_oid(oid(n)), der.encode_oid(oid(n + 500))) for n in range(mappings)]
        mapped = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.33"), sequence(*pairs))
        extensions = [(x509.CertificatePolicies(stated), False), *([(mapped, True)] if mappings else [])]
        return ca("CA", issuer=root(), extensions=extensions)

    for policies, mappings, more in ((9, 0, 0), (10, 0, 1), (15, 5, 4), (20, 20, 16), (100, 0, 100)):
        middle = stating(policies, mappings)
        assert searched(leaf(issuer=middle), middle) == BELOW_ONE + more


def test_a_list_costs_a_signature_for_each_certificate_that_it_is_asked_about() -> None:
    listed = PathRules(revocation=RevocationRules(crls.read(crls.make(root()))))
    assert searched(signer(), rules=listed) == DIRECT + P256
    effort = Effort()
    path = Path((signer().parsed, root().parsed), NOW)
    for times in (1, 2):
        assert revocation_failures(path, listed, NOW, None, effort) == []
        assert effort.spent == times * P256, "also where the answer is remembered"


def test_who_signs_lists_for_a_ca_costs_a_search_and_the_lists_about_itself() -> None:
    holder = ca("Test root 0", issuer=root(), key=new_key("p256", 66), usage=frozenset({"crl_sign"}), basic=None)
    by_holder, about_holder = crls.make(root(), key=holder.key), crls.make(root())
    path = Path((signer().parsed, root().parsed), NOW, (holder.parsed,))

    def cost(*lists: bytes) -> int:
        effort = Effort()
        rules = PathRules(revocation=RevocationRules(crls.read(*lists)))
        assert revocation_failures(path, rules, NOW, None, effort) == []
        return effort.spent

    alone = P256 + (DIRECT + P256)
    assert cost(by_holder) == alone, "the root did not sign it; then the holder's chain, and the holder"
    assert cost(by_holder, about_holder) == alone + P256 + P256, "its list about the signer, and about the holder"


def test_a_search_that_is_given_up_says_so_and_is_charged_for_what_it_did(monkeypatch: pytest.MonkeyPatch) -> None:
    middle = ca("CA", issuer=root())
    one = leaf(issuer=middle)
    for allowed in range(0, BELOW_ONE, 7):
        monkeypatch.setattr(limits, "EFFORT", allowed)
        effort = Effort()
        at = NOW + timedelta(seconds=allowed)  # so that no answer is remembered
        found = find_paths(one.parsed, [middle.parsed], (root().parsed,), PathRules(), at, effort=effort)
        assert isinstance(found, NoPath)
        assert [failure.code for failure in found.failures] == ["limit-exceeded"]
        assert effort.spent > allowed


def test_a_pair_of_certificates_is_verified_once_in_a_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two certificates of one CA lead to the same one above."""
    verified: list[str] = []
    original = Certificate.verify_issued_by

    def count(self: Certificate, issuer: Certificate) -> object:
        verified.append(self.subject)
        return original(self, issuer)

    monkeypatch.setattr(Certificate, "verify_issued_by", count)
    top = ca("Shared", issuer=root())
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid(9)), b"\x05\x00")
    key = new_key("p256", 492)
    twice = [ca("Fork", issuer=top, key=key, extensions=[(unknown, True)], serial=n) for n in (1, 2)]
    one = leaf("Below fork", issuer=twice[0])
    searched(one, *twice, top)
    assert verified.count(top.parsed.subject) == 1
    assert len(verified) == 5
