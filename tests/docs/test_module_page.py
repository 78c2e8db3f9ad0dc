"""docs/module.md: every key has an example and a meaning, the examples pack, and editors can use the schemas."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import jsonschema
import pytest

from builders.transcript import run
from docs.console import steps
from modseal.format.shape import Array, Shape, Table
from modseal.packing.spec_shape import SHAPE

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/module.md").read_text("utf-8")


def load():
    spec = importlib.util.spec_from_file_location("docs_module_page", ROOT / "docs/module_page.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


SECTIONS = load().SECTIONS
WHOLE = "".join(f"{section.example}\n" for section in SECTIONS)


def tables(shape: Shape, trail=()):
    if isinstance(shape, Array):
        yield from tables(shape.item, trail)
    if isinstance(shape, Table):
        yield trail, shape
        for key, item in shape.fields.items():
            yield from tables(item, (*trail, key))


ALIKE = {("conflicts",): ("depends",), ("replaces",): ("depends",)}
"""Tables that have the section of another one."""


TABLES = dict(tables(SHAPE))


@pytest.mark.parametrize("trail", TABLES, ids="-".join)
def test_every_key_of_every_table_has_a_meaning_and_an_example(trail):
    table = TABLES[trail]
    (section,) = (one for one in SECTIONS if one.path == ALIKE.get(trail, trail))
    shown = PAGE.partition(f"## {section.heading}\n")[2].partition("\n## ")[0]
    found = tomllib.loads(WHOLE)
    for step in section.path:
        found = found[step][-1] if isinstance(found, list) else found[step]
    examples = [item for item in (found if isinstance(found, list) else [found]) if isinstance(item, dict)]
    for key, shape in table.fields.items():
        assert re.search(rf"^\| `{key}` \| [^|]+ \| \S", shown, re.MULTILINE), key
        assert shape.about, key
        assert any(key in item for item in examples), key


@pytest.fixture
def folder(tmp_path):
    """The folder that the examples speak of."""
    for path in (
        "files/bin/agent",
        "files/etc/agent.conf",
        "files/doc/internal/x",
        "files/a.orig",
        "LICENSE",
        "CHANGES",
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("x\n")
    return tmp_path


def test_the_examples_together_are_one_spec_that_packs(folder):
    (folder / "module.toml").write_text(WHOLE)
    for kind in ("seal", "vib"):
        done = run("pack", ".", "--format", kind, "-o", f"../a.{kind}", cwd=folder)
        assert done.code == 0, done.err
    shown = run("inspect", "../a.seal", cwd=folder).out
    assert re.findall(r"^  entry +-\S+ +\d+ (\S+)$", shown, re.MULTILINE) == [
        "opt/acme/LICENSE",
        "opt/acme/bin/agent",
        "opt/acme/etc/agent.conf",
    ]


def test_the_least_spec_of_the_page_packs(folder):
    ((name, text),) = (step for step in steps(PAGE) if isinstance(step, tuple) and step[0] == "least.toml")
    (folder / name).write_text(text)
    assert run("pack", name, "-o", "../a.seal", cwd=folder).code == 0


# Editors. Taplo is what Even Better TOML checks with.


def taplo(folder, *arguments):
    program = shutil.which("taplo") or shutil.which("taplo", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("no taplo")
    return subprocess.run(
        [program, "lint", *arguments], cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )


@pytest.fixture
def editor(folder):
    for name in ("module", "policy"):
        shutil.copy(ROOT / f"schemas/{name}.schema.json", folder)
    return folder


WRONG = [
    ('level = "partner"', 'level = "gold"'),
    ('vendor = "Acme"\n', ""),
    ('root = "files"', 'rooot = "files"'),
    ('mode = "0640"', 'mode = "640"'),
    ("released = 2026-01-31T12:00:00Z", "released = 2026"),
]


@pytest.mark.parametrize("way", ["directive", "configuration"])
def test_an_editor_accepts_what_packs_and_marks_what_does_not(editor, way):
    first = "#:schema ./module.schema.json\n" if way == "directive" else ""
    if way == "configuration":
        (block,) = re.findall(r"^```toml\n(\[\[rule\]\].*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
        (editor / ".taplo.toml").write_text(block)
    else:
        assert "```toml\n#:schema ./module.schema.json\n```" in PAGE
    (editor / "module.toml").write_text(first + WHOLE)
    good = taplo(editor, "module.toml")
    assert good.returncode == 0, good.stderr
    for right, wrong in WRONG:
        (editor / "module.toml").write_text(first + WHOLE.replace(right, wrong, 1))
        assert taplo(editor, "module.toml").returncode != 0, wrong


def test_an_editor_accepts_what_init_writes(editor):
    (editor / "tool").mkdir()
    (editor / "tool/run").write_text("x")
    assert run("init", "tool", "--policy", "--anchor", ROOT / "keys-example/partner/root.pem", cwd=editor).code == 0
    for name in ("module", "policy"):
        done = taplo(editor, "--schema", (editor / f"{name}.schema.json").as_uri(), f"tool/{name}.toml")
        assert done.returncode == 0, done.stderr


def test_the_settings_that_are_shown_fit_the_files_names():
    (block,) = re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    patterns = json.loads(block)["evenBetterToml.schema.associations"]
    for name in ("module", "policy"):
        (schema,) = (value for pattern, value in patterns.items() if re.search(pattern, f"/home/me/x/{name}.toml"))
        assert schema.endswith(f"/{name}.schema.json")


def test_the_schema_says_what_the_page_says():
    schema = json.loads((ROOT / "schemas/module.schema.json").read_text("utf-8"))
    found = tomllib.loads(WHOLE)
    found["released"] = "2026-01-31T12:00:00Z"  # JSON has no times
    jsonschema.validate(found, schema)
