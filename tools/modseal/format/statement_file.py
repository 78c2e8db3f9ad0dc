"""A signed document in one file that can be carried by itself: recalls and image profiles.

The container is that of a bundle: a Unix `ar` with the document (canonical JSON) and `sig.pkcs7` (CMS blocks over its
raw bytes, empty where nobody signed it). Whether the signatures mean anything is for `trust.statement`.
"""

from __future__ import annotations

from collections.abc import Callable

from modseal.errors import FormatError
from modseal.format import ar
from modseal.format.manifest import SIGNATURE_MEMBER
from modseal.format.source import BytesSource


def encode(member: str, document: bytes, signature: bytes) -> bytes:
    """The whole file; `member` is the name of the document in it."""
    members = ((member, document), (SIGNATURE_MEMBER, signature))
    return ar.MAGIC + b"".join(
        ar.encode_header(name, len(content)) + content + ar.padding(len(content)) for name, content in members
    )


def decode(data: bytes, member: str, limit: int, invalid: Callable[..., FormatError]) -> tuple[bytes, bytes]:
    """The document and its signatures, of at most `limit` bytes. Raises what `invalid` makes of the reason."""
    if len(data) > limit:
        raise invalid(f"it is over {limit} bytes")
    source = BytesSource(data)
    try:
        members = ar.read(source)
        ar.require_plain(members, "seal")
    except FormatError as error:
        raise invalid(error.failure.detail, reason=error.failure.code) from error
    if [one.name for one in members] != [member, SIGNATURE_MEMBER]:
        raise invalid(f"its members are not {member} and {SIGNATURE_MEMBER}")
    document, signature = (source.read(one.offset, one.size) for one in members)
    return document, signature
