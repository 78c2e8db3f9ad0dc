"""Signature blocks that differ in three values from one that was read before: compared with it, and not read again.

All that one signer signs has the same block but for the digest, the time and the signature. A block that
`cms.decode` has read is written again from what was read. Where that gives the same bytes, it is known where in them
the three values stand; and whatever has all the other bytes, at the same places, is read the same but for these values.
Two of them are octets without a form, and the third is read by the one reader of times. All else is for `cms.decode`.
"""

from __future__ import annotations

from modseal.errors import FormatError
from modseal.format import cms, der
from modseal.format.cms import SignedData, SignerInfo
from modseal.format.der import Value
from modseal.values import dataclass

REMEMBERED_BLOCKS = 256
"""Forms that are remembered: each signer has one for each length of a signature, of which ECDSA has three or four."""

_LARGEST = 16 * 1024
"""Bytes of a block that is remembered, so that all of them together stay below 4 MiB."""

_HEAD = 96
"""Bytes that a form is found by, with its length: they reach into the serial number of the first certificate."""


@dataclass(frozen=True, slots=True)
class _Form:
    """What is the same in all blocks of a signer, each part with its place, and where the three values stand."""

    parts: tuple[bytes, ...]
    places: tuple[int, ...]
    digest: slice
    time: slice | None
    time_tag: int
    attributes: slice
    signature: slice
    data: SignedData


_KNOWN: dict[tuple[int, bytes], _Form] = {}


def decode(block: bytes) -> SignedData:
    """What `cms.decode` says of a block. Raises what it raises."""
    data = recall(block)
    if data is None:
        data = cms.decode(block)
        form = _form(block, data) if len(data.signers) == 1 and len(block) <= _LARGEST else None
        if form:
            if len(_KNOWN) >= REMEMBERED_BLOCKS:
                _KNOWN.clear()
            _KNOWN[len(block), block[:_HEAD]] = form
    return data


def recall(block: bytes) -> SignedData | None:
    """What a block says of which all but the three values was read before; None for any other."""
    form = _KNOWN.get((len(block), block[:_HEAD]))
    if form is None or not all(map(block.startswith, form.parts, form.places)):
        return None
    known = form.data.signers[0]
    try:
        time = cms.read_time(Value(form.time_tag, block[form.time], b"")) if form.time else None
    except FormatError:
        return None
    signer = SignerInfo(
        known.issuer,
        known.serial,
        known.key_id,
        known.digest,
        known.signature_algorithm,
        block[form.signature],
        b"\x31" + block[form.attributes],
        block[form.digest],
        time,
        known.named_certificates,
        (),
    )
    return SignedData(form.data.certificates, (signer,))


def _form(block: bytes, data: SignedData) -> _Form | None:
    """The form of a block; None where it is not what is written here, as one with unsigned attributes is not."""
    signer = data.signers[0]
    if signer.serial is not None and signer.serial < 0:
        return None
    attributes = der.only_value(signer.signed_attributes, der.SET).content
    tail = signer.signature_algorithm.raw + der.encode(der.OCTET_STRING, signer.signature)
    if _written(data, attributes, tail) != block:
        return None
    end = len(block) - len(tail)  # of the attributes, whose values are found from here
    place, holes, time_tag = end - len(attributes), {}, 0
    for element in der.elements(der.Reader(attributes)):
        place += len(element.raw)
        body = der.only(element.raw)
        oid, value = body.oid(), body.enter(der.SET).next()
        holes[oid] = slice(place - len(value.content), place)
        time_tag = value.tag if oid == cms.SIGNING_TIME else time_tag
    digest, time = holes[cms.MESSAGE_DIGEST], holes.get(cms.SIGNING_TIME)
    signature = slice(len(block) - len(signer.signature), len(block))
    parts, places, start = [], [], 0
    for hole in sorted((one for one in (digest, time, signature) if one), key=lambda one: one.start):
        parts.append(block[start : hole.start])
        places.append(start)
        start = hole.stop
    after_tag = end - len(signer.signed_attributes) + 1  # a SET where they are signed, [0] in the block
    return _Form(tuple(parts), tuple(places), digest, time, time_tag, slice(after_tag, end), signature, data)


def _written(data: SignedData, attributes: bytes, tail: bytes) -> bytes:
    """A block with one signer and no unsigned attributes (RFC 5652 section 5), as `signing.block` writes it."""
    signer = data.signers[0]
    version = der.encode_integer(3 if signer.issuer is None else 1)
    name = der.encode(0x80, signer.key_id or b"")
    if signer.issuer is not None and signer.serial is not None:
        name = der.encode(der.SEQUENCE, signer.issuer, der.encode_integer(signer.serial))
    info = der.encode(der.SEQUENCE, version, name, signer.digest.raw, der.encode(der.context(0), attributes), tail)
    body = der.encode(
        der.SEQUENCE,
        version,
        der.encode(der.SET, signer.digest.raw),
        der.encode(der.SEQUENCE, der.encode_oid(cms.ID_DATA)),
        der.encode(der.context(0), *data.certificates) if data.certificates else b"",
        der.encode(der.SET, info),
    )
    return der.encode(der.SEQUENCE, der.encode_oid(cms.ID_SIGNED_DATA), der.encode(der.context(0), body))
