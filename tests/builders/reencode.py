"""Other encodings of what was signed, made without any key: a certificate, a signature block, a signature member.

Each turns a good bundle into one that says the same by the same key. `ACCEPTED` says of each in which formats a
verifier accepts it, so that a test of what is *denied* knows that nothing else stood in the way.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from builders import cms as make
from builders.bundles import Bundle
from builders.pki import Identity
from modseal.format import cms, der
from modseal.format.der import Reader
from modseal.pki.certificate import Certificate

ORDERS = {curve.name: curve.group_order for curve in (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1())}


def mirrored_signature(signature: bytes, curve: str = "secp256r1") -> bytes:
    """The other signature of the same message by the same key: (r, n - s) for (r, s)."""
    r, s = decode_dss_signature(signature)
    return encode_dss_signature(r, ORDERS[curve] - s)


def mirrored_certificate(data: bytes, curve: str = "secp256r1") -> bytes:
    """A certificate of an ECDSA issuer with the mirrored signature: the same statement, another fingerprint."""
    reader = Reader(data).enter()
    body, algorithm = reader.next().raw, reader.next().raw
    signature = reader.take(der.BIT_STRING).content[1:]
    return der.encode(der.SEQUENCE, body, algorithm, _bits(mirrored_signature(signature, curve)))


def _bits(data: bytes) -> bytes:
    return der.encode(der.BIT_STRING, b"\0" + data)


@dataclass(frozen=True)
class Block:
    """The parts of a SignedData, each as its bytes."""

    version: int
    digests: tuple[bytes, ...]
    content: bytes
    certificates: tuple[bytes, ...]
    signers: tuple[tuple[bytes, ...], ...]

    @classmethod
    def parse(cls, data: bytes) -> Block:
        outer = Reader(data).enter()
        outer.oid()
        body = outer.enter(der.context(0)).enter()
        version = body.integer()
        digests = _all(body.enter(der.SET))
        content = body.next().raw
        certificates = _all(body.enter(der.context(0)))
        signers = [tuple(_all(Reader(raw).enter())) for raw in _all(body.enter(der.SET))]
        return cls(version, tuple(digests), content, tuple(certificates), tuple(signers))

    def encode(self) -> bytes:
        return make.wrap(
            make.sequence(
                der.encode_integer(self.version),
                der.encode(der.SET, *self.digests),
                self.content,
                der.encode(der.context(0), *self.certificates),
                der.encode_set(make.sequence(*parts) for parts in self.signers),
            )
        )


def _all(reader: Reader) -> list[bytes]:
    found = []
    while reader.more():
        found.append(reader.next().raw)
    return found


Change = Callable[[Block], Block]


def in_blocks(change: Change) -> Callable[[Bundle], Bundle]:
    """The change in every block of a bundle."""

    def changed(bundle: Bundle) -> Bundle:
        blocks = [change(Block.parse(data)).encode() for data in _blocks(bundle)]
        return bundle.with_signature(b"".join(map(make.pem, blocks)))

    return changed


def _blocks(bundle: Bundle) -> Sequence[bytes]:
    """The DER of each block, whatever the form of the PEM."""
    inside: list[bytes] = []
    for line in bundle.signature.splitlines():
        if line.startswith(b"-----BEGIN"):
            inside.append(b"")
        elif not line.startswith(b"-----"):
            inside[-1] += line
    return [base64.b64decode(text) for text in inside]


def _mirror_certificates(block: Block) -> Block:
    return replace(block, certificates=tuple(map(_mirrored_if_ecdsa, block.certificates)))


def _mirrored_if_ecdsa(data: bytes) -> bytes:
    return mirrored_certificate(data) if b"\x2a\x86\x48\xce\x3d\x04\x03" in data else data


def _mirror_signers(block: Block) -> Block:
    def mirrored(parts: tuple[bytes, ...]) -> tuple[bytes, ...]:
        if der.encode_oid(make.ECDSA_SHA256) not in parts[4]:
            return parts
        return (*parts[:5], make.octets(mirrored_signature(Reader(parts[5]).octets())), *parts[6:])

    return replace(block, signers=tuple(map(mirrored, block.signers)))


def _drop_unsigned_attributes(block: Block) -> Block:
    return replace(block, signers=tuple(parts[:6] for parts in block.signers))


def _name_by_key_identifier(block: Block) -> Block:
    """Not signed either: how the signer names its certificate."""
    certificates = [Certificate.parse(data) for data in block.certificates]

    def renamed(parts: tuple[bytes, ...]) -> tuple[bytes, ...]:
        if block.version == 3:
            return parts
        issuer, serial = cms.read_issuer_and_serial(Reader(parts[1]).enter())
        named = next(one for one in certificates if (one.issuer_der, one.serial) == (issuer, serial))
        return (der.encode_integer(3), make.by_key_id(named.key_id or b""), *parts[2:])

    return replace(block, version=3, signers=tuple(map(renamed, block.signers)))


def _with_null_parameters(block: Block) -> Block:
    """Digest algorithms with NULL in the place of absent parameters: both are read (RFC 5754 section 2)."""

    def changed(algorithm: bytes) -> bytes:
        return make.sequence(Reader(algorithm).enter().take(der.OID).raw, make.NULL)

    signers = tuple((*parts[:2], changed(parts[2]), *parts[3:]) for parts in block.signers)
    return replace(block, digests=tuple(map(changed, block.digests)), signers=signers)


def rewrapped(width: int = 64, label: str = "PKCS7") -> Callable[[Bundle], Bundle]:
    """The same blocks, with lines of another width or under the other label."""

    def changed(bundle: Bundle) -> Bundle:
        return bundle.with_signature(b"".join(_armour(data, width, label) for data in _blocks(bundle)))

    return changed


def _armour(data: bytes, width: int, label: str) -> bytes:
    text = base64.b64encode(data)
    lines = b"".join(text[at : at + width] + b"\n" for at in range(0, len(text), width))
    return b"-----BEGIN %s-----\n%s-----END %s-----\n" % (label.encode(), lines, label.encode())


def beside(*identities: Identity) -> Callable[[Bundle], Bundle]:
    """One block more for each of these, who are trusted and not denied."""

    def changed(bundle: Bundle) -> Bundle:
        return bundle.with_signature(bundle.signature + bundle.signed(*identities).signature)

    return changed


REENCODERS: dict[str, Callable[[Bundle], Bundle]] = {
    "mirrored certificates": in_blocks(_mirror_certificates),
    "mirrored signers": in_blocks(_mirror_signers),
    "reversed certificates": in_blocks(lambda block: replace(block, certificates=block.certificates[::-1])),
    "certificates twice": in_blocks(lambda block: replace(block, certificates=block.certificates * 2)),
    "both encodings of certificates": in_blocks(
        lambda block: replace(
            block, certificates=tuple(dict.fromkeys((*_mirror_certificates(block).certificates, *block.certificates)))
        )
    ),
    "no unsigned attributes": in_blocks(_drop_unsigned_attributes),
    "named by key identifier": in_blocks(_name_by_key_identifier),
    "null parameters": in_blocks(_with_null_parameters),
    "76 columns": rewrapped(76),
    "one column": rewrapped(1),
    "label CMS": rewrapped(label="CMS"),
    "blocks twice": lambda bundle: bundle.with_signature(bundle.signature * 2),
    "blocks reversed": lambda bundle: bundle.with_signature(b"".join(map(make.pem, reversed(_blocks(bundle))))),
}
"""By name: what anybody can do to a bundle of `builders.bundles.make`, and often end with a good one."""

PEM_FORMS = {"76 columns", "one column", "label CMS"}
"""Refused in a `.seal`, whose signature member has one form."""

NEVER = {"certificates twice"}
"""Refused everywhere."""


def accepted_in(kind: str) -> Iterator[str]:
    """The re-encodings that leave a good bundle of this kind good, where nothing is denied."""
    yield from (each for each in REENCODERS if each not in NEVER and (kind == "vib" or each not in PEM_FORMS))
