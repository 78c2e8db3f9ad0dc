"""The worst signature members, each as large as may be: what a stranger can put there before anybody trusts them.

Certificates are made of raw DER, because most need no signature of anybody: reading and
trying them is what is measured.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from builders import cms as cms_builder
from builders import tsa
from builders.bundles import make
from builders.certificates import key_info
from builders.cms import Block, Signer, algorithm, octets, sequence, sign_raw
from builders.pki import Identity, ca, issue, name, new_key
from builders.pki import signer as good_signer
from modseal import limits
from modseal.format import cms, der
from modseal.pki import extensions as oids
from modseal.pki.names import UTF8_STRING

DER_BYTES = limits.SIGNATURE_MEMBER_SIZE * 64 // 65 * 3 // 4 - 16 * 100
"""Bytes of all blocks together that fit into a member as base64 with line feeds and labels."""
EACH = DER_BYTES // limits.SIGNATURE_BLOCKS
CA_NAME, CN = "Worst CA", "2.5.4.3"
MARK = "\u0315\u0300\u05ae\u0300\u0315"
"""Combining characters in an order that normalising must change."""


class Worst(NamedTuple):
    """An input that is written to one file and judged under a policy."""

    what: str
    member: bytes


def sized(part: bytes, size: int) -> int:
    """How often a part fits into so many bytes."""
    return size // len(part)


def rdn(text: str, oid: str = CN) -> bytes:
    return der.encode(der.SET, sequence(der.encode_oid(oid), der.encode(UTF8_STRING, text.encode())))


def rsa_info(bits: int, exponent: int = 65537, seed: int = 0) -> bytes:
    """A SubjectPublicKeyInfo whose modulus nobody knows the factors of: verifying costs the same."""
    body = hashlib.shake_256(b"%d" % seed).digest(bits // 8)
    modulus = int.from_bytes(body, "big") | 1 << (bits - 1) | 1
    return key_info(cms_builder.RSA_ENCRYPTION, cms_builder.NULL, sequence(encoded(modulus), encoded(exponent)))


def encoded(number: int) -> bytes:
    """An INTEGER that is positive, of any length."""
    return der.encode(der.INTEGER, number.to_bytes(number.bit_length() // 8 + 1, "big"))


EC_INFO = new_key("p256", 700).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def extension(oid: str, value: bytes, *, critical: bool = False) -> bytes:
    return sequence(der.encode_oid(oid), der.encode(der.BOOLEAN, b"\xff") if critical else b"", octets(value))


CA_EXTENSIONS = (extension(oids.BASIC_CONSTRAINTS, sequence(der.encode(der.BOOLEAN, b"\xff")), critical=True),)


def certificate(
    serial: int = 1,
    *,
    subject: Sequence[bytes] = (rdn("Worst"),),
    issuer: Sequence[bytes] = (rdn(CA_NAME),),
    info: bytes = EC_INFO,
    extensions: Sequence[bytes] = (),
    key: object = None,
) -> bytes:
    """A certificate; signed by a P-256 key where one is given, else by nobody."""
    ecdsa = algorithm(cms_builder.ECDSA_SHA256)
    times = sequence(*(der.encode(der.UTC_TIME, text) for text in (b"240101000000Z", b"480101000000Z")))
    body = sequence(
        der.encode(der.context(0), der.encode_integer(2)),
        encoded(serial),
        ecdsa,
        sequence(*issuer),
        times,
        sequence(*subject),
        info,
        der.encode(der.context(3), sequence(*extensions)) if extensions else b"",
    )
    signature = sign_raw(key, body) if key else sequence(encoded(2**255 - 1), encoded(2**255 - 1))
    return sequence(body, ecdsa, der.encode(der.BIT_STRING, b"\0" + signature))


def named(issuer: Sequence[bytes] = (rdn(CA_NAME),), serial: int = 1) -> bytes:
    """A signer identifier."""
    return sequence(sequence(*issuer), encoded(serial))


def rsa_signer(sid: bytes, length: int, **changes: object) -> Signer:
    """A signer whose signature is no signature, of the length that its key wants."""
    rsa_algorithm = algorithm(cms_builder.RSA_ENCRYPTION, cms_builder.NULL)
    return Signer(
        good_signer(), sid=sid, digest="sha256", signature_algorithm=rsa_algorithm,
        sign=lambda _data: b"\x01" * length, **changes,  # type: ignore[arg-type]
    )  # fmt: skip


def distinct(number: int) -> Callable[[bytes], bytes]:
    """One more attribute, so that signers are not the same."""
    more = cms_builder.encode_attribute((f"1.3.6.1.4.1.99999.{number}", [cms_builder.NULL]))
    return lambda inside: more + inside  # shorter than the others


def member(manifest: bytes, blocks: Iterator[Block]) -> bytes:
    data = cms.join_blocks(tuple(block.encode(manifest) for block in blocks))
    if len(data) > limits.SIGNATURE_MEMBER_SIZE:
        raise ValueError(f"{len(data)} bytes are more than a signature member may have")
    return data


def of_certificates(manifest: bytes, certificates: Sequence[bytes]) -> bytes:
    """A good block of a good signer, whose certificates are these and its own, as often as may be."""
    size = sum(map(len, certificates)) + 2000
    count = max(1, min(limits.SIGNATURE_BLOCKS, DER_BYTES // size))
    good = good_signer()
    return member(manifest, (Block([Signer(good)], [good.der, *certificates]) for _ in range(count)))


def every(manifest: bytes) -> Iterator[Worst]:
    """All signature members."""
    yield from _keys(manifest)
    yield from _certificates(manifest)
    yield from _attributes(manifest)
    yield from _forms()


def _keys(manifest: bytes) -> Iterator[Worst]:
    number, each = range(limits.SIGNATURE_BLOCKS), range(limits.SIGNERS_PER_BLOCK)
    for what, bits, exponent in (
        ("64 signers with RSA keys of 16,384 bits and exponents of 32 bits", limits.RSA_BITS, 2**32 - 1),
        ("64 signers with RSA keys of 4,096 bits", 4096, 65537),
    ):
        blocks = (
            Block(
                [rsa_signer(named(serial=4 * n + k + 1), bits // 8) for k in each],
                [certificate(4 * n + k + 1, info=rsa_info(bits, exponent, n)) for k in each],
            )
            for n in number
        )
        yield Worst(what, member(manifest, blocks))
    for kind in ("rsa", "p256", "p384", "p521", "ed25519"):
        info = rsa_info(2048) if kind == "rsa" else _info(kind)
        blocks = (
            Block(
                [_tried(kind, k) for k in each],
                [certificate(1, subject=[rdn(f"{n} {k}")], info=info) for k in range(limits.CERTIFICATES_PER_BLOCK)],
                sort_certificates=True,
            )
            for n in number
        )
        yield Worst(f"1,024 candidates with {kind} keys for 64 signers", member(manifest, blocks))
    huge = sequence(encoded((1 << (DER_BYTES * 8 - 80_000)) - 1), encoded(3))
    info = key_info(cms_builder.RSA_ENCRYPTION, cms_builder.NULL, huge)
    yield Worst("an RSA modulus of 760 KiB", of_certificates(manifest, [certificate(info=info)]))
    many = [certificate(n, info=rsa_info(8 * 2800, (1 << 22_000) - 1, n)) for n in range(1, 8)]
    yield Worst("112 RSA keys with exponents as long as the modulus", of_certificates(manifest, many))


def _tried(kind: str, number: int) -> Signer:
    if kind == "rsa":
        return rsa_signer(named(), 256, raw_attributes=distinct(number))
    identity = Identity(good_signer().certificate, new_key(kind, 701))
    if kind == "ed25519":
        return Signer(
            identity,
            sid=named(),
            raw_attributes=distinct(number),
            sign=lambda data: sign_raw(identity.key, data)[:32] + bytes(32),
        )
    digest, oid = {"p256": ("sha256", 2), "p384": ("sha384", 3), "p521": ("sha512", 4)}[kind]
    wrong = sequence(encoded(2**250 - 1), encoded(2**250 - 3))
    ecdsa = algorithm(f"1.2.840.10045.4.3.{oid}")
    return Signer(identity, digest, sid=named(), signature_algorithm=ecdsa, sign=lambda _data: wrong,
                  raw_attributes=distinct(number))  # fmt: skip


def _info(kind: str) -> bytes:
    return bytes(new_key(kind, 701).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def _certificates(manifest: bytes) -> Iterator[Worst]:
    small = [certificate(n) for n in range(1, 16)]
    yield Worst("256 certificates", of_certificates(manifest, small))
    long = rdn(MARK * (limits.NAME_VALUE // len(MARK.encode())))
    subject = [long] * ((limits.NAME_SIZE - 60) // len(long))
    size = EACH // len(certificate(subject=subject, issuer=subject)) - 1
    same = [certificate(n, subject=subject, issuer=subject) for n in range(1, max(2, size))]
    yield Worst("names of combining characters", of_certificates(manifest, same))
    tiny = rdn("a")
    subject = [tiny] * ((limits.NAME_SIZE - 60) // len(tiny))
    same = [certificate(n, subject=subject, issuer=subject) for n in range(1, 6)]
    yield Worst("names of 300 parts", of_certificates(manifest, same))
    one = [sequence(der.encode_oid(f"1.3.{n}"), octets(b"")) for n in range((DER_BYTES - 4000) // 11)]
    yield Worst("a certificate with 68,000 extensions", of_certificates(manifest, [certificate(extensions=one)]))
    most = [certificate(n, extensions=one[: limits.EXTENSIONS]) for n in range(1, 16)]
    yield Worst("240 certificates with 64 extensions", of_certificates(manifest, most))
    dns = [der.encode(0x82, b"a" * 20 + b"%d" % n) for n in range(limits.GENERAL_NAMES)]
    names = extension(oids.SUBJECT_ALTERNATIVE_NAME, sequence(*dns))
    yield Worst("25 lists of 1,024 general names", of_certificates(manifest, [certificate(extensions=[names])]))
    directory = der.encode(0xA4, sequence(*[long] * 3))
    names = extension(oids.SUBJECT_ALTERNATIVE_NAME, sequence(*[directory] * sized(directory, DER_BYTES - 6000)))
    yield Worst("directory names of combining characters", of_certificates(manifest, [certificate(extensions=[names])]))
    yield Worst("serial numbers of 40 KiB", of_certificates(manifest, [certificate(1 << 8 * (EACH - 3000))]))
    yield Worst("an extension of nested values", of_certificates(manifest, [certificate(extensions=[_nested()])]))
    for what, chain in (("name constraints", _constrained()), ("policies and mappings", _policies())):
        identity = Identity(*chain[0])
        certificates = [one.public_bytes(Encoding.DER) for one, _ in chain]
        count = min(limits.SIGNATURE_BLOCKS, DER_BYTES // (sum(map(len, certificates)) + 1000))
        blocks = (Block([Signer(identity)], certificates) for _ in range(count))
        yield Worst(f"chains of CAs with {what}", member(manifest, blocks))
    yield Worst("16 CAs that cross-sign each other", member(manifest, _crossing()))


def _nested() -> bytes:
    value = b""
    while len(value) < DER_BYTES - 8000:
        value = der.encode(der.SEQUENCE, value)
        if len(value) > 200_000:
            break
    return extension(oids.SUBJECT_ALTERNATIVE_NAME, value)


def _chain(own: list, above: list) -> list:
    """A signer below six CAs below the root of good signers, with these extensions."""
    from builders.pki import root

    issuer, made = root(), []
    for depth in range(limits.PATH_CERTIFICATES - 2):
        issuer = ca(f"Worst CA {depth}", issuer=issuer, extensions=above)
        made.append((issuer.certificate, issuer.key))
    leaf = issue("Worst signer", issuer=issuer, extensions=own)
    return [(leaf.certificate, leaf.key), *reversed(made)]


def _constrained() -> list:
    from cryptography import x509

    count = int(limits.NAME_COMPARISONS**0.5) - 2
    own = x509.SubjectAlternativeName([x509.DNSName(f"{n}.{'a' * 60}.example") for n in range(count)])
    bases = [x509.DNSName(f"{n}.{'b' * 60}.invalid") for n in range(count)]
    return _chain([(own, False)], [(x509.NameConstraints(None, bases), True)])


def _policies() -> list:
    from cryptography import x509

    each = [x509.ObjectIdentifier(f"1.3.6.{n}") for n in range(limits.CERTIFICATE_POLICIES)]
    stated = x509.CertificatePolicies([x509.PolicyInformation(one, None) for one in each])
    pairs = sequence(*(sequence(der.encode_oid(a.dotted_string), der.encode_oid(b.dotted_string))
                       for a, b in zip(each, reversed(each), strict=True)))  # fmt: skip
    mapped = x509.UnrecognizedExtension(x509.ObjectIdentifier(oids.POLICY_MAPPINGS), pairs)
    return _chain([(stated, False)], [(stated, False), (mapped, True)])


def _crossing() -> Iterator[Block]:
    """Every CA has the same name: each is a candidate for the issuer of each other, and none leads to an anchor."""
    keys = [new_key("p256", 710 + n) for n in range(limits.CERTIFICATES_PER_BLOCK - 1)]
    shared = name("Crossing")
    cas = [
        ca("Crossing", key=key, subject=shared, issuer_name=shared, signing_key=keys[n - 1], key_id=None)
        for n, key in enumerate(keys)
    ]
    for number in range(limits.SIGNATURE_BLOCKS):
        leaf = issue(f"{number}", issuer=cas[number % len(cas)], key_id=None)
        yield Block([Signer(leaf)], [leaf.der, *(one.der for one in cas)], sort_certificates=True)


def _attributes(manifest: bytes) -> Iterator[Worst]:
    good = good_signer()
    hashes = sequence(sequence(*[sequence(octets(hashlib.sha256(good.der).digest()))] * 16))

    def naming(attributes: list) -> list:
        return [*attributes, (cms.SIGNING_CERTIFICATE_V2, [hashes])]

    large = extension("1.3.6.1.4.1.99999.2", b"\0" * (EACH // 15 - 1500))
    others = [certificate(n, extensions=[large]) for n in range(1, 16)]
    blocks = (Block([Signer(good, attributes=naming)] * 4, [good.der, *others]) for _ in range(16))
    yield Worst("16 ESS hashes of each of 64 signers", member(manifest, blocks))

    values = [der.encode_integer(n) for n in range(limits.DER_ELEMENTS)]
    count = min(limits.DER_ELEMENTS - 8, (EACH // 4 - 800) // len(der.encode_set(values)))

    many = b"".join(
        cms_builder.encode_attribute((f"1.3.6.1.4.1.99999.{n}", [octets(bytes(EACH // 300))])) for n in range(61)
    )

    def crowd(attributes: list) -> list:
        return [*attributes, *((f"1.3.6.1.4.1.99999.{n}", values) for n in range(max(1, count)))]

    blocks = (Block([Signer(good, attributes=crowd)] * 4) for _ in range(16))
    yield Worst("attributes of 256 values", member(manifest, blocks))
    blocks = (Block([Signer(good, raw_attributes=lambda inside: inside + many) for _ in range(4)]) for _ in range(16))
    yield Worst("64 signers with 61 attributes each", member(manifest, blocks))

    stamp = [(cms.TIMESTAMP_TOKEN, [tsa.token(b"%d" % n, by=tsa.tsa()) for n in range(limits.TIMESTAMPS_PER_SIGNER)])]
    blocks = (Block([Signer(good, unsigned=stamp)] * 4) for _ in range(16))
    yield Worst("256 timestamps of other signatures", member(manifest, blocks))
    yield Worst("256 timestamps with chains", member(manifest, _stamped(manifest, 1)))
    yield Worst("64 timestamps with 16 certificates each", member(manifest, _stamped(manifest, 14)))


def _stamped(manifest: bytes, more: int) -> Iterator[Block]:
    """Good tokens, each with certificates that its second verifier looks through."""
    own = tsa.tsa()
    others = [certificate(n, subject=[rdn("Test TSA root 0")], issuer=[rdn("Test TSA root 0")]) for n in range(1, more)]
    chain = [own.der, *(one.der for one in own.chain), *others]
    count = limits.TIMESTAMPS_PER_SIGNER if more == 1 else 1
    for _ in range(limits.SIGNATURE_BLOCKS):
        signers = []
        for _ in range(limits.SIGNERS_PER_BLOCK):
            made: list[bytes] = []
            Signer(good_signer(), signature=lambda good, made=made: made.append(good) or good).encode(manifest)
            tokens = [tsa.token(made[0], by=own, certificates=chain) for _ in range(count)]
            stamp = [(cms.TIMESTAMP_TOKEN, tokens)]
            signers.append(Signer(good_signer(), signature=lambda _good, made=made: made[0], unsigned=stamp))
        yield Block(signers)


def _forms() -> Iterator[Worst]:
    size = limits.SIGNATURE_MEMBER_SIZE
    line = b"A" * 64 + b"\n"
    begin, end = b"-----BEGIN PKCS7-----\n", b"-----END PKCS7-----\n"
    yield Worst("lines of base64 without an end", begin + line * sized(line, size - 50))
    yield Worst("one line of base64", begin + b"A" * (size - 43) + b"\n" + end)
    yield Worst("line feeds alone", b"\n" * size)
    yield Worst("dashes alone", (begin[:-1] + b"-" * (size - 60)) + b"\n")
    nested = bytes.fromhex("3080") * (DER_BYTES // 2)
    yield Worst("DER without lengths", cms.join_blocks((nested,)))
    whole = b""
    while len(whole) < 100_000:
        whole = der.encode(der.SEQUENCE, whole)
    yield Worst("DER that is nested 30,000 deep", cms.join_blocks((whole,)))
    empty = der.encode(der.SET, b"\x05\x00" * (DER_BYTES // 2 - 50))
    body = cms_builder.wrap(sequence(der.encode_integer(1), empty))
    yield Worst("a SET of 390,000 values", cms.join_blocks((body,)))


if __name__ == "__main__":
    for one in every(make().manifest_bytes):
        print(f"{len(one.member):>9} {one.what}")
