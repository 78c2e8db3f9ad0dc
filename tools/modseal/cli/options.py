"""Options that several commands share."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modseal.errors import InputError, UsageError
from modseal.values import regex

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from modseal.signing.tsa import Stamp

Complete = Callable[[click.Context, click.Parameter, str], list["CompletionItem[str]"]]
"""What a shell may offer for a parameter; cli.completion says what becomes of it."""


class File(click.Path):
    """A file or a folder of this machine; an address is told so, without what may be a secret in it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See `click.Path`. An empty text, as of an unset variable, would be the current folder."""
        require_path(str(value))
        self.look_at_stream(str(value), ctx)
        require_no_address(str(value))
        return super().convert(value, param, ctx)

    def look_at_stream(self, text: str, context: click.Context | None) -> None:
        """What is read by position, or more than once, can be no stream. Raises `UsageError`."""
        require_no_stream(text)


class FileOrStream(File):
    """A file that is read once from its beginning, so that a stream can take its place."""

    def look_at_stream(self, text: str, context: click.Context | None) -> None:
        """A stream can be read once. Raises `UsageError`."""
        require_once(text, context)


class FolderType(click.Path):
    """A folder of this machine that is there; an address is told so, without what may be a secret in it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See `click.Path`."""
        require_no_address(str(value))
        return super().convert(value, param, ctx)


class PlaceType(click.ParamType[str]):
    """A file, a folder or an address, and no stream."""

    name = "place"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text itself. Raises `UsageError`, and `InputError` for an address of no kind that is known."""
        from modseal.files.address import is_address

        require_no_stream(str(value))
        if not is_address(str(value)):
            require_no_address(str(value))
        return str(value)


class ReferenceType(click.ParamType[str]):
    """What names a policy or a key, which may be a file, and so a stream."""

    name = "reference"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text itself. Raises `UsageError`."""
        require_once(str(value), ctx)
        if ":" not in str(value) or not _KEY_URI.match(str(value)):
            require_no_address(str(value))
        return str(value)


class Output(File):
    """A file that a command writes. All others are only read."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See `click.Path`. A `-`, which is standard output for many programs, would be a file of that name."""
        if str(value) == "-":
            raise UsageError("- is not a file to write; name one")
        return super().convert(value, param, ctx)

    def look_at_stream(self, text: str, context: click.Context | None) -> None:
        """What a command writes says itself what it can be written to."""


class Choice(click.Choice[str]):
    """One of some words; a word that is nearly one of them is told which."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        """See `click.Choice`."""
        from modseal.format.shape import suggestion

        return super().get_invalid_choice_message(value, ctx).removesuffix(".") + suggestion(str(value), self.choices)


FILE, OUTPUT, FILE_OR_STREAM = File(path_type=Path), Output(path_type=Path), FileOrStream(path_type=Path)
PLACE, REFERENCE = PlaceType(), ReferenceType()
_MAYBE = regex("//|:/|@")
"""What every address has, so that the rule need not be loaded for a file."""
_KEY_URI = regex(r"(?!https?:|ftps?:|file:|s3:|gs:)[a-z][a-z0-9.+-]*:(?!/[^/])", re.IGNORECASE)
"""A key by the URI of a token or a key service, and `store:` of a policy."""
_TIME = regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z)?")


class Time(click.ParamType[datetime]):
    """A time in UTC: `2026-01-31` or `2026-01-31T12:00:00Z`."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The aware time of a text."""
        if isinstance(value, datetime):
            return value
        try:
            return datetime.fromisoformat(value if _TIME.fullmatch(value) else "").replace(tzinfo=UTC)
        except ValueError:
            self.fail(f"{value!r} is not a time; give 2026-01-31 or 2026-01-31T12:00:00Z", param, ctx)


def offer(kind: str, *endings: str, values: tuple[str, ...] = ()) -> Complete:
    """Offers some values, and the files with these endings (`kind` is "file") or folders ("dir")."""

    def complete(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        from click.shell_completion import CompletionItem

        fit = [CompletionItem(value) for value in values if value.startswith(incomplete)]
        return [*fit, CompletionItem(incomplete, type=kind, suffixes=endings)]

    return complete


FILES = offer("file")
BUNDLES = offer("file", ".seal", ".vib")
FOLDERS = offer("dir")
POLICIES = offer("file", ".toml", values=("strict", "vmware", "store:"))


def require_no_address(text: str) -> None:
    """Check that a text does not name something on a server. Raises `InputError`, without what may be a secret."""
    if _MAYBE.search(text) and not os.path.lexists(text):
        from modseal.files.shown import is_like_address, shown

        if is_like_address(text):
            raise InputError(f"{shown(text)}: an address, and not a file").because("address")


def require_no_stream(text: str) -> None:
    """Check that a text does not name standard input or another open stream. Raises `UsageError`."""
    if _stream(text) is not None:
        raise UsageError(f"{text}: a stream, and a file is needed here").because("not-seekable")


def require_once(text: str, context: click.Context | None) -> None:
    """Check that no other word of the command line names the same stream: it would be empty. Raises `UsageError`."""
    number = _stream(text)
    if number is None or context is None:
        return
    named = context.meta.setdefault("modseal.streams", set())
    if number in named:
        raise UsageError(f"{text}: a stream can be read once, and is named twice")
    named.add(number)


def _stream(text: str) -> int | None:
    if text != "-" and not text.startswith(("/dev/", "/proc/")):
        return None  # most are files, and need not load what streams need
    from modseal.files.stream import descriptor_of

    return descriptor_of(text)


def require_path(text: str) -> None:
    """Check that a text names a file or a folder. Raises `UsageError`."""
    if not text:
        raise UsageError("an empty path names no file; the current folder is .")


def require_no_input(context: click.Context, more: Iterable[Path] = (), reads: Iterable[Path] = ()) -> None:
    """Check that no output of the command, or of `more`, is a file that it reads, except the bundle that it changes.

    What a policy was read from is read: its file, those that it names, or its store. `reads` are bundles that the
    command does not change. Raises `UsageError`.
    """
    outputs, inputs = set(more), set(map(str, reads))
    for parameter in context.command.params:
        given = context.params.get(parameter.name or "")
        if isinstance(parameter.type, Output):
            outputs.update([given] if given else [])
        elif parameter.name not in ("bundle", "bundles", "paths"):
            inputs.update(str(each) for each in (given if isinstance(given, tuple) else (given,)))
    if outputs:
        for name in ("policy", "policy_file"):
            inputs.update(map(str, policy_files(context.params.get(name))))
    require_not_read(outputs, inputs)


def require_not_read(outputs: Iterable[Path], inputs: Iterable[Path | str]) -> None:
    """Check that no output is one of the inputs, whatever its name. Raises `UsageError`."""
    for output, path in product(outputs, inputs):
        with suppress(OSError, ValueError):
            if output.samefile(path):
                raise UsageError(f"{output} is read by this command; name another file to write")


def policy_files(reference: str | Path | None) -> list[Path]:
    """The files behind `--policy`, without those of a policy that cannot be used, which no command gets beyond."""
    from modseal.policy.sources import files_of

    return files_of(str(reference)) if reference else []


def tell_replaced(*outputs: Path | None) -> None:
    """Have a warning said at the end of the command for each file with content whose place one of these took."""
    given = [path for path in outputs if path]
    if not given:
        return
    from modseal.files.output import takes_place

    before = {path: path.stat() for path in given if takes_place(path)}

    def tell() -> None:
        from modseal.report.text import safe_name

        for path, status in before.items():
            with suppress(OSError):
                if not os.path.samestat(status, path.stat()):
                    click.echo(f"modseal: warning: {safe_name(path)} was there already, and is replaced", err=True)

    click.get_current_context().call_on_close(tell)


def now() -> datetime:
    """The time by this machine's clock, in UTC, to the second."""
    return datetime.now(UTC).replace(microsecond=0)


POLICY_HELP = "A policy file, a built-in policy (strict or vmware), or a trust store (store:, store:DIR or its folder)."


def policy_option(*, required: bool) -> Callable[[Any], Any]:
    """`--policy`."""
    return click.option(
        "--policy", type=REFERENCE, metavar="POLICY", required=required, shell_complete=POLICIES, help=POLICY_HELP
    )


recall_option = click.option(
    "--recall",
    "recalls",
    multiple=True,
    type=FILE,
    metavar="FILE",
    help="A recall that counts beside those of the policy; repeatable.",
)
at_option = click.option("--at", type=Time(), metavar="TIME", help="Judge validity at this time (UTC) instead of now.")


def with_options(command: Any, options: Sequence[Callable[[Any], Any]]) -> Any:
    """A command with some options more, in this order in its help: click puts the last one that it gets first."""
    for option in reversed(options):
        command = option(command)
    return command


def signer_options(command: Any) -> Any:
    """`--key`, `--cert`, `--chain`, `--passphrase-file`, `--algorithm`: who signs, and how."""
    from modseal.pki.algorithms import ALGORITHMS

    options = (
        click.option(
            "--key",
            type=REFERENCE,
            metavar="KEY",
            shell_complete=FILES,
            help="The private key: a PEM or PKCS#12 file, or a URI of a token or key service.",
        ),
        click.option(
            "--cert",
            type=FILE_OR_STREAM,
            metavar="PEM",
            help="The signer's certificate; a PKCS#12 file may bring its own.",
        ),
        click.option(
            "--chain",
            multiple=True,
            type=FILE_OR_STREAM,
            metavar="PEM",
            help="Certificates between signer and anchor, to embed.",
        ),
        click.option(
            "--passphrase-file",
            type=FILE_OR_STREAM,
            metavar="FILE",
            help="A file with the key's passphrase; else it is asked for.",
        ),
        click.option(
            "--algorithm",
            metavar="NAME",
            type=Choice(sorted(ALGORITHMS)),
            help="The signature algorithm; by default the usual one for the key.",
        ),
    )
    return with_options(command, options)


def tsa_options(*, required: bool) -> Callable[[Any], Any]:
    """`--tsa` and `--tsa-anchor`, each repeatable."""

    def decorate(command: Any) -> Any:
        anchor_help = "The root CA that the timestamp must lead to; without it, only its signature is checked."
        anchor = click.option("--tsa-anchor", multiple=True, type=FILE_OR_STREAM, metavar="PEM", help=anchor_help)
        tsa_help = "A timestamp authority to ask; the next one where it fails."
        return click.option("--tsa", multiple=True, metavar="URL", required=required, help=tsa_help)(anchor(command))

    return decorate


def authorities(urls: tuple[str, ...], anchors: tuple[Path, ...]) -> Stamp | None:
    """The timestamp authority from the options; None if there is none."""
    from cryptography.hazmat.primitives.serialization import Encoding

    from modseal.signing.material import read_certificates
    from modseal.signing.tsa import Authorities, read_anchors

    if not urls:
        if anchors:
            raise UsageError("--tsa-anchor has no effect without --tsa")
        return None
    certificates = [each.public_bytes(Encoding.DER) for path in anchors for each in read_certificates(path)]
    return Authorities(urls, read_anchors(certificates)).stamp
