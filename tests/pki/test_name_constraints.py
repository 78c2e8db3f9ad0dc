"""Name constraints and the comparison of names: RFC 5280 sections 4.2.1.10 and 7.1."""

from __future__ import annotations

import contextlib
import unicodedata
from collections.abc import Sequence

import pytest
from cryptography import x509
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from builders.paths import find_path
from builders.pki import NOW, Identity, ca, issue, leaf, root
from builders.policies import trusting
from modseal import limits
from modseal.errors import FormatError
from modseal.format import der
from modseal.pki.name_constraints import NameConstraints, NotJudgedError, check_names, constrained_names
from modseal.pki.names import DIRECTORY, DNS, EMAIL, IP, URI, GeneralName, is_comparable, prepare, read_name
from modseal.pki.path import NoPath

PRINTABLE, UTF8, IA5, TELETEX, BMP = 0x13, 0x0C, 0x16, 0x14, 0x1E


def text(value: str, tag: int = UTF8, encoding: str = "utf-8") -> der.Value:
    content = value.encode(encoding)
    return der.Value(tag, content, der.encode(tag, content))


# Comparing names.


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (text("Acme"), text("ACME")),
        (text("Acme  Tools"), text(" Acme Tools ")),
        (text("Acme", PRINTABLE), text("Acme", UTF8)),
        (text("STRASSE"), text("straße")),
        (text("Ａｃｍｅ"), text("Acme")),
        (text("a@b", IA5), text("A@B", IA5)),
    ],
)
def test_two_encodings_of_one_name_are_equal(one: der.Value, other: der.Value) -> None:
    assert prepare(one) == prepare(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (text("Acme"), text("Acme Tools")),
        (text("Acme Tools"), text("AcmeTools")),
        (text("Acme"), text("Асme")),
        (text("Acme"), text("Ac\u200bme")),
        (text("Acme"), text("Acme\0")),
        (text("Acme"), text("Acme", TELETEX)),
        (text("Acme"), text("Acme", BMP, "utf-16-be")),
    ],
)
def test_different_names_and_incomparable_encodings_are_not_equal(one: der.Value, other: der.Value) -> None:
    assert prepare(one) != prepare(other)


def test_a_value_is_compared_in_small_letters_with_single_spaces() -> None:
    assert prepare(text(" Acme\u00a0  TOOLS ")) == "acme tools"


@pytest.mark.parametrize("character", [*map(chr, range(0x80)), "\u017f", "\u212a"])
def test_the_short_way_for_ascii_leads_where_the_form_and_categories_of_unicode_do(character: str) -> None:
    folded = unicodedata.normalize("NFKC", f"a{character}b".casefold())
    value = text(f"a{character}b")
    kept = all(unicodedata.category(each)[0] != "C" for each in folded)
    assert prepare(value) == (" ".join(folded.split()) if kept else value.raw)


def test_text_that_is_not_in_its_encoding_stays_bytes() -> None:
    broken = der.Value(UTF8, b"\xff", der.encode(UTF8, b"\xff"))
    assert prepare(broken) == broken.raw
    assert prepare(der.Value(PRINTABLE, b"\xe9", b"\x13\x01\xe9")) == b"\x13\x01\xe9"


def test_the_parts_of_a_name_count_in_their_order() -> None:
    one = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "A"), x509.NameAttribute(NameOID.COMMON_NAME, "B")])
    other = x509.Name(list(reversed(list(one))))
    assert parsed(one) != parsed(other)
    together = x509.Name([x509.RelativeDistinguishedName(list(one))])
    turned = x509.Name([x509.RelativeDistinguishedName(list(other))])
    assert parsed(together) == parsed(turned) != parsed(one)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_name_or_a_format_error(data: bytes) -> None:
    with contextlib.suppress(FormatError):
        read_name(der.Value(der.SEQUENCE, data, der.encode(der.SEQUENCE, data)))


def parsed(name: x509.Name) -> tuple[frozenset[tuple[str, str | bytes]], ...]:
    return read_name(der.Reader(name.public_bytes()).next())


# Names against constraints.


def directory(*values: str) -> GeneralName:
    return GeneralName(DIRECTORY, tuple(frozenset({("2.5.4.10", value)}) for value in values))


@pytest.mark.parametrize(
    ("form", "base", "inside", "outside"),
    [
        (
            DNS,
            "acme.example",
            ["acme.example", "ACME.example", "a.b.acme.example"],
            ["evilacme.example", "example", "acme.example.evil"],
        ),
        (DNS, "", ["anything.example"], []),
        (EMAIL, "acme.example", ["me@acme.example", "you@ACME.example"], ["me@build.acme.example", "me@evil.example"]),
        (EMAIL, ".acme.example", ["me@build.acme.example"], ["me@acme.example", "me@evilacme.example"]),
        (EMAIL, "me@acme.example", ["me@Acme.example"], ["you@acme.example", "me@build.acme.example"]),
        (
            URI,
            "acme.example",
            ["https://acme.example/x", "ldap://ACME.example:389", "x://acme.example"],
            ["https://a.acme.example"],
        ),
        (URI, ".acme.example", ["https://a.acme.example?x#y"], ["https://acme.example/", "https://evilacme.example/"]),
    ],
)
def test_a_name_is_inside_or_outside_a_base(form: int, base: str, inside: list[str], outside: list[str]) -> None:
    permitted = NameConstraints((GeneralName(form, base),), ())
    excluded = NameConstraints((), (GeneralName(form, base),))
    for value in inside:
        assert permitted.problem(GeneralName(form, value)) is None
        assert excluded.problem(GeneralName(form, value))
    for value in outside:
        assert permitted.problem(GeneralName(form, value))
        assert excluded.problem(GeneralName(form, value)) is None


@pytest.mark.parametrize(
    ("form", "base", "value"),
    [
        (DNS, "acme.example", "*.acme.example"),
        (DNS, "acme.example", "acme.example."),
        (DNS, ".acme.example", "a.acme.example"),
        (DNS, "acme.example", "a..acme.example"),
        (EMAIL, "acme.example", "no address"),
        (EMAIL, "acme.example", '"a@evil.example"@acme.example'),
        (EMAIL, "acme.example", "@acme.example"),
        (EMAIL, "", "me@acme.example"),
        (EMAIL, "Me@acme.example", "me@acme.example"),
        (EMAIL, '"me"@acme.example', "me@acme.example"),
        (EMAIL, "@acme.example", "me@acme.example"),
        (EMAIL, "you@b@acme.example", "me@acme.example"),
        (URI, "acme.example", "https://me@acme.example/"),
        (URI, "acme.example", "https://10.1.2.3/"),
        (URI, "acme.example", "https://[::1]/"),
        (URI, "acme.example", "urn:acme.example"),
        (URI, "acme.example", "https://acme.example\\@evil.example/"),
        (IP, "", b"\x0a\x01\x02\x03"),
    ],
)
def test_what_cannot_be_compared_is_not_judged(form: int, base: str, value: str | bytes) -> None:
    for constraints in (
        NameConstraints((GeneralName(form, base),), ()),
        NameConstraints((), (GeneralName(form, base),)),
    ):
        with pytest.raises(NotJudgedError):
            constraints.problem(GeneralName(form, value))


@pytest.mark.parametrize("base", ['"me"@other.example', "Me@other.example", "@other.example"])
def test_a_mailbox_of_one_host_is_none_of_another_however_it_is_written(base: str) -> None:
    constraints = NameConstraints((), (GeneralName(EMAIL, base),))
    assert constraints.problem(GeneralName(EMAIL, "me@acme.example")) is None


def test_constraints_on_one_form_say_nothing_of_another() -> None:
    constraints = NameConstraints((GeneralName(DNS, "acme.example"),), (GeneralName(EMAIL, "evil.example"),))
    assert constraints.problem(GeneralName(URI, "https://evil.example/")) is None
    assert constraints.problem(directory("Evil")) is None
    assert constraints.problem(GeneralName(IP, b"\x01\x02\x03\x04")) is None


def test_excluded_counts_more_than_permitted() -> None:
    constraints = NameConstraints((directory("acme"),), (directory("acme", "secret"),))
    assert constraints.problem(directory("acme", "build")) is None
    assert constraints.problem(directory("acme", "secret", "x"))
    assert constraints.problem(directory("evil"))
    assert constraints.problem(directory())


def test_one_of_several_permitted_bases_is_enough() -> None:
    constraints = NameConstraints((directory("acme"), directory("other")), ())
    assert constraints.problem(directory("other", "x")) is None


def test_a_directory_name_in_another_encoding_is_not_judged() -> None:
    odd = GeneralName(DIRECTORY, (frozenset({("2.5.4.10", b"\x14\x04Acme")}),))
    assert not is_comparable(odd.value)  # type: ignore[arg-type]
    for constraints in (NameConstraints((directory("acme"),), ()), NameConstraints((odd,), ())):
        with pytest.raises(NotJudgedError):
            constraints.problem(odd if constraints.permitted[0] != odd else directory("acme"))


def test_an_email_address_in_the_subject_counts() -> None:
    subject = (frozenset({("1.2.840.113549.1.9.1", "me@evil.example")}),)
    names = constrained_names(subject, ())
    assert GeneralName(EMAIL, "me@evil.example") in names
    assert list(check_names(names, NameConstraints((GeneralName(EMAIL, "acme.example"),), ())))


def test_a_subject_without_a_name_is_no_name() -> None:
    assert constrained_names((), ()) == ()
    assert constrained_names((), (GeneralName(DNS, "a.example"),)) == (GeneralName(DNS, "a.example"),)


def test_an_email_address_in_another_encoding_is_not_judged() -> None:
    names = constrained_names((frozenset({("1.2.840.113549.1.9.1", b"\x1e\x02\x00m")}),), ())
    with pytest.raises(NotJudgedError):
        list(check_names(names, NameConstraints((GeneralName(EMAIL, "acme.example"),), ())))


def test_the_number_of_comparisons_is_bounded() -> None:
    names = tuple(GeneralName(DNS, f"h{n}.example") for n in range(300))
    with pytest.raises(NotJudgedError):
        list(check_names(names, NameConstraints((), names)))
    assert len(names) ** 2 > limits.NAME_COMPARISONS


# Reading the extension.


def subtree(base: bytes, *more: bytes) -> bytes:
    return der.encode(der.SEQUENCE, base, *more)


HOST = der.encode(0x82, b"acme.example")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        der.encode(0xA0),
        der.encode(0xA0, subtree(HOST, der.encode(0x80, b"\x01"))),
        der.encode(0xA0, subtree(HOST, der.encode(0x81, b"\x01"))),
        der.encode(0xA0, subtree(HOST, der.encode(0x80, b"\xff"))),
        der.encode(0xA0, subtree(HOST)) + b"\x05\x00",
        der.encode(0xA0, subtree(der.encode(0x82, b"\xe9"))),
        der.encode(0xA0, subtree(der.encode(0x8B, b"x"))),
        der.encode(0xA0, subtree(b"")),
    ],
    ids=["nothing", "empty", "minimum", "maximum", "negative", "trailing", "not ASCII", "unknown form", "no base"],
)
def test_constraints_that_mean_nothing_good_are_refused(body: bytes) -> None:
    with pytest.raises(FormatError):
        NameConstraints.parse(der.encode(der.SEQUENCE, body))


def test_constraints_are_read_with_both_kinds_of_subtrees() -> None:
    body = der.encode(0xA0, subtree(HOST)) + der.encode(
        0xA1, subtree(der.encode(0x82, b"evil.example"), der.encode(0x80, b"\0"))
    )
    found = NameConstraints.parse(der.encode(der.SEQUENCE, body))
    assert found == NameConstraints((GeneralName(DNS, "acme.example"),), (GeneralName(DNS, "evil.example"),))


# In a chain.


def organization(*values: str) -> x509.Name:
    kinds = (NameOID.ORGANIZATION_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME)
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in zip(kinds, values, strict=False)])


def only(*names: x509.GeneralName) -> x509.NameConstraints:
    return x509.NameConstraints(list(names), None)


def codes_for(signer: Identity, *between: Identity, anchor: Identity | None = None) -> list[str]:
    path = find_path(signer.parsed, [each.parsed for each in between], trusting(anchor or root()), NOW)
    return [failure.code for failure in path.failures] if isinstance(path, NoPath) else []


def constrained_ca(
    constraints: x509.NameConstraints, issuer: Identity | None = None, critical: bool = True
) -> Identity:
    return ca("Constrained", issuer=issuer or root(), extensions=[(constraints, critical)])


@pytest.mark.parametrize("critical", [True, False])
def test_a_signer_outside_its_issuers_constraints_is_refused(critical: bool) -> None:
    above = constrained_ca(only(x509.DirectoryName(organization("Acme"))), critical=critical)
    good = leaf(issuer=above, subject=organization("ACME", "Build"))
    bad = leaf(issuer=above, subject=organization("Evil", "Build"))
    assert codes_for(good, above) == []
    assert codes_for(bad, above) == ["invalid-chain"]


def test_constraints_reach_through_a_ca_below() -> None:
    above = constrained_ca(only(x509.DirectoryName(organization("Acme"))))
    below = ca(issuer=above, subject=organization("Acme", "CA"))
    assert codes_for(leaf(issuer=below, subject=organization("Acme", "Build")), above, below) == []
    assert codes_for(leaf(issuer=below, subject=organization("Evil")), above, below) == ["invalid-chain"]


def test_constraints_of_two_cas_must_both_hold() -> None:
    above = constrained_ca(only(x509.DirectoryName(organization("Acme"))))
    wider = only(x509.DirectoryName(organization("Acme")), x509.DirectoryName(organization("Evil")))
    below = ca(issuer=above, subject=organization("Acme", "CA"), extensions=[(wider, True)])
    assert codes_for(leaf(issuer=below, subject=organization("Evil")), above, below) == ["invalid-chain"]


def test_a_ca_outside_the_constraints_is_refused_for_its_own_name() -> None:
    above = constrained_ca(only(x509.DirectoryName(organization("Acme"))))
    below = ca(issuer=above, subject=organization("Evil", "CA"))
    assert codes_for(leaf(issuer=below, subject=organization("Acme", "Build")), above, below) == ["invalid-chain"]


def test_a_self_issued_ca_is_excepted_and_a_self_issued_signer_is_not() -> None:
    above = constrained_ca(only(x509.DirectoryName(organization("Acme"))))
    rollover = ca(issuer=above, subject=above.certificate.subject)
    assert codes_for(leaf(issuer=rollover, subject=organization("Acme", "Build")), above, rollover) == []
    assert codes_for(leaf(issuer=above, subject=above.certificate.subject), above) == ["invalid-chain"]


def test_constraints_of_the_anchor_count() -> None:
    anchor = ca("Constrained root", extensions=[(only(x509.DirectoryName(organization("Acme"))), True)])
    assert codes_for(leaf(issuer=anchor, subject=organization("Acme")), anchor=anchor) == []
    assert codes_for(leaf(issuer=anchor, subject=organization("Evil")), anchor=anchor) == ["invalid-chain"]


def test_alternative_names_count() -> None:
    above = constrained_ca(only(x509.DNSName("acme.example")))

    def with_names(*names: x509.GeneralName) -> Identity:
        return leaf(issuer=above, extensions=[(x509.SubjectAlternativeName(list(names)), False)])

    assert codes_for(with_names(x509.DNSName("build.acme.example")), above) == []
    assert codes_for(with_names(x509.DNSName("acme.example"), x509.DNSName("evil.example")), above) == ["invalid-chain"]
    assert codes_for(with_names(x509.DNSName("*.acme.example")), above) == ["unsupported-extension"]


def test_a_form_that_is_not_judged_is_refused_where_it_occurs_alone() -> None:
    import ipaddress

    above = constrained_ca(only(x509.IPAddress(ipaddress.ip_network("10.0.0.0/8"))))
    assert codes_for(leaf(issuer=above), above) == []
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("10.1.2.3"))])
    assert codes_for(leaf(issuer=above, extensions=[(address, False)]), above) == ["unsupported-extension"]


def test_constraints_in_a_signers_certificate_are_refused() -> None:
    bad = leaf(extensions=[(only(x509.DNSName("acme.example")), True)])
    assert codes_for(bad) == ["invalid-chain"]


def test_a_critical_alternative_name_is_judged() -> None:
    names: Sequence[x509.GeneralName] = [x509.DNSName("acme.example")]
    assert codes_for(leaf(extensions=[(x509.SubjectAlternativeName(list(names)), True)])) == []


def test_names_chain_whatever_their_case_and_encoding() -> None:
    """PKITS 4.3.3 to 4.3.11: the issuer may write a name otherwise than its own certificate does."""
    above = ca(issuer=root(), subject=organization("Acme  Tools", "CA"))
    written = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "ACME tools", _type=_ASN1Type.PrintableString),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, " ca "),
        ]
    )
    signer = issue("Signer", issuer=above, issuer_name=written)
    assert codes_for(signer, above) == []
    other = issue("Signer", issuer=above, issuer_name=organization("Acme Toolz", "CA"))
    assert codes_for(other, above) == ["no-path"]
