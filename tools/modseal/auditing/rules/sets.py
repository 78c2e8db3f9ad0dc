"""Rules about bundles beside each other, and about what lies beside them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from modseal import limits
from modseal.auditing.finding import Severity
from modseal.auditing.rule import Hit, Row, Rule
from modseal.auditing.spool import Spool
from modseal.errors import FormatError
from modseal.files.names import portable
from modseal.format.together import Footprint, PathClash, clashes
from modseal.values import dataclass


class SameId:
    """Remembers the first bundle of each id, by the digest of its manifest."""

    def __init__(self) -> None:
        self._first: dict[str, tuple[str, str]] = {}
        self._hits: list[Hit] = []

    def see(self, row: Row) -> None:
        """See `SetRule.see`."""
        if row.id is None or row.manifest_sha256 is None:
            return
        manifest, bundle = self._first.setdefault(row.id, (row.manifest_sha256, row.bundle))
        if manifest != row.manifest_sha256:
            detail = f"{row.id} is also {portable(bundle)}, with other content"
            evidence = {"id": row.id, "manifest": row.manifest_sha256, "other_manifest": manifest}
            self._hits.append(Hit(detail, evidence, bundle=row.bundle, sha256=row.sha256, related=(bundle,)))

    def hits(self) -> Iterator[Hit]:
        """See `SetRule.hits`."""
        yield from self._hits


SAME_ID_OTHER_CONTENT = Rule(
    id="same-id-other-content",
    severity=Severity.HIGH,
    title="Same module and version, other content",
    what="Two bundles have the same vendor, name and version, and different manifests.",
    why="A host that has the one takes the other for installed already, or stops in the middle of an update: `have "
    "unequal values of the 'payloads' attribute`. One of the two may have been made by somebody else.",
    remedy="Find out which of the two the vendor published, and remove the other; a new build needs a new version.",
    example="`acme-agent-1.2.3.vib` in two folders of a depot, built twice without a new version.",
    start=SameId,
)


class SameManifest:
    """Remembers the first bundle of each manifest."""

    def __init__(self) -> None:
        self._first: dict[bytes, tuple[bytes, str]] = {}
        self._hits: list[Hit] = []

    def see(self, row: Row) -> None:
        """See `SetRule.see`."""
        if row.manifest_sha256 is None or row.sha256 is None:
            return
        digest = bytes.fromhex(row.sha256)
        other, bundle = self._first.setdefault(bytes.fromhex(row.manifest_sha256), (digest, row.bundle))
        if other != digest:
            detail = (
                f"it has the manifest of {portable(bundle)}, and other bytes: signatures, headers, or a damaged payload"
            )
            evidence = {"manifest": row.manifest_sha256, "other": other.hex()}
            self._hits.append(Hit(detail, evidence, bundle=row.bundle, sha256=row.sha256, related=(bundle,)))

    def hits(self) -> Iterator[Hit]:
        """See `SetRule.hits`."""
        yield from self._hits


SAME_MANIFEST_OTHER_BYTES = Rule(
    id="same-manifest-other-bytes",
    severity=Severity.LOW,
    title="Same manifest, other bytes",
    what="Two bundles have the same manifest, byte for byte, and are not the same file. The manifest binds the "
    "payloads, so where both are accepted only signatures or headers of the archive differ.",
    why="A vendor who signs anew or adds a timestamp leaves such pairs, and then one of them is out of date. But a "
    "signature that was removed on the way looks the same. Low, because each was examined by itself.",
    remedy="Compare both with `modseal inspect`, keep the one with all signatures, and remove the other.",
    example="`agent.seal` before and after `modseal timestamp`, in one depot.",
    start=SameManifest,
)


class SameContent:
    """Remembers the first name of each content."""

    def __init__(self) -> None:
        self._first: dict[bytes, str] = {}
        self._hits: list[Hit] = []

    def see(self, row: Row) -> None:
        """See `SetRule.see`."""
        if row.sha256 is None:
            return
        first = self._first.setdefault(bytes.fromhex(row.sha256), row.bundle)
        if first != row.bundle:
            detail = f"it is the same file as {portable(first)}"
            self._hits.append(Hit(detail, bundle=row.bundle, sha256=row.sha256, related=(first,)))

    def hits(self) -> Iterator[Hit]:
        """See `SetRule.hits`."""
        yield from self._hits


SAME_CONTENT_TWICE = Rule(
    id="same-content-twice",
    severity=Severity.INFO,
    title="The same file under two names",
    what="Two bundles have the same SHA-256.",
    why="It costs space, and whoever replaces one of them may forget the other. Info, because nothing is wrong with "
    "either.",
    remedy="Keep one of them, under the name that the depot's index has.",
    example="`agent.vib` and `agent-copy.vib` in two folders.",
    start=SameContent,
)


class _Label(NamedTuple):
    """A bundle as a finding names it."""

    bundle: str
    sha256: str | None


@dataclass(frozen=True, slots=True)
class _Modules:
    """What was seen, as `clashes` walks it; in a spool, because all files of all bundles would not fit into memory."""

    spool: Spool

    def __iter__(self) -> Iterator[tuple[str, _Label, Footprint]]:
        for name, label, (links, directories, files) in self.spool.values():
            yield name, _Label(*label), Footprint(tuple(map(tuple, links)), tuple(directories), files)


class PathOfAnotherKind:
    """Keeps where each bundle's entries lie, and compares them at the end."""

    def __init__(self) -> None:
        self._spool = Spool()

    def see(self, row: Row) -> None:
        """See `SetRule.see`."""
        if row.id is not None:
            value = [f"{row.vendor}/{row.name}", [row.bundle, row.sha256], row.footprint]
            self._spool.append(json.dumps(value, ensure_ascii=True).encode("ascii"))

    def hits(self) -> Iterator[Hit]:
        """See `SetRule.hits`."""
        told: Counter[str] = Counter()
        try:
            for clash in clashes(_Modules(self._spool)):
                told[clash.one.bundle] += 1
                if told[clash.one.bundle] <= limits.FINDINGS:
                    yield _clash_hit(clash)
        except FormatError as error:
            yield Hit(f"whether paths clash is not known: {error.failure.detail}", remedy=_FEWER, undecided=True)
        for bundle in (bundle for bundle, count in told.items() if count > limits.FINDINGS):
            yield Hit(f"and {told[bundle] - limits.FINDINGS} more paths that clash", bundle=bundle)


_FEWER = "Audit fewer bundles at a time: those that are installed together."


def _clash_hit(clash: PathClash[_Label]) -> Hit:
    one, other = clash.one, clash.other
    here = "a file" if clash.target is None else f"a link to {clash.target!r}"
    there = "a directory" if clash.directory else "a file"
    evidence = {"path": clash.path, "target": clash.target, "other": other.sha256}
    detail = f"{clash.path!r} is {here}, and in {portable(other.bundle)} {there}"
    return Hit(detail, evidence, bundle=one.bundle, sha256=one.sha256, related=(other.bundle,))


PATH_OF_ANOTHER_KIND = Rule(
    id="path-of-another-kind",
    severity=Severity.HIGH,
    title="A link or file where another module has a directory",
    what="Two modules of unlike names bring one path: the one as a link, the other as a file or a directory, declared "
    "or with something below it; or the one as a file and the other as a directory. Letter case and Unicode forms do "
    "not count. Of the bundles that a path clashes with, one is named.",
    why="Where both are installed, the files of the one go wherever the link of the other leads, past the rules for "
    "paths that each was judged by alone: `opt/x/link` to `../../etc/cron.d`, and another module's `opt/x/link/evil`. "
    "A file in the place of a directory makes an installation stop half-way.",
    remedy="Do not install the two together; ask who made the link why it leads out of its own folder.",
    example="`agent.vib` with the link `opt/x/link`, and `tools.vib` with `opt/x/link/evil`.",
    start=PathOfAnotherKind,
)


LEFT_OUT = Rule(
    id="left-out",
    severity=Severity.LOW,
    title="Something that was left out could hold a bundle",
    what="Below a folder, or in a zip archive, lies something that is not a bundle and was not looked into, and that "
    "could hold one, by its first or last 64 KiB: an archive or a compressed file of another kind, a zip archive or a "
    "bundle with bytes in front, a link to a folder, a device. With `--strict-coverage` it leaves the audit undecided "
    "(exit status 3), whatever is ignored or known.",
    why="Who unpacks it has a bundle that nobody audited: `agent.vib.gz`, a zip archive behind a script, an `ar` "
    "archive whose first member is another.",
    remedy="Unpack it and audit what is in it, or take it out of the folder.",
    example="`agent.vib.gz` beside `agent.vib`.",
)
