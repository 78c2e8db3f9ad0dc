"""Whatever a library raises for hostile bytes is converted where they are read: ERR-01, for every edge and kind.

Each row is an edge: what is made to raise, what reads, and the codes that may come out.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from builders import cms as cms_builder
from builders.bundles import judge, make
from builders.pki import ca, leaf, name, new_key, signer
from builders.policies import trusting
from modseal.ca import description, request
from modseal.errors import FormatError, KeyMaterialError, ModsealError, PolicyError
from modseal.format import canonical_json, cms, compression, dsse, strict_xml, timestamp, trust_bundle
from modseal.format import zip as zip_format
from modseal.format.manifest import FileType
from modseal.format.source import BytesSource
from modseal.pki import algorithms, certificate
from modseal.pki.certificate import Certificate
from modseal.pki.crl import Crl
from modseal.policy import file as policy_file
from modseal.signing import keys, material
from modseal.trust.examination import Examination, Verdict


class PanicException(BaseException):
    """As pyo3 raises it: derived from `BaseException` alone, and without a class that could be imported."""


class OfALibraryError(Exception):
    """Known to nobody."""


KINDS: tuple[BaseException, ...] = (
    ValueError("x"),
    TypeError(),
    KeyError(24),
    KeyError(),
    IndexError("x"),
    LookupError(),
    OverflowError("x"),
    ZeroDivisionError(),
    ArithmeticError(),
    AttributeError("x"),
    AssertionError(),
    NotImplementedError(),
    RuntimeError("x"),
    RecursionError(),
    EOFError(),
    BufferError(),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"),
    UnsupportedAlgorithm("x"),
    OfALibraryError(),
    PanicException(),
)
OTHERS: tuple[BaseException, ...] = (KeyboardInterrupt(), SystemExit(), MemoryError(), OSError(5, "x"))
"""They say nothing of the bytes: they are the user's, or this machine's."""


def parse_certificate() -> object:
    certificate._parse.cache_clear()
    return Certificate.parse(signer().der)


def verify_signature() -> object:
    return algorithms.verify(algorithms.ALGORITHMS["ed25519"], BAD_KEY, b"", b"")


def inflate() -> object:
    packed = b"\x03\x00"
    entry = zip_format.ZipEntry("x", FileType.FILE, 1, len(packed), 0, 0, deflated=True)
    return list(zip_format.blocks(BytesSource(packed), entry))


def gunzip() -> object:
    return list(compression.gunzip(iter([compression.GZIP_HEADER + b"\x03\0" + bytes(8)])))


def parse_policy() -> object:
    return policy_file.parse(b"", "p.toml", lambda _name: b"")


def second_opinion() -> object:
    from modseal.trust import timestamp as judge

    return judge._second_opinion(mock.Mock(), signer().parsed, algorithms.ALGORITHMS["ecdsa-p256-sha256"], (), ())


ZSTD = b"".join(compression.zstd_frames(iter([b"x" * 100])))
BAD_KEY = mock.Mock()
REQUEST = request.make_request(name("Test"), new_key()).public_bytes(Encoding.DER)
EDGES: dict[str, tuple[str, Callable[[], object], type[ModsealError], set[str]]] = {
    "the key of a certificate": (
        "modseal.pki.public_key.load",
        parse_certificate,
        FormatError,
        {"malformed-certificate", "unsupported-algorithm"},
    ),
    "the values of a certificate": (
        "modseal.pki.certificate._read",
        parse_certificate,
        FormatError,
        {"malformed-certificate", "unsupported-algorithm"},
    ),
    "signature": (
        f"{__name__}.BAD_KEY.verify",
        verify_signature,
        FormatError,
        {"bad-signature", "unsupported-algorithm"},
    ),
    "CRL": ("modseal.pki.crl._read", lambda: Crl.parse(b"", "x.crl"), FormatError, {"crl-invalid"}),
    "timestamp": ("modseal.format.timestamp._token", lambda: timestamp.decode(b""), FormatError, {"bad-timestamp"}),
    "the time of a timestamp": (
        "modseal.format.timestamp.datetime",
        lambda: timestamp._bounds(b"20260101000000Z", timestamp.timedelta()),
        FormatError,
        {"bad-timestamp"},
    ),
    "rfc3161-client": ("rfc3161_client.VerifierBuilder", second_opinion, FormatError, {"bad-timestamp"}),
    "base64 of a block": (
        "modseal.format.cms.base64.b64decode",
        lambda: cms.split_blocks(b"-----BEGIN PKCS7-----\nAAAA\n-----END PKCS7-----\n"),
        FormatError,
        {"malformed-signature"},
    ),
    "JSON": ("json.loads", lambda: canonical_json.load(b"{}", "m"), FormatError, {"bad-manifest"}),
    "XML": (
        "modseal.format.strict_xml._XmlReader",
        lambda: strict_xml.parse(b"", mock.Mock()),
        FormatError,
        {"bad-manifest"},
    ),
    "deflate in a zip": ("modseal.format.inflate.faster_zlib", inflate, FormatError, {"bad-payload"}),
    "gzip": ("modseal.format.inflate.faster_zlib", gunzip, FormatError, {"bad-payload"}),
    "zstd frames": (
        "zstandard.ZstdDecompressor",
        lambda: list(compression.unzstd_frames(iter([ZSTD]))),
        FormatError,
        {"bad-payload"},
    ),
    "zstd": (
        "zstandard.ZstdDecompressor",
        lambda: list(compression.unzstd(iter([ZSTD]))),
        FormatError,
        {"bad-payload"},
    ),
    "DSSE": ("json.loads", lambda: dsse.decode(b"{}", "a.json"), FormatError, {"bad-attestation"}),
    "the time of a trust bundle": (
        "modseal.format.trust_bundle.times.parse_time",
        lambda: trust_bundle.parse_time("x"),
        FormatError,
        {"trust-bundle-invalid"},
    ),
    "TOML": ("tomli.loads", parse_policy, PolicyError, {"bad-policy"}),
    "private key": (
        "modseal.signing.material.load_pem_private_key",
        lambda: material.pem_key(Path("k"), b"", lambda: b"x"),
        KeyMaterialError,
        {"bad-key"},
    ),
    "PKCS #12": (
        "modseal.signing.material.pkcs12.load_pkcs12",
        lambda: material._pkcs12(Path("k"), b"", lambda: b"x"),
        KeyMaterialError,
        {"bad-key"},
    ),
    "our certificate": (
        "modseal.signing.material.x509.load_der_x509_certificate",
        lambda: material._certificates(Path("c"), [b"\x30"]),
        KeyMaterialError,
        {"bad-key"},
    ),
    "request": (
        "modseal.ca.request.x509.load_der_x509_csr",
        lambda: request.parse_request(REQUEST, "r"),
        KeyMaterialError,
        {"bad-key"},
    ),
    "any part of a key file": (
        f"{__name__}.BAD_KEY.load",
        lambda: description._load(BAD_KEY.load, b"", Path("k")),
        KeyMaterialError,
        {"bad-key"},
    ),
    "making a signature": (
        f"{__name__}.BAD_KEY.sign",
        lambda: keys.FileSigner(leaf(key=new_key("ed25519", 7)).certificate, (), (), BAD_KEY).sign(
            algorithms.ALGORITHMS["ed25519"], b""
        ),
        KeyMaterialError,
        {"bad-key"},
    ),
}
edges = pytest.mark.parametrize("edge", EDGES)


@pytest.fixture(autouse=True)
def no_decompressor_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that another test left would be taken instead of the one that fails."""
    monkeypatch.setattr(compression, "_IDLE", [])


def raising(edge: str, error: BaseException) -> Any:
    """What is called at the edge raises, and so does all that it gives."""
    target = EDGES[edge][0]
    failing = mock.Mock(side_effect=error)
    if edge in ("deflate in a zip", "gzip", "zstd frames", "zstd"):
        library = mock.Mock(decompress=failing, eof=False, unconsumed_tail=b"")
        library.decompressobj.return_value = library._ZlibDecompressor.return_value = library
        failing = mock.Mock(return_value=library)
    elif edge == "XML":
        failing = mock.Mock()
        failing.return_value.parser.Parse.side_effect = error
    elif target.endswith(".datetime"):
        failing = mock.Mock(spec=datetime, strptime=failing)
    return mock.patch(target, failing)


@edges
@pytest.mark.parametrize("error", KINDS, ids=lambda error: type(error).__name__)
def test_ERR_01_whatever_a_library_raises_is_a_failure_with_a_code(edge: str, error: BaseException) -> None:
    _, read, wanted, codes = EDGES[edge]
    with raising(edge, error), pytest.raises(wanted) as caught:
        read()
    assert caught.value.failure.code in codes
    assert (caught.value.failure.code == "unsupported-algorithm") <= isinstance(
        error, UnsupportedAlgorithm | ValueError
    )


@edges
@pytest.mark.parametrize("error", OTHERS, ids=lambda error: type(error).__name__)
def test_ERR_01_what_says_nothing_of_the_bytes_is_never_swallowed(edge: str, error: BaseException) -> None:
    with raising(edge, error), pytest.raises(type(error)):
        EDGES[edge][1]()


def test_ERR_01_a_salt_that_no_key_has_room_for_is_refused() -> None:
    """2^31 bytes were an `OverflowError` of the library, which ended the whole audit."""
    algorithm = "2.16.840.1.101.3.4.2.1"
    for salt in (2**31, 2**31 - 1, 2**64, 2**80, 10**9):
        parameters = algorithms._pss_parameters(algorithm, salt)
        bundle = make("seal", signer("rsa")).signed(
            signer("rsa"), signature_algorithm=cms_builder.algorithm(cms_builder.RSA_PSS, parameters)
        )
        found = judge(bundle, trusting())
        assert (found.verdict, codes_at(found, 1)) == (Verdict.REJECTED, {"bad-signature"})


def test_ERR_01_an_extension_that_the_library_stumbles_over_is_not_shown_to_it() -> None:
    """TLS Feature with a value that nobody knows is a `KeyError` of the library, once the extensions are read.

    modseal does not judge it: it is passed over, and refuses the path where it is critical (RFC 5280 section 4.2).
    """
    feature = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.5.5.7.1.24"), bytes.fromhex("3003020163"))
    stranger = ca("Stranger", extensions=[(feature, False)])
    with pytest.raises(KeyError):
        _ = x509.load_der_x509_certificate(stranger.der).extensions
    good = make("seal")
    bundle = good.signed(signer(), certificates=[signer().der, stranger.der])
    found = judge(bundle, trusting())
    assert (found.verdict, codes_at(found, 1)) == (Verdict.ACCEPTED, set())
    found = judge(make("seal", leaf("Critical", extensions=[(feature, True)])), trusting())
    assert (found.verdict, codes_at(found, 3)) == (Verdict.REJECTED, {"unsupported-extension"})


def codes_at(found: Examination, step: int) -> set[str | None]:
    return {check.code for check in found.checks if check.step == step and check.code}


def test_a_request_whose_signature_cannot_be_verified_is_not_signed() -> None:
    for error in KINDS:
        bad = mock.PropertyMock(side_effect=error)
        one = type("Request", (), {"is_signature_valid": bad})()
        assert request.is_signed(one) is False
