"""`modseal sign`: with a key at hand, in two steps without one, and what else is done with signature blocks."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from cryptography import x509

from modseal.cli.options import (
    BUNDLES,
    FILE,
    FILE_OR_STREAM,
    OUTPUT,
    POLICIES,
    POLICY_HELP,
    REFERENCE,
    authorities,
    now,
    require_no_input,
    signer_options,
    tell_replaced,
    tsa_options,
)
from modseal.cli.several import each, targets
from modseal.errors import InputError, KeyMaterialError, UsageError
from modseal.packing import signatures, two_step
from modseal.packing.sign import Signed
from modseal.packing.sign import sign as sign_bundle
from modseal.policy.sources import load
from modseal.report import signatures_text
from modseal.report.text import safe, safe_name
from modseal.signing import fitness, keys, material, prepared
from modseal.signing.signer import Signer

_STAMP = {"tsa", "tsa_anchor", "timestamp_later"}
_MODES = {
    "key": {"cert", "chain", "passphrase_file", "algorithm", "policy", "output", *_STAMP},
    "prepare": {"cert", "chain", "algorithm", "policy"},
    "attach": {"prepared", "output", *_STAMP},
    "dsse": {"key", "cert", "chain", "passphrase_file", "algorithm"},
    "list": set[str](),
    "remove": {"output"},
}
"""What is done, by the option that says so, and the options that go with it."""
_SINGLE = {"prepare", "attach", "dsse"}
"""What has a file of its own for the one bundle."""


@click.command()
@click.argument("bundles", nargs=-1, required=True, type=FILE, metavar="BUNDLE...", shell_complete=BUNDLES)
@signer_options
@click.option(
    "--policy",
    type=REFERENCE,
    metavar="POLICY",
    shell_complete=POLICIES,
    help=f"Refuse a signer that this policy would not accept: revoked, say. {POLICY_HELP}",
)
@tsa_options(required=False)
@click.option("--timestamp-later", is_flag=True, help="Sign without a timestamp now; `modseal timestamp` adds one.")
@click.option(
    "--prepare", type=OUTPUT, metavar="FILE", help="Write what the key of --cert has to sign, for a key elsewhere."
)
@click.option(
    "--attach", type=FILE_OR_STREAM, metavar="SIGNATURE", help="Complete the block with the signature made elsewhere."
)
@click.option("--prepared", type=FILE_OR_STREAM, metavar="FILE", help="The FILE of --prepare that SIGNATURE is for.")
@click.option("--dsse", type=OUTPUT, metavar="OUT", help="Write the provenance in a DSSE envelope, signed with --key.")
@click.option("--list", is_flag=True, help="Show the blocks of BUNDLE. That says nothing about trust.")
@click.option("--remove", metavar="FINGERPRINT", help="Take out the block of the certificate with this SHA-256.")
@click.option(
    "-o",
    "--output",
    type=OUTPUT,
    metavar="OUT",
    help="The signed bundle, or a folder for it; by default BUNDLE itself.",
)
@click.pass_context
def sign(context: click.Context, /, bundles: tuple[Path, ...], **given: Any) -> int:
    """Add a signature block to each BUNDLE.

    The key signs the manifest's bytes. A certificate that no verifier would accept is refused here.
    With a timestamp, the signature outlives its certificate.

    For a key that this machine cannot reach, sign in two steps: --prepare, any tool elsewhere, --attach.

    Each bundle is done for itself: where one fails, the others go on, and the worst exit status counts.
    """
    mode = _mode(context)
    require_no_input(context)
    tell_replaced(given["prepare"], given["dsse"])
    if len(bundles) > 1 and mode in _SINGLE:
        raise UsageError(f"--{mode} is for one bundle, and {len(bundles)} are named")
    pairs = targets(bundles, given["output"])
    if mode == "key":
        return _sign(pairs, given)
    do = {"prepare": _prepare, "attach": _attach, "dsse": _envelope, "list": _list, "remove": _remove}[mode]
    note = signatures_text.CHANGED if mode in ("attach", "remove") else ""
    return each(pairs, lambda bundle, output: do(bundle, output, given), note)


def _mode(context: click.Context) -> str:
    """The one thing that is to be done. Raises `UsageError` where the options do not say one, or do not go together."""
    names = {one.name: one.opts[-1] for one in context.command.params if one.name and one.name != "bundles"}
    said = [name for name in names if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    modes = [name for name in said if name in _MODES and not (name == "key" and "dsse" in said)]
    if not modes:
        raise UsageError("name the key with --key; or give --prepare, --attach, --dsse, --list or --remove")
    if len(modes) > 1:
        raise UsageError(f"{names[modes[0]]} and {names[modes[1]]} exclude each other")
    for name in said:
        if name != modes[0] and name not in _MODES[modes[0]]:
            raise UsageError(f"{names[name]} does not go with {names[modes[0]]}")
    if context.params["timestamp_later"] and context.params["tsa"]:
        raise UsageError("--timestamp-later and --tsa exclude each other")
    return modes[0]


def _sign(pairs: list[tuple[Path, Path]], given: dict[str, Any]) -> int:
    """Sign each bundle, with a key that is opened once and a certificate that is judged once."""
    stamp = authorities(given["tsa"], given["tsa_anchor"])
    signer = open_signer(given)
    _require_accepted(given, signer.certificate, signer.chain)
    fitness.check_certificate(signer.certificate, signer.chain, now())
    fitness.choose_algorithm(signer.certificate, given["algorithm"])

    signed: list[Path] = []

    def add(bundle: Path, output: Path) -> None:
        _show(sign_bundle(bundle, output, signer, now(), signing_time(), given["algorithm"], stamp))
        signed.append(output)

    status = each(pairs, add, signatures_text.CHANGED)
    if signed:
        _warn_of_issuer(given, signer.certificate, signer.chain)
    return status


def _list(bundle: Path, _output: Path, _given: dict[str, Any]) -> None:
    click.echo(signatures_text.listing(bundle, signatures.list_signatures(bundle)))


def _require_accepted(given: dict[str, Any], certificate: x509.Certificate, chain: Sequence[x509.Certificate]) -> None:
    """With --policy, what the gate would say of the signer is said before anything is signed."""
    if given["policy"] is not None:
        fitness.check_policy(certificate, chain, load(given["policy"]), now())


def _warn_of_issuer(given: dict[str, Any], certificate: x509.Certificate, chain: Sequence[x509.Certificate]) -> None:
    """Without --policy nobody has shown yet that a verifier finds a chain."""
    missing = fitness.missing_issuer(certificate, chain) if given["policy"] is None else None
    if missing:
        click.echo(f"modseal: warning: {safe(missing)}", err=True)


def open_signer(given: Mapping[str, Any]) -> Signer:
    """The signer that the options of `signer_options` name; what a person should know of it goes to standard error."""
    key: str = given["key"]
    signer = keys.open(key, given["cert"], given["chain"], lambda: passphrase(key, given["passphrase_file"]))
    for warning in signer.warnings:
        click.echo(f"modseal: warning: {safe(warning)}", err=True)
    return signer


def _envelope(bundle: Path, _output: Path, given: dict[str, Any]) -> None:
    from modseal.packing import envelope

    if given["key"] is None:
        raise UsageError("--dsse needs --key, the key that signs the envelope")
    done = envelope.write(bundle, given["dsse"], open_signer(given), now(), given["algorithm"])
    click.echo(f"{safe_name(done.path)}: provenance signed by {safe(done.subject)} with {done.algorithm}")
    click.echo(f"  key id         {done.key_id}")


def _prepare(bundle: Path, _output: Path, given: dict[str, Any]) -> None:
    target: Path = given["prepare"]
    if given["cert"] is None:
        raise UsageError("--prepare needs --cert, the certificate of the key that is going to sign")
    certificate, chain = prepared.read_identity(given["cert"], given["chain"])
    _require_accepted(given, certificate, chain)
    found = two_step.prepare(bundle, certificate, chain, now(), signing_time(), given["algorithm"])
    shown = found.to_sign
    two_step.write(found, target, signatures_text.summary(shown, target))
    who = f"{safe(shown.certificate.subject)} with {shown.algorithm.name}"
    click.echo(f"{safe(target)}: to be signed by {who}, sha256 {shown.sha256}")
    _warn_of_issuer(given, certificate, chain)


def _attach(bundle: Path, output: Path, given: dict[str, Any]) -> None:
    if given["prepared"] is None:
        raise UsageError("--attach needs --prepared, the file that was signed")
    stamp = authorities(given["tsa"], given["tsa_anchor"])
    _show(two_step.attach(bundle, output, given["attach"], given["prepared"], now(), stamp))


def _remove(bundle: Path, output: Path, given: dict[str, Any]) -> None:
    removed = signatures.remove(bundle, output, given["remove"])
    click.echo(signatures_text.removed_line(removed))
    for line in (*signatures_text.rows(removed.rows), *signatures_text.missing(removed.missing)):
        click.echo(line)


def _show(signed: Signed) -> None:
    click.echo(signatures_text.signed_line(signed))
    for line in signatures_text.missing(signed.expected):
        click.echo(line)


def passphrase(key: str, file: Path | None) -> bytes:
    """The passphrase or PIN of a key: from a file, or from the person at the terminal."""
    if file:
        return material.read_secret(file, lambda why: InputError(f"{file}: {why}"))[0]
    token = key.startswith("pkcs11:")
    shown = key.partition("?")[0] if token else key  # the query may hold a PIN
    needs = f"{shown} needs its PIN" if token else f"{shown} is encrypted (or damaged)"
    secret = "PIN" if token else "passphrase"
    missing = KeyMaterialError(f"{needs} and no {secret} was given; use --passphrase-file").because(
        "passphrase-missing"
    )
    if not sys.stdin.isatty():
        raise missing
    try:
        return str(click.prompt("PIN" if token else "Passphrase", hide_input=True, err=True)).encode()
    except click.Abort:
        raise missing from None


def signing_time() -> datetime:
    """Now, or SOURCE_DATE_EPOCH for reproducible blocks. It is information, never proof."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch is None:
        return now()
    try:
        return datetime.fromtimestamp(int(epoch), UTC)
    except (ValueError, OverflowError, OSError):
        raise UsageError(f"SOURCE_DATE_EPOCH is {epoch!r}, which is not a time in seconds") from None
