"""DSSE envelopes as bytes and as values. Whether a signature in one is good is for others to say.

Source: DSSE v1.0, protocol.md ("PAE") and envelope.md.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, NamedTuple

from modseal import limits
from modseal.errors import FormatError, foreign

STATEMENT = "application/vnd.in-toto+json"
"""The payload type of an in-toto statement."""

_URL_SAFE = str.maketrans("-_", "+/")


class Envelope(NamedTuple):
    """What an envelope holds; `signatures` are (key id, signature), and a key id is only a hint."""

    payload_type: str
    payload: bytes
    signatures: tuple[tuple[str, bytes], ...]


def pae(payload_type: str, payload: bytes) -> bytes:
    """The bytes that are signed for a payload (DSSE v1.0, "PAE")."""
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def encode(envelope: Envelope) -> bytes:
    """The JSON of an envelope."""
    plain = {
        "payload": _text(envelope.payload),
        "payloadType": envelope.payload_type,
        "signatures": [{"keyid": key_id, "sig": _text(signature)} for key_id, signature in envelope.signatures],
    }
    return (json.dumps(plain, indent=2) + "\n").encode("ascii")


def decode(data: bytes, name: str) -> Envelope:
    """The envelope of some bytes; `name` is the file's, for the message. Raises `FormatError` (bad-attestation).

    Either alphabet of base64 is read, as envelope.md wants it, and fields that it does not know are passed over.
    """
    if len(data) > limits.ENVELOPE_SIZE:
        raise bad(name, f"it is over {limits.ENVELOPE_SIZE} bytes")
    with foreign(lambda why: bad(name, f"it is not a DSSE envelope: {why}")):
        try:
            plain = json.loads(data.decode("utf-8"))
            kind, signatures = plain["payloadType"], plain["signatures"]
            if not isinstance(kind, str) or not kind.isascii():
                raise TypeError("its payload type is not ASCII text")
            if not isinstance(signatures, list) or not 1 <= len(signatures) <= limits.SIGNATURE_BLOCKS:
                raise TypeError(f"it needs 1 to {limits.SIGNATURE_BLOCKS} signatures")
            signed = tuple((_key_id(one), _bytes(one["sig"])) for one in signatures)
            return Envelope(kind, _bytes(plain["payload"]), signed)
        except RecursionError:
            raise bad(name, "it is nested too deeply") from None
        except KeyError as error:
            raise bad(name, f"it has no {error.args[0] if error.args else 'key'}") from None


def bad(name: str, why: str) -> FormatError:
    """The refusal of an envelope, or of the statement in it."""
    return FormatError("bad-attestation", f"{name} cannot be used: {why}")


def _key_id(signature: Any) -> str:
    key_id = signature.get("keyid", "") if isinstance(signature, dict) else None
    if not isinstance(key_id, str):
        raise TypeError("one of its signatures is not an object with a key id")
    return key_id


def _bytes(text: Any) -> bytes:
    if not isinstance(text, str):
        raise TypeError("its payload or a signature is not text")
    try:
        return base64.b64decode(text.translate(_URL_SAFE), validate=True)
    except binascii.Error as error:
        raise ValueError(f"its payload or a signature is not base64: {error}") from None


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
