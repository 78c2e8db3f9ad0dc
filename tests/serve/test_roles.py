"""Who a client certificate stands for: the role that it names, as far as its CA grants it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from builders import pki
from builders.crls import read
from builders.pki import EPOCH, NOW, Identity
from modseal.errors import ModsealError
from modseal.format.rules import key_name
from modseal.pki.certificate import Certificate
from modseal.serve.roles import ROLES, Caller, ClientCa, Role, caller

ROOT = pki.root(7)


def subject(*units: str) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit) for unit in units]
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, "desk")])


def client(*units: str, issuer: Identity = ROOT, **changes: Any) -> Identity:
    """A good client certificate; by default one that names the role reader."""
    units = units or ("modseal:reader",)
    good = {"issuer": issuer, "subject": subject(*units), "purposes": [ExtendedKeyUsageOID.CLIENT_AUTH]}
    return pki.issue("desk", **{**good, **changes})


def authority(grants: Role = Role.ADMIN, *crls: bytes, ca: Identity = ROOT) -> ClientCa:
    return ClientCa((Certificate.parse(ca.der),), grants, read(*crls))


def asked(one: Identity, *authorities: ClientCa) -> Caller:
    return caller(one.der, authorities or (authority(),), NOW)


def code(one: Identity, *authorities: ClientCa) -> str:
    with pytest.raises(ModsealError) as found:
        asked(one, *authorities)
    return found.value.failure.code


@pytest.mark.parametrize("word", ROLES)
def test_a_certificate_has_the_role_that_it_names_and_is_known_by_its_key(word: str) -> None:
    one = client(f"modseal:{word}")
    found = asked(one)
    assert str(found.role) == word
    assert found.key == key_name(Certificate.parse(one.der).key_der)
    assert "desk" in found.name


def test_other_units_say_nothing_about_a_role() -> None:
    assert asked(client("Operations", "modseal:operator")).role is Role.OPERATOR


@pytest.mark.parametrize(
    "units",
    [("Operations",), ("modseal:root",), ("modseal:",), ("modseal:reader", "modseal:admin"), ("admin",)],
)
def test_who_names_no_one_role_has_none(units: tuple[str, ...]) -> None:
    assert code(client(*units)) == "role-missing"


def test_a_role_above_what_the_ca_grants_is_no_role_at_all() -> None:
    assert code(client("modseal:admin"), authority(Role.OPERATOR)) == "role-missing"
    assert asked(client("modseal:operator"), authority(Role.OPERATOR)).role is Role.OPERATOR


def test_each_ca_grants_for_its_own_certificates_alone() -> None:
    other = pki.ca("Another CA")
    granted = (authority(Role.READER), authority(Role.ADMIN, ca=other))
    assert code(client("modseal:admin"), *granted) == "role-missing"
    assert asked(client("modseal:admin", issuer=other), *granted).role is Role.ADMIN


def test_a_stranger_is_nobody() -> None:
    assert code(client(issuer=pki.ca("Another CA"))) == "no-path"
    assert code(client(issuer=pki.ca("Test root", key=pki.new_key("p256", 99)))) == "no-path"


def test_an_expired_certificate_is_refused() -> None:
    assert code(client(start=EPOCH, end=NOW - timedelta(days=1))) == "expired"


def test_a_certificate_for_something_else_is_refused() -> None:
    assert code(client(purposes=[ExtendedKeyUsageOID.SERVER_AUTH])) == "wrong-purpose"
    assert code(client(purposes=None)) == "wrong-purpose"
    assert code(client(usage=pki.ISSUE, basic=(True, None))) == "wrong-purpose"


def test_a_revoked_certificate_is_refused_and_with_a_list_each_needs_a_current_one() -> None:
    one, other = client(), client()
    listed = pki.crl(ROOT, one).public_bytes(Encoding.DER)
    assert code(one, authority(Role.ADMIN, listed)) == "revoked"
    assert asked(other, authority(Role.ADMIN, listed)).role is Role.READER
    assert code(one, authority(Role.ADMIN, listed), authority(Role.READER)) == "revoked"
    stale = pki.crl(ROOT, end=NOW - timedelta(days=1)).public_bytes(Encoding.DER)
    assert code(other, authority(Role.ADMIN, stale)) == "crl-stale"


def test_a_weak_key_is_refused() -> None:
    assert code(client(key=pki.new_key("rsa-1024"))) == "weak-key"
