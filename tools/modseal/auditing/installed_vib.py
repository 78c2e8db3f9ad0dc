"""One installed VIB of an ESXi host in an audit: a target, and what its documents show beside what they are.

A host takes a `.vib` apart: descriptor and signature go into its database, payloads into the boot bank under names that
the image profile has. Here they are put together again, in the form of a `.vib`, and examined as one. A payload that is
not among the files that were given is *absent*: the VIB is then undecided, whoever signed it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain

from modseal.auditing.finding import Finding
from modseal.auditing.rule import Hit, Rule, Subject
from modseal.auditing.rules import esxi as rules
from modseal.auditing.target import Opened
from modseal.depot import values
from modseal.depot.esxi_database import Documents
from modseal.errors import FormatError
from modseal.files.identity import Identity
from modseal.files.part import FilePart
from modseal.format import ar, descriptor
from modseal.format import rules as format_rules
from modseal.format.level import Level
from modseal.format.manifest import MANIFEST_MEMBER, SIGNATURE_MEMBER
from modseal.format.shape import quote
from modseal.format.source import BytesSource, Joined, Source
from modseal.values import dataclass


@dataclass(frozen=True, slots=True)
class InstalledVib:
    """A VIB of a host's database. `documents` are as they were read; `payloads` are those that were found, by name.

    `listed` says whether the image profile has it, None where no profile says; `level` is that of the profile.
    """

    host: str
    name: str
    documents: Documents
    payloads: tuple[tuple[str, FilePart], ...] = ()
    listed: bool | None = None
    level: Level | None = None

    @property
    def size(self) -> int:
        """See `Target.size`."""
        return len(self.documents.descriptor) + sum(part.size for _, part in self.payloads)

    @property
    def salt(self) -> str:
        """See `Target.salt`: what the host shows, which payloads were found, and what the profile says."""
        found = (self.documents.shown, self.documents.signature, self.listed, self.level, [n for n, _ in self.payloads])
        return hashlib.sha256(repr(found).encode()).hexdigest()

    @contextmanager
    def open(self) -> Iterator[Opened]:
        """See `Target.open`. Raises `FormatError` for a payload that no member of a `.vib` can be."""
        with ExitStack() as stack:
            members: list[tuple[str, Source]] = [
                (MANIFEST_MEMBER["vib"], BytesSource(self.documents.descriptor)),
                (SIGNATURE_MEMBER, BytesSource(self.documents.signature or b"")),
                *((name, stack.enter_context(part.open())) for name, part in self.payloads),
            ]
            pieces = chain.from_iterable(
                (BytesSource(ar.encode_header(name, one.size)), one, BytesSource(ar.padding(one.size)))
                for name, one in members
            )
            yield Opened(Joined((BytesSource(ar.MAGIC), *pieces)), lambda: None, partial=True)

    def identity(self) -> Identity | None:
        """None: it is several files."""
        return None

    def findings(self, subject: Subject, sha256: str | None) -> Iterator[Finding]:
        """What its place on the host shows, besides what the bundle itself does."""
        hits = (
            *((rules.FORCED, hit) for hit in self._forced(subject)),
            *((rules.NOT_IN_PROFILE, hit) for hit in self._listing(subject)),
            *self._rewriting(subject),
        )
        yield from (rule.finding(hit, self.name, sha256) for rule, hit in hits)

    def _forced(self, subject: Subject) -> Iterator[Hit]:
        """Why a host that checks refuses it: nobody signed for the claim, or it is below the host's level."""
        manifest = subject.manifest
        if manifest is None:
            return
        claimed = manifest.claimed_level
        evidence = {"claimed": str(claimed), "host": str(self.level) if self.level else None}
        if claimed > Level.COMMUNITY and not subject.examination.signers:
            if self.documents.signature is None:
                why = "the database has no signature of it"
            elif not self.documents.signature.strip():
                why = "its signature is empty"
            else:
                why = "no signature in its file is over this descriptor"
            yield Hit(f"it claims {claimed}, and {why}", evidence)
        if self.level and claimed < self.level:
            yield Hit(f"it claims {claimed}, below the level {self.level} of the host", evidence)

    def _listing(self, subject: Subject) -> Iterator[Hit]:
        if self.listed is False:
            id_ = subject.manifest.id if subject.manifest else self.name
            yield Hit(f"the image profile does not list {quote(id_)}", {"id": format_rules.shown(id_)})

    def _rewriting(self, subject: Subject) -> Iterator[tuple[Rule, Hit]]:
        """What the host shows is what was signed, but for how it is written."""
        if self.documents.original is None or subject.manifest is None:
            return
        try:
            shown = descriptor.decode(self.documents.shown)
        except FormatError as error:
            detail = f"what the host shows cannot be read: {error.failure.detail}"
            yield rules.REWRITTEN, Hit(detail, {"field": None})
            return
        for rule, values_of in ((rules.REWRITTEN, values.of_descriptor), (rules.REFORMED, values.of_form)):
            said, signed = (_without_margins(values_of(one)) for one in (shown, subject.manifest))
            for name, here, there in values.unequal(said, signed):
                detail = f"the host shows the {name} {here}; the descriptor beside the signature says {there}"
                evidence = {"field": name, "shown": format_rules.shown(here), "signed": format_rules.shown(there)}
                yield rule, Hit(detail, evidence)


def _without_margins(found: values.Values) -> dict[str, object]:
    """Values of a descriptor without white space at the ends of texts, which hosts take off."""
    return {name: value.strip() if isinstance(value, str) else value for name, value in found.items()}
