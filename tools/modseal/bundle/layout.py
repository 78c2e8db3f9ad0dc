"""The layout of a visor tar as a file beside its unpacked tree: `payloads/<name>.layout.json` of a stage folder.

With it a genuine visor tar that was taken apart can be put together again byte for byte: the order of its
headers, and of each the mode, the owner, the time and what else no file system would keep.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from modseal import limits
from modseal.errors import FormatError, SpecError, require_spec
from modseal.format import canonical_json
from modseal.format.manifest import Entry
from modseal.format.manifest_json import LATEST_TIME
from modseal.format.shape import Array, Boolean, Integer, Table, Text
from modseal.format.visor import Alignment, VisorFields, VisorLayout
from modseal.values import regex

SCHEMA = "modseal/visor-layout@1"
SUFFIX = ".layout.json"

_OWNER_TEXT = Text(regex(r"[\x21-\x7e]*"), form="printable ASCII", least=0, most=31)
_OWNER = Integer(0, 0o7777777)
_WORD = Integer(0, 2**32 - 1)
_ENTRY = Table(
    {
        "path": Text(regex(r"[^\ud800-\udfff]+"), form="text without surrogates", most=limits.PATH_LENGTH),
        "mode": Text(regex("[0-7]{4}"), form="4 octal digits", least=4, most=4),
        "typeflag": Text(choices=("0", "2", "5", "7"), about="As in the header; 7 is an executable."),
        "mtime": Integer(0, LATEST_TIME),
        "uid": _OWNER,
        "gid": _OWNER,
        "uname": _OWNER_TEXT,
        "gname": _OWNER_TEXT,
        "device": Boolean(about="Device numbers are written as octal zeros."),
        "text": Array(_WORD, least=3, most=3, about="Offset, pages and fix-up pages of an executable's text."),
    }
)
SHAPE = Table(
    {
        "schema": Text(choices=(SCHEMA,)),
        "alignment": Text(choices=[str(one.value) for one in Alignment]),
        "padded": Boolean(about="The end is filled to 512 bytes."),
        "entries": Array(_ENTRY, most=limits.FILES, about="In the order of the headers."),
    },
    about="How a visor tar was laid out.",
)


def encode(layout: VisorLayout, entries: Iterable[Entry]) -> bytes:
    """The file for a layout and its entries, which are what `visor.read_layout` gives."""
    plain = {
        "schema": SCHEMA,
        "alignment": layout.alignment.value,
        "padded": layout.padded,
        "entries": [_to_plain(entry, layout.of(entry)) for entry in entries],
    }
    return (json.dumps(plain, indent=1, ensure_ascii=False) + "\n").encode()


def decode(data: bytes, name: str) -> tuple[VisorLayout, dict[str, int]]:
    """The layout of a file, and the mode of each path in the order of the headers. Raises `SpecError`."""
    try:
        plain: Any = canonical_json.load(data, name)
    except FormatError as error:
        raise SpecError(str(error)).because("document-damaged") from None
    require_spec(f"{name}: {problem}" for problem in SHAPE.problems(plain))
    items = plain["entries"]
    layout = VisorLayout(
        Alignment(plain["alignment"]), plain["padded"], {item["path"]: _fields(item) for item in items}
    )
    if len(layout.fields) < len(items):
        require_spec([f"{name}: a path stands there twice"])
    return layout, {item["path"]: int(item["mode"], 8) for item in items}


def _to_plain(entry: Entry, fields: VisorFields) -> dict[str, Any]:
    return {
        "path": entry.path,
        "mode": f"{entry.mode or 0:04o}",
        "typeflag": fields.typeflag,
        "mtime": fields.mtime,
        "uid": fields.uid,
        "gid": fields.gid,
        "uname": fields.uname,
        "gname": fields.gname,
        "device": fields.device,
        "text": list(fields.text),
    }


def _fields(item: dict[str, Any]) -> VisorFields:
    return VisorFields(
        item["typeflag"],
        item["mtime"],
        item["uid"],
        item["gid"],
        item["uname"],
        item["gname"],
        item["device"],
        (item["text"][0], item["text"][1], item["text"][2]),
    )
