"""An attachment that claims to be CycloneDX or in-toto is one, or `pack` says what is wrong, and writes nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from builders.transcript import run
from modseal.packing import documents, provenance, sbom
from modseal.packing.pack import pack

SPEC = """\
schema = "modseal/module@1"
vendor = "Acme"
name = "hello"
version = "1.0.0"
[[payload]]
name = "main"
root = "tree"
[[attachment]]
name = "own.json"
file = "own.json"
media-type = "{}"
"""
BOM: dict[str, Any] = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.5",
    "version": 1,
    "components": [{"type": "library", "name": "zlib", "hashes": [{"alg": "SHA-256", "content": "0" * 64}]}],
}
STATEMENT: dict[str, Any] = {
    "_type": "https://in-toto.io/Statement/v1",
    "subject": [{"name": "main", "digest": {"sha256": "0" * 64}}],
    "predicateType": "https://slsa.dev/provenance/v1",
    "predicate": {
        "buildDefinition": {
            "buildType": "https://example.com/build",
            "externalParameters": {},
            "resolvedDependencies": [{"uri": "git+https://example.com/repo"}],
        },
        "runDetails": {
            "builder": {"id": "https://example.com/builder"},
            "metadata": {"startedOn": "2026-01-31T12:00:00Z"},
        },
    },
}
DOCUMENTS = {sbom.MEDIA_TYPE: BOM, provenance.MEDIA_TYPE: STATEMENT}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/a").write_bytes(b"a")
    return tmp_path


def write(place: Path, media_type: str, text: str) -> None:
    (place / "module.toml").write_text(SPEC.format(media_type))
    (place / "own.json").write_text(text)


def changed(document: dict[str, Any], *trail: str | int, value: Any = None) -> str:
    """The document with another value at a place, or without it."""
    copy = json.loads(json.dumps(document))
    inner = copy
    for step in trail[:-1]:
        inner = inner[step]
    if value is None:
        del inner[trail[-1]]
    else:
        inner[trail[-1]] = value
    return json.dumps(copy)


@pytest.mark.parametrize("media_type", DOCUMENTS)
def test_a_good_document_is_packed_without_a_word(place: Path, media_type: str) -> None:
    write(place, media_type, json.dumps(DOCUMENTS[media_type]))
    done = run("pack", ".", "-o", "a.seal", cwd=place)
    assert (done.code, done.err) == (0, "")


def test_a_statement_with_another_predicate_is_judged_as_a_statement(place: Path) -> None:
    write(place, provenance.MEDIA_TYPE, changed(STATEMENT, "predicateType", value="https://example.com/review"))
    assert run("pack", ".", "-o", "a.seal", cwd=place).code == 0


BROKEN = {
    "no JSON": (sbom.MEDIA_TYPE, "{", "Expecting property name"),
    "a name twice": (sbom.MEDIA_TYPE, '{"specVersion": "1.5", "specVersion": "1.4"}', "a name is there twice"),
    "too deep": (provenance.MEDIA_TYPE, "[" * 100_000 + "]" * 100_000, "recursion"),
    "a list": (sbom.MEDIA_TYPE, "[]", "$.specVersion: must be one of 1.2, 1.3"),
    "an unknown version": (sbom.MEDIA_TYPE, changed(BOM, "specVersion", value="9.9"), "$.specVersion: must be one of"),
    "another format": (
        sbom.MEDIA_TYPE,
        changed(BOM, "bomFormat", value="SPDX"),
        "$.bomFormat: must be one of CycloneDX",
    ),
    "an unknown field": (sbom.MEDIA_TYPE, changed(BOM, "extra", value=1), "$: 'extra' is not a field of it"),
    "no name": (sbom.MEDIA_TYPE, changed(BOM, "components", 0, "name"), "$.components[0]: 'name' is missing"),
    "a bad digest": (
        sbom.MEDIA_TYPE,
        changed(BOM, "components", 0, "hashes", 0, "content", value="xyz"),
        "$.components[0].hashes[0].content: is not written as it must be",
    ),
    "an older statement": (
        provenance.MEDIA_TYPE,
        changed(STATEMENT, "_type", value="https://in-toto.io/Statement/v0.1"),
        "$['_type']: must be https://in-toto.io/Statement/v1",
    ),
    "no subject": (provenance.MEDIA_TYPE, changed(STATEMENT, "subject", value=[]), "$.subject: needs at least 1 item"),
    "no digest": (provenance.MEDIA_TYPE, changed(STATEMENT, "subject", 0, "digest"), "$.subject[0]"),
    "no predicate": (provenance.MEDIA_TYPE, changed(STATEMENT, "predicate"), "$: 'predicate' is missing"),
    "no builder": (
        provenance.MEDIA_TYPE,
        changed(STATEMENT, "predicate", "runDetails", "builder"),
        "$.predicate.runDetails: 'builder' is missing",
    ),
    "no time": (
        provenance.MEDIA_TYPE,
        changed(STATEMENT, "predicate", "runDetails", "metadata", "startedOn", value="yesterday"),
        "$.predicate.runDetails.metadata.startedOn: is not written as it must be",
    ),
}


@pytest.mark.parametrize(("media_type", "text", "words"), BROKEN.values(), ids=BROKEN)
def test_a_broken_document_is_refused_with_its_file_place_and_fault(
    place: Path, media_type: str, text: str, words: str
) -> None:
    write(place, media_type, text)
    before = sorted(os.listdir(place))
    done = run("pack", ".", "-o", "a.seal", cwd=place)
    assert done.code == 1
    assert "own.json: no " in done.err
    assert words in done.err
    assert sorted(os.listdir(place)) == before


def test_other_media_types_are_carried_as_they_are(place: Path) -> None:
    write(place, "application/json", "{")
    assert run("pack", ".", "-o", "a.seal", cwd=place).code == 0


@pytest.mark.parametrize("media_type", DOCUMENTS)
def test_without_the_libraries_it_is_said_that_nothing_was_checked(
    place: Path, media_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(place, media_type, "{")
    monkeypatch.setattr(documents, "find_spec", lambda name: None)
    packed = pack(place / "module.toml", place / "a.seal", None, environ={})
    assert len(packed.warnings) == 1
    assert "own.json was not checked against" in packed.warnings[0]
    assert "pip install modseal[sbom]" in packed.warnings[0]
