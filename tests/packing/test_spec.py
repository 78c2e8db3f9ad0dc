"""`module.toml`: what it says, and the line and field of everything that is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path

import json_schema
import pytest

from modseal.errors import SpecError
from modseal.format.level import Level
from modseal.format.manifest import Constraint, Platform
from modseal.packing.spec import ModuleSpec, parse

REPOSITORY = Path(__file__).parents[2]

LEAST = """schema = "modseal/module@1"
vendor = "Acme"
name = "hello"
version = "1.0.0-1"
"""

EVERYTHING = (
    LEAST
    + """level = "PartnerSupported"
summary = "Says hello"
description = "Line one.\\nLine two."
released = 2026-01-31T13:00:00+01:00

[[payload]]
name = "base"
root = "files"
prefix = "opt/hello/"
type = "tar+gzip"
exclude = [".git", "build/*.o"]

[[payload]]
name = "docs"

[[file]]
path = "opt/hello/etc/secret"
mode = "0600"

[[file]]
path = "share/doc/README"
source = "../README"
payload = "docs"

[[depends]]
name = "libc"
relation = ">="
version = "2.0"

[[conflicts]]
name = "hallo"

[[replaces]]
name = "hello-old"
relation = "<<"
version = "1.0"

[[provides]]
name = "greeting"
version = "3"

[[attachment]]
name = "sbom.json"
file = "sbom.json"
media-type = "application/vnd.cyclonedx+json"

[vib]
type = "locker"
tags = ["module", "driver"]
maintenance-mode = true
platforms = [{version = "8.*"}, {version = "7.0", product = "other", locale = "en"}]
live-install-allowed = true
live-remove-allowed = true
cimom-restart = true
stateless-ready = false
overlay = true
urls = {kb = "https://example.test/kb", website = "https://example.test/"}
"""
)


def read(text: str) -> ModuleSpec:
    return parse(text.encode(), "module.toml")


def problems(text: str) -> tuple[str, ...]:
    with pytest.raises(SpecError) as caught:
        read(text)
    return caught.value.problems


def test_the_least_spec_is_a_community_module_without_anything() -> None:
    spec = read(LEAST)
    assert (spec.vendor, spec.name, spec.version, spec.level) == ("Acme", "hello", "1.0.0-1", Level.COMMUNITY)
    assert (spec.released, spec.payloads, spec.files, spec.attachments) == ("", (), (), ())


def test_a_spec_with_everything_says_everything() -> None:
    spec = read(EVERYTHING)
    base, docs = spec.payloads
    secret, readme = spec.files
    assert (spec.level, spec.released) == (Level.PARTNER, "2026-01-31T12:00:00Z")
    assert (spec.summary, spec.description) == ("Says hello", "Line one.\nLine two.")
    assert (base.name, base.root, base.prefix, base.type) == ("base", "files", "opt/hello", "tar+gzip")
    assert (base.exclude, docs.root) == ((".git", "build/*.o"), None)
    assert (secret.mode, secret.source, secret.payload) == (0o600, None, "base")
    assert (readme.mode, readme.source, readme.payload) == (None, "../README", "docs")
    related = spec.relationships
    assert related.depends == (Constraint("libc", ">=", "2.0"),)
    assert (related.conflicts, related.provides) == ((Constraint("hallo"),), (Constraint("greeting", "=", "3"),))
    assert related.replaces == (Constraint("hello-old", "<<", "1.0"),)
    assert spec.attachments[0].media_type == "application/vnd.cyclonedx+json"
    vib = spec.vib
    assert vib.urls == (("kb", "https://example.test/kb"), ("website", "https://example.test/"))
    assert vib.platforms == (Platform("8.*"), Platform("7.0", "other", "en"))
    assert (vib.type, vib.tags, vib.stateless_ready, vib.overlay) == ("locker", ("module", "driver"), False, True)
    assert vib.maintenance_mode
    assert vib.live_install_allowed
    assert vib.live_remove_allowed
    assert vib.cimom_restart


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('vender = "Acme"', "module.toml:5: unknown key 'vender'"),
        ('level = "partnr"', "module.toml:5: level: is 'partnr', and must be one of"),
        ("summary = 3", "module.toml:5: summary: must be text, not an integer"),
        ('summary = "a\\u0007b"', "module.toml:5: summary: the summary"),
        ("released = 2026-01-31", "module.toml:5: released: must be a time like"),
        ("released = 2026-01-31T12:00:00", "module.toml:5: released: must have an offset"),
        ("released = 2026-01-31T12:00:00.5Z", "module.toml:5: released: must have an offset from UTC (or Z) and whole"),
        ('released = "2026-02-30T12:00:00Z"', "module.toml:5: released: is '2026-02-30T12:00:00Z'"),
        ('[[payload]]\nname = "sig.pkcs7"', "module.toml:6: payload[0].name: the member name 'sig.pkcs7' is reserved"),
        ('[[payload]]\nname = "much-too-long-a-name"', "module.toml:6: payload[0].name"),
        ('[[payload]]\nroot = "/etc"', "module.toml:6: payload[0].root: is '/etc', and must be relative"),
        ('[[payload]]\nroot = "f"\nprefix = "../up"', "module.toml:7: payload[0].prefix: the path '../up'"),
        ('[[payload]]\nprefix = "opt"', "module.toml:5: payload[0]: has a 'prefix'"),
        ('[[payload]]\ntype = "zip"', "module.toml:6: payload[0].type"),
        ("[[payload]]\n[[payload]]", "module.toml:6: payload[1].name: two members are named 'payload1'"),
        ('[[file]]\npath = "/abs"\nmode = "0644"', "module.toml:6: file[0].path: the path '/abs'"),
        ('[[file]]\npath = "a"\nmode = "rw"', "module.toml:7: file[0].mode"),
        ('[[file]]\npath = "a"\nmode = 0o644', "module.toml:7: file[0].mode: must be text"),
        ('[[file]]\npath = "a"', "module.toml:5: file[0]: needs a 'mode'"),
        ('[[file]]\npath = "a"\nmode = "0644"\npayload = "other"', "module.toml:8: file[0].payload: no payload"),
        ('[[depends]]\nname = "x"\nrelation = "=="\nversion = "1"', "module.toml:7: depends[0].relation"),
        (
            '[[depends]]\nname = "x"\nversion = "1"',
            "module.toml:5: depends[0]: depends of 'x' has a relation or a version",
        ),
        ('[[provides]]\nname = "x"\nrelation = "<<"\nversion = "1"', "module.toml:7: provides[0].relation"),
        ('[[attachment]]\nname = "a"\nfile = "f"\nmedia-type = "Text"', "module.toml:8: attachment[0].media-type"),
        ("[vib]\nlive-install = true", "module.toml:6: vib: unknown key 'live-install'"),
        ('[vib]\ntype = "boot"', "module.toml:6: vib.type"),
        ('[vib]\ntags = ["ok", "two\\nlines"]', "module.toml:6: vib.tags[1]: the tag"),
    ],
)
def test_a_problem_names_its_line_and_field(line: str, expected: str) -> None:
    found = problems(LEAST + line + "\n")
    assert any(text.startswith(expected) for text in found), found


def test_all_problems_are_told_at_once() -> None:
    text = LEAST.replace('"1.0.0-1"', '"1 0"').replace('"hello"', '"-"') + 'level = "none"\nextra = 1\n'
    assert len(problems(text)) == 4


def test_a_missing_key_is_named() -> None:
    assert problems(LEAST.replace('vendor = "Acme"\n', "")) == ("module.toml: the key 'vendor' is missing",)


@pytest.mark.parametrize("data", [b"schema = ", b"\xff", b"a = " + b"[" * 5000])
def test_what_is_no_toml_is_a_spec_error(data: bytes) -> None:
    with pytest.raises(SpecError, match=r"module\.toml(:[0-9]+)?: "):
        parse(data, "module.toml")


def test_the_json_schema_is_the_committed_one() -> None:
    committed = (REPOSITORY / "schemas" / "module.schema.json").read_text(encoding="utf-8")
    assert committed == json_schema.text(json_schema.published("module"))


def test_the_json_schema_accepts_what_the_reader_accepts() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    import tomllib

    values = tomllib.loads(EVERYTHING)
    values["released"] = "2026-01-31T12:00:00Z"
    validator = jsonschema.Draft202012Validator(json.loads(json_schema.text(json_schema.published("module"))))
    assert not list(validator.iter_errors(values))
    assert list(validator.iter_errors({**values, "extra": 1}))
