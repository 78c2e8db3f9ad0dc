"""An open bundle: all of a bundle's bytes are read here, from one open file descriptor.

`OpenBundle` implements what `trust.examine` asks for. It checks the form of the container (step 0) and the limits of
unpacking; `trust` makes all other checks. `open_bundle` closes the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from modseal import limits
from modseal.errors import Failure, FormatError
from modseal.files.open import open_file
from modseal.files.stream import open_file_or_stream
from modseal.format import ar
from modseal.format.ar import Member
from modseal.format.manifest import MANIFEST_MEMBER, SIGNATURE_MEMBER, Entry, Kind, Payload
from modseal.format.payload import Measured, Sink, measure
from modseal.format.source import FileSource, HashedSource, Source, sha256

_KIND_OF = {name: kind for kind, name in MANIFEST_MEMBER.items()}


class OpenBundle:
    """A bundle's bytes by meaning. `sink` receives unpacked files, where the examination says so.

    `with_digest` has the whole file hashed while it is read; else `sha256` needs a pass of its own. `file_digests` asks
    for the SHA-256 of a `.vib`'s files, which its descriptor does not declare, and `member_digests` for that of every
    payload's member, declared or not. `partial` is for what is put together from where a host keeps it: see
    `trust.integrity.Bundle.partial`. `measured` is what was measured of each payload so far, by name.
    """

    def __init__(
        self,
        source: Source,
        name: str,
        sink: Sink | None = None,
        *,
        with_digest: bool = False,
        partial: bool = False,
        file_digests: bool = True,
        member_digests: bool = False,
    ) -> None:
        self.name = name
        self._file_digests = file_digests
        self._member_digests = member_digests
        self.partial = partial
        # What was read once, and is kept, can be hashed at the end: those are the bytes that were judged.
        self._hashed = HashedSource(source) if with_digest and not getattr(source, "in_memory", False) else None
        self.source = self._hashed or source
        self.kind: Kind = "seal"
        self.manifest = b""
        self.signature = b""
        self.container: tuple[Member, ...] | Failure
        self._sink = sink
        self.measured: dict[str, Measured] = {}
        try:
            self.container = self._read_container()
        except FormatError as error:
            self.container = error.failure

    def _read_container(self) -> tuple[Member, ...]:
        members = ar.read(self.source)
        names = [member.name for member in members[:2]]
        if not names or names[0] not in _KIND_OF:
            raise _not_a_bundle(names)
        if names[1:] != [SIGNATURE_MEMBER]:
            raise FormatError("missing-member", f"the second member is not {SIGNATURE_MEMBER}", member=SIGNATURE_MEMBER)
        self.kind = _KIND_OF[names[0]]
        ar.require_plain(members, self.kind)
        self.manifest = self._small(members[0], limits.MANIFEST_SIZE)
        self.signature = self._small(members[1], limits.SIGNATURE_MEMBER_SIZE)
        if self.kind == "seal" and self.signature.endswith(b"-----"):
            # Else the last line feed could be the member's or its padding: two sizes for the same bytes.
            raise FormatError("malformed-archive", f"{SIGNATURE_MEMBER} of a .seal does not end with a line feed")
        return members

    def _small(self, member: Member, limit: int) -> bytes:
        if member.size > limit:
            raise FormatError(
                "limit-exceeded",
                f"member {member.name!r} has {member.size} bytes, {limit} are allowed",
                member=member.name,
                size=member.size,
                limit=limit,
            )
        return self.source.read(member.offset, member.size)

    @property
    def members(self) -> tuple[Member, ...]:
        """The members; raises `FormatError` where the container cannot be read."""
        if isinstance(self.container, Failure):
            raise FormatError(self.container.code, self.container.detail, **self.container.evidence)
        return self.container

    def measure(
        self,
        payload: Payload,
        member: Member,
        *,
        up_to: int | None,
        to_sink: bool,
        raw: bool = False,
        declared: Iterable[Entry] = (),
    ) -> Measured:
        """See `trust.integrity.Bundle.measure`."""
        # The limit is for the module, which would else have as many files in each of its payloads.
        others = (len(one.entries) for name, one in self.measured.items() if name != payload.name)
        room = limits.FILES - sum(others)
        sink = self._sink if to_sink else None
        span = member.span(self.source)
        measured = measure(
            payload,
            span,
            sink=sink,
            room=room,
            bound=up_to,
            raw=raw or self._member_digests,
            declared=declared,
            file_digests=self._file_digests,
        )
        self.measured[payload.name] = measured
        return measured

    @property
    def entries(self) -> Iterator[Entry]:
        """What was found in the payloads measured so far."""
        return (entry for one in self.measured.values() for entry in one.entries)

    def digest(self, member: Member) -> bytes:
        """See `trust.integrity.Bundle.digest`."""
        return sha256(member.span(self.source))

    def sha256(self) -> str:
        """See `trust.integrity.Bundle.sha256`."""
        return self._hashed.sha256() if self._hashed else sha256(self.source).hex()


def _not_a_bundle(names: list[str]) -> FormatError:
    from modseal.format.trust_bundle import DECLARATION_MEMBER  # imported here: for a person who took one for the other

    if names[:1] == [DECLARATION_MEMBER]:
        detail = "the file is a trust bundle (a policy with its certificates), and not the bundle of a module"
        return FormatError("not-a-bundle", detail, reason="trust-bundle")
    return FormatError("not-a-bundle", "the first member is neither manifest.json nor descriptor.xml")


@contextmanager
def open_bundle(
    path: Path,
    sink: Sink | None = None,
    *,
    with_digest: bool = False,
    streams: bool = False,
    file_digests: bool = True,
) -> Iterator[OpenBundle]:
    """Open a bundle for reading; `streams` takes one from a stream of this process as well, such as `-`.

    Raises `InputError` where the file cannot be read or is not a regular file.
    """
    opened = open_file_or_stream if streams else open_file
    with opened(path, "bundle-folder") as descriptor:
        source = FileSource(descriptor)
        yield OpenBundle(source, str(path), sink, with_digest=with_digest, file_digests=file_digests)
