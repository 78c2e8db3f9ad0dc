"""Depots in an audit: their bundles as targets, and what their metadata says held against what is there.

The metadata of an offline bundle is not signed. It decides nothing about a bundle; where it disagrees with a bundle, or
with itself, or lists what is not there, that is a finding. A signed index is proved (`signed_depots`). What one bundle
shows is found where it is examined (`DepotTarget.said`), what takes all of them when the last has been seen
(`DepotEnd`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from functools import cached_property
from itertools import chain, islice

from modseal import limits
from modseal.auditing import signed_depots
from modseal.auditing.finding import Finding, failure_finding
from modseal.auditing.hiding import hiding_place
from modseal.auditing.rule import Hit, Rule
from modseal.auditing.rules import BY_ID
from modseal.auditing.signed_depots import SignedDepot
from modseal.auditing.target import End, LeftOut, Opened, Target
from modseal.codes import CODES
from modseal.depot import compare
from modseal.depot.compare import BundleOrigin
from modseal.depot.files import DepotFiles, in_sources, in_zip, open_depot
from modseal.depot.index import INDEX as SIGNED_INDEX
from modseal.depot.metadata import INDEX, Metadata
from modseal.errors import Failure, FormatError, InputError
from modseal.files.identity import Identity, identity_of, is_still, settled_identity
from modseal.files.open import open_file
from modseal.files.part import within
from modseal.format import iso
from modseal.format.manifest import Manifest
from modseal.format.source import FileSource, sha256
from modseal.trust.policy import Policy
from modseal.values import dataclass

SEPARATOR = "!/"
"""Between a depot's name and the path of a file in it, as in the URLs of archives."""


@dataclass(frozen=True, slots=True)
class DepotTarget:
    """A bundle in a depot. `salt` is the digest of the depot's metadata: what a result depends on besides the bytes."""

    depot: str
    path: str
    size: int
    salt: str
    image: str = ""
    """The ISO image that the depot is in, whose name and a separator its own begins with; empty for none."""

    @property
    def name(self) -> str:
        """See `Target.name`."""
        return self.depot + SEPARATOR + self.path

    @contextmanager
    def open(self) -> Iterator[Opened]:
        """See `Target.open`."""
        depot = _current.depot(self.depot, self.image)
        if depot.salt != self.salt:
            raise InputError(f"{self.depot}: its metadata changed while it was audited", path=self.depot).because(
                "changed-meanwhile"
            )
        with depot.files.open(self.path) as source:
            if self.image:
                yield Opened(source, lambda: None)
                return
            if depot.descriptor is not None:
                descriptor, settled, part = depot.descriptor, depot.settled, self.path
            elif isinstance(source, FileSource):
                descriptor, part = source.descriptor, ""
                settled = settled_identity(descriptor)
            else:
                raise AssertionError("a folder's files are files")

            def identity() -> Identity | None:
                return settled._replace(part=part) if settled and is_still(descriptor, settled) else None

            yield Opened(source, identity)

    def identity(self) -> Identity | None:
        """See `Target.identity`."""
        try:
            if self.image:
                return None
            if os.path.isdir(self.depot):
                return identity_of(os.lstat(os.path.join(self.depot, self.path)))
            return identity_of(os.stat(self.depot), self.path)
        except (OSError, ValueError):
            return None

    def said(self, size: int, sha256: str, manifest: Manifest | None, *, proved: bool) -> Iterator[Failure]:
        """Where the depot's metadata says something else of this bundle."""
        found = compare.DepotBundle(self.path, size, sha256, manifest, proved)
        depot = _current.depot(self.depot, self.image)
        yield from compare.bundle_failures(depot.files.metadata, found)
        if depot.signed:
            yield from signed_depots.unlike(depot.signed, self.path, size, sha256, manifest)


@dataclass(frozen=True)
class DepotEnd(End):
    """All bundles of a depot have been given. `metadata` is None for a depot that has a signed index alone."""

    name: str
    metadata: Metadata | None
    paths: tuple[str, ...]
    failures: tuple[Failure, ...]
    signed: SignedDepot | None = None

    @property
    def held(self) -> int:
        """See `End.held`."""
        index = self.signed.index if self.signed else None
        return (self.metadata.size if self.metadata else 0) + (len(index.signed) if index else 0)

    def findings(self, members: Iterable[BundleOrigin]) -> Iterator[Finding]:
        """What the whole depot shows, given the vendor of each of its bundles."""
        of_metadata = compare.depot_failures(self.metadata, self.paths, tuple(members)) if self.metadata else ()
        return bounded((self._finding(failure) for failure in chain(self.failures, of_metadata)), self.name)

    def _finding(self, failure: Failure) -> Finding:
        rule = signed_depots.BY_CODE.get(failure.code) if self.signed else None
        return (
            rule.finding(Hit(failure.detail, failure.evidence), self.name) if rule else finding_of(failure, self.name)
        )

    def signed_findings(self, policy: Policy, at: datetime) -> Iterator[Finding]:
        """What its signed index shows, where it has one."""
        found = signed_depots.findings(self.signed, self.name, self.paths, policy, at) if self.signed else iter(())
        return bounded(found, self.name)


def finding_of(failure: Failure, name: str, sha256: str | None = None) -> Finding:
    """A failure of a depot as a finding: of the rule that is for it, else of the failure's own code."""
    code = CODES[failure.code]
    rule: Rule | None = BY_ID.get(code.depot_rule or failure.code)
    if rule is None:
        return failure_finding(name, failure, undecided=code.undecided)
    return rule.finding(Hit(failure.detail, failure.evidence, bundle=name, sha256=sha256))


def bounded(findings: Iterable[Finding], name: str, sha256: str | None = None) -> Iterator[Finding]:
    """The first `limits.FINDINGS` of them, and where there are more, one that says so: hostile metadata has no end."""
    rest = iter(findings)
    yield from islice(rest, limits.FINDINGS)
    if next(rest, None) is not None:
        detail = f"the metadata disagrees in more than {limits.FINDINGS} places, and was compared no further"
        yield finding_of(Failure("limit-exceeded", detail, {"findings": limits.FINDINGS}), name, sha256)


class _Open:
    """An open depot, and what it is recognised by while it stays open."""

    def __init__(self, name: str, image: str, stack: ExitStack) -> None:
        self.name = name
        self.stack = stack
        self.seen: Identity | None
        self.descriptor: int | None = None
        self.settled: Identity | None = None
        if image:
            self.seen = _identity(image)
            self.files = stack.enter_context(open_any(name, image))
        elif os.path.isdir(name):
            self.seen = _identity(name)
            self.files = stack.enter_context(open_depot(name))
        else:
            self.descriptor = stack.enter_context(open_file(name))
            self.seen = identity_of(os.fstat(self.descriptor))
            self.settled = settled_identity(self.descriptor)
            self.files = in_zip(FileSource(self.descriptor), name)

    @cached_property
    def salt(self) -> str:
        """The digest of all metadata, and of which files there are."""
        return salt_of(self.files)

    @cached_property
    def signed(self) -> SignedDepot | None:
        """Its signed index, None where it has none. Raises `InputError`."""
        return signed_depots.read(self.files)


def salt_of(depot: DepotFiles) -> str:
    """The digest of a depot's metadata, damaged documents included. Raises `InputError`."""
    digest = hashlib.sha256()
    for path in sorted(depot.metadata.documents | (depot.sizes.keys() & {SIGNED_INDEX})):
        try:
            with depot.open(path) as source:
                document = sha256(source)
        except FormatError as error:
            document = hashlib.sha256(error.failure.detail.encode()).digest()
        # A name and a digest have an end: else one document could go on as if it were the next.
        digest.update(path.encode() + b"\0" + document)
    return digest.hexdigest()


class _Current:
    """The depot that this process has open: batches are of one depot mostly, and opening one reads its directory."""

    def __init__(self) -> None:
        self._open: _Open | None = None

    def depot(self, name: str, image: str) -> _Open:
        """The open depot of a name. Raises `InputError` and `FormatError`."""
        if self._open is None or self._open.name != name or _identity(image or name) != self._open.seen:
            self.close()
            with ExitStack() as stack:
                self._open = _Open(name, image, stack)
                self._open.stack = stack.pop_all()
        return self._open

    def close(self) -> None:
        """Close what is open."""
        if self._open:
            self._open.stack.close()
            self._open = None


def _identity(name: str) -> Identity | None:
    try:
        return identity_of(os.stat(name))
    except OSError:
        return None


_current = _Current()


def close() -> None:
    """Close the depot that is open, if any."""
    _current.close()


@contextmanager
def open_any(name: str, image: str = "") -> Iterator[DepotFiles]:
    """As `open_depot`, also for a zip file or a folder in an ISO image. Raises `InputError` and `FormatError`."""
    if not image:
        with open_depot(name) as depot:
            yield depot
        return
    path = name.removeprefix(image + SEPARATOR)
    with open_file(image) as descriptor:
        source = FileSource(descriptor)
        files = {one.path: within(source, one.runs) for one in iso.read(source) if one.runs is not None}
        if path in files:
            yield in_zip(files[path], name)
        else:
            above = f"{path}/" if path else ""
            inside = {inner.removeprefix(above): files[inner] for inner in files if inner.startswith(above)}
            yield in_sources(name, inside)


def depot_targets(name: str, image: str = "") -> Iterator[Target | DepotEnd | LeftOut]:
    """The bundles of a depot in the order of their paths, then its end. Raises `InputError` and `FormatError`.

    An archive without an index is not a depot: nothing says what should be there, and its other files are left out.
    """
    with open_any(name, image) as depot:
        salt = salt_of(depot)
        index = signed_depots.read(depot)
        documents = index.documents if index else frozenset[str]()
        bundles = [path for path in depot.bundles if path not in documents]
        for path in bundles:
            yield DepotTarget(name, path, depot.sizes[path], salt, image)
        strays = sorted(set(depot.paths).difference(bundles))
        if index or INDEX in depot.paths or depot.failures:
            metadata = depot.metadata if INDEX in depot.paths or not index else None
            yield DepotEnd(name, metadata, depot.paths, depot.failures, index)
            if index is None or index.index or metadata:
                return  # an index says what should be there
        yield from (LeftOut.file(name + SEPARATOR + path, _hides(depot, path)) for path in strays)


def _hides(depot: DepotFiles, path: str) -> str | None:
    """The hiding place that a file in a depot is, by how it begins; nobody can tell what a damaged one is."""
    try:
        head = depot.head(path)
    except FormatError:
        return "damaged"
    return hiding_place(lambda at, length: head[at : at + length], len(head))
