"""`modseal host`: what lets only installed modules run."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from modseal.cli.depot_options import key_options
from modseal.cli.host_options import problem_shown, root_option, show
from modseal.cli.options import (
    FILE,
    FOLDERS,
    Choice,
    now,
)
from modseal.errors import UsageError


@click.command()
@root_option
@click.option(
    "--format", "kind", type=Choice(["ipe", "ima", "fsverity", "fapolicyd"]), required=True, help="What enforces it."
)
@click.option("-o", "--output", "out", type=FILE, required=True, metavar="OUT", help="The folder to write; a new one.")
@click.option(
    "--base",
    multiple=True,
    metavar="HEX",
    help="ipe: the dm-verity root hash of an image of the system itself, which may run too; repeatable.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@key_options
def export(root: Path, kind: str, out: Path, base: tuple[str, ...], *, as_json: bool, **given: Any) -> None:
    """Write what the kernel's own enforcement needs to run the active generation, once all of it is proved again."""
    from modseal.cli.depot_options import open_signers
    from modseal.host.values import EXPORT
    from modseal.packing import host_export
    from modseal.report.text import plural, safe

    if base and kind != "ipe":
        raise UsageError("--base has a meaning only with --format ipe")
    if given["key"] and kind == "fapolicyd":
        raise UsageError("fapolicyd reads no signature; leave out --key")
    try:
        roots = tuple(bytes.fromhex(one.removeprefix("sha256:")) for one in base)
    except ValueError:
        roots = (b"",)
    if any(len(one) != 32 for one in roots):
        raise UsageError("--base needs 64 hexadecimal digits")
    signers = open_signers(given) if given["key"] or given["cert"] else []
    if len(signers) > 1:
        raise UsageError("name one --key")
    signer = signers[0] if signers else None
    with problem_shown(as_json=as_json):
        done = host_export.write(root, kind, out, now(), signer, roots)  # type: ignore[arg-type]
    extent = f"{plural(done.modules, 'module')}, {plural(done.files, 'file')}"
    said = f"{safe(out)}: generation {done.generation}, {extent}, for {kind}"
    show({"schema": EXPORT, "format": kind, **asdict(done)}, lambda: said, "json" if as_json else "text")
    if not done.signed and kind != "fapolicyd":
        click.echo("modseal: this is not signed; the kernel takes it only signed: use --key and --cert", err=True)


@click.command()
@root_option
@click.option(
    "--mount",
    "mounts",
    type=FILE,
    metavar="DIR",
    multiple=True,
    required=True,
    shell_complete=FOLDERS,
    help="Where a file system is mounted that is to be guarded, all of it. Several times: several of them.",
)
@click.option("--audit", is_flag=True, help="Deny nothing; log what would be denied.")
@click.option("--libraries", is_flag=True, help="Hold ELF files as soon as they are opened, so shared libraries too.")
@click.option(
    "--late",
    type=Choice(["deny", "allow"]),
    default="deny",
    help="What happens to a program that cannot be judged in time; deny by default.",
)
def guard(root: Path, mounts: tuple[Path, ...], late: str, *, audit: bool, libraries: bool) -> None:
    """Let run only what is in the active generation, by its content. Needs root; runs until it is told to stop.

    Writes one line of JSON for each denial. For hosts whose kernel cannot enforce the rule itself (`host export`), and
    for finding out what it would deny.
    """
    import signal
    import sys

    from modseal.host.guard import Guard
    from modseal.host.kernel import runs_from_memory

    found = Guard(root, mounts, now, sys.stdout, audit=audit, libraries=libraries, allow_late=late == "allow")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: found.stop())
    if runs_from_memory():
        note = "programs can still be run from memory (memfd_create); `sysctl vm.memfd_noexec=2` ends that"
        click.echo(f"modseal: warning: {note}", err=True)
    found.serve()


@click.command()
def unit() -> None:
    """Print a systemd unit that proves the host at boot, before systemd-sysext merges the modules.

    Write it to /etc/systemd/system/modseal-host-verify.service and enable it. What is not proved is not merged.
    """
    import sys
    from importlib import resources

    text = resources.files("modseal.host").joinpath("units", "modseal-host-verify.service").read_text("utf-8")
    program = Path(sys.argv[0]).absolute()
    click.echo(text.replace("/usr/bin/modseal", str(program)) if program.name == "modseal" else text, nl=False)
