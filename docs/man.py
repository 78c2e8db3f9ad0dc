#!/usr/bin/env python3
"""Writes the manual pages: one for each command, from the command itself and from docs/commands.md.

Names, options and descriptions are those of `--help`. Examples are the sections of docs/commands.md, whose commands
tests/docs runs. `docs/generate.py` keeps the pages in docs/man1 current, which the wheel installs as share/man/man1;
`make man` writes them to build/man.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click

from modseal import __version__
from modseal.cli.main import COMMANDS, PAGES, cli

ROOT = Path(__file__).resolve().parents[1]

STATUS = {
    0: "Accepted, or done.",
    1: "Rejected: a bundle is malformed, or the policy does not accept it.",
    2: "The command line is wrong.",
    3: "Undecided: modseal could not decide, because of its own configuration, of input that it cannot read, or of an "
    "algorithm that it does not know.",
}
"""What a command's exit status means; README.md has the same."""

_SPECIAL = {"\\": r"\(rs", "-": r"\-", "'": r"\(aq", '"': r"\(dq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti"}
_SHORT = 60
_SECTION = re.compile(r"^## (modseal[a-z -]*)\n(.*?)(?=^## |\Z)", re.DOTALL | re.MULTILINE)
_FENCE = re.compile(r"^```\S*[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_NAME_OF_OPTION = re.compile(r"(?<![^ ,%])((?:\\-){1,2}[A-Za-z][A-Za-z\\-]*)")
_LINK = re.compile(r"\[([^\]]+)\]\([^)]+\)")


class Entry(NamedTuple):
    """A command with its name, `modseal policy check`, and the names of the commands in it."""

    name: str
    about: str
    command: click.Command
    context: click.Context
    below: tuple[str, ...]


def entries() -> Iterator[Entry]:
    """All commands, each before those in it; the first is modseal itself."""
    yield from _walk("modseal", "pack, sign and verify signed modules", cli, None)


def _walk(name: str, about: str, command: click.Command, parent: click.Context | None) -> Iterator[Entry]:
    context = click.Context(command, parent, name.rpartition(" ")[2], **command.context_settings)
    below = command.list_commands(context) if isinstance(command, click.Group) else []
    yield Entry(name, about, command, context, tuple(below))
    for one in below if isinstance(command, click.Group) else ():
        found = command.get_command(context, one)
        if found is not None and not found.hidden:
            text = COMMANDS[one][1] if command is cli else found.get_short_help_str(limit=200)
            yield from _walk(f"{name} {one}", text, found, context)


def pages() -> dict[str, str]:
    """The text of each page, by file name."""
    examples = dict(_SECTION.findall((ROOT / "docs/commands.md").read_text("utf-8")))
    found = list(entries())
    about = {entry.name: _clause(entry.about.replace("`", "")) for entry in found}
    return {
        f"{_dashed(entry.name)}.1": "\n".join([*_page(entry, about, examples.get(entry.name, ""))]) + "\n"
        for entry in found
    }


def _page(entry: Entry, about: dict[str, str], examples: str) -> Iterator[str]:
    title = _dashed(entry.name)
    yield r".\" Written by docs/man.py; do not edit."
    yield f'.TH "{roff(title.upper())}" 1 "" "modseal {roff(__version__)}" "modseal manual"'
    yield from (".SH NAME", f"{roff(title)} \\- {roff(about[entry.name])}")
    yield ".SH SYNOPSIS"
    yield from _synopsis(entry)
    paragraphs = inspect.cleandoc(entry.command.help or "").split("\n\n")
    status = [text for text in paragraphs if text.startswith("Exit status:")]
    yield ".SH DESCRIPTION"
    yield from _prose([text for text in paragraphs if text not in status])
    if entry.below:
        yield ".SH COMMANDS"
        for name in entry.below:
            whole = f"{entry.name} {name}"
            yield from (
                ".TP",
                rf"\fB{roff(_dashed(whole))}\fP(1)",
                roff(about[whole][:1].upper() + about[whole][1:]) + ".",
            )
    yield ".SH OPTIONS"
    for parameter in entry.command.get_params(entry.context):
        if isinstance(parameter, click.Option):
            yield from _option(parameter, entry.context)
    yield from _status(status)
    if examples:
        yield ".SH EXAMPLES"
        yield from _examples(examples)
    yield from _see_also(entry, about)


def _synopsis(entry: Entry) -> Iterator[str]:
    pieces = (r"\fI" + roff(piece) + r"\fP" for piece in entry.command.collect_usage_pieces(entry.context))
    yield rf"\fB{roff(entry.name)}\fP {' '.join(pieces)}"


def _option(parameter: click.Option, context: click.Context) -> Iterator[str]:
    record = parameter.get_help_record(context)
    if record is None:
        return
    names, text = record
    yield from (".TP", _NAME_OF_OPTION.sub(r"\\fB\1\\fP", rf"\%{roff(names)}".replace("|", r"|\:")), _inline(text))


def _status(own: list[str]) -> Iterator[str]:
    yield ".SH EXIT STATUS"
    yield from _prose([text.removeprefix("Exit status:").strip() for text in own])
    for number in (number for number in STATUS if not re.search(rf"\b{number}\b", " ".join(own))):
        yield from (".TP", rf"\fB{number}\fP", roff(STATUS[number]))
    yield from (".PP", roff("A command that a signal ends has 128 and the number of the signal."))


def _examples(section: str) -> Iterator[str]:
    parts = _FENCE.split(section.strip())
    for prose, shown in zip(parts[0::2], [*parts[1::2], ""], strict=True):
        yield from _prose([text for text in prose.strip().split("\n\n") if text])
        if shown:
            yield from (".PP", ".RS 4", ".EX", *map(roff, shown.rstrip("\n").splitlines()), ".EE", ".RE")


def _see_also(entry: Entry, about: dict[str, str]) -> Iterator[str]:
    parent = entry.name.rpartition(" ")[0]
    near = [name for name in about if name == parent or name.rpartition(" ")[0] in (entry.name, parent)]
    others = [rf"\%\fB{roff(_dashed(name))}\fP(1)" for name in near if name and name != entry.name]
    yield from (".SH SEE ALSO", ",\n".join(others))
    pages = PAGES.get(entry.name.split(" ")[1] if " " in entry.name else "", ())
    if pages:
        shown = ", ".join(rf"\fBmodseal help {roff(page)}\fP" for page in pages)
        yield from (".PP", f"The documentation that is installed with modseal: {shown}.")


def _prose(paragraphs: list[str]) -> Iterator[str]:
    for text in paragraphs:
        yield from (".PP", _inline(" ".join(text.split())))


def _inline(text: str) -> str:
    """Text with `code` in bold, *emphasis* in italics, and without the targets of links."""
    parts = re.split(r"([`*])(\b[^`*]+)\1", _LINK.sub(r"\1", text))
    pieces = zip(parts[0::3], [*parts[1::3], ""], [*parts[2::3], ""], strict=True)
    return "".join(f"{roff(plain)}{_font(mark, roff(special))}" for plain, mark, special in pieces)


def _font(mark: str, text: str) -> str:
    return rf"\f{'B' if mark == '`' else 'I'}{text}\fP" if text else ""


def roff(text: str) -> str:
    """Text as it is: nothing in it is a request, and what a shell would read is pasted as it stands."""
    escaped = "".join(_SPECIAL.get(character, character) for character in text)
    return rf"\&{escaped}" if text.startswith((".", "'")) else escaped


def _clause(sentence: str) -> str:
    """A sentence as the NAME section has it: short."""
    first = sentence.rstrip(".")
    first = first if len(first) <= _SHORT else first.partition(":")[0].partition(";")[0]
    return first if first[:2].isupper() else first[:1].lower() + first[1:]


def _dashed(name: str) -> str:
    return name.replace(" ", "-")


def main(arguments: list[str]) -> int:
    """Write the pages to a folder, by default build/man/man1."""
    folder = Path(arguments[0]) if arguments else ROOT / "build/man/man1"
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, "utf-8")
    sys.stdout.write(f"{folder}: {len(pages())} pages\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
