"""The limits of judging certificates: paths, names, policies and keys."""

from __future__ import annotations

import pytest
from cryptography import x509

from builders import cms
from builders.paths import find_path
from builders.pki import NOW, Identity, ca, leaf, new_key, root
from builders.policies import trusting
from limits.cover import bounds
from modseal import limits
from modseal.errors import FormatError
from modseal.format import der
from modseal.pki import certificate
from modseal.pki.certificate import Certificate
from modseal.pki.effort import Effort
from modseal.pki.name_constraints import NameConstraints, NotJudgedError, check_names
from modseal.pki.names import DNS, GeneralName
from modseal.pki.path import NoPath

ANY = object()
"""Any refusal: the library may have its own."""
OID = x509.ObjectIdentifier("1.3.6.1.4.1.99999.3")


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
@pytest.mark.parametrize(("limit", "expected"), [(2049, None), (2048, None), (2047, "weak-key")])
def test_an_rsa_key_has_so_many_bits(monkeypatch, limit, expected):
    monkeypatch.setattr(limits, "RSA_BITS", limit)
    assert unreadable(leaf("RSA signer", key=new_key("rsa", 6))) == expected


@bounds("RSA_EXPONENT_BITS")
@pytest.mark.parametrize(
    ("exponent", "expected"),
    [
        (3, None),
        (65537, None),
        (2**32 - 1, None),
        (1, ANY),
        (4, ANY),
        (2**32 + 1, "weak-key"),
        (2**2047 + 1, "weak-key"),
    ],
)
def test_an_rsa_exponent_is_odd_and_has_so_many_bits(exponent, expected):
    code = unreadable(with_exponent(exponent))
    assert code is not None if expected is ANY else code == expected


@bounds("NAME_VALUE", "NAME_SIZE")
@pytest.mark.parametrize(
    ("sizes", "expected"),
    [((1024,), None), ((1025,), "limit-exceeded"), ((1000,) * 4, None), ((1000,) * 5, "limit-exceeded")],
)
def test_a_name_has_so_many_bytes_and_so_has_each_of_its_values(sizes, expected):
    attributes = [x509.NameAttribute(OID, "a" * size, _validate=False) for size in sizes]
    assert unreadable(leaf(subject=x509.Name(attributes))) == expected


@bounds("GENERAL_NAMES", "HOST_NAME", "EMAIL_ADDRESS", "URI")
@pytest.mark.parametrize(
    ("make", "most"),
    [
        (lambda count: [x509.DNSName(f"{number}.example") for number in range(count)], limits.GENERAL_NAMES),
        (lambda size: [x509.DNSName("a" * size)], limits.HOST_NAME),
        (lambda size: [x509.RFC822Name("a" * (size - 4) + "@b.c")], limits.EMAIL_ADDRESS),
        (lambda size: [x509.UniformResourceIdentifier("http://" + "a" * (size - 7))], limits.URI),
    ],
)
def test_a_certificate_has_so_many_names_and_each_so_many_bytes(make, most):
    for size, expected in ((most, None), (most + 1, "limit-exceeded")):
        assert unreadable(leaf(extensions=[(x509.SubjectAlternativeName(make(size)), False)])) == expected


@bounds("EXTENSIONS")
@pytest.mark.parametrize(("more", "expected"), [(0, None), (1, "limit-exceeded")])
def test_a_certificate_has_so_many_extensions(more, expected):
    """Four are there already."""
    oids = (x509.ObjectIdentifier(f"1.3.6.1.4.1.99999.{n}") for n in range(limits.EXTENSIONS - 4 + more))
    assert unreadable(leaf(extensions=[(x509.UnrecognizedExtension(oid, b""), False) for oid in oids])) == expected


@bounds("GENERAL_NAMES")
@pytest.mark.parametrize(("more", "expected"), [(0, None), (1, "limit-exceeded")])
def test_a_certificate_has_so_many_name_constraints(more, expected):
    names = [x509.DNSName(f"{number}.example") for number in range(limits.GENERAL_NAMES + more)]
    assert unreadable(ca(extensions=[(x509.NameConstraints(names, None), True)])) == expected


@bounds("EFFORT")
def test_a_path_is_given_up_where_it_costs_more_than_an_examination_may(monkeypatch):
    signer = leaf("Costs", issuer=root())
    spent = Effort()
    find_path(signer.parsed, (), trusting(), NOW, effort=spent)
    assert spent.spent > 0
    for allowed, expected in ((spent.spent, None), (spent.spent - 1, "limit-exceeded")):
        monkeypatch.setattr(limits, "EFFORT", allowed)
        assert code(signer) == expected


def unreadable(made: Identity) -> str | None:
    """Why a certificate is refused before it is used; None where it is not."""
    try:
        certificate._parse.cache_clear()
        _ = made.parsed
    except FormatError as error:
        return error.failure.code
    return None


def with_exponent(exponent: int) -> Identity:
    """A good certificate, whose RSA key then has another exponent: its signature does not fit it any more."""
    good = leaf("RSA signer", key=new_key("rsa", 6))
    numbers = new_key("rsa", 6).public_key().public_numbers()
    key, other = (
        der.encode(der.SEQUENCE, der.encode_integer(numbers.n), der.encode_integer(e)) for e in (numbers.e, exponent)
    )
    old, new = (
        der.encode(der.SEQUENCE, cms.algorithm(cms.RSA_ENCRYPTION, cms.NULL), der.encode(der.BIT_STRING, b"\0", one))
        for one in (key, other)
    )
    outer = der.Reader(good.der).enter()
    body, rest = outer.take(der.SEQUENCE), [outer.next().raw, outer.next().raw]
    assert old in body.content
    changed = der.encode(der.SEQUENCE, body.content.replace(old, new))
    return Raw(der.encode(der.SEQUENCE, changed, *rest))  # type: ignore[return-value]


class Raw:
    """A certificate as bytes."""

    def __init__(self, data: bytes) -> None:
        self.der = data

    @property
    def parsed(self) -> Certificate:
        return Certificate.parse(self.der)
