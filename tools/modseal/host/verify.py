"""Verifies a host: examines every installed module under today's policy, holds every file against what is signed.

Nothing that was found earlier counts. So a signer that was revoked since, or a module that was denied, is found as well
as a changed byte. The event log is held against the state, too.
"""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from modseal import limits
from modseal.errors import Failure, InputError, RefusedError, UndecidedError
from modseal.files import folder
from modseal.format import rules
from modseal.format.manifest import Entry, FileType
from modseal.host import event_log, image
from modseal.host import plan as planning
from modseal.host.compare import HostDifference, differences, verdict_of
from modseal.host.damaged import (
    at_rest,
    is_changing,
    kept_policy,
    noted,
    open_damaged,
    pointer,
    prove_if_sound,
    recorded_modules,
    unread_failures,
)
from modseal.host.documents import HostState, Reference
from modseal.host.extension import extension_failures
from modseal.host.inodes import StoreFile, flag_failures, folder_failures, look, objects, shared
from modseal.host.installed import Installed
from modseal.host.keep import hidden_failure, is_good
from modseal.host.progress import SILENT, Progress
from modseal.host.scan import TOP, Found, scan
from modseal.host.store import GENERATIONS, IMAGE, INDEX, OBJECTS, Store, object_name
from modseal.trust.examination import Verdict
from modseal.trust.policy import Policy
from modseal.values import dataclass


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found of a host. `paths` is how many names of its images were looked at.

    `state` is the one that holds, None where it cannot be read. `generation` is the number of the active one, None
    where nothing says which that is. `image` is what that has, None where systemd-sysext may be led to another one.
    """

    state: HostState | None
    generation: int | None
    modules: tuple[Installed, ...]
    findings: tuple[HostDifference, ...]
    paths: int
    image: Mapping[str, Found] | None

    @property
    def verdict(self) -> Verdict:
        """See `compare.verdict_of`."""
        return verdict_of(self.findings)


@dataclass(frozen=True, slots=True)
class LookedAt:
    """A generation as it is there: its modules, what is wrong with it, what its image has.

    `objects` has the inodes of the store's objects, `flagged` says which of their folders have flags.
    """

    reference: Reference
    modules: tuple[Installed, ...]
    findings: tuple[HostDifference, ...]
    found: Mapping[str, Found]
    objects: Mapping[str, int]
    flagged: tuple[Failure, ...]


def verify(
    root: Path,
    at: datetime,
    clock: datetime | None = None,
    recalls: Sequence[Path] = (),
    progress: Progress = SILENT,
) -> Verification:
    """Verify the active generation of a host, and the one that waits, at a time; `clock` is now, if it is another.

    What is damaged is a finding, and hides nothing of what can still be checked. A host that is changed meanwhile is
    looked at again, a few times: what was found is true of one state, the one that holds at the end. `recalls` are
    files with lists that count beside those that the host keeps. Raises `UsageError`, `InputError`, `UndecidedError`
    (host-invalid) where there is no store, and what `learned.with_given` raises.
    """
    found, held = at_rest(lambda: _verify(root, at, clock, recalls, progress))
    if held:
        return found
    detail = f"the host was being changed each of the {limits.HOST_LOOKS} times that it was looked at"
    return replace(found, findings=(*found.findings, HostDifference(None, Failure("host-invalid", detail))))


def _verify(
    root: Path, at: datetime, clock: datetime | None, recalls: Sequence[Path], progress: Progress
) -> tuple[Verification, bool]:
    """What is found of a host, and whether nobody changed it meanwhile."""
    with open_damaged(root) as opened:
        before = pointer(opened.folder)
        failures, store = opened.failures, opened.store
        failures += folder_failures(opened.folder.descriptor)
        if store is None:
            failures += look(opened.folder.descriptor).failures
            found = Verification(None, None, (), tuple(HostDifference(None, one) for one in failures), 0, None)
            return found, before == pointer(opened.folder)
        with noted(failures):
            store.require_clock(clock or at)
        policy = kept_policy(store, failures)
        if recalls and policy:
            from modseal.host.learned import with_given  # brings depots, which nothing else here needs

            policy = with_given(policy, recalls, at)
        pending = [store.state.pending] if store.state.pending else []
        generations = (store.state.generation, *pending)
        progress.plan(2 * len(generations) + 1)
        looked = [verify_generation(store, one, policy, at, progress) for one in generations]
        progress.begin("the store and its log")
        findings = list(looked[0].findings)
        findings += [each for one in looked[1:] for each in one.findings if each not in findings]
        findings += [HostDifference(None, one) for one in unread_failures(store, looked[0].modules)]
        way = list(extension_failures(store))
        findings += [HostDifference(None, one) for one in way]
        findings += _inodes(store, looked)
        findings += _log(store, holds=opened.holds)
        if opened.holds and folder.status_of(INDEX, store.descriptor):
            from modseal.host.index import index_failures  # brings SQLite

            findings += [HostDifference(None, one) for one in index_failures(store, looked[0].modules)]
        found = Verification(
            store.state if opened.holds else None,
            store.state.generation.number,
            looked[0].modules if policy else (),
            (*(HostDifference(None, one) for one in failures), *findings),
            sum(len(one.found) for one in looked),
            None if way else looked[0].found,
        )
        return found, not (found.findings and is_changing(store)) and before == pointer(opened.folder)


def verify_generation(
    store: Store, reference: Reference, policy: Policy | None, at: datetime, progress: Progress = SILENT
) -> LookedAt:
    """A generation, held against what is signed. Without a policy nobody's signature counts, and none is judged."""
    findings: list[HostDifference] = []
    recorded = recorded_modules(store, reference, findings) or ()
    modules: list[Installed] = []
    progress.begin("modules", modules, len(recorded))
    modules += (one for each in recorded if (one := prove_if_sound(store, each, policy, at, findings)))
    if policy:
        # Of a generation that has lost a module, what its others need would be found missing as well.
        judge = planning.generation_failures if len(modules) == len(recorded) else planning.unfit
        unfit = judge(modules, store.state.level)
        findings += [HostDifference(str(failure.evidence["module"]), failure) for failure in unfit]
    expected = image.layout(module.entries for module in modules)
    found: dict[str, Found] = {}
    progress.begin("files", found, len(expected) + 1)
    _scan(store, reference, expected, found)
    expected[TOP] = Entry(TOP, FileType.DIRECTORY, image.FOLDER_MODE)
    owners = {entry.path: module.name for module in modules for entry in module.entries}
    status = os.fstat(store.descriptor)
    findings += differences(expected, owners, found, (status.st_uid, status.st_gid))
    findings += _relocatable(modules, found)
    named = {finding.module for finding in findings}
    flagged: list[Failure] = []
    stored = objects(store.descriptor, flagged)
    findings += _objects(store, (one for one in modules if one.name not in named), found, stored)
    return LookedAt(reference, tuple(modules), tuple(findings), found, stored, tuple(flagged))


def _scan(store: Store, reference: Reference, expected: Mapping[str, Entry], found: dict[str, Found]) -> None:
    name = _image(reference)
    sizes = frozenset(entry.size for entry in expected.values() if entry.size is not None)
    try:
        descriptor = folder.open_below(name, store.descriptor)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            found[TOP] = Found(None, 0, (0, 0))  # a link or a file is in its place
            return
        raise InputError.of(f"{store.path}/{name}", error) from error
    try:
        scan(descriptor, sizes, found)
    finally:
        os.close(descriptor)


def _image(reference: Reference) -> str:
    return f"{GENERATIONS}/{reference.number}/{IMAGE}"


def _objects(
    store: Store, modules: Iterable[Installed], found: Mapping[str, Found], objects: Mapping[str, int]
) -> Iterator[HostDifference]:
    """The files in the store that the next generation would link to. Those of the image are not read twice."""
    for module in modules:
        for entry in module.entries:
            if entry.sha256 is None:
                continue
            name = object_name(entry.sha256.hex(), entry.mode or 0)
            if objects.get(name) != found[entry.path].inode and not is_good(name, store.descriptor, entry.size or 0):
                shown = rules.shown(entry.path)
                detail = f"the store's file for {shown!r} is missing or is not the signed one"
                yield HostDifference(module.name, Failure("installed-changed", detail, {"path": shown}))
                break


def _inodes(store: Store, looked: Sequence[LookedAt]) -> Iterator[HostDifference]:
    """What binds the files of a store besides their content. Names are counted last, so that no new one is missed."""
    images = [_image(one.reference) for one in looked]
    rest = look(store.descriptor, skip=(OBJECTS, *images))
    count = Counter([*rest.inodes, *looked[0].objects.values()])
    for one in looked:
        count.update(there.inode for there in one.found.values() if there.inode)
    for failure in (*looked[0].flagged, *rest.failures):
        yield HostDifference(None, failure)
    files = [one for one in rest.documents if one.links > count[one.inode]]
    for one, where in zip(looked, images, strict=True):
        bound = [(path, there) for path, there in one.found.items() if there.flags or there.links > count[there.inode]]
        owners = {entry.path: module.name for module in one.modules for entry in module.entries} if bound else {}
        for path, there in bound:
            yield from (HostDifference(owners.get(path), each) for each in flag_failures(path, there.flags))
            if there.inode:
                files.append(StoreFile(f"{where}/{path}", owners.get(path), there.inode, there.links))
    yield from (HostDifference(*each) for each in shared(store, files))


def _relocatable(modules: Iterable[Installed], found: Mapping[str, Found]) -> Iterator[HostDifference]:
    """Powers were judged by what is recorded to be a kernel module; the files themselves say whether that is so."""
    relocatable = {path for path, one in found.items() if one.relocatable}
    for module in modules if relocatable else ():
        brought = {entry.path for entry in module.entries}
        for path in sorted(relocatable & brought - set(module.record.relocatable)):
            yield HostDifference(module.name, hidden_failure(module, path))


def _log(store: Store, *, holds: bool) -> Iterator[HostDifference]:
    """What is wrong with the log: in itself, and held against the state if that `holds`."""
    try:
        for _ in event_log.events(store) if holds else event_log.chain(store):
            pass
    except (RefusedError, UndecidedError) as error:
        yield HostDifference(None, error.failure)
