"""The limits of judging certificates: paths, names, policies and keys."""

from __future__ import annotations

import pytest
from cryptography import x509

from builders.pki import NOW, Identity, ca, leaf, new_key, root
from builders.policies import trusting
from limits.cover import bounds
from modseal import limits
from modseal.errors import FormatError
from modseal.trust import purpose
from modseal.trust.name_constraints import NameConstraints, NotJudgedError, check_names
from modseal.trust.names import DNS, GeneralName
from modseal.trust.path import NoPath, find_path


def code(signer: Identity, *others: Identity) -> str | None:
    """Why there is no path from a signer to the root; None where there is one."""
    found = find_path(signer.parsed, tuple(one.parsed for one in others), trusting(), NOW)
    return found.failures[0].code if isinstance(found, NoPath) else None


@bounds("PATH_CERTIFICATES")
@pytest.mark.parametrize(("limit", "expected"), [(5, None), (4, None), (3, "no-path")])
def test_a_path_has_so_many_certificates(monkeypatch, limit, expected):
    monkeypatch.setattr(limits, "PATH_CERTIFICATES", limit)
    first = ca(f"First {limit}", issuer=root())
    second = ca(f"Second {limit}", issuer=first)
    assert code(leaf(issuer=second), first, second) == expected


@bounds("PATH_SIGNATURES", "PATH_STEPS")
@pytest.mark.parametrize(("name", "enough"), [("PATH_SIGNATURES", 2), ("PATH_STEPS", 3)])
@pytest.mark.parametrize(("more", "expected"), [(1, None), (0, None), (-1, "limit-exceeded")])
def test_a_search_takes_so_much_work(monkeypatch, name, enough, more, expected):
    monkeypatch.setattr(limits, name, enough + more)
    middle = ca(f"Middle {name} {more}", issuer=root())
    assert code(leaf(issuer=middle), middle) == expected


@bounds("NAME_COMPARISONS")
@pytest.mark.parametrize(("limit", "judged"), [(7, True), (6, True), (5, False)])
def test_so_many_names_are_compared_with_constraints(monkeypatch, limit, judged):
    monkeypatch.setattr(limits, "NAME_COMPARISONS", limit)
    names = tuple(GeneralName(DNS, f"h{number}.example") for number in range(2))
    others = tuple(GeneralName(DNS, f"x{number}.example") for number in range(3))
    if judged:
        assert list(check_names(names, NameConstraints((), others))) == []
    else:
        with pytest.raises(NotJudgedError):
            list(check_names(names, NameConstraints((), others)))


@bounds("CERTIFICATE_POLICIES")
@pytest.mark.parametrize(("more", "readable"), [(-1, True), (0, True), (1, False)])
def test_a_certificate_has_so_many_policies(more, readable):
    count = limits.CERTIFICATE_POLICIES + more
    named = [x509.PolicyInformation(x509.ObjectIdentifier(f"1.2.3.{number}"), None) for number in range(count)]
    made = leaf(extensions=[(x509.CertificatePolicies(named), False)])
    if readable:
        assert made.parsed.policies
    else:
        with pytest.raises(FormatError, match="certificate policies"):
            _ = made.parsed


@bounds("RSA_BITS")
@pytest.mark.parametrize(("limit", "codes"), [(2049, []), (2048, []), (2047, ["weak-key"])])
def test_an_rsa_key_has_so_many_bits(monkeypatch, limit, codes):
    monkeypatch.setattr(limits, "RSA_BITS", limit)
    signer = leaf("RSA signer", key=new_key("rsa", 6))
    assert [failure.code for failure in purpose.key_failures(signer.parsed)] == codes
