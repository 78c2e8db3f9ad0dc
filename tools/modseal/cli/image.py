"""`modseal image`. What an image needs is imported where it is used."""

from __future__ import annotations

from pathlib import Path

import click

from modseal.cli.options import FILE, FOLDERS, OUTPUT, now, require_not_read, tell_replaced
from modseal.errors import UsageError


@click.group()
def image() -> None:
    """Build a host image: a machine that boots, and runs only what trusted vendors have signed.

    Exit status: as that of verify.
    """


@image.command()
@click.argument("spec", type=FILE, metavar="SPEC")
@click.option("-o", "--output", "out", type=FILE, required=True, metavar="DIR", help="The folder to write; a new one.")
@click.option(
    "--passphrase-file", type=FILE, metavar="FILE", help="A file with the key's passphrase; else it is asked for."
)
def build(spec: Path, out: Path, passphrase_file: Path | None) -> None:
    """Build the image that SPEC (a host.toml) describes: the same inputs give the same bytes.

    In DIR: disk.img, which a machine with UEFI boots; its parts boot.efi, root.img and data.img; firmware.fd, variables
    for QEMU with the owner's keys; update, for a host that runs; modules.update, for one that runs the same root;
    sbom.cdx.json; image.json. If SPEC has [serve], disk.img and data.img have its private key: keep them to yourself.
    """
    from modseal.cli.sign import passphrase
    from modseal.image import build as building
    from modseal.image import spec as reading
    from modseal.report import image_text
    from modseal.signing import keys

    found = reading.read(spec)
    signer = keys.open(found.db_key, found.db_cert, (), lambda: passphrase(found.db_key, passphrase_file))
    click.echo(image_text.built(building.build(found, signer, out, now())))


@image.command()
@click.argument("folder", type=FILE, metavar="DIR", shell_complete=FOLDERS)
@click.option("-o", "--output", "out", type=OUTPUT, required=True, metavar="FILE", help="The file to write.")
def expect(folder: Path, out: Path) -> None:
    """Predict what a TPM must say of a host that boots the image in DIR, for `modseal attest verify`."""
    from modseal.boot import attestation
    from modseal.files.output import output_file
    from modseal.image.expect import FILES
    from modseal.image.expect import expect as predict
    from modseal.report import image_text

    require_not_read([out], (folder / name for name in FILES))
    found = predict(folder)
    tell_replaced(out)
    with output_file(out) as file:
        file.write(attestation.encode_expected(found))
    click.echo(image_text.expected(found))


_NUMBER = click.IntRange(1, 2**31 - 1)
_STATE = (_NUMBER, _NUMBER)


@image.command()
@click.argument("spec", type=FILE, metavar="SPEC")
@click.option("--running", type=_STATE, required=True, metavar="VERSION GENERATION", help="What the host runs now.")
@click.option("--to", type=_STATE, required=True, metavar="VERSION GENERATION", help="What it ran before.")
@click.option("-o", "--output", "out", type=OUTPUT, required=True, metavar="FILE", help="The signed request to write.")
@click.option(
    "--passphrase-file", type=FILE, metavar="FILE", help="A file with the key's passphrase; else it is asked for."
)
def rollback(
    spec: Path, running: tuple[int, int], to: tuple[int, int], out: Path, passphrase_file: Path | None
) -> None:
    """Sign a request that leads the host of SPEC (a host.toml) back to what it ran before, for `modseal image send`.

    One number must be lower, and none higher. A host follows it while it runs what is named, and has what it is to run;
    never below its floor.
    """
    from modseal.boot.requests import RollbackRequest, Running
    from modseal.cli.sign import passphrase
    from modseal.files.output import output_file, require_output
    from modseal.image import spec as reading
    from modseal.image import update
    from modseal.signing import keys

    found = reading.read(spec)
    request = RollbackRequest(found.name, Running(*running), Running(*to))
    if problem := request.problem():
        raise UsageError(f"--running and --to: {problem}")
    require_not_read([out], (spec, found.db_cert))
    require_output(out)
    signer = keys.open(found.db_key, found.db_cert, (), lambda: passphrase(found.db_key, passphrase_file))
    data = update.signed(request, signer)
    tell_replaced(out)
    with output_file(out) as file:
        file.write(data)
    click.echo(f"{found.name}: back from {request.running} to {request.state}")


@image.command()
@click.argument("request", type=FILE, metavar="REQUEST")
@click.argument("address", metavar="URL")
def send(request: Path, address: str) -> int:
    """Send REQUEST, an update or a rollback, to the management interface at URL, such as http://192.0.2.7:9090.

    The host proves it, prepares its next start, and restarts. Whether the new state runs well, it shows afterwards.
    """
    from modseal.image.ask import send as deliver
    from modseal.report import image_text

    said = deliver(address, request)
    click.echo(image_text.answered(said))
    return {"accepted": 0, "rejected": 1}.get(said.outcome, 3)
