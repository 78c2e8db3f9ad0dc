"""Bundles for tests: `make` gives a good one, its methods break one thing and keep the rest good.

A bundle is a list of members, so that a test can put any bytes anywhere. Methods return a new bundle.
"""

from __future__ import annotations

import functools
import gzip as python_gzip
import hashlib
import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from builders import cms as cms_builder
from builders.pki import NOW, Identity, signer
from modseal import limits
from modseal.bundle.extract import extract
from modseal.bundle.open import OpenBundle
from modseal.bundle.verify import verify
from modseal.format import ar, canonical_json, cms, compression, descriptor, manifest_json
from modseal.format.level import Level
from modseal.format.manifest import (
    MANIFEST_MEMBER,
    SIGNATURE_MEMBER,
    Attachment,
    Digest,
    Entry,
    FileType,
    Kind,
    Manifest,
    Payload,
    VibFields,
    View,
)
from modseal.format.payload_writer import Input, write_seal_payload, write_vib_payload
from modseal.format.source import BytesSource
from modseal.signing import block as signing_block
from modseal.signing import fitness
from modseal.trust.examination import Examination, Verdict
from modseal.trust.examine import examine
from modseal.trust.policy import Policy

KINDS: tuple[Kind, ...] = ("seal", "vib")
MTIME = 1_700_000_000
FILES: Mapping[str, bytes | str | None] = {
    "opt/acme": None,
    "opt/acme/agent": b"\x7fELF agent",
    "opt/acme/conf": b"level = 1\n",
}
"""A file's bytes, a link's target, or None for a directory."""


@dataclass(frozen=True)
class Member:
    """One member as bytes; `header` and `padding` only where they are not the good ones."""

    name: str
    data: bytes
    header: bytes | None = None
    padding: bytes | None = None

    def encode(self) -> bytes:
        header = self.header or f"{self.name:<16}{0:<12}{0:<6}{0:<6}{0:<8}{len(self.data):<10}`\n".encode("latin-1")
        return header + self.data + (ar.padding(len(self.data)) if self.padding is None else self.padding)


def header(
    name: str = "base",
    size: int | str = 0,
    *,
    mtime: str = "0",
    uid: str = "0",
    gid: str = "0",
    mode: str = "0",
    end: bytes = b"`\n",
) -> bytes:
    """A member header with any field."""
    return f"{name:<16}{mtime:<12}{uid:<6}{gid:<6}{mode:<8}{size:<10}".encode("latin-1") + end


@dataclass(frozen=True)
class Bundle:
    """Members, and who signs when the manifest is changed."""

    kind: Kind
    members: tuple[Member, ...]
    signers: tuple[Identity, ...] = ()
    magic: bytes = ar.MAGIC
    tail: bytes = field(default=b"", repr=False)

    @property
    def data(self) -> bytes:
        return self.magic + b"".join(member.encode() for member in self.members) + self.tail

    @property
    def manifest_bytes(self) -> bytes:
        return self.members[0].data

    @property
    def manifest(self) -> Manifest:
        return (manifest_json.decode if self.kind == "seal" else descriptor.decode)(self.manifest_bytes)

    @property
    def signature(self) -> bytes:
        return self["sig.pkcs7"].data

    def __getitem__(self, member_name: str) -> Member:
        return next(member for member in self.members if member.name == member_name)

    # Members.

    def with_member(self, member_name: str, **changes: Any) -> Bundle:
        """One member changed, nothing else: not even its header, unless that is given."""
        return replace(self, members=tuple(replace(m, **changes) if m.name == member_name else m for m in self.members))

    def with_members(self, *members: Member) -> Bundle:
        return replace(self, members=members)

    def insert(self, index: int, member: Member) -> Bundle:
        return replace(self, members=(*self.members[:index], member, *self.members[index:]))

    def without(self, member_name: str) -> Bundle:
        return replace(self, members=tuple(member for member in self.members if member.name != member_name))

    # Signatures.

    def unsigned(self) -> Bundle:
        return self.with_signature(b"", signers=())

    def signed(self, *identities: Identity, **changes: Any) -> Bundle:
        """Signed anew, one block for each identity; `changes` are those of `cms.block`."""
        blocks = [cms_builder.pem(cms_builder.block(self.manifest_bytes, one, **changes)) for one in identities]
        return self.with_signature(b"".join(blocks), signers=identities)

    def sealed(self, *identities: Identity) -> Bundle:
        """Signed anew by modseal's own signer, which binds every embedded certificate."""
        blocks = [
            signing_block.build(self.manifest_bytes, one.signer(), fitness.choose_algorithm(one.certificate), None)
            for one in identities
        ]
        return self.with_signature(cms.join_blocks(tuple(blocks)), signers=identities)

    def with_signature(self, data: bytes, **changes: Any) -> Bundle:
        return replace(self.with_member(SIGNATURE_MEMBER, data=data), **changes)

    def with_block(self, der: bytes) -> Bundle:
        return self.with_signature(cms_builder.pem(der))

    # Manifests: the vendor changes something and signs it.

    def with_manifest_bytes(self, data: bytes) -> Bundle:
        """Another manifest, signed by the same signers."""
        changed = self.with_member(MANIFEST_MEMBER[self.kind], data=data)
        return changed.signed(*self.signers) if self.signers else changed

    def with_manifest(self, **changes: Any) -> Bundle:
        """Other manifest values, signed by the same signers."""
        return self.with_manifest_bytes(encode(replace(self.manifest, **changes)))

    def edit(self, change: Callable[[Any], None]) -> Bundle:
        """Other plain data of a `manifest.json`, in canonical form, signed by the same signers."""
        plain = canonical_json.load(self.manifest_bytes, "manifest.json")
        change(plain)
        return self.with_manifest_bytes(canonical_json.dump(plain))

    def edit_text(self, old: str, new: str) -> Bundle:
        """A text of the manifest replaced, signed by the same signers."""
        assert old in self.manifest_bytes.decode()
        return self.with_manifest_bytes(self.manifest_bytes.decode().replace(old, new).encode())

    def with_payload(
        self,
        packed: bytes,
        unpacked: bytes | None = None,
        *,
        unpacked_size: int | None = None,
        files: Sequence[Entry] | None = None,
    ) -> Bundle:
        """The first payload replaced and declared as it now is, by the same signers: a hostile vendor."""
        old = self.manifest.payloads[0]
        size = len(unpacked) if unpacked is not None else unpacked_size
        changed = self.with_member(old.name, data=packed)
        payload = declare(self.kind, replace(old, size=len(packed), unpacked_size=size), packed, unpacked)
        changes = {} if files is None else {"files": tuple(files)}
        return changed.with_manifest(payloads=(payload, *self.manifest.payloads[1:]), **changes)

    def with_tar(self, tar: bytes, files: Sequence[Entry] | None = None) -> Bundle:
        """The first payload holds this tar instead, packed as before."""
        return self.with_payload(pack(self.manifest.payloads[0].type, tar), tar, files=files)


def encode(manifest: Manifest) -> bytes:
    return (manifest_json.encode if manifest.kind == "seal" else descriptor.encode)(manifest)


def pack(type_: str, tar: bytes) -> bytes:
    """A tar, packed for a payload type."""
    if type_ == "tar+zstd":
        return b"".join(compression.zstd_frames(iter([tar])))
    if type_ == "vzstd":
        return b"".join(compression.gzip(compression.zstd(iter([tar])), level=1))
    return b"".join(compression.gzip(iter([tar])))


def declare(kind: Kind, payload: Payload, packed: bytes, unpacked: bytes | None) -> Payload:
    """The declaration of a payload with the digests that its bytes have."""
    if kind == "seal":
        chunks = [packed[at : at + limits.CHUNK_SIZE] for at in range(0, len(packed), limits.CHUNK_SIZE)]
        return replace(payload, chunks=tuple(hashlib.sha256(chunk).digest() for chunk in chunks))
    digests = [Digest("sha256", View.RAW, hashlib.sha256(packed).digest())]
    if unpacked is not None:
        digests = [
            Digest("sha256", View.UNPACKED, hashlib.sha256(unpacked).digest()),
            *digests,
            Digest("sha1", View.UNPACKED, hashlib.sha1(unpacked).digest()),
        ]
    return replace(payload, digests=tuple(digests))


def inputs(files: Mapping[str, bytes | str | None], modes: Mapping[str, int]) -> Iterator[Input]:
    for path, content in files.items():
        if content is None:
            yield Input(path, FileType.DIRECTORY, modes.get(path, 0o755))
        elif isinstance(content, str):
            yield Input(path, FileType.SYMLINK, 0o777, target=content)
        else:
            opener = functools.partial(io.BytesIO, content)
            yield Input(path, FileType.FILE, modes.get(path, 0o644), None, opener, len(content))


def make(
    kind: Kind = "seal",
    *signers: Identity,
    files: Mapping[str, bytes | str | None] = FILES,
    modes: Mapping[str, int] = {},
    payload_type: str = "",
    attachments: Mapping[str, bytes] = {},
    **changes: Any,
) -> Bundle:
    """A good bundle of one payload, signed by these identities (by a good one where none is given).

    `changes` are fields of `Manifest`.
    """
    out = io.BytesIO()
    if kind == "seal":
        name = "base"
        payload, entries = write_seal_payload(name, payload_type or "tar+gzip", inputs(files, modes), MTIME, out)
    else:
        name = "payload1"
        payload, entries = write_vib_payload(name, payload_type or "vgz", inputs(files, modes), MTIME, out)
        entries = tuple(Entry(entry.path) for entry in entries if entry.type is not FileType.DIRECTORY)
    values: dict[str, Any] = {
        "kind": kind,
        "vendor": "Acme",
        "name": "acme-agent",
        "version": "1.2.3-4",
        "claimed_level": Level.PARTNER,
        "summary": "Agent",
        "description": "An agent.",
        "payloads": (payload,),
        "files": entries,
        "released": "2026-01-31T12:00:00Z" if kind == "seal" else "2026-01-31T12:00:00+00:00",
        "vib": None if kind == "seal" else VibFields(),
        "attachments": tuple(
            Attachment(each, "application/json", len(data), hashlib.sha256(data).digest())
            for each, data in attachments.items()
        ),
        **changes,
    }
    manifest = Manifest(**values)
    members = [
        Member(MANIFEST_MEMBER[kind], encode(manifest)),
        Member(SIGNATURE_MEMBER, b""),
        Member(name, out.getvalue()),
        *(Member(each, data) for each, data in attachments.items()),
    ]
    return Bundle(kind, tuple(members)).signed(*(signers or (signer(),)))


def tar_of(bundle: Bundle) -> bytes:
    """The unpacked first payload of a bundle with gzip."""
    return python_gzip.decompress(bundle.members[2].data)


# Verdicts.


def judge(bundle: Bundle | bytes, policy: Policy, at: datetime = NOW) -> Examination:
    """The examination of a bundle in memory."""
    data = bundle if isinstance(bundle, bytes) else bundle.data
    return examine(OpenBundle(BytesSource(data), "test bundle"), policy, at)


def codes(examination: Examination) -> list[str]:
    """The codes of all checks that decided something, each once, in order."""
    return list(
        dict.fromkeys(
            check.code for check in examination.checks if check.code and check.status in ("failed", "inconclusive")
        )
    )


def accepted(bundle: Bundle | bytes, policy: Policy, at: datetime = NOW) -> Examination:
    """The examination of a bundle that must be accepted."""
    examination = judge(bundle, policy, at)
    assert examination.verdict is Verdict.ACCEPTED, (codes(examination), examination.primary)
    assert examination.primary is None
    return examination


def refused(
    bundle: Bundle | bytes,
    policy: Policy,
    code: str,
    folder: Path,
    at: datetime = NOW,
    verdict: Verdict = Verdict.REJECTED,
) -> Examination:
    """The examination of a bundle that must not be accepted, for this reason first.

    Also verifies it as a file, extracts it, and asserts that nothing is left in `folder`.
    """
    examination = judge(bundle, policy, at)
    primary = examination.primary
    assert primary is not None, "accepted"
    assert (primary.code, examination.verdict) == (code, verdict), codes(examination)
    assert primary.detail
    assert primary.next_step
    path = folder / "bundle"
    path.write_bytes(bundle if isinstance(bundle, bytes) else bundle.data)
    before = snapshot(folder)
    assert verify(path, policy, at, with_digest=False).verdict is verdict
    assert extract(path, folder / "out", policy, at).verdict is verdict
    assert snapshot(folder) == before
    return examination


def snapshot(folder: Path | str, below: str = "", *, contents: bool = True) -> dict[str, bytes | str]:
    """Every path below a folder with its content or kind; without `contents`, of each file that it is one.

    Each command of the command line's tests is between two of them, so that `rglob` would take half of the time.
    """
    found: dict[str, bytes | str] = {}
    try:
        entries = sorted(os.scandir(folder), key=lambda each: each.name)
    except (PermissionError, FileNotFoundError, NotADirectoryError):
        return found
    for entry in entries:
        path = below + entry.name
        if entry.is_symlink():
            found[path] = f"-> {os.readlink(entry.path)}"
        elif entry.is_file():
            found[path] = Path(entry.path).read_bytes() if contents else "file"
        else:
            found[path] = "folder"
            if entry.is_dir():
                found |= snapshot(entry.path, f"{path}/", contents=contents)
    return found
