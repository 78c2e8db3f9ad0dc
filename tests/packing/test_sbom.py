"""The SBOM that `pack` embeds: valid by the official schema, the same bytes everywhere, complete."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builders.bundles import make
from modseal.bundle.attested import Wanted, read
from modseal.errors import RefusedError, SpecError, UsageError
from modseal.format import source
from modseal.format.manifest import Constraint, FileType, Kind, Manifest, Relationships
from modseal.packing import sbom
from modseal.packing.pack import pack
from modseal.packing.spec import ComponentSpec
from modseal.trust.examination import Verdict
from modseal.trust.policy import Policy

pytest.importorskip("cyclonedx", reason="cyclonedx-python-lib is not installed")

from builders.pki import NOW

ZLIB = ComponentSpec("zlib", "1.3.1", "pkg:generic/zlib@1.3.1", "Zlib")
COMPONENTS = (ZLIB, ComponentSpec("blob"), ComponentSpec("crypt", "2", license="MIT OR Apache-2.0"))
DEPENDS = (
    Constraint("base", ">=", "1.0"),
    Constraint("base", "<<", "2.0"),
    Constraint("boot", "=", "7"),
    Constraint("any"),
)
HEAD = 'schema = "modseal/module@1"\nvendor = "Acme"\nname = "hello"\nversion = "1.0.0-1"\n'
TREE = '[[payload]]\nroot = "files"\n'
WANTED = Wanted("SBOM", sbom.NAME, sbom.MEDIA_TYPE)


def manifest(**changes: Any) -> Manifest:
    return replace(make(files={"a": None, "a/b": b"1", "a/\u00e9": b"2", "a/l": "b"}).manifest, **changes)


def document(*components: ComponentSpec, epoch: int | None = None, **changes: Any) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(sbom.encode(manifest(**changes), components, epoch))
    return plain


@pytest.fixture
def module(tmp_path: Path) -> Path:
    (tmp_path / "files/opt").mkdir(parents=True)
    (tmp_path / "files/opt/run").write_bytes(b"#!/bin/sh\n")
    (tmp_path / "module.toml").write_text(HEAD + TREE)
    return tmp_path


def refused(module: Path, text: str, kind: Kind | None = None, *, flag: bool = True) -> str:
    (module / "module.toml").write_text(HEAD + TREE + text)
    with pytest.raises((SpecError, UsageError)) as caught:
        pack(module, module / "it", kind, environ={}, sbom=flag)
    assert not (module / "it").exists()
    return "\n".join(getattr(caught.value, "problems", (str(caught.value),)))


@pytest.mark.parametrize("components", [(), COMPONENTS])
@pytest.mark.parametrize("depends", [(), DEPENDS])
@pytest.mark.parametrize("epoch", [None, 0, 1_700_000_000])
def test_it_is_valid_by_the_official_schema(
    components: tuple[ComponentSpec, ...], depends: tuple[Constraint, ...], epoch: int | None
) -> None:
    pytest.importorskip("referencing", reason="the extra json-validation of cyclonedx-python-lib is not installed")
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    data = sbom.encode(manifest(relationships=Relationships(depends)), components, epoch)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(data.decode()) is None


def test_the_library_reads_it_back() -> None:
    from cyclonedx.model.bom import Bom

    plain = document(*COMPONENTS, relationships=Relationships(DEPENDS), epoch=5)
    bom = Bom.from_json(plain)  # type: ignore[attr-defined]
    assert bom.serial_number.urn == plain["serialNumber"]
    assert len(bom.components) == len(plain["components"])
    assert bom.validate()


def test_a_file_is_written_as_the_library_writes_it() -> None:
    from cyclonedx.model import HashAlgorithm, HashType
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output.json import JsonV1Dot6

    entry = next(one for one in manifest().files if one.path == "a/b")
    assert entry.sha256 is not None
    digest = HashType(alg=HashAlgorithm.SHA_256, content=entry.sha256.hex())
    model = Component(type=ComponentType.FILE, name="a/b", bom_ref="file:a/b", hashes=[digest])
    written = json.loads(JsonV1Dot6(Bom(components=[model])).output_as_string())
    assert written["components"][0] in document()["components"]


def test_the_module_is_the_root_and_depends_on_all_but_its_files() -> None:
    plain = document(*COMPONENTS, relationships=Relationships(DEPENDS))
    root = plain["metadata"]["component"]
    assert (root["type"], root["name"], root["version"]) == ("application", "acme-agent", "1.2.3-4")
    assert root["supplier"] == {"name": "Acme"}
    (edges,) = (one["dependsOn"] for one in plain["dependencies"] if one["ref"] == root["bom-ref"])
    others = [one["bom-ref"] for one in plain["components"] if one["type"] != "file"]
    assert sorted(edges) == sorted(others)
    assert len(others) == len(COMPONENTS) + 3


def test_every_regular_file_is_listed_with_its_digest_and_nothing_else_is() -> None:
    listed = {one["name"]: one["hashes"][0]["content"] for one in document()["components"]}
    files = {one.path: one.sha256.hex() for one in manifest().files if one.sha256 and one.type is FileType.FILE}
    assert listed == files
    assert len(listed) == 2


def test_a_declared_component_keeps_all_that_was_said_of_it() -> None:
    found = {one["name"]: one for one in document(*COMPONENTS)["components"] if one["type"] == "library"}
    assert (found["zlib"]["version"], found["zlib"]["purl"]) == ("1.3.1", ZLIB.purl)
    assert found["zlib"]["licenses"] == [{"license": {"id": "Zlib"}}]
    assert found["crypt"]["licenses"] == [{"expression": "MIT OR Apache-2.0"}]
    assert found["blob"].keys() == {"bom-ref", "name", "type"}


def test_constraints_on_one_module_are_properties_of_one_component() -> None:
    plain = document(relationships=Relationships(DEPENDS))
    found = {one["name"]: one for one in plain["components"] if one["type"] == "application"}
    assert [one["value"] for one in found["base"]["properties"]] == ["<< 2.0", ">= 1.0"]
    assert found["boot"]["version"] == "7"
    assert "version" not in found["base"]
    assert "properties" not in found["any"]


def test_the_time_is_that_of_the_environment_or_absent() -> None:
    assert "timestamp" not in document()["metadata"]
    assert document(epoch=86_400)["metadata"]["timestamp"] == "1970-01-02T00:00:00+00:00"


def test_the_serial_number_is_made_from_the_content() -> None:
    assert document() == document()
    assert document()["serialNumber"] != document(version="1.2.3-5")["serialNumber"]
    assert document()["serialNumber"] != document(epoch=1)["serialNumber"]


def test_packing_twice_gives_the_same_bytes(module: Path) -> None:
    (module / "module.toml").write_text(HEAD + TREE + "[attestations]\nsbom = true\n")
    first = pack(module, module / "a", None, environ={"SOURCE_DATE_EPOCH": "7"})
    second = pack(module, module / "b", None, environ={"SOURCE_DATE_EPOCH": "7"}, sbom=True)
    assert first.sha256 == second.sha256
    assert [one.name for one in first.manifest.attachments] == ["sbom.cdx.json"]
    assert first.manifest.attachments[0].media_type == sbom.MEDIA_TYPE


def test_many_files_take_no_time_to_speak_of() -> None:
    few = make(files={"a": b"1"}).manifest
    many = replace(few, files=tuple(replace(few.files[0], path=f"d/{number}") for number in range(5_000)))
    assert len(json.loads(sbom.encode(many))["components"]) == 5_000


# Refusals.


def test_a_purl_that_the_library_refuses_is_a_problem_of_the_spec(module: Path) -> None:
    said = refused(module, '[[component]]\nname = "x"\npurl = "pkg:generic"\n')
    assert "component 'x': the purl cannot be used" in said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[component]]\nname = "x"\npurl = "x"\n', "a package URL like"),
        ('[[component]]\nversion = "1"\n', "name"),
        ('[[component]]\nname = " x"\n', "spaces around it"),
        ('[[component]]\nname = "x"\n[[component]]\nname = "x"\nlicense = "MIT"\n', "is there twice"),
        ('[[component]]\nname = "x"\nsize = 1\n', "size"),
        ("[attestations]\nsbon = true\n", "sbon"),
        ('[[attachment]]\nname = "sbom.cdx.json"\nfile = "module.toml"\nmedia-type = "text/x"\n', "is taken"),
        (
            "".join(f'[[attachment]]\nname = "a{n}"\nfile = "module.toml"\nmedia-type = "text/x"\n' for n in range(6)),
            "6 attachments already",
        ),
    ],
)
def test_a_wrong_component_is_named(module: Path, text: str, words: str) -> None:
    assert words in refused(module, text)


def test_a_vib_carries_no_sbom(module: Path) -> None:
    assert "a .vib carries no attachments" in refused(module, "", "vib")
    (module / "module.toml").write_text(HEAD + TREE + "[attestations]\nsbom = true\n")
    packed = pack(module, module / "it", "vib", environ={})
    assert "a .vib carries no attachments: the SBOM is left out" in packed.warnings


def test_components_without_an_sbom_are_likely_not_meant(module: Path) -> None:
    (module / "module.toml").write_text(HEAD + TREE + '[[component]]\nname = "x"\n')
    packed = pack(module, module / "it", None, environ={})
    assert any("no SBOM is embedded" in warning for warning in packed.warnings)


def test_without_the_library_one_line_says_how_to_get_it(module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(sbom, "find_spec", lambda name: None)
    assert refused(module, "") == "an SBOM needs cyclonedx-python-lib: pip install modseal[sbom]"


# Reading it out of a bundle.


def write(folder: Path, attachments: dict[str, tuple[str, bytes]]) -> Path:
    bundle = make(attachments={name: data for name, (_, data) in attachments.items()})
    declared = [replace(one, media_type=attachments[one.name][0]) for one in bundle.manifest.attachments]
    (folder / "it").write_bytes(bundle.with_manifest(attachments=tuple(declared)).data)
    return folder / "it"


def test_it_is_found_by_its_type_under_any_name(tmp_path: Path) -> None:
    path = write(tmp_path, {"other": ("text/x", b"1"), "mine": (sbom.MEDIA_TYPE, b"{}")})
    assert read(path, WANTED, None, NOW)[1] == b"{}"


def test_of_several_ours_is_taken(tmp_path: Path) -> None:
    path = write(tmp_path, {"mine": (sbom.MEDIA_TYPE, b"1"), sbom.NAME: (sbom.MEDIA_TYPE, b"2")})
    assert read(path, WANTED, None, NOW)[1] == b"2"


@pytest.mark.parametrize("names", [(), ("a", "b")])
def test_none_and_several_others_are_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    path = write(tmp_path, dict.fromkeys(names, (sbom.MEDIA_TYPE, b"1")))
    with pytest.raises(RefusedError) as caught:
        read(path, WANTED, None, NOW)
    assert caught.value.failure.code == "attachment-missing"


def test_bytes_that_change_after_they_were_examined_are_not_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from modseal.bundle import attested

    path = write(tmp_path, {sbom.NAME: (sbom.MEDIA_TYPE, b"good" + bytes(source.WHOLE))})  # smaller ones are read once
    find = attested.find

    def change_and_find(*arguments: Any) -> Any:
        path.write_bytes(path.read_bytes().replace(b"good", b"evil"))
        return find(*arguments)

    monkeypatch.setattr(attested, "find", change_and_find)
    with pytest.raises(RefusedError) as caught:
        read(path, WANTED, None, NOW)
    assert caught.value.failure.code == "attachment-mismatch"


def test_a_bundle_that_is_not_accepted_gives_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, {sbom.NAME: (sbom.MEDIA_TYPE, b"good")})
    result, data = read(path, WANTED, Policy("nobody", make().manifest.claimed_level), NOW)
    assert (result.verdict, data) == (Verdict.REJECTED, None)
    assert read(tmp_path / "missing", WANTED, None, NOW)[0].verdict is Verdict.UNDECIDED
