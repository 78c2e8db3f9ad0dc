"""The modules that a solver may choose from: what depots have, and what a target has already.

What a manifest says is claimed here. `profile.solve` proves a bundle before it counts on it, and of the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime

from modseal.bundle.open import OpenBundle
from modseal.depot import proved, relations, signed
from modseal.depot.check import examine_bundle
from modseal.depot.files import DepotFiles
from modseal.depot.index import INDEX
from modseal.depot.open import open_depot
from modseal.depot.proved import ProvedIndex, Seen
from modseal.errors import Failure, ModsealError, RefusedError
from modseal.format.manifest import Entry, Manifest, Relationships
from modseal.policy.sources import with_recalls
from modseal.profile import platform as esxi
from modseal.trust.examination import Verdict
from modseal.trust.integrity import read_manifest
from modseal.trust.policy import Policy


@dataclass(frozen=True, slots=True)
class Candidate:
    """A module that may be in the set. `depot` and `path` are empty for one that the target has already.

    `digest` is the SHA-256 (hexadecimal) of the manifest's bytes; empty where only a list names the module, as `kind`
    (`seal` or `vib`) is. `platforms` are versions of ESXi; `other_product` is what it is for instead, where it is not
    for ESXi. `files` is what it brings, None where nobody says that.
    """

    name: str
    version: str
    vendor: str = ""
    relationships: Relationships = field(default_factory=Relationships)
    platforms: tuple[str, ...] = ()
    depot: str = ""
    path: str = ""
    digest: str = ""
    kind: str = ""
    other_product: str = ""
    files: tuple[Entry, ...] | None = field(default=None, compare=False, repr=False)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """See `depot.ownership.Placed`."""
        return self.files or ()

    @property
    def only_for(self) -> str:
        """Of which targets it is, as a sentence about it; empty for all of them."""
        if self.kind == "seal":
            return "is a .seal, which ESXi does not install"
        if self.other_product:
            return f"is for {self.other_product}"
        return f"is for ESXi {', '.join(self.platforms)}" if any(self.platforms) else ""

    def fits(self, target: str) -> bool:
        """Whether it may go onto an ESXi of this version, such as `8.0.2`."""
        if self.name == esxi.BASE and self.kind != "seal":
            return esxi.is_of(self.version, target)
        return self.kind != "seal" and not self.other_product and relations.is_for(self.platforms, target)

    @property
    def is_installed(self) -> bool:
        """Whether the target has it already."""
        return not self.path


@dataclass(frozen=True, slots=True)
class Refused:
    """A bundle that is not a candidate, and why."""

    label: str
    failure: Failure
    undecided: bool = False


class Shelf:
    """Open depots, and the policy under which the bundles of all of them are judged: with each one's proved recalls."""

    def __init__(self, policy: Policy, at: datetime, seen: Mapping[str, Seen] | None = None) -> None:
        """`seen` has the newest index of each signed depot that the caller remembers, by name."""
        self._at = at
        self.policy = policy
        """The policy with the recalls of all depots: one withdraws a module wherever its bundle is."""
        self._seen = seen or {}
        self.proved: list[ProvedIndex] = []
        """The indexes of the signed depots."""
        self.recalls: list[bytes] = []
        """The recalls that they list, as the bytes of their files."""
        # By names that tell them apart. The SHA-256 of each listed bundle by its path; None where nobody lists them.
        self._depots: dict[str, tuple[DepotFiles, dict[str, str] | None]] = {}

    def add(self, files: DepotFiles) -> None:
        """Take a depot: a signed one only once its index is proved. Raises `ModsealError` of what is wrong with it."""
        # Two addresses that differ in what is hidden of them have one name; each is a depot of its own.
        same = sum(one.name == files.name for one, _ in self._depots.values())
        name = f"{files.name} ({same + 1})" if same else files.name
        if not signed.is_signed_depot(files):
            for failure in files.failures:
                if failure.evidence.get("path") == INDEX:
                    raise RefusedError("index-invalid", f"{files.name}: {failure.detail}", path=INDEX)
            self._depots[name] = files, None
            return
        index = signed.read_index(files)
        rotations = signed.read_rotations(files, index)
        self.proved.append(proved.prove(index, rotations, self.policy, self._at, seen=self._seen.get(index.name)))
        recalls = [data for _, data in signed.read_recalls(files, index)]
        self.policy = with_recalls(self.policy, recalls)
        self.recalls += recalls
        self._depots[name] = files, {one.path: one.sha256 for one in index.bundles}

    def candidates(self, platform: str | None, refused: list[Refused]) -> Iterator[Candidate]:
        """What the manifests of all bundles say; those that cannot be read, or are for other hosts, are `refused`."""
        for name, (files, listed) in self._depots.items():
            for path in files.bundles if listed is None else sorted(listed):
                try:
                    one = read_candidate(files, path)
                except ModsealError as error:
                    refused.append(Refused(f"{name}/{path}", error.failure, undecided=error.exit_code == 3))
                    continue
                if platform and not one.fits(platform):
                    why = one.only_for if one.name != esxi.BASE else "is another ESXi"
                    detail = f"{one.name} {one.version} {why}, and the target is ESXi {platform}"
                    refused.append(Refused(f"{one.name} {one.version}", Failure("platform-mismatch", detail, {})))
                    continue
                # Without its files: claimed, and much for thousands of bundles. The chosen ones are read.
                yield replace(one, depot=name, files=None)

    def opened(self, one: Candidate) -> tuple[DepotFiles, Policy, str | None]:
        """The depot of a candidate, the policy for its bundles, and the SHA-256 of the bundle that its index lists."""
        files, listed = self._depots[one.depot]
        return files, self.policy, None if listed is None else listed[one.path]

    def why_not(self, one: Candidate) -> Refused | None:
        """Examine a candidate's bundle: None where the policy accepts the very manifest that was read."""
        files, listed = self._depots[one.depot]
        label = f"{one.name} {one.version}"
        try:
            with files.open(one.path) as source:
                examination, digest = examine_bundle(source, f"{files.name}/{one.path}", self.policy, self._at)
                now = hashlib.sha256(OpenBundle(source, one.path).manifest).hexdigest()
        except ModsealError as error:
            return Refused(label, error.failure, undecided=error.exit_code == 3)
        if examination.verdict is not Verdict.ACCEPTED:
            reason = examination.primary or Failure("internal-error", f"{label}: something could not be examined", {})
            failure = Failure(reason.code or "internal-error", reason.detail, reason.evidence)
            return Refused(label, failure, undecided=examination.verdict is Verdict.UNDECIDED)
        if now != one.digest or (listed is not None and digest != listed[one.path]):
            detail = f"{one.depot}/{one.path} is not the bundle that the index lists, or changed while it was read"
            return Refused(label, Failure("bundle-digest-mismatch", detail, {"found": digest}))
        return None


def of_manifest(manifest: Manifest, data: bytes = b"") -> Candidate:
    """What a manifest says of a module that a target has; `data` are its bytes, where they are known."""
    named = manifest.vib.platforms if manifest.vib else ()
    platforms = tuple(each.version for each in named if each.product in ("", esxi.PRODUCT))
    others = "" if platforms else ", ".join(dict.fromkeys(f"{each.product} {each.version}".strip() for each in named))
    return Candidate(
        manifest.name,
        manifest.version,
        manifest.vendor,
        manifest.relationships,
        platforms,
        digest=hashlib.sha256(data).hexdigest() if data else "",
        kind=manifest.kind,
        other_product=others,
        files=manifest.files if manifest.vib is None or manifest.vib.lists_files else None,
    )


def read_candidate(files: DepotFiles, path: str) -> Candidate:
    """What the manifest of a bundle in a depot says. Raises `FormatError`, `InputError`."""
    with files.open(path) as source:
        bundle = OpenBundle(source, path)
        bundle.members  # noqa: B018 - raises where the container cannot be read
        manifest: Manifest = read_manifest(bundle.kind, bundle.manifest)
        return replace(of_manifest(manifest, bundle.manifest), depot=files.name, path=path)


def require_one_content(candidates: Iterable[Candidate]) -> list[Candidate]:
    """The candidates. Raises `RefusedError` (content-differs) for one id with two contents.

    One content may be there in several files, of which not all have to be signed: each stays a candidate.
    """
    found = list(candidates)
    seen: dict[tuple[str, str, str, str], Candidate] = {}
    for one in found:
        kind = one.path.rpartition(".")[2].lower()
        other = seen.setdefault((one.vendor, one.name, one.version, kind), one)
        if other.digest != one.digest:
            detail = (
                f"{one.name} {one.version} of {one.vendor} has two contents: the manifest of {other.depot}/{other.path}"
                f" has the SHA-256 {other.digest}, that of {one.depot}/{one.path} has {one.digest}"
            )
            raise RefusedError("content-differs", detail, module=one.name, one=other.digest, other=one.digest)
    return found


def open_shelf(stack: ExitStack, places: Iterable[str], policy: Policy, at: datetime) -> Shelf:
    """The depots at some places, open until the stack ends. Raises what `open_depot` and `Shelf.add` raise."""
    shelf = Shelf(policy, at)
    for place in dict.fromkeys(places):
        shelf.add(stack.enter_context(open_depot(place)))
    return shelf
