"""Hosts for tests: an image store below a folder, and bundles to install on it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builders import policies
from builders.bundles import make
from builders.pki import NOW, Identity
from modseal.format.level import Level
from modseal.format.manifest import Constraint, Kind, Relationships, VibFields
from modseal.host import change, prune, settings, switch
from modseal.host.change import Change
from modseal.host.create import create
from modseal.host.store import Store, open_store
from modseal.host.verify import Verification, verify
from modseal.policy.sources import load
from modseal.trust.examination import Verdict

LIVE = VibFields(live_install_allowed=True, live_remove_allowed=True)


@dataclass(frozen=True)
class Host:
    """A host below `root`; bundles are written beside it."""

    root: Path

    def bundle(
        self,
        name: str = "acme-agent",
        version: str = "1.0",
        *signers: Identity,
        kind: Kind = "seal",
        files: Mapping[str, bytes | str | None] | None = None,
        level: Level = Level.PARTNER,
        related: Mapping[str, tuple[Constraint, ...]] = {},
        **changes: Any,
    ) -> Path:
        """A good bundle in a file; by default with one program of its own."""
        content = {f"opt/{name}/bin/run": f"{name} {version}".encode()} if files is None else files
        made = make(
            kind,
            *signers,
            files=content,
            name=name,
            version=version,
            claimed_level=level,
            relationships=Relationships(**related),
            **changes,
        )
        path = self.root.parent / f"{name}-{version}.{kind}"
        path.write_bytes(made.data)
        return path

    def install(self, *bundles: Path, **options: Any) -> Change:
        return change.install(self.root, bundles, NOW, **options)

    def installed(self, *bundles: Path) -> Change:
        """Install what must be accepted."""
        done = self.install(*bundles)
        assert done.verdict is Verdict.ACCEPTED, done
        return done

    def remove(self, *names: str, **options: bool) -> Change:
        return change.remove(self.root, names, NOW, **options)

    def rollback(self, to: int | None = None, **options: bool) -> Change:
        return switch.rollback(self.root, to, NOW, **options)

    def activate(self) -> Change:
        return switch.activate(self.root, NOW)

    def prune(self, keep: int, **options: bool) -> tuple[list[int], list[int]]:
        """The numbers of the generations that went, and of those that there are."""
        done = prune.prune(self.root, keep, NOW, **options)
        return [one.number for one in done.removed], [one.number for one in done.kept]

    def set_level(self, level: Level) -> Level:
        return settings.set_level(self.root, level, NOW)

    def set_policy(self, path: Path | None = None, **changes: Any) -> tuple[str, ...]:
        """Another policy, of a file or made here; gives the names of the modules that it does not accept."""
        path = path or policies.write(self.root.parent, **changes)
        return tuple(one.name for one in settings.set_policy(self.root, load(str(path)), NOW))

    def verify(self) -> Verification:
        return verify(self.root, NOW)

    def codes(self) -> list[str]:
        """The codes of all findings."""
        return [one.failure.code for one in self.verify().findings]

    @contextmanager
    def store(self) -> Iterator[Store]:
        with open_store(self.root) as store:
            yield store

    @property
    def image(self) -> Path:
        """The image of the active generation."""
        return self.root / "var/lib/extensions/modseal"

    def modules(self, *, pending: bool = False) -> dict[str, str]:
        """What is recorded to be installed: names and versions."""
        with self.store() as store:
            found = store.generation(store.newest if pending else store.state.generation)
        return {one.name: one.version for one in found.modules}


def host(folder: Path, *, level: Level | None = None, **policy: Any) -> Host:
    """A new host in a folder, with a policy that trusts the root of good signers."""
    root = folder / "root"
    root.mkdir(exist_ok=True)
    root.chmod(0o755)  # whatever the umask is
    path = policies.write(folder, **policy)
    create(root, load(str(path)), level, NOW)
    return Host(root)


def tree(folder: Path) -> dict[str, tuple[int, int, bytes | str]]:
    """Every path below a folder with its type and mode, its inode's links excluded, and its content."""
    found: dict[str, tuple[int, int, bytes | str]] = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content: bytes | str = ""
        if path.is_symlink():
            content = os.readlink(path)
        elif path.is_file():
            content = path.read_bytes()
        found[str(path.relative_to(folder))] = (status.st_mode, status.st_uid, content)
    return found
