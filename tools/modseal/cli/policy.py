"""`modseal policy`. What makes trust bundles is imported where it is used: checking loads no signing code."""

from __future__ import annotations

import os
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from modseal.cli.options import (
    BUNDLES,
    FILE,
    FILE_OR_STREAM,
    FILES,
    FOLDERS,
    OUTPUT,
    POLICIES,
    REFERENCE,
    Choice,
    Time,
    at_option,
    now,
    offer,
    policy_option,
    require_no_input,
    tell_replaced,
)
from modseal.errors import UsageError
from modseal.policy.sources import load
from modseal.report import policy_text
from modseal.report.text import safe, safe_name

if TYPE_CHECKING:
    from modseal.policy.carried import Carried
    from modseal.signing.signer import Signer
    from modseal.signing.trust_bundle_file import Written
    from modseal.trust.policy import Policy

_PREVIOUS = click.option("--previous", type=FILE, metavar="OLD", help="The trust bundle that this one follows.")
_PASSPHRASE = click.option(
    "--passphrase-file",
    type=FILE_OR_STREAM,
    metavar="FILE",
    help="A file with the keys' passphrase; else it is asked for.",
)


@click.group()
def policy() -> None:
    """Check and show policies, and carry them to where they hold."""


@policy.command()
@click.argument("references", nargs=-1, required=True, type=REFERENCE, metavar="POLICY...", shell_complete=POLICIES)
def check(references: tuple[str, ...]) -> int:
    """Read each POLICY and say in one line the weakest thing that it would accept.

    POLICY is a policy file, a built-in policy (strict or vmware), a trust store (store:, store:DIR or its folder), or a
    trust bundle, of which nothing is proved.

    Exit status: 0; 1 where a trust bundle is damaged; 3 with every problem of the first policy that cannot be used.
    """
    from modseal.policy.carried import load_unproved
    from modseal.report import carried

    status = 0
    for reference in references:
        found = load_unproved(reference, now())
        click.echo(carried.weakest(found))
        status = max(status, _status(found))
    return status


@policy.command()
@click.argument("reference", type=REFERENCE, metavar="POLICY", shell_complete=POLICIES)
def show(reference: str) -> int:
    """Show what POLICY says, defaults included.

    POLICY is a policy file, a built-in policy (strict or vmware), a trust store (store:, store:DIR or its folder), or a
    trust bundle, of which nothing is proved.

    Exit status: 0; 1 where a trust bundle is damaged; 3 where the policy cannot be used.
    """
    from modseal.policy.carried import load_unproved
    from modseal.report import carried

    found = load_unproved(reference, now())
    click.echo(carried.show(found))
    return _status(found)


def _status(found: Policy | Carried) -> int:
    """That of `inspect`: 1 for a trust bundle with a problem."""
    return 1 if getattr(found, "problems", ()) else 0


@policy.command()
@click.argument("bundle", type=FILE, shell_complete=BUNDLES)
@policy_option(required=True)
@at_option
@click.option("--format", "output", type=Choice(["text", "json"]), default="text", help="The form of the result.")
def explain(bundle: Path, policy: str, at: datetime | None, output: str) -> int:
    """Verify BUNDLE and show every step, its checks, and the line of POLICY that decided each.

    Exit status: as that of verify.
    """
    from modseal.bundle.verify import verify
    from modseal.cli.verify import EXIT
    from modseal.format.times import time_text
    from modseal.report import colour, explanation

    rules, at = load(policy, now()), at or now()
    result = verify(bundle, rules, at, with_digest=False)
    if output == "json":
        click.echo(explanation.render_json(result, rules, time_text(at)))
    else:
        in_colour = colour.wanted(sys.stdout)
        click.echo(explanation.render_text(result, rules, time_text(at), in_colour=in_colour), color=in_colour)
    return EXIT[result.verdict]


@policy.command("bundle")
@click.argument("policy_file", type=FILE, metavar="POLICY", shell_complete=offer("file", ".toml"))
@click.option(
    "--version", "number", type=int, required=True, metavar="N", help="The next one after the trust bundle before."
)
@click.option("--expires", type=Time(), required=True, metavar="DATE", help="From when on it is refused (UTC).")
@click.option(
    "--root-key",
    multiple=True,
    type=REFERENCE,
    metavar="KEY",
    shell_complete=FILES,
    help="A key that signs; the n-th belongs to the n-th --root-cert.",
)
@click.option(
    "--root-cert", multiple=True, required=True, type=FILE_OR_STREAM, metavar="PEM", help="A root signer's certificate."
)
@click.option("--threshold", type=int, metavar="K", help="How many root signers it takes; by default all.")
@_PREVIOUS
@_PASSPHRASE
@click.option("-o", "--output", required=True, type=OUTPUT, metavar="OUT", help="The trust bundle to write.")
def bundle_command(
    policy_file: Path,
    number: int,
    expires: datetime,
    root_key: tuple[str, ...],
    root_cert: tuple[Path, ...],
    threshold: int | None,
    previous: Path | None,
    passphrase_file: Path | None,
    output: Path,
) -> None:
    """Make a trust bundle: POLICY and every file that it names, in one signed file.

    The root signers are all the --root-cert; those with a --root-key sign now, others with
    `modseal policy endorse`. It takes a threshold of them, and of those of the version before.
    """
    from modseal.cli.sign import signing_time
    from modseal.signing import trust_bundle_file

    require_no_input(click.get_current_context())
    tell_replaced(output)
    if len(root_key) > len(root_cert):
        raise UsageError("every --root-key needs its --root-cert")
    signers = [_signer(key, cert, passphrase_file) for key, cert in zip(root_key, root_cert, strict=False)]
    others, times = root_cert[len(root_key) :], (signing_time(), expires)
    _print(
        trust_bundle_file.make(
            policy_file, output, number, times, signers, others, now(), threshold=threshold, previous=previous
        )
    )


@policy.command()
@click.argument("bundle", type=FILE, metavar="TRUST-BUNDLE")
@click.option(
    "--root-key",
    required=True,
    type=REFERENCE,
    metavar="KEY",
    shell_complete=FILES,
    help="The key that signs: a PEM or PKCS#12 file.",
)
@click.option(
    "--root-cert", type=FILE_OR_STREAM, metavar="PEM", help="Its certificate; a PKCS#12 file may bring its own."
)
@_PREVIOUS
@_PASSPHRASE
@click.option(
    "-o",
    "--output",
    type=OUTPUT,
    metavar="OUT",
    help="The trust bundle with the signature; by default TRUST-BUNDLE itself.",
)
def endorse(
    bundle: Path,
    root_key: str,
    root_cert: Path | None,
    previous: Path | None,
    passphrase_file: Path | None,
    output: Path | None,
) -> None:
    """Add a root signer's signature to a trust bundle. Read its policy first: you vouch for all of it."""
    from modseal.signing import trust_bundle_file

    require_no_input(click.get_current_context())
    tell_replaced(output if output != bundle else None)
    signer = _signer(root_key, root_cert, passphrase_file)
    _print(trust_bundle_file.endorse(bundle, output or bundle, signer, now(), previous=previous))


@policy.command()
@click.argument("bundles", nargs=-1, required=True, type=FILE_OR_STREAM, metavar="TRUST-BUNDLE...")
@click.option(
    "--store",
    type=FILE,
    metavar="DIR",
    shell_complete=FOLDERS,
    help="The trust store; by default MODSEAL_TRUST_STORE, or this machine's or user's.",
)
@click.option(
    "--initial-root",
    multiple=True,
    metavar="FINGERPRINT",
    help="First install only: the SHA-256 of a root signer's certificate. All that are named must have signed.",
)
def update(bundles: tuple[Path, ...], store: Path | None, initial_root: tuple[str, ...]) -> None:
    """Verify trust bundles and install the newest; `--policy store:` means its policy from then on.

    Give every version from the one after the installed one on, in any order; older ones are passed over.
    """
    from modseal.format.times import time_text
    from modseal.policy.store import default_folder, load_policy
    from modseal.policy.update import update as install

    folder, time = store or default_folder(os.environ), now()
    done = install(folder, bundles, [_fingerprint(text) for text in initial_root], time)
    installed = done.bundle
    before = f"was {done.previous}" if done.previous else "the first"
    what = "is installed already" if done.previous == installed.version else f"installed ({before})"
    click.echo(
        f"{safe(folder)}: version {installed.version} {what}, expires {time_text(installed.expires)}, "
        f"sha256 {installed.file_sha256}"
    )
    click.echo(policy_text.weakest(load_policy(folder, time)))


def _fingerprint(text: str) -> str:
    """SHA-256 in hex, in any form that common tools print."""
    plain = text.lower().removeprefix("sha256:").replace(":", "")
    if len(plain) != 64 or not set(plain) <= set("0123456789abcdef"):
        raise UsageError(f"{text!r} is not a SHA-256 fingerprint: give 64 hex digits")
    return plain


def _signer(key: str, cert: Path | None, passphrase_file: Path | None) -> Signer:
    from modseal.cli.sign import passphrase
    from modseal.signing import keys

    signer = keys.open(key, cert, (), lambda: passphrase(key, passphrase_file))
    for warning in signer.warnings:
        click.echo(f"modseal: warning: {safe(warning)}", err=True)
    return signer


def _print(written: Written) -> None:
    from modseal.signing.trust_bundle_writer import describe

    for warning in written.warnings:
        click.echo(f"modseal: warning: {safe(warning)}", err=True)
    click.echo(f"{safe_name(written.path)}: trust bundle {describe(written.bundle)}")
    for sentence in written.missing:
        click.echo(f"modseal: not complete: {safe(sentence)}; `modseal policy endorse` adds a signature", err=True)
