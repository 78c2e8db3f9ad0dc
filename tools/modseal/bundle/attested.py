"""Reads an attachment out of a bundle: its bytes are given only as those that the manifest declares.

One open file is examined and read. What was read is compared with the declared digest once more, so that a file
that changes in between cannot put other bytes into an accepted answer.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path

from modseal import limits
from modseal.bundle.open import OpenBundle
from modseal.bundle.verify import UNREADABLE, Result, examined
from modseal.errors import RefusedError
from modseal.format.manifest import Attachment, Manifest
from modseal.trust.examination import Verdict
from modseal.trust.policy import Policy
from modseal.values import dataclass


@dataclass(frozen=True, slots=True)
class Wanted:
    """An attachment by its media type; `name` decides between several of the type."""

    label: str
    name: str
    media_type: str


def read(path: Path, wanted: Wanted, policy: Policy | None, at: datetime) -> tuple[Result, bytes | None]:
    """The bytes of an attachment of the bundle at `path`, None unless the verdict is accepted.

    Without a policy the bundle only has to be sound, and the bytes prove nothing.
    Raises `RefusedError` where an accepted bundle has no such attachment, or several.
    """
    try:
        with examined(path, policy, at) as (bundle, examination):
            result = Result(str(path), None, examination)
            if result.verdict is not Verdict.ACCEPTED or examination.manifest is None:
                return result, None
            return result, read_declared(bundle, find(examination.manifest, wanted, bundle.name))
    except UNREADABLE as error:
        return Result(str(path), None, None, error.failure), None


def find(manifest: Manifest, wanted: Wanted, bundle: str) -> Attachment:
    """The declared attachment.

    Raises `RefusedError` (attachment-missing) for none, and for several of which none has our name.
    """
    found = [one for one in manifest.attachments if one.media_type == wanted.media_type]
    exact = [one for one in found if one.name == wanted.name]
    if not found:
        raise RefusedError("attachment-missing", f"{bundle}: has no {wanted.label}", attachment=wanted.media_type)
    if len(found) > 1 and not exact:
        names = ", ".join(one.name for one in found)
        detail = f"{bundle}: has several attachments that could be the {wanted.label}: {names}"
        raise RefusedError("attachment-missing", detail, attachment=wanted.media_type)
    return (exact or found)[0]


def read_declared(bundle: OpenBundle, attachment: Attachment) -> bytes:
    """The bytes of a declared attachment. Raises `RefusedError` (attachment-mismatch) for any others."""
    member = next(one for one in bundle.members if one.name == attachment.name)
    data = bundle.source.read(member.offset, min(member.size, limits.ATTACHMENT_SIZE))
    if len(data) != attachment.size or hashlib.sha256(data).digest() != attachment.sha256:
        detail = f"{bundle.name}: {attachment.name!r} is not what the manifest declares"
        raise RefusedError("attachment-mismatch", detail, attachment=attachment.name)
    return data
