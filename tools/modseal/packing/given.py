"""What the caller says in the place of the spec: `--version`, `--release-date`, `--set FIELD=VALUE`, or arguments.

The same names are for both kinds of spec; those of a descriptor's elements are taken too. The values are judged by the
rules of the spec that they go into, and a refusal names the option or the argument.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

from modseal.errors import UsageError
from modseal.format.manifest import Kind
from modseal.format.shape import Steps, quote, suggestion
from modseal.format.stage_descriptor import GivenText
from modseal.format.times import time_text
from modseal.format.toml_text import TomlDocument

FIELDS: Mapping[str, Steps] = {
    **{name: (name,) for name in ("vendor", "name", "version", "level", "summary", "description", "released")},
    **{
        name: ("vib", name)
        for name in (
            *("type", "maintenance-mode", "live-install-allowed", "live-remove-allowed"),
            *("cimom-restart", "stateless-ready", "overlay"),
        )
    },
}
"""What can be said, and where it stands in a `module.toml`."""

_ELEMENTS = {"level": "acceptance-level", "released": "release-date"}
"""The elements of a descriptor that have other names."""
_NAMES = {element: name for name, element in _ELEMENTS.items()}
_FLAGS = {"true": True, "false": False}
_DAY = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")


def read(
    spec: Path, version: str | None, released: datetime | None, fields: Iterable[str], *, from_git: bool
) -> dict[str, GivenText]:
    """What the options say, by field. Raises `UsageError`."""
    said: list[tuple[str, GivenText]] = []
    if version is not None and from_git:
        raise UsageError("--version and --version-from-git exclude each other")
    if version is not None:
        said.append(("version", GivenText(version, "--version")))
    if from_git and spec.exists():  # else it is said that there is no such spec
        from modseal.packing.git_version import OPTION, describe

        said.append(("version", GivenText(describe(spec if spec.is_dir() else spec.parent), OPTION)))
    if released is not None:
        said.append(("released", GivenText(time_text(released), "--release-date")))
    for item in fields:
        field, equals, text = item.partition("=")
        if not equals:
            raise UsageError(f"--set {item}: give FIELD=VALUE, as in --set summary='A greeting.'")
        said.append((field, GivenText(text, f"--set {field}")))
    return _by_field(said)


def of_arguments(
    version: str | None, released: datetime | None, fields: Mapping[str, str | bool]
) -> dict[str, GivenText]:
    """What a program says, by field. Raises `UsageError`."""
    said = [("version", GivenText(version, "version"))] if version is not None else []
    said += [("released", GivenText(time_text(released), "released"))] if released is not None else []
    words = {True: "true", False: "false"}
    said += [
        (field, GivenText(words[value] if isinstance(value, bool) else value, f"fields[{quote(field)}]"))
        for field, value in fields.items()
    ]
    return _by_field(said)


def _by_field(said: Iterable[tuple[str, GivenText]]) -> dict[str, GivenText]:
    """Each once, by the name that a `module.toml` has for it. A day is its first second, as for `--release-date`."""
    given: dict[str, GivenText] = {}
    for field, one in said:
        name = _NAMES.get(field, field)
        if name not in FIELDS:
            hint = suggestion(name, FIELDS) or f"; it can set {', '.join(FIELDS)}"
            raise UsageError(f"{one.source}: there is no such field{hint}")
        if name in given:
            raise UsageError(f"{given[name].source} and {one.source} say the same field")
        day = name == "released" and _DAY.fullmatch(one.text)
        given[name] = one._replace(text=f"{one.text}T00:00:00Z") if day else one
    return given


def require_fields_of(kind: Kind, given: Mapping[str, GivenText]) -> None:
    """Check that a bundle of this format has every field that is given. Raises `UsageError`."""
    for name, one in given.items():
        if kind == "seal" and FIELDS[name][0] == "vib":
            raise UsageError(f"{one.source}: a .seal has no such field; leave it out, or pack a .vib")


def for_stage(given: Mapping[str, GivenText]) -> dict[str, GivenText]:
    """The same by element of a descriptor, with the date in its form."""
    dated = {"released": lambda text: text.replace("Z", "+00:00")}
    return {_ELEMENTS.get(name, name): one._replace(text=dated.get(name, str)(one.text)) for name, one in given.items()}


def put(given: Mapping[str, GivenText], document: TomlDocument) -> None:
    """Put what is given into the values of a `module.toml`."""
    for name, (text, source) in given.items():
        path = FIELDS[name]
        document.put(path, _FLAGS.get(text, text) if path[0] == "vib" else text, source)
