"""`pack` of a vibauthor stage folder, and of what `extract` makes of a `.vib`."""

from __future__ import annotations

import gzip
import io
import os
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modseal.bundle import layout as layouts
from modseal.bundle.extract import extract
from modseal.bundle.inspect import inspect
from modseal.bundle.open import open_bundle
from modseal.bundle.verify import verify
from modseal.errors import SpecError
from modseal.format import ar, descriptor, visor
from modseal.format.level import Level
from modseal.format.manifest import Entry, FileType, Kind, Manifest, VibFields
from modseal.format.payload_writer import Input, write_vib_payload
from modseal.format.visor import Alignment, VisorFields, VisorLayout
from modseal.packing.pack import Packed, pack
from modseal.trust.examination import Verdict
from modseal.trust.policy import Policy

ANYBODY = Policy("test", Level.COMMUNITY, allow_unsigned_community=True)
NOW = datetime(2026, 2, 1, tzinfo=UTC)

DESCRIPTOR = """<vib version="5.0">
  <!-- as vibauthor's users write it: no date, no sizes -->
  <type>bootbank</type>
  <name>hello</name>
  <version>1.0.0-1</version>
  <vendor>Acme</vendor>
  <summary>Says hello</summary>
  <description>Says &quot;hello&quot; &amp; more</description>
  <urls><url key="kb">https://example.test/kb</url></urls>
  <relationships>
    <depends><constraint name="esx-version" relation="&gt;=" version="5.0.0" /></depends>
    <conflicts/><replaces/><provides/><compatibleWith/>
  </relationships>
  <software-tags><tag>module</tag></software-tags>
  <system-requires><maintenance-mode>true</maintenance-mode></system-requires>
  <file-list><file></file></file-list>
  <acceptance-level>community</acceptance-level>
  <live-install-allowed>true</live-install-allowed>
  <live-remove-allowed>false</live-remove-allowed>
  <cimom-restart>false</cimom-restart>
  <stateless-ready>true</stateless-ready>
  <overlay>false</overlay>
  <payloads><payload name="payload1" type="vgz"></payload></payloads>
</vib>
"""


@pytest.fixture
def stage(tmp_path: Path) -> Path:
    """A stage folder with one payload of two files, one of them with the sticky bit."""
    folder = tmp_path / "stage"
    tree = folder / "payloads/payload1/opt/hello"
    tree.mkdir(parents=True)
    (tree / "run").write_bytes(b"#!/bin/sh\n")
    (tree / "run").chmod(0o700)
    (tree / "conf").write_bytes(b"level = 1\n")
    (tree / "conf").chmod(0o1660)
    (folder / "descriptor.xml").write_text(DESCRIPTOR, encoding="utf-8")
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def packed(stage: Path, out: Path, kind: Kind | None = None, **environ: str) -> Packed:
    (out / "it").unlink(missing_ok=True)
    return pack(stage, out / "it", kind, environ=environ)


def refused(stage: Path, out: Path) -> tuple[str, ...]:
    with pytest.raises(SpecError) as caught:
        packed(stage, out)
    assert os.listdir(out) == []
    return caught.value.problems


def unpacked(path: Path) -> dict[str, bytes]:
    """The tar of each payload of a `.vib` with `vgz` payloads."""
    with open_bundle(path) as bundle:
        return {
            member.name: gzip.decompress(member.span(bundle.source).read(0, member.size))
            for member in bundle.members[2:]
        }


def test_a_stage_folder_becomes_a_vib_with_the_descriptor_as_it_is(stage: Path, out: Path) -> None:
    result = packed(stage, out)
    assert verify(result.path, ANYBODY, NOW, with_digest=False).verdict is Verdict.ACCEPTED
    manifest = inspect(result.path).manifest
    assert manifest is not None
    assert (manifest.id, manifest.summary) == ("Acme_bootbank_hello_1.0.0-1", "Says hello")
    assert (manifest.description, manifest.released) == ('Says "hello" & more', "1970-01-01T00:00:00+00:00")
    assert manifest.vib == VibFields(
        urls=(("kb", "https://example.test/kb"),), tags=("module",), maintenance_mode=True, live_install_allowed=True
    )
    assert [entry.path for entry in manifest.files] == ["opt/hello/conf", "opt/hello/run"]
    assert [(digest.algorithm, str(digest.view)) for digest in manifest.payloads[0].digests] == [
        ("sha256", "unpacked"),
        ("sha256", "raw"),
        ("sha1", "unpacked"),
    ]


def test_the_sticky_bit_stays_and_other_modes_are_normal(stage: Path, out: Path) -> None:
    modes = {entry.path: entry.mode for entry in inspect(packed(stage, out).path).entries}
    assert modes == {"opt": 0o755, "opt/hello": 0o755, "opt/hello/conf": 0o1644, "opt/hello/run": 0o755}


def test_a_release_date_stays_and_source_date_epoch_is_for_where_there_is_none(stage: Path, out: Path) -> None:
    assert packed(stage, out, SOURCE_DATE_EPOCH="86400").manifest.released == "1970-01-02T00:00:00+00:00"
    dated = DESCRIPTOR.replace("  <urls>", "  <release-date>2020-02-03T04:05:06+01:00</release-date>\n  <urls>")
    (stage / "descriptor.xml").write_text(dated, encoding="utf-8")
    assert packed(stage, out, SOURCE_DATE_EPOCH="86400").manifest.released == "2020-02-03T04:05:06+01:00"
    assert packed(stage, out, "seal").manifest.released == "2020-02-03T03:05:06Z"


def test_a_vib_without_a_release_date_is_of_1970_and_says_so(stage: Path, out: Path) -> None:
    done = packed(stage, out)
    assert done.manifest.released == "1970-01-01T00:00:00+00:00"
    assert [warning for warning in done.warnings if "--release-date" in warning]
    for dated in (packed(stage, out, SOURCE_DATE_EPOCH="0"), packed(stage, out, "seal")):
        assert not [warning for warning in dated.warnings if "--release-date" in warning]


FLAGS = {
    **dict.fromkeys(("live-install-allowed", "live-remove-allowed", "cimom-restart", "overlay"), "false"),
    "stateless-ready": "true",
}


@pytest.mark.parametrize("flag", FLAGS)
def test_what_a_stage_does_not_say_of_an_installation_is_as_the_page_of_the_format_says(
    stage: Path, out: Path, flag: str
) -> None:
    left = re.sub(f" *<{flag}>.*?</{flag}>\n?", "", DESCRIPTOR)
    assert left != DESCRIPTOR
    (stage / "descriptor.xml").write_text(left, encoding="utf-8")
    with open_bundle(packed(stage, out).path) as bundle:
        assert f"<{flag}>{FLAGS[flag]}</{flag}>".encode() in bundle.manifest


def test_a_stage_folder_becomes_a_seal_too(stage: Path, out: Path) -> None:
    text = DESCRIPTOR.replace("<compatibleWith/>", '<compatibleWith><constraint name="x"/></compatibleWith>')
    (stage / "descriptor.xml").write_text(text, encoding="utf-8")
    result = packed(stage, out, "seal")
    assert verify(result.path, ANYBODY, NOW, with_digest=False).verdict is Verdict.ACCEPTED
    assert (result.kind, result.manifest.vib, result.manifest.payloads[0].type) == ("seal", None, "tar+zstd")
    assert result.manifest.relationships.depends[0].name == "esx-version"
    assert result.warnings[0] == "a .seal has no compatibleWith: those constraints are left out"


def test_packing_an_extracted_vib_again_gives_the_same_bytes(stage: Path, out: Path, tmp_path: Path) -> None:
    first = packed(stage, out)
    extract(first.path, tmp_path / "again", None, NOW, stage=True)
    assert pack(tmp_path / "again", out / "second", None, environ={}).sha256 == first.sha256


def test_the_modes_of_an_ordinary_tar_come_back_from_an_extracted_stage(stage: Path, out: Path, tmp_path: Path) -> None:
    (stage / "descriptor.xml").write_text(DESCRIPTOR.replace('type="vgz"', 'type="tgz"'), encoding="utf-8")
    (stage / "modseal.toml").write_text(
        'schema = "modseal/stage@1"\n[modes]\n"opt/hello/conf" = "0600"\n"opt/hello" = "1755"\n'
    )
    first = packed(stage, out)
    extract(first.path, tmp_path / "again", None, NOW, stage=True)
    assert (tmp_path / "again/modseal.toml").read_text() == (
        'schema = "modseal/stage@1"\n\n[modes]\n"opt/hello" = "1755"\n"opt/hello/conf" = "0600"\n'
    )
    second = pack(tmp_path / "again", out / "second", None, environ={})
    assert (second.warnings, second.sha256) == ((), first.sha256)


def odd_vib(path: Path) -> bytes:
    """A `.vib` with a visor tar as other tools make it: returns the tar."""
    inputs = [
        Input("z", FileType.DIRECTORY, 0o700),
        Input("z/b.sh", FileType.FILE, 0o1777, None, lambda: io.BytesIO(b"\x7fELF" * 600), 2400),
        Input("z/a", FileType.FILE, 0o440, None, lambda: io.BytesIO(b"aa"), 2),
        Input("z/empty", FileType.FILE, 0o600, None, lambda: io.BytesIO(b""), 0),
    ]
    fields = {
        "z": VisorFields("5", 7, 0o311, 201, "mts", "mts", True),
        "z/b.sh": VisorFields("7", 1_600_000_000),
        "z/a": VisorFields("0", 5),
        "z/empty": VisorFields("0", 6, gname="wheel"),
    }
    spool = io.BytesIO()
    layout = VisorLayout(Alignment.SECTOR, padded=False, fields=fields)
    payload, entries = write_vib_payload("odd", "vgz", inputs, 0, spool, layout)
    manifest = Manifest(
        "vib",
        "Acme",
        "odd",
        "1",
        Level.COMMUNITY,
        released="2020-01-01T00:00:00+00:00",
        payloads=(payload,),
        files=entries,
        vib=VibFields(),
    )
    members = {"descriptor.xml": descriptor.encode(manifest), "sig.pkcs7": b"", "odd": spool.getvalue()}
    path.write_bytes(
        ar.MAGIC
        + b"".join(ar.encode_header(name, len(data)) + data + ar.padding(len(data)) for name, data in members.items())
    )
    return unpacked(path)["odd"]


def test_the_visor_tar_of_another_tool_is_rebuilt_byte_for_byte(out: Path, tmp_path: Path) -> None:
    tar = odd_vib(tmp_path / "odd.vib")
    extract(tmp_path / "odd.vib", tmp_path / "stage", None, NOW, stage=True)
    result = packed(tmp_path / "stage", out)
    assert unpacked(result.path)["odd"] == tar
    (tmp_path / "stage/payloads/odd.layout.json").unlink()
    assert unpacked(packed(tmp_path / "stage", out).path)["odd"] != tar


def test_with_a_layout_a_file_may_change_its_content(out: Path, tmp_path: Path) -> None:
    odd_vib(tmp_path / "odd.vib")
    extract(tmp_path / "odd.vib", tmp_path / "stage", None, NOW, stage=True)
    (tmp_path / "stage/payloads/odd/z/a").chmod(0o644)
    (tmp_path / "stage/payloads/odd/z/a").write_bytes(b"longer than before")
    found = {entry.path: entry for entry in inspect(packed(tmp_path / "stage", out).path).entries}
    assert (found["z/a"].size, found["z/a"].mode) == (18, 0o440)


def test_a_layout_that_is_not_of_this_tree_any_more_is_refused(out: Path, tmp_path: Path) -> None:
    odd_vib(tmp_path / "odd.vib")
    extract(tmp_path / "odd.vib", tmp_path / "stage", None, NOW, stage=True)
    (tmp_path / "stage/payloads/odd/new").write_bytes(b"")
    (line,) = refused(tmp_path / "stage", out)
    assert "odd.layout.json: is not the layout of this tree any more ('new'); remove the file" in line


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"{", "is not JSON"),
        (b"[]", "must be a table"),
        (
            b'{"schema":"modseal/visor-layout@1","alignment":"page","padded":true,"entries":[{"path":"a"}]}',
            "entries[0]",
        ),
        (b'{"schema":"modseal/visor-layout@1","alignment":"byte","padded":true,"entries":[]}', "alignment"),
    ],
)
def test_a_bad_layout_is_refused(stage: Path, out: Path, data: bytes, expected: str) -> None:
    (stage / "payloads/payload1.layout.json").write_bytes(data)
    assert expected in refused(stage, out)[0]


ENTRY_TYPES = {"0": FileType.FILE, "5": FileType.DIRECTORY, "7": FileType.FILE}
OWNERS = st.integers(0, 0o7777777)
OWNER_NAMES = st.text("abcz-_0", max_size=31)
FIELDS = st.builds(
    VisorFields,
    st.sampled_from(sorted(ENTRY_TYPES)),
    st.integers(0, 2**33 - 1),
    OWNERS,
    OWNERS,
    OWNER_NAMES,
    OWNER_NAMES,
    st.booleans(),
    st.tuples(*[st.integers(0, 2**32 - 1)] * 3),
)
LAYOUTS = st.builds(
    VisorLayout,
    st.sampled_from(Alignment),
    st.booleans(),
    st.dictionaries(st.text("abc/é", min_size=1, max_size=9), FIELDS, max_size=5),
)


@given(LAYOUTS, st.integers(0, 0o7777))
@settings(max_examples=50)
def test_a_layout_survives_its_file(layout: VisorLayout, mode: int) -> None:
    entries = [Entry(path, ENTRY_TYPES[fields.typeflag], mode) for path, fields in layout.fields.items()]
    read, modes = layouts.decode(layouts.encode(layout, entries), "x.layout.json")
    assert read == layout
    assert list(modes.items()) == [(path, mode) for path in layout.fields]
    assert list(read.fields) == list(layout.fields)


def test_a_path_twice_in_a_layout_is_refused() -> None:
    entry = Entry("a", FileType.FILE, 0o644)
    data = layouts.encode(VisorLayout(fields={"a": VisorFields()}), [entry, entry])
    with pytest.raises(SpecError, match="stands there twice"):
        layouts.decode(data, "x.layout.json")


# What is refused.


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("<name>hello</name>", "<name>hel lo</name>", "descriptor.xml:4:3: "),
        ("<acceptance-level>community", "<acceptance-level>comunity", "did you mean 'community'?"),
        ("<vendor>Acme</vendor>", "", "descriptor.xml:"),
        ('type="vgz"', 'type="bootloader"', "the type 'bootloader', and modseal writes vgz, tgz, vzstd"),
        ('name="payload1"', 'name="other"', "'payload1' belongs to no payload of descriptor.xml"),
        ('name="payload1"', 'name="sig.pkcs7"', "reserved"),
    ],
)
def test_a_bad_descriptor_is_refused(stage: Path, out: Path, old: str, new: str, expected: str) -> None:
    (stage / "descriptor.xml").write_text(DESCRIPTOR.replace(old, new), encoding="utf-8")
    assert expected in refused(stage, out)[0]


def test_the_place_in_the_descriptor_is_named(stage: Path, out: Path) -> None:
    (stage / "descriptor.xml").write_text(DESCRIPTOR.replace("1.0.0-1", "1 0"), encoding="utf-8")
    assert "descriptor.xml:5:" in refused(stage, out)[0]


def test_a_missing_tree_and_a_stranger_are_both_told(stage: Path, out: Path) -> None:
    os.rename(stage / "payloads/payload1", stage / "payloads/payload2")
    lines = refused(stage, out)
    assert "'payload2' belongs to no payload" in lines[0]
    assert "the tree of payload 'payload1': No such file or directory" in lines[1]


def test_a_symbolic_link_is_refused_for_a_vib_and_kept_for_a_seal(stage: Path, out: Path) -> None:
    os.symlink("run", stage / "payloads/payload1/opt/hello/link")
    assert "a .vib cannot have any" in refused(stage, out)[0]
    assert "opt/hello/link" in {entry.path for entry in inspect(packed(stage, out, "seal").path).entries}


def test_a_path_that_no_visor_header_can_hold_is_refused(stage: Path, out: Path) -> None:
    (stage / "payloads/payload1/opt/hello" / ("n" * 91)).write_bytes(b"")
    assert "has 101 bytes, and a path in a .vib may have 100, because" in refused(stage, out)[0]


def test_a_stage_without_payloads_is_packed_as_a_meta_module(stage: Path, out: Path) -> None:
    text = DESCRIPTOR.replace('<payload name="payload1" type="vgz"></payload>', "").replace("bootbank", "meta")
    (stage / "descriptor.xml").write_text(text, encoding="utf-8")
    (stage / "payloads/payload1").rename(stage / "elsewhere")
    (stage / "payloads").rmdir()
    result = packed(stage, out)
    assert verify(result.path, ANYBODY, NOW, with_digest=False).verdict is Verdict.ACCEPTED
    assert result.manifest.id == "Acme_meta_hello_1.0.0-1"


def test_default_fields_and_a_read_layout_agree(stage: Path, out: Path) -> None:
    tar = unpacked(packed(stage, out).path)["payload1"]
    from modseal.format.stream import Stream

    layout, entries = visor.read_layout(Stream(iter([tar]), "bad-listing"))
    read, modes = layouts.decode(layouts.encode(layout, entries), "x")
    assert replace(read, fields=dict(read.fields)) == replace(layout, fields=dict(layout.fields))
    assert modes["opt/hello/conf"] == 0o1644
