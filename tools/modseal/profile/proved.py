"""Proves bundles of depots for profiles: what a module is, its level, and all that it brings, of the same bytes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from modseal.bundle.fence import fenced
from modseal.bundle.open import OpenBundle
from modseal.errors import Failure, ModsealError
from modseal.format.image_profile import ProfileModule, module_of
from modseal.format.level import Level
from modseal.format.manifest import Entry, Manifest, Relationships
from modseal.profile.candidates import Candidate, Refused, Shelf
from modseal.trust.examination import Verdict
from modseal.trust.examine import examine


@dataclass(frozen=True, slots=True)
class ProvedModule:
    """A module whose bundle the policy accepts. `proven_level` is None for an unsigned one.

    `entries` are its files, folders and links; `candidate` says where the bundle is, `sha256` is that of its file.
    """

    module: ProfileModule
    manifest: Manifest
    proven_level: Level | None
    entries: tuple[Entry, ...]
    candidate: Candidate
    sha256: str

    @property
    def level(self) -> Level:
        """What counts for a profile's level: community for an unsigned module."""
        return self.proven_level or Level.COMMUNITY

    @property
    def name(self) -> str:
        """See `depot.relations.Related`."""
        return self.manifest.name

    @property
    def version(self) -> str:
        """See `depot.relations.Related`."""
        return self.manifest.version

    @property
    def relationships(self) -> Relationships:
        """See `depot.relations.Related`."""
        return self.manifest.relationships


class Prover:
    """Proves candidates of a shelf, each once. `proved` has those that the policy accepts."""

    def __init__(self, shelf: Shelf, at: datetime) -> None:
        self._shelf, self._at = shelf, at
        self._seen: dict[Candidate, Refused | None] = {}
        self.proved: dict[Candidate, ProvedModule] = {}

    def why_not(self, one: Candidate) -> Refused | None:
        """Examine a candidate's bundle: None where the policy accepts the very manifest that was read before."""
        if one not in self._seen:
            self._seen[one] = self._examined(one)
        return self._seen[one]

    def files_of(self, one: Candidate) -> tuple[Entry, ...] | None:
        """All that a proved candidate brings; of another one what is said of it."""
        return self.proved[one].entries if one in self.proved else one.files

    def _examined(self, one: Candidate) -> Refused | None:
        label = f"{one.name} {one.version}"
        files, policy, listed = self._shelf.opened(one)
        try:
            with files.open(one.path) as source, fenced(f"{files.name}/{one.path}"):
                bundle = OpenBundle(source, one.path, with_digest=True)
                examination = examine(bundle, policy, self._at)
                digest, manifest = bundle.sha256(), hashlib.sha256(bundle.manifest).hexdigest()
        except ModsealError as error:
            return Refused(label, error.failure, undecided=error.exit_code == 3)
        if examination.verdict is not Verdict.ACCEPTED or examination.manifest is None:
            reason = examination.primary or Failure("internal-error", f"{label}: something could not be examined", {})
            failure = Failure(reason.code or "internal-error", reason.detail, reason.evidence)
            return Refused(label, failure, undecided=examination.verdict is Verdict.UNDECIDED)
        if manifest != one.digest or listed not in (None, digest):
            detail = f"{one.depot}/{one.path} is not the bundle that the index lists, or changed while it was read"
            return Refused(label, Failure("bundle-digest-mismatch", detail, {"found": digest}))
        found = examination.manifest
        self.proved[one] = ProvedModule(
            module_of(found, manifest), found, examination.proven_level, tuple(bundle.entries), one, digest
        )
        return None
