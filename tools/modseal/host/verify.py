"""Verifies a host: examines every installed module under today's policy, holds every file against what is signed.

Nothing that was found earlier counts. So a signer that was revoked since, or a module that was denied, is found as well
as a changed byte. The event log is held against the state, too.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from modseal.codes import CODES
from modseal.errors import Failure, InputError, RefusedError, UndecidedError
from modseal.files import folder
from modseal.format import rules
from modseal.format.manifest import Entry, FileType
from modseal.host import event_log, image
from modseal.host import plan as planning
from modseal.host.compare import HostDifference, differences
from modseal.host.documents import HostState, Reference
from modseal.host.extension import extension_failures
from modseal.host.installed import Installed, prove
from modseal.host.keep import damaged_file
from modseal.host.scan import TOP, Found, scan
from modseal.host.store import GENERATIONS, IMAGE, Store, open_store
from modseal.trust.examination import Verdict
from modseal.trust.policy import Policy
from modseal.values import dataclass


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found of a host in this state. `paths` is how many names of its images were looked at."""

    state: HostState
    modules: tuple[Installed, ...]
    findings: tuple[HostDifference, ...]
    paths: int

    @property
    def generation(self) -> int:
        """The number of the active generation."""
        return self.state.generation.number

    @property
    def verdict(self) -> Verdict:
        """Accepted where nothing was found; undecided where nothing is wrong but something cannot be judged."""
        if not self.findings:
            return Verdict.ACCEPTED
        undecided = all(CODES[finding.failure.code].undecided for finding in self.findings)
        return Verdict.UNDECIDED if undecided else Verdict.REJECTED


def verify(root: Path, at: datetime, clock: datetime | None = None, recalls: Sequence[Path] = ()) -> Verification:
    """Verify the active generation of a host, and the one that waits, at a time; `clock` is now, if it is another.

    `recalls` are files with lists that count beside those that the host keeps. Raises `UsageError`, `InputError`,
    `PolicyError`, `UndecidedError` (host-invalid, clock-set-back), and what `learned.with_given` raises.
    """
    with open_store(root) as store:
        store.require_clock(clock or at)
        policy = store.policy
        if recalls:
            from modseal.host.learned import with_given  # brings depots, which nothing else here needs

            policy = with_given(policy, recalls, at)
        modules, findings, paths = verify_generation(store, store.state.generation, policy, at)
        if store.state.pending:
            _, more, count = verify_generation(store, store.state.pending, policy, at)
            findings = [*findings, *(one for one in more if one not in findings)]
            paths += count
        findings += [HostDifference(None, one) for one in extension_failures(store)]
        findings += _log(store)
        return Verification(store.state, modules, tuple(findings), paths)


def verify_generation(
    store: Store, reference: Reference, policy: Policy, at: datetime
) -> tuple[tuple[Installed, ...], list[HostDifference], int]:
    """The modules of a generation, what was found of them and of its image, and how many paths that has."""
    modules: list[Installed] = []
    findings: list[HostDifference] = []
    for one in store.generation(reference).modules:
        try:
            modules.append(prove(store, one, policy, at))
        except UndecidedError as error:  # its stored parts are not those that were installed
            failure = Failure("installed-changed", error.failure.detail, error.failure.evidence)
            findings.append(HostDifference(one.name, failure))
    findings += [
        HostDifference(str(failure.evidence["module"]), failure)
        for failure in planning.unfit(modules, store.state.level)
    ]
    expected = image.layout(module.entries for module in modules)
    found = _scan(store, reference, expected)
    expected[TOP] = Entry(TOP, FileType.DIRECTORY, image.FOLDER_MODE)
    owners = {entry.path: module.name for module in modules for entry in module.entries}
    status = os.fstat(store.descriptor)
    findings += differences(expected, owners, found, (status.st_uid, status.st_gid))
    findings += _relocatable(modules, found)
    named = {finding.module for finding in findings}
    proved = f"{GENERATIONS}/{reference.number}/{IMAGE}"
    findings += _objects(store, (one for one in modules if one.name not in named), proved)
    return tuple(modules), findings, len(found)


def _scan(store: Store, reference: Reference, expected: Mapping[str, Entry]) -> dict[str, Found]:
    name = f"{GENERATIONS}/{reference.number}/{IMAGE}"
    sizes = frozenset(entry.size for entry in expected.values() if entry.size is not None)
    try:
        descriptor = folder.open_below(name, store.descriptor)
    except FileNotFoundError:
        return {}
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            return {TOP: Found(None, 0, (0, 0))}  # a link or a file is in its place
        raise InputError.of(f"{store.path}/{name}", error) from error
    try:
        return scan(descriptor, sizes)
    finally:
        os.close(descriptor)


def _objects(store: Store, modules: Iterable[Installed], proved: str) -> Iterator[HostDifference]:
    """The files in the store that the next generation would link to. Those of the proved image are not read twice."""
    for module in modules:
        path = damaged_file(store, module, proved)
        if path is not None:
            detail = f"the store's file for {rules.shown(path)!r} is missing or is not the signed one"
            yield HostDifference(module.name, Failure("installed-changed", detail, {"path": rules.shown(path)}))


def _relocatable(modules: Iterable[Installed], found: Mapping[str, Found]) -> Iterator[HostDifference]:
    """Powers were judged by what is recorded to be a kernel module; the files themselves say whether that is so."""
    for module in modules:
        there = {entry.path for entry in module.entries if entry.path in found and found[entry.path].relocatable}
        for path in sorted(there - set(module.record.relocatable)):
            detail = f"{path!r} is an ELF relocatable object, and {module.name} is recorded to have none there"
            yield HostDifference(module.name, Failure("host-invalid", detail, {"path": path}))


def _log(store: Store) -> Iterator[HostDifference]:
    try:
        for _ in event_log.events(store):
            pass
    except (RefusedError, UndecidedError) as error:
        yield HostDifference(None, error.failure)
