"""`pkcs11:` URIs: what RFC 7512 allows is read, anything else is refused without repeating it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modseal.errors import UsageError
from modseal.signing.pkcs11_uri import TOKEN_ATTRIBUTES, parse

PIN = "1234-secret"


def test_an_empty_uri_names_nothing() -> None:
    reference = parse("pkcs11:")
    assert (dict(reference.token), reference.label, reference.id, reference.module) == ({}, None, None, None)
    assert parse("pkcs11:?") == reference


def test_every_part_is_read() -> None:
    uri = (
        "pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;serial=;object=my-key;type=private;id=%69%95%3E%5C"
        "?pin-source=file:/etc/token_pin&module-path=/lib/softhsm.so"
    )
    reference = parse(uri)
    assert dict(reference.token) == {"token": "The Software PKCS#11 Softtoken", "serial": ""}
    assert (reference.label, reference.id) == ("my-key", b"\x69\x95\x3e\x5c")
    assert (reference.module, reference.pin_file, reference.pin) == (
        Path("/lib/softhsm.so"),
        Path("/etc/token_pin"),
        None,
    )


def test_every_character_that_needs_no_escape_is_taken_as_it_is() -> None:
    allowed = "azAZ09-._~:[]@!$'()*+,="
    reference = parse(f"pkcs11:object={allowed}&?pin-value={allowed}/?|")
    assert (reference.label, reference.pin) == (allowed + "&", allowed + "/?|")


def test_a_plus_is_a_plus_and_no_space() -> None:
    assert parse("pkcs11:object=a+b").label == "a+b"


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ("file:/etc/pin", "/etc/pin"),
        ("file:///etc/pin", "/etc/pin"),
        ("file://localhost/etc/pin", "/etc/pin"),
        ("file:pin", "pin"),
        ("file:/a%2520b", "/a b"),
        ("/etc/pin", "/etc/pin"),
        ("pin%20file", "pin file"),
    ],
)
def test_a_pin_source_is_a_file(source: str, path: str) -> None:
    assert parse(f"pkcs11:?pin-source={source}").pin_file == Path(path)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("pkcs12:token=a", "scheme"),
        ("pkcs11:tokn=a", "tokn is not one of token,"),
        ("pkcs11:Token=a", "an attribute is not one of"),
        ("pkcs11:x-vendor=a", "x-vendor is not one of"),
        ("pkcs11:token=a?x-vendor=b", "an attribute is not one of pin-source"),
        ("pkcs11:token=a;token=a", "token is there twice"),
        ("pkcs11:token=a?pin-value=1&pin-value=1", "pin-value is there twice"),
        ("pkcs11:token", "not NAME=VALUE"),
        ("pkcs11:token=a;", "not NAME=VALUE"),
        ("pkcs11:;token=a", "not NAME=VALUE"),
        ("pkcs11:token=a?pin-value=1&", "not NAME=VALUE"),
        ("pkcs11:token=a b", "must be percent-encoded"),
        ("pkcs11:token=a/b", "must be percent-encoded"),
        ("pkcs11:token=a#b", "must be percent-encoded"),
        ("pkcs11:token=\u00e9", "must be percent-encoded"),
        ("pkcs11:token=%2", "must be percent-encoded"),
        ("pkcs11:token=%zz", "must be percent-encoded"),
        ("pkcs11:token=a\n", "must be percent-encoded"),
        ("pkcs11:object=%ff", "object is not UTF-8"),
        ("pkcs11:slot-id=", "slot-id is not of the form"),
        ("pkcs11:slot-id=-1", "slot-id is not of the form"),
        ("pkcs11:slot-id=\u0661", "must be percent-encoded"),
        ("pkcs11:library-version=1.2.3", "library-version is not of the form"),
        ("pkcs11:type=key", "type is not of the form"),
        ("pkcs11:type=cert", "its type is not private"),
        ("pkcs11:pin-value=1", "pin-value belongs after the question mark"),
        ("pkcs11:?object=a", "object belongs before the question mark"),
        ("pkcs11:?pin-value=1&pin-source=/a", "exclude each other"),
        ("pkcs11:?module-name=softhsm2", "give the module's file as module-path"),
        ("pkcs11:?module-path=softhsm2.so", "not an absolute path"),
        ("pkcs11:?module-path=", "not an absolute path"),
        ("pkcs11:?module-path=/a%00b", "not an absolute path"),
        ("pkcs11:?pin-source=|/usr/bin/pin", "modseal runs none"),
        ("pkcs11:?pin-source=https://a/pin", "not a file on this machine"),
        ("pkcs11:?pin-source=file://host/pin", "not a file on this machine"),
        ("pkcs11:?pin-source=", "not a file on this machine"),
    ],
)
def test_what_the_rfc_does_not_allow_is_refused(uri: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(uri)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "uri",
    [
        f"pkcs11:object={PIN} x",
        f"pkcs11:?pin-value={PIN} x",
        f"pkcs11:?pin-value={PIN}&{PIN}",
        f"pkcs11:?pin-value=a&{PIN}=b",
        f"pkcs11:?{PIN}",
        f"pkcs11:?pin-value={PIN}&pin-value={PIN}",
        f"pkcs11:?pin-value={PIN}&pin-source=/a",
        f"pkcs11:pin-value={PIN}",
        f"pkcs11:?pin-value={PIN}&module-name=a",
        f"pkcs11:?pin-value={PIN}%ff",
    ],
)
def test_a_pin_is_not_repeated_in_a_message(uri: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(uri)
    assert PIN not in str(caught.value) + repr(caught.value)


def test_a_pin_is_not_in_the_representation() -> None:
    reference = parse(f"pkcs11:token=a?pin-value={PIN}")
    assert reference.pin == PIN
    assert PIN not in repr(reference) + str(reference)


@given(st.text(max_size=60), st.sampled_from(["", "?", ";object=", "?pin-value=", "&"]))
def test_any_text_is_read_or_refused(text: str, between: str) -> None:
    for uri in (text, f"pkcs11:{text}", f"pkcs11:token=a{between}{text}"):
        with contextlib.suppress(UsageError):
            parse(uri)


@given(
    st.dictionaries(st.sampled_from(["token", "manufacturer", "serial", "model"]), st.text()), st.text(), st.binary()
)
def test_what_is_percent_encoded_comes_back(token: dict[str, str], label: str, identifier: bytes) -> None:
    parts = [f"{name}={quote(value, safe='')}" for name, value in token.items()]
    parts += [f"object={quote(label, safe='')}", f"id={quote(identifier, safe='')}"]
    reference = parse("pkcs11:" + ";".join(parts))
    assert (dict(reference.token), reference.label, reference.id) == (token, label, identifier)
    assert reference.token.keys() <= set(TOKEN_ATTRIBUTES)
