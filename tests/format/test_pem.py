"""PEM files: what is well formed is read, and whatever else stands in one is an error with its line."""

from __future__ import annotations

import base64
from collections.abc import Callable, Collection
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import crls
from builders.pki import Encoding, NoEncryption, PrivateFormat, root, signer
from modseal.ca.request import make_request
from modseal.format import der, pem

A, B, OTHER = root(), root(1), signer()
CRL = b"".join(
    (b"-----BEGIN X509 CRL-----\n", base64.encodebytes(crls.make(A)), b"-----END X509 CRL-----\n")
)  # lines of 76
KEY = A.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
TWO = A.pem + B.pem


def certificates(data: bytes) -> tuple[bytes, ...]:
    return pem.contents(data, pem.CERTIFICATE)


def problem(data: bytes, label: str = pem.CERTIFICATE) -> str:
    with pytest.raises(ValueError) as raised:
        pem.contents(data, label)
    return str(raised.value)


def said(data: bytes, labels: Collection[str] | None) -> str:
    try:
        pem.read(data, labels)
    except ValueError as error:
        return str(error)
    return ""


def lines(data: bytes, width: int) -> bytes:
    text = base64.b64encode(data)
    body = b"\n".join(text[start : start + width] for start in range(0, len(text), width))
    return b"-----BEGIN CERTIFICATE-----\n" + body + b"\n-----END CERTIFICATE-----\n"


# What people have.


@pytest.mark.parametrize(
    "data",
    [
        TWO,
        TWO.replace(b"\n", b"\r\n"),
        TWO.replace(b"\n", b" \t\n"),
        TWO.replace(b"\n", b" \r\n"),
        TWO.removesuffix(b"\n"),
        b"\n\n" + A.pem + b"\n \n" + B.pem + b"\r\n\n\t\n",
        b"# the CA of Acme\n" + A.pem + b"# and its old one -- until 2030\n" + B.pem,
        b"Certificate:\n    Data:\n        Version: 3 (0x2)\n" + A.pem + b"0 s:O = Acme\n==========\n" + B.pem,
        "0 für Österreich\n".encode() + TWO,
        b"Bag Attributes\n    localKeyID: 01 02 \nsubject=/CN=A/O=B\n" + TWO,
        lines(A.der, 76) + lines(B.der, 1000),
        lines(A.der, 1) + lines(B.der, 64),
    ],
    ids=range(12),
)
def test_what_openssl_and_people_write_is_read(data: bytes) -> None:
    assert certificates(data) == (A.der, B.der)


def test_der_is_one_value() -> None:
    assert certificates(A.der) == (A.der,)
    assert "after the end of its DER" in problem(A.der + B.der)
    assert "after the end of its DER" in problem(A.der + A.pem)
    assert "after the end of its DER" in problem(A.der + b"\n")
    assert "truncated" in problem(A.der[:-1])
    assert "line 1: the CERTIFICATE block has bytes after the end" in problem(lines(A.der + b"\0", 64))
    assert "line 1: the CERTIFICATE block is not DER" in problem(lines(A.der[:-1], 64))


def test_a_request_may_have_either_label_and_a_file_with_nothing_says_so() -> None:
    data = make_request(A.certificate.subject, A.key).public_bytes(Encoding.PEM)
    old = data.replace(b"CERTIFICATE REQUEST", b"NEW CERTIFICATE REQUEST")
    assert pem.contents(data, *pem.REQUESTS) == pem.contents(old, *pem.REQUESTS)
    for nothing in (b"", b"\n", b"no block at all\n"):
        assert problem(nothing) == "no CERTIFICATE in PEM or DER form"


# What is damaged.


def edited(number: int, change: Callable[[bytes], bytes]) -> bytes:
    """Two certificates, a line of the first (from 1) changed."""
    found = TWO.split(b"\n")
    found[number - 1] = change(found[number - 1])
    return b"\n".join(found)


LAST = A.pem.count(b"\n")
DAMAGES: dict[str, tuple[bytes, int, str]] = {
    "a dash less before BEGIN": (edited(1, lambda line: line[1:]), 1, "damaged"),
    "a dash less after BEGIN": (edited(1, lambda line: line[:-1]), 1, "damaged"),
    "a dash less on both sides": (edited(1, lambda line: line[1:-1]), 1, "damaged"),
    "a dash more": (edited(1, lambda line: b"-" + line), 1, "damaged"),
    "no dashes": (edited(1, lambda line: line.strip(b"-")), 1, "damaged"),
    "no BEGIN": (edited(1, lambda line: b""), 2, "base64 that is in no block"),
    "BEGIN in small letters": (edited(1, bytes.lower), 1, "damaged"),
    "BEGIN behind a quotation mark": (edited(1, lambda line: b"> " + line), 1, "damaged"),
    "BEGIN behind a space": (edited(1, lambda line: b" " + line), 1, "damaged"),
    "BEGIN commented out": (edited(1, lambda line: b"# " + line), 1, "damaged"),
    "BEGIN with dashes of a word processor": (edited(1, lambda line: "——BEGIN X——".encode()), 2, "base64"),
    "a blank line": (edited(3, lambda line: b"\n" + line), 3, "a blank line inside the block CERTIFICATE of line 1"),
    "a blank line first": (edited(2, lambda line: b"\n" + line), 2, "a blank line"),
    "a header field": (edited(2, lambda line: b"Proc-Type: 4,ENCRYPTED\n" + line), 2, "a header field"),
    "a header field and a blank line": (edited(2, lambda line: b"Name: value\n\n" + line), 2, "a header field"),
    "a space in a line": (edited(2, lambda line: line[:9] + b" " + line[9:]), 2, "not base64"),
    "an indented line": (edited(2, lambda line: b" " + line), 2, "not base64"),
    "a comment in a block": (edited(3, lambda line: b"# more\n" + line), 3, "not base64"),
    "a bad character": (edited(2, lambda line: b"!" + line[1:]), 2, "not base64"),
    "padding in the middle": (edited(2, lambda line: line[:-1] + b"="), 1, "damaged or incomplete"),
    "a missing character": (edited(2, lambda line: line[:-1]), 1, "damaged or incomplete"),
    "a missing line": (edited(2, lambda line: b"")[: len(TWO)].replace(b"\n\n", b"\n", 1), 1, "DER"),
    "a NUL": (edited(2, lambda line: line[:-1] + b"\0"), 2, "not base64"),
    "a carriage return inside": (edited(2, lambda line: line[:9] + b"\r" + line[9:]), 2, "not base64"),
    "no END": (edited(LAST, lambda line: b"AAAA"), LAST + 1, "a BEGIN line inside the block CERTIFICATE of line 1"),
    "END of another label": (
        edited(LAST, lambda line: b"-----END X509 CRL-----"),
        LAST,
        "an END line that is damaged or of another label",
    ),
    "END with a dash less": (edited(LAST, lambda line: line[1:]), LAST, "END line"),
    "END with text behind it": (edited(LAST, lambda line: line + b" x"), LAST, "END line"),
    "two blocks on one line": (A.pem.rstrip() + B.pem, LAST, "put a line break before BEGIN"),
    "a second END": (A.pem + b"-----END CERTIFICATE-----\n" + B.pem, LAST + 1, "lost its block"),
    "cut in the second block": (TWO[:-60], LAST + 1, "no END follows; is the file cut off?"),
    "cut in the second BEGIN": (TWO[: len(A.pem) + 9], LAST + 1, "damaged"),
    "cut after its first dash": (TWO[: len(A.pem) + 1], LAST + 1, "no block follows"),
    "cut before the first block": (TWO[300:], 1, "base64 that is in no block"),
    "text at the end": (TWO + b"and more\n", 2 * LAST + 1, "no block follows"),
    "a comment at the end": (TWO + b"# the CRL of the second CA\n", 2 * LAST + 1, "no block follows"),
    "DER at the end": (TWO + crls.make(A), 2 * LAST + 1, ""),
    "a NUL at the end": (TWO + b"\0", 2 * LAST + 1, "0x00"),
    "control characters in text": (b"Acme\x1b[2J\n" + TWO, 1, "0x1b"),
    "lines that end in CR alone": (TWO.replace(b"\n", b"\r"), 1, ""),
    "base64 before a block": (A.pem.split(b"\n", 1)[1].split(b"-----")[0] + TWO, 1, "base64 that is in no block"),
    "a rule of dashes": (b"# ---- Acme ----\n" + TWO, 1, "dashes"),
    "UTF-8 with a byte order mark": (b"\xef\xbb\xbf" + TWO, 1, "byte order mark"),
    "UTF-16": (TWO.decode().encode("utf-16"), 1, "byte order mark"),
    "UTF-16 without a mark": (TWO.decode().encode("utf-16-be"), 1, "0x00"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_an_error_with_its_line(name: str) -> None:
    data, line, what = DAMAGES[name]
    found = problem(data)
    assert found.startswith(f"line {line}: ")
    assert what in found


def test_base64_has_its_one_form() -> None:
    assert pem.read(b"-----BEGIN A-----\nAA==\n-----END A-----\n")[0].content == b"\0"
    for body in (b"AB==", b"AA=", b"AA", b"A", b"AA===", b"", b"AAAA\n"):
        with pytest.raises(ValueError, match="line "):
            pem.read(b"-----BEGIN A-----\n" + body + b"\n-----END A-----\n")


@given(st.integers(0, len(TWO)), st.integers(0, 200), st.binary(max_size=4))
def test_any_damage_gives_whole_blocks_or_an_error(start: int, count: int, inserted: bytes) -> None:
    data = TWO[:start] + inserted + TWO[start + count :]
    try:
        found = certificates(data)
    except ValueError:
        return
    if count < len(A.pem):  # else a whole block may be gone, which no reader can see
        assert len(found) == 2
    for content, whole in zip(found, (A.der, B.der), strict=False):
        assert len(content) == len(whole) or content == B.der


@given(st.binary(max_size=200) | st.text("-BEGINCRL A=\n0+\r", max_size=200).map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for read in (certificates, pem.read, pem.kind_of, pem.has_private_key, pem.is_der):
        with suppress(ValueError):
            read(data)


# What belongs elsewhere.


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (CRL, "under `crls` in [revocation]"),
        (crls.make(A), "under `crls` in [revocation]"),
        (KEY, "a private key"),
        (KEY.replace(b"PRIVATE", b"RSA PRIVATE"), "a private key"),
        (KEY.replace(b"PRIVATE", b"ENCRYPTED PRIVATE"), "a private key"),
        (KEY.replace(b"PRIVATE KEY", b"PGP PRIVATE KEY BLOCK"), "a private key"),
        (A.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()), "a private key"),
        (A.key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption()), "a private key"),
        (A.pem.replace(b" CERT", b" TRUSTED CERT"), "openssl x509"),
        (A.pem.replace(b" CERT", b" X509 CERT"), "an old name"),
        (A.pem.replace(b"CERTIFICATE", b"PKCS7"), "openssl pkcs7"),
        (A.pem.replace(b"CERTIFICATE", b"SOMETHING NEW"), "SOMETHING NEW, which modseal does not know"),
        (make_request(A.certificate.subject, A.key).public_bytes(Encoding.PEM), "a request"),
        (make_request(A.certificate.subject, A.key).public_bytes(Encoding.DER), "a request"),
    ],
    ids=range(14),
)
def test_what_is_no_certificate_is_named_wherever_it_stands(data: bytes, what: str) -> None:
    assert what in problem(data)
    if data.startswith(b"-"):
        assert what in problem(A.pem + data)
        assert what in problem(data + A.pem)
        assert problem(A.pem + data).startswith(f"line {LAST + 1}: ")


def test_a_certificate_among_crls_is_named() -> None:
    for data in (A.pem, A.der, CRL + A.pem):
        assert "an anchor" in problem(data, pem.CRL)
    assert len(pem.contents(CRL + CRL, pem.CRL)) == 2


@pytest.mark.parametrize("data", [b"", b"\0", b"\x30\x00", b"\x30\x02\x30\x00", b"\x30\x80", b"\x04\x02\x30\x00"])
def test_a_value_of_no_known_kind_has_no_name(data: bytes) -> None:
    assert pem.kind_of(data) is None


def test_kinds_are_told_by_their_tags() -> None:
    public = der.Reader(A.certificate.public_bytes(Encoding.DER))
    assert pem.kind_of(public.next().raw) == pem.CERTIFICATE
    assert pem.kind_of(A.parsed.key_der) == "PUBLIC KEY"
    assert pem.kind_of(der.encode(der.SEQUENCE, der.encode_oid("1.2.840.113549.1.7.2"))) == "CMS"
    encrypted = der.encode(der.SEQUENCE, der.encode(der.SEQUENCE), der.encode(der.OCTET_STRING, b"x"))
    assert pem.kind_of(encrypted) == "ENCRYPTED PRIVATE KEY"


# Private keys.


def test_no_message_repeats_what_a_line_says() -> None:
    secret = KEY.split(b"\n")[1][8:24].decode()
    for number in range(len(KEY)):
        for data in (
            KEY[:number] + KEY[number + 1 :],
            KEY[:number] + b"\n" + KEY[number:],
            KEY[:number] + b"!" + KEY[number:],
        ):
            for labels in (None, pem.KEYS, (pem.CERTIFICATE,)):
                assert secret not in said(data, labels)


def test_an_old_encrypted_key_has_header_fields_and_one_blank_line() -> None:
    headers = b"Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00112233\n"
    good = b"-----BEGIN RSA PRIVATE KEY-----\n" + headers + b"\nAAAA\n-----END RSA PRIVATE KEY-----\n"
    (block,) = pem.read(good.replace(b"\n", b"\r\n"))
    assert (block.headers, block.content, block.text) == (True, b"\0\0\0", good)
    for old, new in ((b"\n\nAAAA", b"\nAAAA"), (b"\n\n", b"\n\n\n"), (b"Proc-Type:", b"Other:"), (b"DEK-Info: ", b"")):
        with pytest.raises(ValueError, match="inside the block RSA PRIVATE KEY of line 1"):
            pem.read(good.replace(old, new))
    with pytest.raises(ValueError, match="a header field inside the block CERTIFICATE"):
        pem.read(good.replace(b"RSA PRIVATE KEY", b"CERTIFICATE"))
