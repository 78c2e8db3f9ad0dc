"""A `module.toml` for a folder that has none: what can be guessed is guessed, and every guess is a line to correct.

What is shipped is what lies below `files/`, as it shall lie on the host. A folder without one ships its own files and
folders below `opt/NAME`, or where they are if they are `opt`, `etc` and the like. What nobody means to ship is
left out, and the file says so.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from modseal import limits
from modseal.errors import InputError, SpecError, UsageError
from modseal.files.output import output_file, require_output
from modseal.files.small import read_small
from modseal.format import rules, toml_text
from modseal.packing.collect import is_litter, is_secret
from modseal.packing.plan import SPEC_FILE
from modseal.packing.spec import ModuleSpec, parse
from modseal.packing.spec_shape import SCHEMA, SHAPE
from modseal.packing.stage import DESCRIPTOR
from modseal.policy import proposal as policy_proposal

TREES = ("files", "rootfs")
"""Folders whose name says that they are the tree to ship."""
HOST_FOLDERS = frozenset({"bin", "boot", "etc", "lib", "opt", "sbin", "srv", "usr", "var"})
_PLACES = frozenset({"opt", "etc", "usr", "var"})
"""One of these beside it makes `bin` a folder of the host, and not one of the module."""

_OUR_OWN = re.compile(r"(module|policy)\.toml|.*\.(seal|vib|trust)")
_VERSIONED = re.compile(r"(.+?)[-_]v?([0-9][A-Za-z0-9._+~-]*)")
_VERSION_FILE = "VERSION"
_FIRST_VERSION = "0.1.0"
_VENDOR = "Example"


@dataclass(frozen=True, slots=True)
class Proposal:
    """A spec that was written: `guessed` are the keys that stand for the user's own values, `left_out` file names."""

    path: Path
    text: str
    spec: ModuleSpec
    guessed: tuple[str, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Given:
    """What the user says about the module. What is empty is guessed."""

    vendor: str = ""
    name: str = ""
    version: str = ""
    level: str = "community"


@dataclass(frozen=True, slots=True)
class _Found:
    """What a folder has to ship: folders, each with the names in it that are left out, and files.

    `aside` are the names beside them that are left out.
    """

    folders: Mapping[str, tuple[str, ...]]
    files: tuple[str, ...] = ()
    aside: tuple[str, ...] = ()


def start(
    folder: Path, given: Given, *, policy: bool, anchors: Sequence[Path] = ()
) -> tuple[Proposal | None, Path | None]:
    """Write a `module.toml` into `folder`, and with `policy` a `policy.toml` that trusts `anchors`: both, or none.

    With `policy`, a spec that is there stays, and where there is nothing to pack there is none: then it is None.
    Nothing is replaced. Raises `UsageError` for what is there already, for a folder that has nothing that could be
    packed, and for a value that no spec may have; `KeyMaterialError` for an anchor that is not a certificate;
    `InputError` where something cannot be read or written.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder", path=str(folder)).because("folder-missing")
    spec = None if policy and not _needs_spec(folder) else propose(folder, given)
    rules_text = policy_proposal.propose(folder, anchors, given.vendor, given.level) if policy else ""
    texts = {folder / policy_proposal.POLICY_FILE: rules_text, folder / SPEC_FILE: spec.text if spec else ""}
    wanted = {path: text for path, text in texts.items() if text}
    for path in wanted:
        require_output(path, new=True)
    for path, text in wanted.items():
        with output_file(path, new=True) as file:
            file.write(text.encode())
    return spec, folder / policy_proposal.POLICY_FILE if policy else None


def _needs_spec(folder: Path) -> bool:
    """Whether a folder has something to pack, and nothing yet that says how."""
    found = _look(folder)
    return bool(found.folders or found.files) and not any((folder / name).exists() for name in (SPEC_FILE, DESCRIPTOR))


def propose(folder: Path, given: Given) -> Proposal:
    """The `module.toml` for a folder. Raises as `start` does."""
    for key in ("vendor", "name", "version"):
        _require_value(key, getattr(given, key))
    for known, what in ((DESCRIPTOR, "is a stage folder"), (SPEC_FILE, f"has a {SPEC_FILE}")):
        if (folder / known).exists():
            raise UsageError(f"{folder} {what} already, and nothing is replaced; pack it with `modseal pack`")
    found = _look(folder)
    _require_contents(folder, found)
    likely_name, likely_version = _identity(folder)
    values = {
        "vendor": given.vendor or _VENDOR,
        "name": given.name or likely_name,
        "version": given.version or likely_version or _FIRST_VERSION,
        "level": given.level,
    }
    text = "\n".join([*_head(values), *_contents(folder, found, values["name"]), *_TAIL.splitlines()]) + "\n"
    try:
        spec = parse(text.encode(), str(folder / SPEC_FILE))
    except SpecError as error:  # a name that no path of a module may have
        raise UsageError(f"no {SPEC_FILE} can be written for {folder}: {error.failure.detail}") from None
    said = {"vendor": given.vendor, "version": given.version or likely_version}
    left_out = {*found.aside, *(each for inside in found.folders.values() for each in inside)}
    guessed = tuple(key for key, value in said.items() if not value)
    return Proposal(folder / SPEC_FILE, text, spec, guessed, tuple(sorted(left_out)))


def _require_value(key: str, value: str) -> None:
    if not value:
        return
    problems = [problem.message for problem in SHAPE.fields[key].problems(value)]
    if key == "vendor" and not problems:
        problems = [failure.detail for failure in rules.check_identity(value, "name", "1")]
    if problems:
        raise UsageError(f"--{key} {problems[0]}")


def _look(folder: Path) -> _Found:
    """What a folder has to ship, perhaps nothing."""
    for tree in TREES:
        if (folder / tree).is_dir():
            return _Found({tree: _unwanted(folder / tree)})
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise InputError.of(folder, error) from error
    kept = [
        name for name in names if not (name.startswith(".") or _OUR_OWN.fullmatch(name) or _is_unwanted(folder / name))
    ]
    folders = {name: _unwanted(folder / name) for name in kept if (folder / name).is_dir()}
    files = tuple(name for name in kept if (folder / name).is_file())
    return _Found(folders, files, tuple(name for name in names if name not in kept and not _OUR_OWN.fullmatch(name)))


def _require_contents(folder: Path, found: _Found) -> None:
    """Raises `UsageError` where there is nothing to ship, or too much to say piece by piece."""
    advice = f"put what is shipped below {folder / TREES[0]}, as it shall lie on the host, and run init again"
    if not found.folders and not found.files:
        raise UsageError(f"{folder} has nothing to pack; {advice}")
    if len(found.folders) > limits.PAYLOADS or len(found.files) > limits.PROBLEMS:
        raise UsageError(f"{folder} has {len(found.folders)} folders and {len(found.files)} files; {advice}")
    for name in (*found.folders, *found.files):
        if not _is_text(name):
            raise UsageError(f"the name {name!r} in {folder} is not UTF-8, as names in a module must be")


def _is_text(name: str) -> bool:
    """Whether a file name is one that TOML can say; bytes that are not UTF-8 are surrogates here."""
    return not any("\ud800" <= character <= "\udfff" for character in name)


def _is_unwanted(path: Path) -> bool:
    """Whether nobody means to ship it. What cannot be read is not known to be so: packing says why."""
    if is_litter(path.name):
        return True
    try:
        return is_secret(path.name, os.fsencode(path))
    except OSError:
        return False


def _unwanted(root: Path) -> tuple[str, ...]:
    """The names, at any depth of a tree, of what is left out of it. As far as it can be read: packing says the rest."""
    found: set[str] = set()
    for count, (above, folders, files) in enumerate(os.walk(root)):
        found.update(name for name in folders if is_litter(name))
        found.update(name for name in files if _is_unwanted(Path(above, name)))
        folders[:] = [name for name in folders if name not in found]
        if count > limits.FILES:
            break
    return tuple(sorted(filter(_is_text, found)))


def _identity(folder: Path) -> tuple[str, str]:
    """Name and version, from the folder's name (`agent-1.2.3`) and a file VERSION; the version may be empty."""
    whole = Path(os.path.realpath(folder)).name
    match = _VERSIONED.fullmatch(whole)
    name, version = match.groups() if match else (whole, "")
    if (folder / _VERSION_FILE).is_file():
        first = read_small(folder / _VERSION_FILE, limits.NAME_LENGTH).data.decode("ascii", "replace").strip()
        version = first if rules.VERSION.fullmatch(first) else version
    plain = re.sub("[^A-Za-z0-9._+-]+", "-", name).strip("-._+").lower()
    return plain[: limits.NAME_LENGTH] or "module", version


def _head(values: dict[str, str]) -> Iterator[str]:
    about = {
        "vendor": "who answers for it; a policy may trust a signer for certain vendors only",
        "name": "what the module is called, in policies and on hosts",
        "version": "a new one for every release: with the same one, nobody can tell two releases apart",
        "level": "a claim (certified, accepted, partner, community), which only a trusted signer proves",
    }
    width = max(len(_assign(key, values[key])) for key in about)
    yield "# What `modseal pack` packs. All keys, with examples: modseal help module"
    yield f'schema = "{SCHEMA}"'
    yield ""
    yield from (f"{_assign(key, values[key]):<{width}}  # {text}" for key, text in about.items())
    yield '#summary = "What it does, in one line"'
    yield "#released = 2026-01-31T12:00:00Z  # the time of the release (UTC); SOURCE_DATE_EPOCH by default"


def _contents(folder: Path, found: _Found, name: str) -> Iterator[str]:
    """The tables that name what is shipped."""
    of_host = not _PLACES.isdisjoint(found.folders)
    for number, (each, inside) in enumerate(found.folders.items(), 1):
        prefix = "" if each in TREES else each if of_host and each in HOST_FOLDERS else f"opt/{name}/{each}"
        yield ""
        yield f"[[payload]]  # the tree below {toml_text.quoted(each)}, as it is"
        if number > 1:
            yield _assign("name", f"payload{number}")
        yield _assign("root", each)
        if prefix:
            yield f"{_assign('prefix', prefix)}  # where it goes on the host"
        if inside:
            yield f"exclude = [{', '.join(map(_pattern, inside))}]  # names that are left out, at any depth"
    for each in found.files:
        yield ""
        yield "[[file]]"
        yield f"{_assign('path', f'opt/{name}/{each}')}  # where it goes on the host"
        yield _assign("source", each)
        if _is_script(folder / each):
            yield """mode = "0755"  # it starts with "#!", and is not executable here"""
    if found.aside:
        yield ""
        yield f"# Left out: {', '.join(map(toml_text.quoted, filter(_is_text, found.aside)))}"


def _is_script(path: Path) -> bool:
    """Whether it is a program by its beginning alone. What cannot be read is none: packing says why."""
    try:
        with path.open("rb") as file:
            return file.read(2) == b"#!" and not os.access(path, os.X_OK)
    except OSError:
        return False


def _pattern(name: str) -> str:
    """A name as a pattern that fits it alone."""
    return toml_text.quoted(re.sub(r"([*?\[])", r"[\1]", name))


def _assign(key: str, value: str) -> str:
    return f"{key} = {toml_text.quoted(value)}"


_TAIL = """
#[[file]]  # a mode of its own; others are 0755 or 0644, by whether the owner may execute
#path = "opt/example/etc/example.conf"
#mode = "0640"

#[[depends]]  # what else must be on the host
#name = "other-module"
#relation = ">="
#version = "2.0"
"""
