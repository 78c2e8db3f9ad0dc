"""`modseal image`. What an image needs is imported where it is used."""

from __future__ import annotations

from pathlib import Path

import click

from modseal.cli.options import FILE, FOLDERS, OUTPUT, now, tell_replaced


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
    for QEMU with the owner's keys; sbom.cdx.json; image.json.
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
    from modseal.image.expect import expect as predict
    from modseal.report import image_text

    found = predict(folder)
    tell_replaced(out)
    with output_file(out) as file:
        file.write(attestation.encode_expected(found))
    click.echo(image_text.expected(found))
