"""`modseal pack`."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from modseal.cli.options import FILE, OUTPUT, Choice, Time
from modseal.cli.progress import progress
from modseal.errors import UsageError
from modseal.format.manifest import Kind
from modseal.packing import given
from modseal.packing.pack import pack as pack_module
from modseal.packing.plan import read_epoch
from modseal.report.signatures_text import packed_line
from modseal.report.text import safe, safe_name

if TYPE_CHECKING:
    from modseal.packing.provenance import Build


@click.command()
@click.argument("spec", type=FILE)
@click.option(
    "-o", "--output", type=OUTPUT, metavar="OUT", help="The bundle to write; by default named after the module."
)
@click.option(
    "--format",
    "kind",
    type=Choice(["seal", "vib"]),
    help="By default what the suffix of OUT says, else seal for a module.toml, vib for a stage folder.",
)
@click.option("--version", metavar="VERSION", help="The version, in the place of the one in SPEC.")
@click.option("--version-from-git", is_flag=True, help="The version that `git describe` gives: tag v1.2.3 is 1.2.3.")
@click.option("--release-date", type=Time(), metavar="TIME", help="The time of release (UTC), in the place of SPEC's.")
@click.option(
    "--set",
    "fields",
    multiple=True,
    metavar="FIELD=VALUE",
    help="A single field, in the place of SPEC's, such as summary or level; repeatable.",
)
@click.option("--keep-modes", is_flag=True, help="Take the modes of files and folders as they are on disk.")
@click.option(
    "--offline-bundle",
    type=OUTPUT,
    metavar="ZIP",
    help="Also write an ESXi offline bundle with the .vib alone; `modseal depot build` has more options.",
)
@click.option("--sbom", is_flag=True, help="Embed a CycloneDX SBOM, made from the files and the spec.")
@click.option("--provenance", is_flag=True, help="Embed a SLSA provenance statement: who built it, from what.")
@click.option("--builder-id", default="", metavar="URI", help="Who builds; default: the CI job's workflow or runner.")
@click.option(
    "--build-type",
    default="",
    metavar="URI",
    help="The page that says what the build's parameters mean; default: modseal's own.",
)
@click.option("--source-uri", default="", metavar="URI", help="The source, as git+https://HOST/REPOSITORY@REF.")
@click.option("--source-digest", default="", metavar="DIGEST", help="Its git commit, or ALGORITHM:HEX.")
@click.option(
    "--invocation-id", default="", metavar="ID", help="Which run of the build it was; default: the run of the CI job."
)
def pack(
    spec: Path,
    output: Path | None,
    kind: Kind | None,
    version: str | None,
    release_date: datetime | None,
    fields: tuple[str, ...],
    offline_bundle: Path | None,
    *,
    version_from_git: bool,
    keep_modes: bool,
    sbom: bool,
    provenance: bool,
    **build: str,
) -> None:
    """Pack the module of SPEC into an unsigned bundle.

    SPEC is a module.toml, a folder with one, or a vibauthor stage folder (descriptor.xml and payloads/).
    The same input gives the same bytes on every machine; SOURCE_DATE_EPOCH sets the time of entries.
    """
    if offline_bundle is not None:
        if kind == "seal":
            raise UsageError("--offline-bundle is for a .vib; a .seal goes into a signed depot (`modseal depot build`)")
        kind = "vib"
    with progress(f"packing {spec}"):
        packed = pack_module(
            spec,
            output,
            kind,
            environ=os.environ,
            sbom=sbom,
            build=_build(build, provenance=provenance),
            given=given.read(spec, version, release_date, fields, from_git=version_from_git),
            keep_modes=keep_modes,
            offline_bundle=offline_bundle,
        )
    for warning in packed.warnings:
        click.echo(f"modseal: warning: {safe(warning)}", err=True)
    click.echo(packed_line(packed))
    if offline_bundle is not None:
        from modseal.depot.offline_plan import Choices
        from modseal.packing.offline_bundle import build as build_depot

        written = build_depot([packed.path], offline_bundle, Choices(), read_epoch(os.environ))
        click.echo(f"{safe_name(written.path)}: offline bundle of 1 bundle, sha256 {written.sha256}")


def _build(said: dict[str, str], *, provenance: bool) -> Build | None:
    """What provenance will say; None without it."""
    if not provenance:
        useless = [name for name, value in said.items() if value]
        if useless:
            raise UsageError(f"--{useless[0].replace('_', '-')} has no effect without --provenance")
        return None
    from modseal.packing.provenance import read_build

    return read_build(os.environ, **said)
