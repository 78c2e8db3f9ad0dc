"""What is going to be packed: a manifest that is still without payloads, and the inputs of each.

A `module.toml` (`plan_module`, here) and a stage folder (`stage.plan_stage`) become the same `Plan`, so
from here on both kinds of spec go the same way.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from stat import S_ISGID, S_ISREG, S_ISUID, S_ISVTX

from modseal import limits
from modseal.errors import SpecError, SpecProblem, require_spec
from modseal.files.small import read_small
from modseal.format import manifest_json, rules
from modseal.format.manifest import Constraint, Entry, FileType, Kind, Manifest
from modseal.format.payload_writer import Input
from modseal.format.shape import Steps as Place
from modseal.format.stage_descriptor import GivenText
from modseal.format.times import time_text
from modseal.format.visor import VisorLayout
from modseal.packing.collect import PayloadTree, matches
from modseal.packing.spec import ComponentSpec, ModuleSpec, PayloadSpec, parse
from modseal.packing.spec_folder import leads_outside, unpacked
from modseal.packing.spec_shape import DEFAULT_PAYLOAD

EPOCH_VARIABLE = "SOURCE_DATE_EPOCH"
"""The time of all entries, in seconds after 1970 (reproducible-builds.org)."""

_EPOCH = re.compile("[0-9]{1,11}")
_TYPES: Mapping[Kind, Mapping[str, str]] = {
    "seal": {"": "tar+zstd", "vgz": "tar+zstd", "vzstd": "tar+zstd", "tgz": "tar+gzip"},
    "vib": {"": "vgz", "tar+zstd": "vgz", "tar+gzip": "tgz"},
}
"""The default type of a format, and the counterparts of the other's types: default for default, and an
ordinary tar in gzip for the same. `vzstd` is never the default, because only ESXi 9.0 reads it."""
_ZSTD_ON_HOST = "zstd-compression"
FILES = "files"
"""The usual name of the folder with a module's files."""
_SPECIAL = {S_ISUID: "setuid", S_ISGID: "setgid", S_ISVTX: "sticky"}
SPEC_FILE = "module.toml"
_EXAMPLES = 5
_NAMED_SECRETS = 100
"""Of these each one counts; a hundred still fit on a screen."""
_KEEPS = "a [[file]] with a mode says another, and --keep-modes takes those on disk"
_UNEXPECTED = ("a .vib cannot say which signers it expects: expected-signers is left out; require them in the policy",)


@dataclass(frozen=True, slots=True)
class PayloadPlan:
    """One payload to write."""

    name: str
    type: str
    inputs: tuple[Input, ...]
    layout: VisorLayout | None = None


@dataclass(frozen=True, slots=True)
class AttachmentPlan:
    """One attachment to copy."""

    name: str
    media_type: str
    path: Path


@dataclass(frozen=True, slots=True)
class GeneratedPlan:
    """One attachment that is made from what was packed.

    `make` gives its bytes from the manifest so far (payloads, files, the attachments before it) and a function
    that gives the SHA-256 of a payload's member in hex.
    """

    name: str
    media_type: str
    make: Callable[[Manifest, Callable[[str], str]], bytes]


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is packed. `manifest` lacks payloads, files and attachments; `mtime` is that of every entry.

    `trees` are the folders and `sources` the single files that are read, the spec first: output must not go there.
    `components` and `sbom` are what the spec says for an SBOM.
    """

    manifest: Manifest
    mtime: int
    payloads: tuple[PayloadPlan, ...]
    attachments: tuple[AttachmentPlan, ...] = ()
    trees: tuple[Path, ...] = ()
    sources: tuple[Path, ...] = ()
    warnings: tuple[str, ...] = ()
    generated: tuple[GeneratedPlan, ...] = ()
    components: tuple[ComponentSpec, ...] = ()
    sbom: bool = False


def read_epoch(environ: Mapping[str, str]) -> int | None:
    """The time that the environment sets, or None. Raises `SpecError` for anything but seconds after 1970."""
    text = environ.get(EPOCH_VARIABLE)
    if text is None:
        return None
    if not _EPOCH.fullmatch(text) or int(text) > manifest_json.LATEST_TIME:
        raise SpecError(
            f"{EPOCH_VARIABLE} is {text[:60]!r}, and must be whole seconds after 1970, "
            f"at most {manifest_json.LATEST_TIME}"
        ).because("epoch")
    return int(text)


def released(said: str, epoch: int | None, kind: Kind) -> str:
    """The time of release: as the spec says, else the set time; a `.vib` must have one, so there 1970 at last.

    A descriptor's form and a manifest's form of a time are turned into each other; no offset means UTC.
    """
    if kind == "vib":
        said = said.replace("Z", "+00:00")
        return said or f"{datetime.fromtimestamp(epoch or 0, UTC):%Y-%m-%dT%H:%M:%S+00:00}"
    if said:
        time = datetime.fromisoformat(said)
        return time_text(time if time.tzinfo else time.replace(tzinfo=UTC))
    return "" if epoch is None else time_text(datetime.fromtimestamp(epoch, UTC))


def payload_type(said: str, kind: Kind) -> str:
    """The payload type for a format: what was said, or its counterpart, or the default."""
    return _TYPES[kind].get(said, said)


def read_file(path: Path, limit: int = limits.SPEC_SIZE) -> bytes:
    """A spec or what belongs to it. Raises `InputError` where it cannot be read, `SpecError` where it is too large."""
    return read_small(
        path, limit, too_large=lambda why: SpecError(f"{path}: the file is {why}").because("not-a-spec")
    ).data


def plan_module(
    path: Path, kind: Kind, epoch: int | None, given: Mapping[str, GivenText] | None = None, *, keep_modes: bool = False
) -> Plan:
    """The plan of a `module.toml`, with what is `given` in the place of its fields.

    `keep_modes` takes the modes of files and folders as they are on disk. Raises `SpecError` with all its problems at
    once, `InputError`.
    """
    spec = parse(read_file(path), str(path), given)
    folder = path.parent
    unused: list[str] = []
    trees = [
        _collect(
            spec,
            index,
            payload,
            folder,
            unused,
            PayloadTree(payload.name, payload_type(payload.type, kind), keep_modes=keep_modes),
        )
        for index, payload in enumerate(_payloads(spec))
    ]
    problems = [*_forgotten(spec, folder), *(problem for tree in trees for problem in tree.problems)]
    problems += _apply_files(spec, {tree.name: tree for tree in trees}, folder)
    problems += finish(trees)
    attachments = tuple(AttachmentPlan(item.name, item.media_type, folder / item.file) for item in spec.attachments)
    problems += _attachment_problems(spec, folder, attachments)
    require_spec(problems)
    roots = tuple(folder / payload.root for payload in spec.payloads if payload.root is not None)
    sources = (path, *(item.path for item in attachments), *(folder / f.source for f in spec.files if f.source))
    manifest = Manifest(
        kind,
        spec.vendor,
        spec.name,
        spec.version,
        spec.level,
        spec.summary,
        spec.description,
        released(spec.released, epoch, kind),
        spec.relationships,
        vib=spec.vib if kind == "vib" else None,
        expected_signers=() if kind == "vib" else spec.expected_signers,
    )
    left_out = attachments if kind == "vib" else ()
    return Plan(
        manifest=manifest,
        mtime=epoch or 0,
        payloads=tuple(PayloadPlan(tree.name, tree.type, tuple(tree.inputs.values())) for tree in trees),
        attachments=() if kind == "vib" else attachments,
        trees=roots,
        sources=sources,
        warnings=(
            *(f"a .vib carries no attachments: {item.name} is left out" for item in left_out),
            *(_UNEXPECTED if kind == "vib" and spec.expected_signers else ()),
            *unused,
            *_without_files(spec),
            # A spec of another name shares its folder with others.
            *(_not_packed(spec, folder, roots, sources) if path.name == SPEC_FILE else ()),
            *tree_warnings(trees, spec.relationships.depends, _KEEPS),
        ),
        components=spec.components,
        sbom=spec.sbom,
    )


def _payloads(spec: ModuleSpec) -> tuple[PayloadSpec, ...]:
    """The payloads; files alone get one too."""
    return spec.payloads or ((PayloadSpec(DEFAULT_PAYLOAD, None, "", "", ()),) if spec.files else ())


def _forgotten(spec: ModuleSpec, folder: Path) -> Iterator[str]:
    """A spec that names no files, beside a folder that looks like them."""
    if _says_nothing_of_files(spec) and (folder / FILES).is_dir():
        yield (
            f"{spec.source}: has no [[payload]], so that nothing of {str(folder / FILES)!r} would be packed; add "
            f'[[payload]] with root = "{FILES}", or write payload = [] for a module without files'
        )


def _without_files(spec: ModuleSpec) -> Iterator[str]:
    if _says_nothing_of_files(spec):
        yield "the module has no files; name their folder in a [[payload]] (payload = [] says that there are none)"


def _not_packed(spec: ModuleSpec, folder: Path, roots: Iterable[Path], sources: Iterable[Path]) -> Iterator[str]:
    """What lies beside the packed files and is named by nothing; and each pattern for it that fits nothing."""
    unused = set(spec.exclude)

    def left_out(path: str) -> bool:
        fitting = {pattern for pattern in spec.exclude if matches(path, pattern)}
        unused.difference_update(fitting)
        return bool(fitting) or any(
            matches(path, pattern) for payload in spec.payloads for pattern in payload.exclude if "/" not in pattern
        )

    found = unpacked(folder, roots, sources, left_out)
    if found and (spec.payloads or spec.files):  # a module without files says so itself
        what = f"nothing packs {_paths(found)} of {str(folder)!r}"
        them, are = ("it", "it is") if len(found) == 1 else ("them", "they are")
        yield f"{what}; name {them} in a [[file]] or [[payload]], or in the spec's own `exclude` if {are} not shipped"
    for place, pattern in enumerate(spec.exclude):
        if pattern in unused:
            yield spec.describe(
                ("exclude", place), f"{pattern!r} leaves nothing out: nothing that is not packed is called so"
            )


def _says_nothing_of_files(spec: ModuleSpec) -> bool:
    return not spec.files and "payload" not in spec.document.values


def _collect(
    spec: ModuleSpec, index: int, payload: PayloadSpec, folder: Path, unused: list[str], tree: PayloadTree
) -> PayloadTree:
    """The tree of a payload; a warning for each pattern that leaves nothing out is added to `unused`."""
    if payload.root is not None:
        if outside := leads_outside(folder, payload.root):
            tree.problems.append(_described(spec, ("payload", index, "root"), outside))
            return tree
        try:
            for place in tree.add_folder(folder / payload.root, payload.prefix, payload.exclude):
                what = f"{payload.exclude[place]!r} leaves nothing out: nothing below {payload.root!r} is called so"
                unused.append(spec.describe(("payload", index, "exclude", place), what))
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a file name"
            tree.problems.append(spec.describe(("payload", index, "root"), f"{payload.root!r}: {reason}"))
    return tree


def _apply_files(spec: ModuleSpec, trees: Mapping[str, PayloadTree], folder: Path) -> Iterator[str]:
    """Each `[[file]]`: added files first, then modes, which may be those of the folders above them."""
    for index, file in enumerate(spec.files):
        if file.source is not None:
            try:
                problem: str | None = leads_outside(folder, file.source)
                problem = problem or trees[file.payload].add_file(file.path, folder / file.source)
            except OSError as error:
                problem = f"{file.source!r}: {error.strerror}"
            if problem:
                yield _described(spec, ("file", index, "source"), problem)
    for tree in trees.values():
        tree.add_parents()
    for index, file in enumerate(spec.files):
        if file.mode is not None:
            found = [tree.set_mode(file.path, file.mode) for tree in trees.values() if file.path in tree.inputs]
            if not found and file.source is None:
                yield spec.describe(("file", index, "path"), f"{file.path!r} is in no payload")
            if False in found:
                yield spec.describe(("file", index, "mode"), f"{file.path!r} is a symbolic link, which has no mode")


def _described(spec: ModuleSpec, place: Place, problem: str) -> SpecProblem:
    """A problem with a value as one line, which keeps its cause."""
    return SpecProblem(spec.describe(place, problem), getattr(problem, "cause", None))


def _attachment_problems(spec: ModuleSpec, folder: Path, attachments: Iterable[AttachmentPlan]) -> Iterator[str]:
    for index, item in enumerate(attachments):
        place = ("attachment", index, "file")
        if outside := leads_outside(folder, spec.attachments[index].file):
            yield _described(spec, place, outside)
            continue
        try:
            status = os.stat(item.path)
        except OSError as error:
            yield spec.describe(place, f"{str(item.path)!r}: {error.strerror}")
            continue
        if not S_ISREG(status.st_mode):
            yield spec.describe(place, f"{str(item.path)!r} is not a regular file")
        elif status.st_size > limits.ATTACHMENT_SIZE:
            yield spec.describe(place, f"has {status.st_size} bytes, and may have {limits.ATTACHMENT_SIZE}")


def finish(trees: Iterable[PayloadTree]) -> Iterator[str]:
    """Give each tree the folders above its entries, once in the whole module; then what they break together."""
    seen: set[str] = set()
    entries: list[Entry] = []
    for tree in trees:
        tree.add_parents()
        for item in list(tree.inputs.values()):
            if item.type is FileType.DIRECTORY and item.path in seen:
                del tree.inputs[item.path]
        seen.update(path for path, item in tree.inputs.items() if item.type is FileType.DIRECTORY)
        entries += [Entry(item.path, item.type) for item in tree.inputs.values()]
    if len(entries) > limits.FILES:
        yield f"the module has {len(entries)} entries, and may have {limits.FILES}"
    yield from (failure.detail for failure in rules.check_tree(entries))


def tree_warnings(trees: Iterable[PayloadTree], depends: Iterable[Constraint], keeps: str) -> Iterator[str]:
    """What is allowed, and is likely not meant. `keeps` says how a mode is kept."""
    for tree in trees:
        if not tree.inputs:
            yield f"payload {tree.name} is empty"
        if tree.litter:
            what = f"has {_paths(tree.litter)} of version control, desktops or editors"
            yield f"payload {tree.name} {what}; exclude them if they are not meant to be shipped"
        if tree.secrets:
            look = (
                "looks like a private key or password"
                if len(tree.secrets) == 1
                else "look like private keys or passwords"
            )
            what = f"has {_paths(tree.secrets, _NAMED_SECRETS)} that {look}"
            yield f"payload {tree.name} {what}; whoever gets the module can read them"
        for before, after, paths in tree.changes():
            special = [word for bit, word in _SPECIAL.items() if before & ~after & bit]
            what = f"mode {before:04o}{f' ({chr(32).join(special)})' if special else ''} becomes {after:04o}"
            yield f"payload {tree.name}: {what} for {_paths(paths)}; {keeps}"
        if special := [path for path, item in tree.inputs.items() if _is_special(item)]:
            what = f"has {_paths(special)} with the setuid or setgid bit"
            yield f"payload {tree.name} {what}, run with their owner's rights"
        if tree.type == "vzstd" and _ZSTD_ON_HOST not in {item.name for item in depends}:
            yield f"payload {tree.name} is vzstd, but the module does not depend on {_ZSTD_ON_HOST} = 1.0"


def _is_special(item: Input) -> bool:
    """Whether it has rights beyond those of its reader. The sticky bit of a file of a host says to keep changes."""
    return item.type is FileType.FILE and bool(item.mode & (S_ISUID | S_ISGID))


def _paths(paths: list[str], most: int = _EXAMPLES) -> str:
    """How many paths, with some of them."""
    examples = ", ".join(map(repr, paths[:most])) + (", ..." if len(paths) > most else "")
    return f"{len(paths)} {'path' if len(paths) == 1 else 'paths'} ({examples})"


def with_generated(plan: Plan, item: GeneratedPlan) -> Plan:
    """The plan with one attachment more, which is written after all others.

    Raises `SpecError` for a name that is taken, and for one attachment too many.
    """
    taken: list[PayloadPlan | AttachmentPlan | GeneratedPlan] = [*plan.payloads, *plan.attachments, *plan.generated]
    if any(item.name == one.name for one in taken):
        raise SpecError(f"the member name {item.name!r} is taken by the module, and an attestation needs it").because(
            "attachment-name"
        )
    if len(plan.attachments) + len(plan.generated) == limits.ATTACHMENTS:
        raise SpecError(f"the module has {limits.ATTACHMENTS} attachments already, and may have no more").because(
            "too-many-attachments"
        )
    return replace(plan, generated=(*plan.generated, item))


def without_vib(manifest: Manifest) -> Manifest:
    """The same module as the manifest of a `.seal`, which has no `compatibleWith` and no fields of a `.vib`."""
    return replace(manifest, kind="seal", vib=None, relationships=replace(manifest.relationships, compatible_with=()))
