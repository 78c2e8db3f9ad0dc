"""Writes docs/module.md: every key of a module.toml, from the shape that `modseal pack` checks it with.

What a key is and means is the shape's. The examples are here; together they are one spec, which tests/docs packs.
`docs/generate.py` keeps the page current.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from modseal.format.shape import Array, Boolean, Integer, Shape, Table, Text, TextMap
from modseal.packing.spec_shape import SCHEMA, SHAPE, SpecTime

INTRODUCTION = f"""\
`modseal pack` makes a bundle from a module spec: a TOML file, usually `module.toml`, beside the files that it names.
`modseal init` writes one for a folder, with comments. The smallest one that packs something:

```toml least.toml
schema = "{SCHEMA}"
vendor = "Acme"
name = "hello"
version = "1.0"

[[payload]]
root = "files"
```

Rules for the file itself:

* Unknown keys are errors, because a misspelt rule would not be applied. All mistakes are told at once, each with its
  line.
* Files and folders that it names are relative to it. A symbolic link on the way that leads out of the spec's own folder
  is refused, so that nothing is shipped that lies elsewhere without the spec saying so (`..`).
* Of files in that folder that nothing packs `modseal pack` warns, unless `exclude` names them, or they are specs,
  policies, bundles, keys, certificates, or what version control, desktops and editors leave there.
* `modseal pack` takes the version, the time of release and other single fields from its command line too (`--version`,
  `--version-from-git`, `--release-date`, `--set FIELD=VALUE`), with the same rules. `--version` and `--release-date` do
  what `--set version=` and `--set released=` do; a time may be a day (`2026-01-31`), and is its first second (UTC).
* Without a `[[payload]]` nothing is packed. Write `payload = []` where that is meant.
* The same spec and files give the same bytes on every machine. See
  [sign in a pipeline](how-to/sign-in-a-pipeline.md) for the time of the entries.
"""

EDITORS = """\
## In an editor

The rules of this page are also a JSON Schema, `schemas/module.schema.json` in a checkout. The installed program prints
it:

```console
$ modseal help --schema module > module.schema.json
$ modseal help --schema policy > policy.schema.json
```

[Taplo](https://taplo.tamasfe.dev), and so the extension Even Better TOML of Visual Studio Code, then checks the file
while it is written, completes keys and shows what each means. Either the first line of the spec names the schema,
relative to the spec:

```toml
#:schema ./module.schema.json
```

or a `.taplo.toml` in the folder does, for all specs and policies below it:

```toml
[[rule]]
include = ["**/module.toml"]
[rule.schema]
path = "module.schema.json"

[[rule]]
include = ["**/policy.toml"]
[rule.schema]
path = "policy.schema.json"
```

or the settings of Visual Studio Code:

```json
{
  "evenBetterToml.schema.associations": {
    "module\\\\.toml$": "file:///home/me/schemas/module.schema.json",
    "policy\\\\.toml$": "file:///home/me/schemas/policy.schema.json"
  }
}
```

The schema knows the keys and the form of each value. `modseal pack` knows more: that files exist, that names are
used once, and whatever else a verifier would refuse.
"""


class Section(NamedTuple):
    """A table of the spec: its heading, the keys on the way to it, and an example."""

    heading: str
    path: tuple[str, ...]
    example: str


SECTIONS = (
    Section(
        "The module",
        (),
        f"""\
schema = "{SCHEMA}"
vendor = "Acme"
name = "acme-agent"
version = "1.4.2-1"
level = "partner"
summary = "Reports the state of a host"
description = "The agent of the Acme monitoring service, with its configuration."
released = 2026-01-31T12:00:00Z
exclude = ["README*", "src"]
expected-signers = ["key-sha256:2222222222222222222222222222222222222222222222222222222222222222"]
""",
    ),
    Section(
        "[[payload]]",
        ("payload",),
        """\
[[payload]]                 # files/bin/agent becomes opt/acme/bin/agent
name = "base"
root = "files"
prefix = "opt/acme"
type = "tar+zstd"
exclude = ["*.orig", "doc/internal"]
""",
    ),
    Section(
        "[[file]]",
        ("file",),
        """\
[[file]]                    # a mode for a path of the tree
path = "opt/acme/etc/agent.conf"
mode = "0640"

[[file]]                    # a file from elsewhere
path = "opt/acme/LICENSE"
source = "LICENSE"
payload = "base"
mode = "0444"
""",
    ),
    Section(
        "[[depends]], [[conflicts]], [[replaces]]",
        ("depends",),
        """\
[[depends]]
name = "acme-library"
relation = ">="
version = "2.0"

[[conflicts]]
name = "other-agent"

[[replaces]]
name = "acme-agent-lite"
relation = "<<"
version = "1.0"
""",
    ),
    Section(
        "[[provides]]",
        ("provides",),
        """\
[[provides]]
name = "monitoring-agent"
relation = "="
version = "1"
""",
    ),
    Section(
        "[[attachment]]",
        ("attachment",),
        """\
[[attachment]]
name = "notes.txt"
file = "CHANGES"
media-type = "text/plain"
""",
    ),
    Section(
        "[[component]]",
        ("component",),
        """\
[[component]]
name = "zlib"
version = "1.3.1"
purl = "pkg:generic/zlib@1.3.1"
license = "Zlib"
""",
    ),
    Section(
        "[attestations]",
        ("attestations",),
        """\
[attestations]
sbom = true
""",
    ),
    Section(
        "[vib]",
        ("vib",),
        """\
[vib]
type = "bootbank"
urls = { kb = "https://www.example.com/kb/1" }
tags = ["driver"]
maintenance-mode = true
live-install-allowed = false
live-remove-allowed = false
cimom-restart = false
stateless-ready = true
overlay = false
""",
    ),
    Section(
        "[[vib.platforms]]",
        ("vib", "platforms"),
        """\
[[vib.platforms]]
version = "8.*"
product = "embeddedEsx"
locale = ""
""",
    ),
)


def page(note: str) -> str:
    """The whole page; `note` says that it is generated."""
    return "\n".join([*_lines(note)]) + "\n"


def _lines(note: str) -> Iterator[str]:
    yield from ("# The module spec: module.toml", "", note, "", INTRODUCTION)
    for section in SECTIONS:
        table = _table(section.path)
        yield from (f"## {section.heading}", "")
        if table.about:
            yield from (table.about, "")
        yield from ("```toml", *section.example.rstrip("\n").split("\n"), "```", "")
        yield from ("| key | value | meaning |", "|---|---|---|")
        for key, shape in table.fields.items():
            needed = ", required" if key in table.required else ""
            yield f"| `{key}` | {_cell(kind(shape) + needed)} | {_cell(shape.about)} |"
        yield ""
    yield EDITORS.rstrip("\n")


def _table(path: tuple[str, ...]) -> Table:
    """The table at some keys, through arrays."""
    shape: Shape = SHAPE
    for key in path:
        shape = shape.fields[key] if isinstance(shape, Table) else shape
        shape = shape.item if isinstance(shape, Array) else shape
    if not isinstance(shape, Table):
        raise TypeError(f"{'.'.join(path)} is not a table")
    return shape


def kind(shape: Shape) -> str:
    """What values a shape takes, in words."""
    if isinstance(shape, Array):
        return "tables" if isinstance(shape.item, Table) else f"array of: {kind(shape.item)}"
    if isinstance(shape, Text) and shape.choices:
        return ", ".join(f"`{choice}`" for choice in shape.choices)
    if isinstance(shape, Text):
        return shape.form or f"text of {shape.least} to {shape.most} characters"
    if isinstance(shape, Integer):
        return f"integer from {shape.least} to {shape.most}"
    words = {
        Boolean: "`true` or `false`",
        SpecTime: "time like 2026-01-31T12:00:00Z",
        Table: "table",
        TextMap: "texts by key",
    }
    return words[type(shape)]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
