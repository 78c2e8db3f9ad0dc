"""Reading CRLs: as a whole or not at all, and any bytes give a list or a `FormatError`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import crls
from builders.pki import EPOCH, FAR, NOW, ca, leaf, root, signer
from modseal.errors import FormatError
from modseal.format import der
from modseal.pki import crl
from modseal.pki.crl import Crl, RevokedEntry, Scope
from modseal.pki.names import DIRECTORY, URI, GeneralName

UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.9"), b"\x05\x00")
LATER = EPOCH + timedelta(days=30)
REASON = x509.CRLReason(x509.ReasonFlags.superseded)


def scope_of(extension: x509.IssuingDistributionPoint) -> Scope:
    return crls.read(crls.make(root(), extensions=[(extension, True)]))[0].scope


def point(**changes: Any) -> x509.IssuingDistributionPoint:
    fields: dict[str, Any] = {
        "full_name": None, "relative_name": None, "only_contains_user_certs": False, "only_contains_ca_certs": False,
        "only_some_reasons": None, "indirect_crl": False, "only_contains_attribute_certs": False,
    }  # fmt: skip
    return x509.IssuingDistributionPoint(**(fields | changes))


def entry(serial: bytes = b"\x01", *more: bytes, when: bytes = b"240101000000Z", tag: int = der.UTC_TIME) -> bytes:
    return der.encode(der.SEQUENCE, der.encode(der.INTEGER, serial), der.encode(tag, when), *more)


def with_entries(*entries: bytes) -> bytes:
    """A list whose signed entries are these bytes."""

    def change(fields: list[bytes]) -> list[bytes]:
        return [*fields[:5], der.encode(der.SEQUENCE, *entries), *fields[5:]]

    return crls.edited(crls.make(root()), change, root().key)


def test_a_list_is_read() -> None:
    since = datetime(2025, 3, 1, tzinfo=UTC)
    (found,) = crls.read(crls.make(root(), crls.revoked(7, since, [(REASON, False)]), crls.revoked(2**150, since)))
    assert found.issuer == root().parsed.subject_name
    assert (found.this_update, found.next_update) == (EPOCH, FAR)
    assert found.entries == {7: RevokedEntry(since, "superseded"), 2**150: RevokedEntry(since, "unspecified")}
    assert found.unjudged == ()
    assert found.scope == Scope()


def test_a_list_says_which_key_its_issuer_signed_with() -> None:
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(root().key.public_key())
    (found,) = crls.read(crls.make(root(), extensions=[(authority, False)]))
    assert found.authority_key_id == authority.key_identifier
    assert crls.read(crls.make(root()))[0].authority_key_id is None


def test_equal_bytes_from_one_source_are_one_list() -> None:
    data, other = crls.make(root()), crls.make(root(), crls.revoked(7, EPOCH))
    one = crl.Crl.parse(data, "a.crl")
    assert one == crl.Crl.parse(bytes(bytearray(data)), "a.crl")
    assert hash(one) == hash(crl.Crl.parse(data, "a.crl"))
    assert one != crl.Crl.parse(data, "b.crl")
    assert one != crl.Crl.parse(other, "a.crl")


def test_what_a_reader_fails_on_is_a_list_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(crl, "_read", fail)
    with pytest.raises(FormatError) as caught:
        crl.Crl.parse(crls.make(root()), "a.crl")
    assert caught.value.failure.code == "crl-invalid"


def test_an_entry_counts_from_the_earlier_of_its_two_dates() -> None:
    (found,) = crls.read(
        crls.make(root(), crls.revoked(7, LATER, [(x509.InvalidityDate(EPOCH.replace(tzinfo=None)), False)]))
    )
    assert found.entries[7].since == EPOCH


def test_two_entries_for_one_certificate_count_as_the_worse() -> None:
    entries = (crls.revoked(7, LATER, [(REASON, False)]), crls.revoked(7, EPOCH))
    for ordered in (entries, entries[::-1]):
        (found,) = crls.read(crls.make(root(), *ordered))
        assert found.entries == {7: RevokedEntry(EPOCH, "unspecified")}


def test_the_first_version_and_an_empty_list_are_read() -> None:
    body = der.encode(
        der.SEQUENCE,
        crls.ECDSA_SHA256,
        root().certificate.subject.public_bytes(),
        der.encode_time("2024-01-01T00:00:00Z"),
    )
    (found,) = crls.read(crls.signed(body, root().key))
    assert (found.entries, found.next_update) == ({}, None)


def test_times_before_2050_may_have_either_form() -> None:
    """RFC 5280 section 4.1.2.5: "conforming applications MUST be able to process" both."""

    def issued_in_the_long_form(fields: list[bytes]) -> list[bytes]:
        return [*fields[:3], der.encode(der.GENERALIZED_TIME, b"20240101000000Z"), *fields[4:]]

    assert crls.read(crls.edited(crls.make(root()), issued_in_the_long_form, root().key))[0].this_update.year == 2024


def test_times_after_2049_are_read() -> None:
    assert crls.read(crls.make(root(), end=FAR))[0].next_update == FAR


@pytest.mark.parametrize("good", [0, 1, 2])
@pytest.mark.parametrize(
    "bad",
    [
        b"\x30\x00",
        b"\x30",
        b"\x05\x00",
        entry(b""),
        entry(b"\x00\x01"),
        entry(when=b"240230000000Z"),
        entry(when=b"2401010000Z"),
        entry(when=b"240101000000+0100"),
        entry(when=b"161231235960Z"),
        entry(when=b"00000101000000Z", tag=der.GENERALIZED_TIME),
        entry(b"\x02", der.encode(der.SEQUENCE)),
        entry(b"\x02", b"\x05\x00"),
        entry(b"\x02", der.encode(der.SEQUENCE, b"\x05\x00")),
        entry(b"\x02", der.encode(der.SEQUENCE), b"\x05\x00"),
        entry(
            b"\x02",
            der.encode(der.SEQUENCE, der.encode(der.SEQUENCE, der.encode_oid("2.5.29.21"), der.encode(4, b"\x0a\x00"))),
        ),
        entry(
            b"\x02",
            der.encode(der.SEQUENCE, der.encode(der.SEQUENCE, der.encode_oid("2.5.29.24"), der.encode(4, b"\x05\x00"))),
        ),
    ],
)
def test_one_bad_entry_refuses_the_whole_list(bad: bytes, good: int) -> None:
    """X5-10, openssl#32366: a reader that stops there would miss the revoked certificates after it."""
    entries = [entry(bytes([number + 1])) for number in range(good)]
    with pytest.raises(FormatError) as caught:
        crls.read(with_entries(*entries, bad, entry(b"\x63")))
    assert caught.value.failure.code == "crl-invalid"


def test_the_entries_that_the_bad_ones_are_made_from_are_good() -> None:
    assert crls.read(with_entries(entry(), entry(b"\x63")))[0].entries.keys() == {1, 0x63}


def as_version(number: int) -> Callable[[list[bytes]], list[bytes]]:
    return lambda fields: [der.encode_integer(number), *fields[1:]]


@pytest.mark.parametrize(
    "change",
    [
        lambda fields: [*fields[:-1], b"\x05\x00"],
        lambda fields: [*fields, b"\x05\x00"],
        lambda fields: fields[1:],
        as_version(0),
        as_version(2),
        lambda fields: [*fields[:2], der.encode(der.SEQUENCE), *fields[3:]],
        lambda fields: [fields[0], der.encode(der.SEQUENCE, der.encode_oid("1.2.840.10045.4.3.3")), *fields[2:]],
        lambda fields: [*fields[:3], b"\x05\x00", *fields[4:]],
        lambda fields: [*as_version(0)(fields)[:-1]],
        lambda fields: [*fields[:-1], der.encode(der.context(0), der.encode(der.SEQUENCE))],
        lambda fields: [*fields[:4], der.encode(der.UTC_TIME, b"260231000000Z"), *fields[5:]],
    ],
    ids=["no extensions but NULL", "a field more", "no version", "version 1", "version 3", "no issuer",
         "other algorithm inside", "no time", "version 1 said", "empty extensions", "no day"],
)  # fmt: skip
def test_a_list_with_one_bad_field_is_refused(change: Callable[[list[bytes]], list[bytes]]) -> None:
    with pytest.raises(FormatError, match="crl 0"):
        crls.read(crls.edited(crls.make(root()), change, root().key))


def test_bytes_after_the_list_are_refused() -> None:
    with pytest.raises(FormatError):
        crls.read(crls.make(root()) + b"\0")


FUZZED = crls.make(root(), crls.revoked(7, EPOCH, [(REASON, False)]))


@settings(max_examples=150)
@given(st.data())
def test_any_bytes_are_a_list_or_a_format_error(data: st.DataObject) -> None:
    good = bytearray(FUZZED)
    for _ in range(data.draw(st.integers(1, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(FormatError):
        Crl.parse(bytes(good), "fuzzed")
    with contextlib.suppress(FormatError):
        Crl.parse(data.draw(st.binary(max_size=80)), "random")


# What is not judged.


@pytest.mark.parametrize(
    ("extensions", "words"),
    [
        ([(x509.DeltaCRLIndicator(1), True)], "delta"),
        ([(x509.DeltaCRLIndicator(1), False)], "delta"),
        ([(UNKNOWN, True)], "critical extension"),
        ([(point(indirect_crl=True), True)], "indirect"),
        ([(point(only_some_reasons=frozenset({x509.ReasonFlags.key_compromise})), True)], "some reasons"),
    ],
)
def test_what_is_not_judged_is_told(extensions: crls.Extensions, words: str) -> None:
    (found,) = crls.read(crls.make(root(), extensions=extensions))
    assert words in " ".join(found.unjudged)


def test_an_unknown_critical_extension_of_any_entry_is_told() -> None:
    issuer = x509.CertificateIssuer([x509.DirectoryName(root().certificate.subject)])
    for extension in (UNKNOWN, issuer):
        (found,) = crls.read(crls.make(root(), crls.revoked(7, EPOCH, [(extension, True)]), crls.revoked(8)))
        assert "critical entry extension" in found.unjudged[0]


def test_extensions_that_are_not_critical_are_ignored() -> None:
    (found,) = crls.read(crls.make(root(), crls.revoked(7, EPOCH, [(UNKNOWN, False)]), extensions=[(UNKNOWN, False)]))
    assert found.unjudged == ()


# Which certificates a list is about.


def at_point(*names: x509.GeneralName, **more: Any) -> x509.CRLDistributionPoints:
    fields: dict[str, Any] = {
        "full_name": list(names) or None,
        "relative_name": None,
        "reasons": None,
        "crl_issuer": None,
    }
    return x509.CRLDistributionPoints([x509.DistributionPoint(**(fields | more))])


HERE, THERE = (x509.UniformResourceIdentifier(f"http://{host}.example/crl") for host in ("here", "there"))


def test_a_list_for_users_or_for_cas_covers_only_those() -> None:
    users, cas = scope_of(point(only_contains_user_certs=True)), scope_of(point(only_contains_ca_certs=True))
    middle = ca("CA", issuer=root()).parsed
    assert users.covers(signer().parsed)
    assert not users.covers(middle)
    assert cas.covers(middle)
    assert not cas.covers(signer().parsed)
    assert not scope_of(point(only_contains_attribute_certs=True)).covers(signer().parsed)


def test_a_list_of_a_distribution_point_covers_what_names_that_point() -> None:
    scope = scope_of(point(full_name=[HERE]))
    assert scope.points == {GeneralName(URI, "http://here.example/crl")}
    assert scope.covers(leaf(extensions=[(at_point(HERE), False)]).parsed)
    assert scope.covers(leaf(extensions=[(at_point(THERE, HERE), False)]).parsed)
    assert not scope.covers(leaf(extensions=[(at_point(THERE), False)]).parsed)
    assert not scope.covers(signer().parsed)


def test_a_point_relative_to_the_issuer_is_its_full_name() -> None:
    part = x509.RelativeDistinguishedName([x509.NameAttribute(x509.NameOID.COMMON_NAME, "CRL 1")])
    full = x509.Name([*root().certificate.subject, *part])
    scope = scope_of(point(relative_name=part))
    assert scope.covers(leaf(extensions=[(at_point(x509.DirectoryName(full)), False)]).parsed)
    relative = at_point(relative_name=part, full_name=None)
    assert scope.covers(leaf(extensions=[(relative, False)]).parsed)


def test_the_issuers_own_name_is_the_point_of_a_certificate_without_one() -> None:
    scope = scope_of(point(full_name=[x509.DirectoryName(root().certificate.subject)]))
    assert scope.points == {GeneralName(DIRECTORY, root().parsed.subject_name)}
    assert scope.covers(signer().parsed)


@pytest.mark.parametrize(
    "more",
    [
        {"reasons": frozenset({x509.ReasonFlags.key_compromise})},
        {"crl_issuer": [x509.DirectoryName(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Other")]))]},
    ],
)
def test_a_point_for_some_reasons_or_of_another_issuer_does_not_count(more: dict[str, Any]) -> None:
    assert leaf(extensions=[(at_point(HERE, **more), False)]).parsed.distribution_points == ()


@pytest.mark.parametrize(
    ("number", "reason"), [(0, "unspecified"), (1, "keyCompromise"), (4, "superseded"), (7, "unknown")]
)
def test_a_reason_is_read_by_its_number_and_one_that_is_not_known_is_unknown(number: int, reason: str) -> None:
    value = der.encode(der.OCTET_STRING, der.encode(0x0A, bytes([number])))
    extension = der.encode(der.SEQUENCE, der.encode_oid("2.5.29.21"), value)
    (found,) = crls.read(with_entries(entry(b"\x02", der.encode(der.SEQUENCE, extension))))
    assert [each.reason for each in found.entries.values()] == [reason]


def test_entries_without_a_reason_have_none_that_excuses() -> None:
    invalid = x509.InvalidityDate(EPOCH)
    (found,) = crls.read(crls.make(root(), crls.revoked(7, NOW, [(invalid, False)]), crls.revoked(8, NOW)))
    assert [(each.since, each.reason) for each in found.entries.values()] == [
        (EPOCH, "unspecified"),
        (NOW, "unspecified"),
    ]


def test_two_entries_for_one_certificate_keep_a_reason_that_both_give() -> None:
    superseded, moved = (
        x509.CRLReason(flag) for flag in (x509.ReasonFlags.superseded, x509.ReasonFlags.affiliation_changed)
    )  # fmt: skip
    for second, reason in ((superseded, "superseded"), (moved, "unspecified")):
        both = crls.revoked(7, NOW, [(superseded, False)]), crls.revoked(7, EPOCH, [(second, False)])
        (found,) = crls.read(crls.make(root(), *both))
        assert [(each.since, each.reason) for each in found.entries.values()] == [(EPOCH, reason)]
