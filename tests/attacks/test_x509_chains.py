"""Attack catalogue, section 3: the rows on chains, name constraints and CRLs, as whole bundles (X5-05 to X5-11).

Each bundle is good but for one thing in the certificates or lists around it, and has one primary code.
"""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from builders import crls
from builders.bundles import KINDS, accepted, codes, judge, make, refused
from builders.pki import EPOCH, FAR, NOW, Identity, ca, leaf, new_key, root, signer
from builders.policies import trusting
from builders.tsa import stamped, token, tsa_root
from modseal import limits
from modseal.errors import FormatError
from modseal.format import der
from modseal.format.manifest import Kind
from modseal.pki.crl import Crl
from modseal.pki.revocation import RevocationRules
from modseal.trust.examination import Verdict
from modseal.trust.policy import Policy

DAY = timedelta(days=1)
kinds = pytest.mark.parametrize("kind", KINDS)


def below(middle: Identity, *others: Identity, **changes: Any) -> Identity:
    """A signer below a CA, with the CA and others in its block."""
    return leaf("Below", issuer=middle, **changes).with_chain(middle, *others)


@kinds
@pytest.mark.parametrize(
    "change",
    [{"basic": None}, {"basic": (False, None)}, {"usage": frozenset({"crl_sign"})}],
    ids=["no basic constraints", "cA is false", "no keyCertSign"],
)
def test_X5_05_an_issuer_that_is_no_ca_is_refused(kind: Kind, change: dict[str, Any], tmp_path: Path) -> None:
    refused(make(kind, below(ca("CA", issuer=root(), **change))), trusting(), "invalid-chain", tmp_path)


@kinds
def test_X5_05_a_signer_cannot_issue_for_another(kind: Kind, tmp_path: Path) -> None:
    refused(make(kind, below(signer())), trusting(), "invalid-chain", tmp_path)


@kinds
def test_X5_05_a_path_longer_than_a_ca_allows_is_refused(kind: Kind, tmp_path: Path) -> None:
    first = ca("First", issuer=root(), basic=(True, 0))
    second = ca("Second", issuer=first)
    accepted(make(kind, below(first)), trusting())
    refused(make(kind, below(second, first)), trusting(), "invalid-chain", tmp_path)


def named(*values: str) -> x509.Name:
    oids = (NameOID.ORGANIZATION_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME)
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in zip(oids, values, strict=True)])


@kinds
@pytest.mark.parametrize("way", ["permitted", "excluded"])
def test_X5_06_a_signer_outside_name_constraints_is_refused(kind: Kind, way: str, tmp_path: Path) -> None:
    names = [x509.DirectoryName(named("Acme", "Build"))]
    constraints = x509.NameConstraints(names, None) if way == "permitted" else x509.NameConstraints(None, names)
    middle = ca("Constrained", issuer=root(), extensions=[(constraints, True)])
    inside, outside = below(middle, subject=named("ACME", "build")), below(middle, subject=named("Acme", "Other"))
    good, bad = (inside, outside) if way == "permitted" else (outside, inside)
    accepted(make(kind, good), trusting())
    refused(make(kind, bad), trusting(), "invalid-chain", tmp_path)


@kinds
def test_X5_06_an_excluded_alternative_name_is_refused(kind: Kind, tmp_path: Path) -> None:
    """The class of CVE-2025-61727: a wildcard that could stand for an excluded host is not let through."""
    constraints = x509.NameConstraints(None, [x509.DNSName("secret.acme.example")])
    middle = ca("Constrained", issuer=root(), extensions=[(constraints, True)])
    for host, code in (("x.secret.acme.example", "invalid-chain"), ("*.acme.example", "unsupported-extension")):
        one = below(middle, extensions=[(x509.SubjectAlternativeName([x509.DNSName(host)]), False)])
        refused(make(kind, one), trusting(), code, tmp_path)


def in_a_moment(bundle: Any, policy: Policy) -> Verdict:
    start = time.process_time()
    verdict = judge(bundle, policy).verdict
    assert time.process_time() - start < 1
    return verdict


def test_X5_07_certificate_policies_do_not_explode() -> None:
    """Every CA maps every policy to every other as far as an extension may: a tree would have 128^6 leaves."""
    names = [x509.ObjectIdentifier(f"1.2.3.{n}") for n in range(limits.CERTIFICATE_POLICIES)]
    policies = (x509.CertificatePolicies([x509.PolicyInformation(oid, None) for oid in names]), False)
    chain = [root()]
    for number in range(6):
        chain.append(ca(f"CA {number}", issuer=chain[-1], extensions=[policies, mappings(names, number)]))
    one = leaf(issuer=chain[-1], extensions=[policies]).with_chain(*chain[1:])
    assert in_a_moment(make("seal", one), trusting()) is Verdict.ACCEPTED


def mappings(names: list[x509.ObjectIdentifier], shift: int) -> tuple[x509.ExtensionType, bool]:
    pairs = zip(names, names[shift + 1 :] + names[: shift + 1], strict=True)
    items = (
        der.encode(der.SEQUENCE, der.encode_oid(a.dotted_string), der.encode_oid(b.dotted_string)) for a, b in pairs
    )
    return x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.33"), der.encode(der.SEQUENCE, *items)), True


def test_X5_07_names_against_constraints_do_not_explode() -> None:
    hosts = [x509.DNSName(f"h{number}.example") for number in range(1500)]
    middle = ca("Constrained", issuer=root(), extensions=[(x509.NameConstraints(None, hosts), True)])
    one = below(middle, extensions=[(x509.SubjectAlternativeName(hosts), False)])
    assert in_a_moment(make("seal", one), trusting()) is Verdict.REJECTED


def test_X5_07_a_chain_without_an_end_ends() -> None:
    chain = [ca("Link 0")]
    for number in range(1, 15):
        chain.append(ca(f"Link {number}", issuer=chain[-1]))
    one = leaf(issuer=chain[-1]).with_chain(*chain)
    assert in_a_moment(make("seal", one), trusting()) is Verdict.REJECTED


def test_X5_08_cas_that_certify_each_other_end() -> None:
    keys = [new_key("p256", 800 + number) for number in range(4)]
    ones = [ca(f"Mesh {number}", key=key) for number, key in enumerate(keys)]
    mesh = [ca(f"Mesh {i}", issuer=ones[j], key=keys[i]) for i in range(4) for j in range(4) if i != j]
    bundle = make("seal", leaf(issuer=ones[0]).with_chain(*mesh))
    assert in_a_moment(bundle, trusting()) is Verdict.REJECTED
    good = ca("Mesh 2", issuer=root(), key=keys[2])
    assert in_a_moment(bundle, trusting(intermediates=(good.parsed,))) is Verdict.ACCEPTED


# CRLs.


def with_crls(*lists: bytes, **changes: Any) -> Policy:
    return trusting(revocation=RevocationRules(crls.read(*lists), required=True), **changes)


@kinds
def test_X5_10_a_revoked_signer_is_refused(kind: Kind, tmp_path: Path) -> None:
    accepted(make(kind), with_crls(crls.make(root())))
    refused(make(kind), with_crls(crls.make(root(), signer())), "revoked", tmp_path)


@kinds
def test_X5_10_a_revoked_ca_is_refused(kind: Kind, tmp_path: Path) -> None:
    middle = ca("CA", issuer=root())
    refused(make(kind, below(middle)), with_crls(crls.make(root(), middle), crls.make(middle)), "revoked", tmp_path)


@kinds
@pytest.mark.parametrize(
    ("lists", "code"),
    [
        ([], "revocation-unknown"),
        ([crls.make(ca("Another root"))], "crl-wrong-issuer"),
        ([crls.make(root(), key=new_key("p256", 80))], "crl-bad-signature"),
        ([crls.make(root(), end=NOW - DAY)], "crl-stale"),
        ([crls.make(root(), start=NOW + DAY)], "crl-not-yet-valid"),
        ([crls.make(root(), extensions=[(x509.DeltaCRLIndicator(1), True)])], "crl-invalid"),
    ],
    ids=["missing", "wrong issuer", "bad signature", "stale", "from the future", "delta"],
)
def test_X5_10_each_list_that_proves_nothing_has_its_code(
    kind: Kind, lists: list[bytes], code: str, tmp_path: Path
) -> None:
    refused(make(kind), with_crls(*lists), code, tmp_path, verdict=Verdict.UNDECIDED)


def test_X5_10_a_bad_entry_does_not_hide_those_after_it() -> None:
    """openssl#32366: the whole list is refused, where the policy is read."""
    data = crls.make(root(), crls.revoked(5, EPOCH), signer())
    bad = data.replace(b"\x02\x01\x05\x17\x0d", b"\x02\x01\x05\x16\x0d")
    assert bad != data
    with pytest.raises(FormatError) as caught:
        Crl.parse(bad, "bad")
    assert caught.value.failure.code == "crl-invalid"


@kinds
@pytest.mark.parametrize("proven", [True, False], ids=["timestamped", "not timestamped"])
@pytest.mark.parametrize("since", [NOW - 20 * DAY, NOW - DAY], ids=["revoked before", "revoked after"])
def test_X5_11_revoked_after_signing_stands_only_where_the_policy_says_so(
    kind: Kind, proven: bool, since: Any, tmp_path: Path
) -> None:
    signed_at = NOW - 10 * DAY
    good = make(kind)
    tokens = [lambda signature: token(signature, signed_at)] if proven else []
    bundle = good.with_block(stamped(good.manifest_bytes, signer(), *tokens))
    superseded = (x509.CRLReason(x509.ReasonFlags.superseded), False)
    listed = crls.read(
        crls.make(root(), crls.revoked(signer().certificate.serial_number, since, [superseded]), end=FAR)
    )

    def policy(accepting: bool) -> Policy:
        return trusting(
            timestamp_anchors=(tsa_root().parsed,), revocation=RevocationRules(listed, accept_signed_before=accepting)
        )

    refused(bundle, policy(accepting=False), "revoked", tmp_path)
    if proven and since > signed_at:
        accepted(bundle, policy(accepting=True))
    else:
        assert "revoked" in codes(judge(bundle, policy(accepting=True)))
