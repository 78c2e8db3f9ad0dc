"""Pack a module into an unsigned bundle: from a spec to a file, in one readable story.

The packer refuses what the verifier would reject, twice: by the same rules before anything is written, and by
the verifier itself. The finished file is examined before it gets its name, always, even if it is large:
reading is several times faster than the compression that came before, and a bundle that no gate lets in is
the one fault that a packer must not have.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from modseal.bundle.open import OpenBundle
from modseal.errors import InputError, RefusedError, SpecError, UsageError
from modseal.files.output import output_file, require_like, require_output, takes_place
from modseal.format import ar, zip_records
from modseal.format.manifest import FileType, Kind, Manifest
from modseal.format.source import FileSource
from modseal.format.stage_descriptor import GivenText
from modseal.packing.assemble import spool_parts, write_archive
from modseal.packing.plan import SPEC_FILE, Plan, plan_module, read_epoch
from modseal.packing.rewrite import suffix_kind
from modseal.packing.stage import DESCRIPTOR, plan_stage
from modseal.policy.shape import PATH_LISTS
from modseal.trust.examination import Verdict
from modseal.trust.granted import placement_failures
from modseal.trust.integrity import examine_integrity

if TYPE_CHECKING:
    from modseal.packing.provenance import Build

PATH_LIST = "esxi-8"
"""The built-in list of allowed paths that a community `.vib` is compared with."""

_NAMED_PATHS = 10
_ANY_TIME = datetime.fromtimestamp(0, UTC)
"""Integrity does not depend on the time, and packing must not read the clock."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A bundle that was written. `size` (bytes) and `sha256` are those of the file; `warnings` are one line each."""

    path: Path
    sha256: str
    manifest: Manifest
    kind: Kind
    warnings: tuple[str, ...]
    size: int

    @property
    def files(self) -> int:
        """How many files and links are in it."""
        return sum(entry.type is not FileType.DIRECTORY for entry in self.manifest.files)


def pack(
    spec: Path,
    output: Path | None,
    kind: Kind | None,
    *,
    environ: Mapping[str, str],
    sbom: bool = False,
    build: Build | None = None,
    given: Mapping[str, GivenText] | None = None,
    keep_modes: bool = False,
    offline_bundle: Path | None = None,
) -> Packed:
    """Pack the module of `spec`: a `module.toml`, a folder with one, or a stage folder.

    `kind` is by default what the suffix of `output` says, else seal for a `module.toml` and vib for a stage folder;
    `output` is by default named after the module, in the current folder, and is replaced atomically. Of `environ` only
    SOURCE_DATE_EPOCH counts. `sbom` embeds an SBOM even if the spec does not ask for one; a `build` embeds provenance.
    `given` are values in the place of the spec's (`packing.given`); `keep_modes` takes modes as they are on disk.
    An `offline_bundle` is where the caller will write one: it is judged as the output is, before anything is written.
    Raises `SpecError` (every problem of the spec at once), `UsageError`, `FormatError` or `RefusedError` (what
    a verifier would reject), `InputError`. Nothing is left behind by a failure.
    """
    epoch = read_epoch(environ)
    kind = kind_of_output(output, kind)
    plan = _checked(make_plan(spec, kind, epoch, given, keep_modes=keep_modes))
    _require_given(given or {}, spec, plan)
    plan = _attested(plan, epoch, build, sbom=sbom)
    target = output or Path(default_name(plan.manifest))
    outputs = [target, *([offline_bundle] if offline_bundle else [])]
    for each in outputs:
        _require_output(each, plan)
    if offline_bundle and os.path.realpath(offline_bundle) == os.path.realpath(target):
        raise UsageError(f"{offline_bundle} is written twice, as the bundle and as the offline bundle; name two files")
    if offline_bundle and offline_bundle.suffix.lower() not in ("", ".zip"):
        raise UsageError(f"{offline_bundle} is to be an offline bundle, a zip file; name it .zip")
    require_like(target, ar.MAGIC, "bundle")
    if offline_bundle:
        require_like(offline_bundle, zip_records.LOCAL_MAGIC, "offline bundle")
    replaced = [f"{each} was there already, and is replaced" for each in outputs if takes_place(each)]
    with _spool(target) as spool:
        manifest, parts = spool_parts(plan, spool)
        with output_file(target) as file:
            write_archive(manifest, parts, spool, file)
            file.flush()
            sha256 = _require_sound(file, target)
            size = file.seek(0, os.SEEK_END)
    warnings = (*plan.warnings, *_placement_warnings(manifest), *replaced)
    return Packed(target, sha256, manifest, manifest.kind, warnings, size)


def kind_of_output(output: Path | None, said: Kind | None) -> Kind | None:
    """The format that the output's suffix and the caller say. Raises `UsageError` where they contradict each other."""
    named = suffix_kind(output) if output else None
    if output and output.suffix.lower() == ".zip":
        raise UsageError(
            f"{output} is the name of an offline bundle, which --offline-bundle writes; name a .seal or .vib"
        )
    if output and output.suffix and not named:
        raise UsageError(f"{output} ends in {output.suffix}, which is no suffix of a bundle; name it .seal or .vib")
    if named and said and named != said:
        raise UsageError(f"{output} is the name of a .{named}, and the format is to be {said}; change one of them")
    return said or named


def make_plan(
    spec: Path,
    kind: Kind | None,
    epoch: int | None,
    given: Mapping[str, GivenText] | None = None,
    *,
    keep_modes: bool = False,
) -> Plan:
    """The plan for a module spec or a stage folder. Raises `UsageError` where `spec` is neither, or both."""
    if not spec.exists():
        raise InputError(f"{spec}: there is no such file or folder", path=str(spec)).because("not-found")
    if not spec.is_dir():
        if spec.name == DESCRIPTOR:
            raise UsageError(f"{spec} is the descriptor of a stage folder; give the folder")
        return plan_module(spec, kind or "seal", epoch, given, keep_modes=keep_modes)
    is_module, is_stage = (spec / SPEC_FILE).exists(), (spec / DESCRIPTOR).exists()
    if is_module and is_stage:
        raise UsageError(f"{spec} has a {SPEC_FILE} and a {DESCRIPTOR}; give the path of the first if you mean it")
    if is_module:
        return plan_module(spec / SPEC_FILE, kind or "seal", epoch, given, keep_modes=keep_modes)
    if is_stage:
        return plan_stage(spec, kind or "vib", epoch, given, keep_modes=keep_modes)
    raise SpecError(f"{spec}: has neither a {SPEC_FILE} nor a {DESCRIPTOR}").because("spec-missing")


def _require_given(given: Mapping[str, GivenText], spec: Path, plan: Plan) -> None:
    """Check what was said in the place of the spec against what is packed. Raises `UsageError`."""
    from modseal.packing import git_version
    from modseal.packing.given import require_fields_of

    require_fields_of(plan.manifest.kind, given)
    if "version" in given and given["version"].source == git_version.OPTION:
        inputs = (item.disk for payload in plan.payloads for item in payload.inputs if item.disk)
        single = (os.fsencode(os.path.realpath(path)) for path in plan.sources)
        git_version.require_known(spec if spec.is_dir() else spec.parent, (*inputs, *single))


def _checked(plan: Plan) -> Plan:
    """The plan, once its attachments are what their media types say. Raises `SpecError`, `InputError`."""
    if not plan.attachments:
        return plan
    from modseal.packing import documents

    return replace(plan, warnings=(*plan.warnings, *documents.check(plan.attachments)))


def _attested(plan: Plan, epoch: int | None, build: Build | None, *, sbom: bool) -> Plan:
    """The plan with the attestations that were asked for: provenance last, because it names the SBOM."""
    if plan.manifest.kind == "vib":
        if sbom or build:
            raise UsageError("a .vib carries no attachments: pack a .seal for an SBOM or provenance")
        left_out = ("a .vib carries no attachments: the SBOM is left out",) if plan.sbom else ()
        return replace(plan, warnings=(*plan.warnings, *left_out))
    if sbom or plan.sbom:
        from modseal.packing.sbom import with_sbom

        plan = with_sbom(plan, epoch)
    elif plan.components:
        unused = "components are declared, and no SBOM is embedded that would list them"
        plan = replace(plan, warnings=(*plan.warnings, unused))
    if build:
        from modseal.packing.provenance import with_provenance

        plan = with_provenance(plan, build, epoch)
    return plan


def default_name(manifest: Manifest) -> str:
    """The usual file name of a bundle."""
    return f"{manifest.id}.vib" if manifest.kind == "vib" else f"{manifest.name}-{manifest.version}.seal"


def _require_output(target: Path, plan: Plan) -> None:
    """Check that the output can be written and is not one of the packed files. Raises `UsageError`, `InputError`."""
    require_output(target)
    real = Path(os.path.realpath(target))
    for source in plan.sources:
        if real in (Path(os.path.realpath(source)), Path(os.path.realpath(source.parent), source.name)):
            raise UsageError(f"{target} is an input of the module; write the bundle somewhere else")
    for tree in plan.trees:
        if real.is_relative_to(os.path.realpath(tree)):
            raise UsageError(f"{target} lies in {tree}, which is packed; write the bundle somewhere else")


@contextmanager
def _spool(target: Path) -> Iterator[BinaryIO]:
    """An unnamed file on the file system of the output, where a copy may cost nothing."""
    try:
        with tempfile.TemporaryFile(dir=target.parent) as file:
            yield file
    except OSError as error:
        raise InputError.of(target, error) from error


def _require_sound(file: BinaryIO, target: Path) -> str:
    """The verifier's own verdict on container, payloads and files; then the SHA-256 of the bundle."""
    bundle = OpenBundle(FileSource(file.fileno()), str(target), with_digest=True, file_digests=False)
    examination = examine_integrity(bundle, _ANY_TIME)
    if examination.verdict is not Verdict.ACCEPTED and examination.primary:
        check = examination.primary
        detail = f"a verifier would reject it: {check.detail}"
        raise RefusedError(check.code or "bad-manifest", detail, **check.evidence)
    return bundle.sha256()


def _placement_warnings(manifest: Manifest) -> Iterator[str]:
    """Files of a community `.vib` that hosts refuse without --force."""
    if manifest.kind != "vib":
        return
    files = [entry for entry in manifest.files if entry.type is not FileType.DIRECTORY]  # a descriptor has no folders
    failures = list(placement_failures(manifest, files, PATH_LISTS[PATH_LIST], PATH_LIST))
    yield from (failure.detail for failure in failures[:_NAMED_PATHS])
    if len(failures) > _NAMED_PATHS:
        yield f"and {len(failures) - _NAMED_PATHS} more files outside the paths that a community module may use"
