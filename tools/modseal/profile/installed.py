"""What a target has already, from a file: a list of VIBs or modules, or the depot that it was made from.

A list names modules and says nothing of what they need, refuse or provide (`TargetModules.is_list`): each counts as
offering its own name and version.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from modseal import limits
from modseal.depot.files import looks_like_depot
from modseal.depot.open import open_depot
from modseal.depot.relations import newest
from modseal.errors import InputError
from modseal.files.small import read_small
from modseal.profile.candidates import Candidate, read_candidate

_RULE = re.compile(r"-+")
_NOTE = "the list of installed modules says only names and versions: each counts as offering these and nothing else"


@dataclass(frozen=True, slots=True)
class TargetModules:
    """The modules of a target, one of each name."""

    modules: tuple[Candidate, ...] = ()
    is_list: bool = False

    @property
    def notes(self) -> tuple[str, ...]:
        """What has to be said beside a result that rests on it."""
        return (_NOTE,) if self.is_list else ()

    @property
    def platform(self) -> str | None:
        """The version of ESXi, by its module `esx-base`; None where it is not there."""
        return next((one.version.partition("-")[0] for one in self.modules if one.name == "esx-base"), None)


def read_installed(path: Path) -> TargetModules:
    """Read a list (`esxcli software vib list` as table, csv or json; `modseal host list --format json`), or a depot.

    Raises `InputError` for anything else, and where a name is there twice.
    """
    if looks_like_depot(path):
        return _of_depot(str(path))
    text = read_small(path, limits.MANIFEST_SIZE).data.decode("utf-8", "replace").lstrip("\ufeff")
    try:
        rows = list(_rows(text))
        modules = [Candidate(row["name"], row["version"], row["vendor"]) for row in rows]
    except (ValueError, KeyError, TypeError, AttributeError, csv.Error, RecursionError):
        modules = []
    texts: list[object] = [text for one in modules for text in (one.name, one.version)]
    if not texts or not all(isinstance(text, str) and text for text in texts):
        raise InputError(f"{path}: neither a list of installed modules nor a depot", path=str(path))
    if len({one.name for one in modules}) < len(modules):
        raise InputError(f"{path}: a module is listed twice", path=str(path))
    return TargetModules(tuple(modules), is_list=True)


def _of_depot(path: str) -> TargetModules:
    found: dict[str, list[Candidate]] = {}
    with open_depot(path) as files:
        for place in files.bundles:
            one = read_candidate(files, place)
            bare = Candidate(one.name, one.version, one.vendor, one.relationships, one.platforms, digest=one.digest)
            found.setdefault(one.name, []).append(bare)
    return TargetModules(tuple(newest(versions) for versions in found.values()))


def _rows(text: str) -> Iterable[Mapping[str, str]]:
    """The rows of a list, keys in lower case."""
    if text.lstrip().startswith(("{", "[")):
        document = json.loads(text)
        rows = document["modules"] if isinstance(document, dict) else document
    elif "," in text.partition("\n")[0]:
        rows = list(csv.DictReader(io.StringIO(text)))
    else:
        return _table(text)
    return [{key.lower(): value for key, value in row.items()} for row in rows]


def _table(text: str) -> Iterable[Mapping[str, str]]:
    """The rows of a table whose second line is a rule of hyphens below each column."""
    head, rule, *lines = [line for line in text.splitlines() if line.strip()]
    if set(rule.strip()) != {"-", " "}:
        raise ValueError(rule)
    starts = [match.start() for match in _RULE.finditer(rule)]
    spans = list(zip(starts, [*starts[1:], None], strict=True))
    names = [head[start:end].strip().lower() for start, end in spans]
    return [dict(zip(names, (line[start:end].strip() for start, end in spans), strict=True)) for line in lines]
