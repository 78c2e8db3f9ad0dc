"""Lists of what a target has, as tools print them: `esxcli software vib list` and `get`, and `modseal host list`.

`esxcli` prints a table or a text, and with `--formatter` JSON, XML or CSV. Nothing of a list is proved. `get` also says
what each VIB needs, refuses, replaces and provides; a list says names and versions.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from modseal import limits
from modseal.depot import relations
from modseal.errors import FormatError
from modseal.format import rules
from modseal.format.ar import MAGIC
from modseal.format.canonical_json import once
from modseal.format.manifest import Constraint, Relationships
from modseal.format.shape import quote
from modseal.format.strict_xml import Child, ElementRule, Node, parse
from modseal.format.vib_grammar import leaf
from modseal.profile.candidates import Candidate

HOST_LIST = "modseal/host-list@1"
"""The schema of what `modseal host list --format json` prints."""

_RULE = re.compile(r"-+(?: +-+)*")
_COLUMN = re.compile(r"-+")
_FIELD = re.compile(r" +([A-Z][A-Za-z ]*):(?: (.*))?")
_RELATIONS = ("depends", "conflicts", "replaces", "provides")

Row = Mapping[str, Any]
"""What is said of one module: values by their labels, in lower case and without spaces."""

_STRINGS = ElementRule("list", Child(leaf("string"), 0, limits.ITEMS), required=("type",))
_STRUCTURES = ElementRule(
    "list",
    Child(
        ElementRule(
            "structure",
            Child(
                ElementRule(
                    "field",
                    *(Child(leaf(kind), 0) for kind in ("string", "boolean", "integer")),
                    Child(_STRINGS, 0),
                    required=("name",),
                ),
                0,
                limits.ITEMS,
            ),
            required=("typeName",),
        ),
        0,
        limits.ITEMS,
    ),
    required=("type",),
)
_OUTPUT = ElementRule(
    "output",
    Child(ElementRule("root", Child(_STRUCTURES)), 0),
    Child(_STRUCTURES, 0),
    optional=("xmlns",),
)


def decode(data: bytes) -> tuple[tuple[Candidate, ...], bool]:
    """The modules of a list, one of each name, and whether it says what each needs and offers.

    Raises `FormatError` (list-invalid, limit-exceeded), which says what else the bytes are where that can be told.
    """
    if data.startswith(MAGIC):
        raise _invalid("this is a bundle, and says nothing of what a target has; name its depot with --depot")
    if data.startswith((b"PK\x03\x04", b"\x1f\x8b")):
        raise _invalid("this archive is neither a depot with its index nor a host's imgdb.tgz")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _invalid("this is no text in UTF-8") from None
    rows = list(_rows(text.replace("\r\n", "\n")))
    if not rows:
        raise _invalid("no module is listed in it")
    modules = tuple(map(_module, rows))
    if any("displayversion" in row for row in rows):
        raise _invalid("this lists components, and not the VIBs in them; take the output of `esxcli software vib list`")
    seen: set[str] = set()
    for one in modules:
        if one.name in seen:
            raise _invalid(f"it lists {quote(one.name)} twice; a target has one version of each")
        seen.add(one.name)
    return modules, all("provides" in row and "depends" in row for row in rows)


def _invalid(detail: str) -> FormatError:
    return FormatError("list-invalid", detail)


def _rows(text: str) -> Iterable[Row]:
    lines = [line for line in text.splitlines() if line.strip()]
    if text.lstrip().startswith(("{", "[")):
        return _json(text)
    if text.lstrip().startswith("<"):
        return _xml(text.encode())
    if len(lines) > 1 and _RULE.fullmatch(lines[1].strip()):
        return _table(lines)
    if lines and "," in lines[0]:
        return _csv(text)
    if len(lines) > 1 and _FIELD.fullmatch(lines[1]):
        return _blocks(lines)
    raise _invalid("this is no list of installed modules")


def _json(text: str) -> list[Row]:
    try:
        document = json.loads(text, object_pairs_hook=once)
    except (ValueError, RecursionError):
        raise _invalid("this is no JSON") from None
    if isinstance(document, dict) and "schema" in document:
        if document["schema"] != HOST_LIST:
            raise _invalid(f"this is a {quote(str(document['schema']))}, and no {HOST_LIST}")
        document = document.get("modules")
    if isinstance(document, dict):
        document = [document]  # what `vib get` prints of one VIB, taken out of its list
    if not isinstance(document, list) or not all(isinstance(row, dict) for row in document):
        raise _invalid("this JSON is no list of modules")
    return [{_label(key): value for key, value in row.items()} for row in document]


def _xml(data: bytes) -> list[Row]:
    try:
        root = parse(data, _OUTPUT, ordered=False)
    except FormatError as error:
        if error.failure.code == "limit-exceeded":
            raise
        raise _invalid(f"this is no XML as esxcli writes it: {error.failure.detail}") from None
    structures = [node for node in root.walk() if node.name == "structure"]
    return [{_label(one.attributes["name"]): _value(one) for one in node.children} for node in structures]


def _value(field: Node) -> str | list[str]:
    if not field.children:
        return ""
    value = field.children[0]
    return [one.text for one in value.children] if value.name == "list" else value.text


def _csv(text: str) -> list[Row]:
    try:
        rows = list(csv.DictReader(io.StringIO(text), strict=True))
    except csv.Error as error:
        raise _invalid(f"this is no CSV: {error}") from None
    if any(None in row or None in row.values() for row in rows):
        raise _invalid("a line of this CSV has not as many values as the first")
    return [{_label(key): value for key, value in row.items()} for row in rows]


def _table(lines: Sequence[str]) -> list[Row]:
    """The rows of a table whose second line is a rule of hyphens below each column."""
    head, rule, *rest = lines
    starts = [match.start() for match in _COLUMN.finditer(rule)]
    spans = list(zip(starts, [*starts[1:], None], strict=True))
    labels = [_label(head[start:end]) for start, end in spans]
    return [dict(zip(labels, (line[start:end].strip() for start, end in spans), strict=True)) for line in rest]


def _blocks(lines: Sequence[str]) -> list[Row]:
    """What `vib get` prints: the id of each VIB, and below it, indented, its fields."""
    rows: list[dict[str, str]] = []
    for line in lines:
        if not line.startswith(" "):
            rows.append({})
            continue
        field = _FIELD.fullmatch(line)
        if field and rows:
            if _label(field[1]) in rows[-1]:
                raise _invalid(f"one VIB has {quote(field[1])} twice")
            rows[-1][_label(field[1])] = (field[2] or "").strip()
    return list(rows)


def _label(text: str) -> str:
    return "".join(text.split()).lower()


def _module(row: Row) -> Candidate:
    name, version, vendor = (row.get(label, "") for label in ("name", "version", "vendor"))
    for label, value, form in (("name", name, rules.MODULE_NAME), ("version", version, rules.VERSION)):
        if not isinstance(value, str) or not form.fullmatch(value):
            raise _invalid(f"a module's {label} is {quote(value) if isinstance(value, str) and value else 'missing'}")
    if not isinstance(vendor, str) or len(vendor) > limits.NAME_LENGTH:
        raise _invalid(f"the vendor of {quote(name)} is none")
    related = {label: tuple(_constraint(label, text) for text in _texts(row.get(label, ""))) for label in _RELATIONS}
    return Candidate(name, version, vendor, Relationships(**related))


def _texts(value: object) -> list[str]:
    """The items of a list, which text and CSV have with commas between them."""
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list) or not all(isinstance(one, str) for one in items):
        raise _invalid("what a module says of others is no list of texts")
    return [one.strip() for one in items if one.strip()]


def _constraint(label: str, text: str) -> Constraint:
    found = relations.parse_constraint(text)
    failure = next(rules.check_constraint(label, found), None) if found else None
    if found is None or failure:
        raise _invalid(failure.detail if failure else f"{label} has {quote(text)}, which is no constraint")
    return found
