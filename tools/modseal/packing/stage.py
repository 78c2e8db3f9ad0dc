"""A stage folder of vibauthor as a plan: `descriptor.xml`, and the tree of each payload in `payloads/<name>/`.

The descriptor is taken as it is: no text is added, and a release date that stands there stays. `modseal.toml` beside it
has the modes of files (see `stage_modes`). A payload
that `modseal extract` took apart has `payloads/<name>.layout.json` beside its tree (see `layout`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from modseal import limits
from modseal.bundle import layout as layouts
from modseal.bundle.stage_modes import FILE
from modseal.errors import Failure, InputError, require_spec
from modseal.format import rules, stage_descriptor
from modseal.format.manifest import MANIFEST_MEMBER, FileType, Kind, Manifest, Payload
from modseal.format.payload import VIB_TYPES, VISOR_TYPES
from modseal.format.payload_writer import Input
from modseal.format.stage_descriptor import GivenText, StageError
from modseal.format.visor import VisorLayout
from modseal.packing import stage_modes
from modseal.packing.collect import PayloadTree
from modseal.packing.given import for_stage
from modseal.packing.plan import (
    EPOCH_VARIABLE,
    PayloadPlan,
    Plan,
    finish,
    payload_type,
    read_file,
    released,
    tree_warnings,
    without_vib,
)
from modseal.packing.spec_folder import leads_outside

DESCRIPTOR = MANIFEST_MEMBER["vib"]
PAYLOADS = "payloads"
_KEEPS = f"[modes] in {FILE} beside the descriptor says another, and --keep-modes takes those on disk"
_UNDATED = (f"no release date is said, so it is 1970-01-01: say --release-date, or set {EPOCH_VARIABLE}",)


def plan_stage(
    folder: Path,
    kind: Kind,
    epoch: int | None,
    given: Mapping[str, GivenText] | None = None,
    *,
    keep_modes: bool = False,
) -> Plan:
    """The plan of a stage folder, with what is `given` in the place of the descriptor's texts.

    `keep_modes` takes the modes of files and folders as they are on disk. Raises `SpecError` with all its problems at
    once, `InputError`.
    """
    manifest, problems = _read_descriptor(folder / DESCRIPTOR, for_stage(given or {}))
    payloads = folder / PAYLOADS
    problems += _strangers(payloads, manifest.payloads)
    trees = [_collect(folder, payload, kind, keep_modes=keep_modes) for payload in manifest.payloads]
    kept = {tree.name: _apply_layout(tree, payloads) for tree in trees if tree.type in VISOR_TYPES}
    said = folder / FILE
    if os.path.lexists(said):
        problems += stage_modes.apply(read_file(said), said, trees)
    problems += [problem for tree in trees for problem in tree.problems]
    if not problems:
        problems += finish(trees)
    require_spec(problems)
    sidecars = [payloads / f"{name}{layouts.SUFFIX}" for name, kept_layout in kept.items() if kept_layout]
    return Plan(
        manifest=_bare(manifest, kind, epoch),
        mtime=epoch or 0,
        payloads=tuple(
            PayloadPlan(tree.name, tree.type, tuple(tree.inputs.values()), kept.get(tree.name)) for tree in trees
        ),
        trees=(payloads,),
        sources=(folder / DESCRIPTOR, *sidecars, said),
        warnings=(
            *_lost(manifest, kind),
            *(_UNDATED if kind == "vib" and not manifest.released and epoch is None else ()),
            *tree_warnings(trees, manifest.relationships.depends, _KEEPS),
        ),
    )


def _read_descriptor(path: Path, given: Mapping[str, GivenText]) -> tuple[Manifest, list[str]]:
    """What the descriptor says, and all that is wrong with it."""
    try:
        manifest, problems = stage_descriptor.decode(read_file(path, limits.MANIFEST_SIZE), given), []
    except StageError as error:
        problems = [_at(path, problem) for problem in error.problems]
        if error.manifest is None:
            require_spec(problems)
            raise
        manifest = error.manifest
    problems += [
        f"{path}: payload {payload.name!r} has the type {payload.type!r}, and modseal writes {', '.join(VIB_TYPES)}"
        for payload in manifest.payloads
        if payload.type not in VIB_TYPES
    ]
    return manifest, problems


def _at(path: Path, failure: Failure) -> str:
    """A problem as one line that an editor can jump to: `descriptor.xml:3:5: what`."""
    if "given" in failure.evidence:
        return failure.detail
    line, column = failure.evidence.get("line"), failure.evidence.get("column")
    what = failure.detail.removeprefix(f"line {line}, column {column}: ")
    return f"{path}:{line}:{column}: {what}" if line else f"{path}: {what}"


def _bare(manifest: Manifest, kind: Kind, epoch: int | None) -> Manifest:
    """The manifest for the format, without what is still to be found out."""
    bare = replace(manifest, payloads=(), files=(), released=released(manifest.released, epoch, kind))
    return bare if kind == "vib" else without_vib(bare)


def _lost(manifest: Manifest, kind: Kind) -> Iterator[str]:
    if kind == "seal" and manifest.relationships.compatible_with:
        yield "a .seal has no compatibleWith: those constraints are left out"


def _strangers(folder: Path, payloads: Iterable[Payload]) -> Iterator[str]:
    """What lies in `payloads/` and belongs to no payload: a misspelt name would be lost otherwise."""
    names = {payload.name for payload in payloads}
    known = names | {f"{name}{layouts.SUFFIX}" for name in names}
    try:
        present = sorted(os.listdir(folder))
    except FileNotFoundError:
        present = []
    except OSError as error:
        raise InputError.of(folder, error) from None
    for name in present:
        if name not in known:
            yield f"{folder}: {name!r} belongs to no payload of {DESCRIPTOR}"


def _collect(stage: Path, payload: Payload, kind: Kind, *, keep_modes: bool) -> PayloadTree:
    """The tree of a payload. The sticky bit stays: it is how a stage says that a host keeps changes to a file."""
    folder = stage / PAYLOADS / payload.name
    sticky = rules.STICKY if kind == "vib" else 0
    tree = PayloadTree(payload.name, payload_type(payload.type, kind), sticky, keep_modes)
    if outside := leads_outside(stage, f"{PAYLOADS}/{payload.name}"):
        tree.problems.append(outside)
        return tree
    try:
        tree.add_folder(folder)
    except OSError as error:
        tree.problems.append(f"{folder}: the tree of payload {payload.name!r}: {error.strerror}")
    return tree


def _apply_layout(tree: PayloadTree, payloads: Path) -> VisorLayout | None:
    """Give the tree the modes of its layout, if it has one that still is of this tree."""
    path = payloads / f"{tree.name}{layouts.SUFFIX}"
    if not os.path.lexists(path):
        return None
    layout, modes = layouts.decode(read_file(path, limits.MANIFEST_SIZE), str(path))
    different = sorted(_differences(tree.inputs.values(), layout))
    if different:
        tree.problems.append(
            f"{path}: is not the layout of this tree any more ({different[0]!r}); "
            "remove the file to pack the tree afresh"
        )
        return None
    for item_path, mode in modes.items():
        tree.set_mode(item_path, mode)
    return layout


def _differences(inputs: Iterable[Input], layout: VisorLayout) -> set[str]:
    """The paths that are not in both, or have another type."""
    flags = {"5": FileType.DIRECTORY, "2": FileType.SYMLINK}
    on_disk = {(item.path, item.type) for item in inputs}
    laid_out = {(path, flags.get(fields.typeflag, FileType.FILE)) for path, fields in layout.fields.items()}
    return {path for path, _ in on_disk ^ laid_out}
