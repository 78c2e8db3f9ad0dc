"""Attack catalogue, section 4: ar, tar and gzip. Each test is named by the id of its row.

The vendor of these bundles is hostile, or careless: whatever a payload holds is declared with the right
digests and properly signed. ZIP-01, DEP-01 and DEP-02 are in test_attacks_depot.
"""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from builders import deflate, zstd_blocks
from builders.bundles import (
    FILES,
    KINDS,
    MTIME,
    Bundle,
    Member,
    accepted,
    codes,
    header,
    judge,
    make,
    pack,
    refused,
    tar_of,
)
from builders.policies import trusting
from builders.rules import found_beside
from modseal import limits
from modseal.format import compression, visor
from modseal.format import tar as tar_format
from modseal.format.compression import GZIP_HEADER
from modseal.format.level import Level
from modseal.format.manifest import Entry, FileType, Kind
from modseal.format.visor import VisorFields, VisorLayout
from modseal.trust.examination import Verdict

kinds = pytest.mark.parametrize("kind", KINDS)

# ar


@kinds
@pytest.mark.parametrize("index", [0, 1, 2])
@pytest.mark.parametrize("same", [True, False])
def test_AR_01_a_duplicate_member_is_refused(kind: Kind, index: int, same: bool, tmp_path: Path) -> None:
    bundle = make(kind)
    twin = bundle.members[index]
    twin = twin if same else replace(twin, data=b"another")
    for position in (0, 1, 3):
        refused(bundle.insert(position, twin), trusting(), "duplicate-member", tmp_path)


def test_AR_01_members_that_differ_only_by_a_slash_are_one(tmp_path: Path) -> None:
    bundle = make("vib")
    name, size = bundle.members[2].name, len(bundle.members[2].data)
    twin = replace(bundle.members[2], header=header(f"{name}/", size))
    refused(bundle.insert(3, twin), trusting(), "duplicate-member", tmp_path)


@kinds
def test_AR_01_members_that_differ_only_by_case_are_one(kind: Kind, tmp_path: Path) -> None:
    bundle = make(kind)
    for member in bundle.members:
        for position in (2, 3):
            twin = replace(member, name=member.name.upper())
            refused(bundle.insert(position, twin), trusting(), "duplicate-member", tmp_path)


@kinds
def test_AR_01_declared_names_that_differ_only_by_case_are_refused(kind: Kind, tmp_path: Path) -> None:
    bundle = make(kind)
    if kind == "seal":
        twice = bundle.edit(lambda plain: plain["payloads"].append({**plain["payloads"][0], "name": "BASE"}))
    else:
        text = bundle.manifest_bytes.decode()
        payload = text[text.index("<payload ") : text.index("</payloads>")]
        twice = bundle.edit_text(payload, payload + payload.replace("payload1", "PAYLOAD1"))
    refused(twice, trusting(), "bad-manifest", tmp_path)


@kinds
def test_AR_02_the_order_is_fixed(kind: Kind, tmp_path: Path) -> None:
    bundle = make(kind, attachments={"sbom.json": b"{}"}) if kind == "seal" else make(kind)
    manifest, signature, *rest = bundle.members
    refused(bundle.with_members(signature, manifest, *rest), trusting(), "not-a-bundle", tmp_path)
    refused(bundle.with_members(*rest, manifest, signature), trusting(), "not-a-bundle", tmp_path)
    refused(bundle.with_members(manifest, *rest, signature), trusting(), "missing-member", tmp_path)
    if kind == "seal":
        refused(bundle.with_members(manifest, signature, *reversed(rest)), trusting(), "member-order", tmp_path)


@kinds
def test_AR_02_no_member_may_be_missing(kind: Kind, tmp_path: Path) -> None:
    bundle = make(kind)
    codes_by_index = ("not-a-bundle", "missing-member", "missing-member")
    for member, code in zip(bundle.members, codes_by_index, strict=True):
        refused(bundle.without(member.name), trusting(), code, tmp_path)
    refused(bundle.with_members(), trusting(), "not-a-bundle", tmp_path)


@kinds
def test_AR_02_both_manifests_in_one_bundle_are_refused(kind: Kind, tmp_path: Path) -> None:
    other = make("vib" if kind == "seal" else "seal").members[0]
    refused(make(kind).insert(2, other), trusting(), "unknown-member", tmp_path)
    refused(make(kind).insert(0, other), trusting(), "missing-member", tmp_path)


@kinds
@pytest.mark.parametrize(
    "name", ["/", "//", "/0", "#1/20", "__.SYMDEF", "", "a b", "base\0", "b\xe4se", "x" * 16, ".", ".."]
)
def test_AR_03_other_forms_of_names_are_refused(kind: Kind, name: str, tmp_path: Path) -> None:
    extra = Member("extra", b"data", header=header(name, 4))
    code = "malformed-archive" if name != "__.SYMDEF" else "unknown-member"
    refused(make(kind).insert(2, extra), trusting(), code, tmp_path)
    refused(make(kind).insert(0, extra), trusting(), code if code == "malformed-archive" else "not-a-bundle", tmp_path)


@kinds
@pytest.mark.parametrize("magic", [b"!<thin>\n", b"!<arch>\r", b"!<arch>", b"!<ARCH>\n", b"\n!<arch>\n", b"`\n!<arch>"])
def test_AR_03_another_magic_is_no_bundle(kind: Kind, magic: bytes, tmp_path: Path) -> None:
    bundle = replace(make(kind), magic=magic)
    found = judge(bundle, trusting())
    assert found.primary is not None
    assert found.primary.code == ("malformed-archive" if magic == b"!<arch>\n" else "not-a-bundle")
    refused(bundle, trusting(), found.primary.code, tmp_path)


@kinds
@pytest.mark.parametrize(
    "form", ["+{}", " {}", "-{}", "0x{:x}", "0{}", "{}_0", "{}.0", "{} 1", "{}\0", "{}e0", "\u0661", "", "0o{:o}"]
)
def test_AR_04_other_forms_of_the_size_are_refused(kind: Kind, form: str, tmp_path: Path) -> None:
    bundle = make(kind)
    member = bundle.members[2]
    size = form.format(len(member.data)).encode("utf-8").decode("latin-1")
    refused(
        bundle.with_member(member.name, header=header(member.name, size)), trusting(), "malformed-archive", tmp_path
    )


@kinds
@pytest.mark.parametrize(
    ("size", "code"), [(9_999_999_999, "truncated"), (0, "malformed-archive"), (1, "malformed-archive")]
)
def test_AR_04_a_size_that_is_not_the_member_s_is_refused(kind: Kind, size: int, code: str, tmp_path: Path) -> None:
    bundle = make(kind)
    member = bundle.members[2]
    refused(bundle.with_member(member.name, header=header(member.name, size)), trusting(), code, tmp_path)


@kinds
def test_AR_05_the_padding_is_one_newline_after_odd_members(kind: Kind, tmp_path: Path) -> None:
    bundle = next(
        each for each in (make(kind, version=f"1{'0' * n}") for n in range(2)) if len(each.manifest_bytes) % 2
    )
    name = bundle.members[0].name
    for padding in (b"", b"\0", b" ", b"\n\n"):
        refused(bundle.with_member(name, padding=padding), trusting(), "malformed-archive", tmp_path)
    even = next(
        each for each in (make(kind, version=f"1{'0' * n}") for n in range(2)) if not len(each.manifest_bytes) % 2
    )
    refused(even.with_member(name, padding=b"\n"), trusting(), "malformed-archive", tmp_path)


@kinds
def test_AR_05_the_last_padding_may_not_be_missing_or_doubled(kind: Kind, tmp_path: Path) -> None:
    bundle = make(kind)
    odd = bundle.with_payload(bundle.members[2].data + b"\0" * (len(bundle.members[2].data) % 2 == 0), tar_of(bundle))
    name = odd.members[2].name
    refused(odd.with_member(name, padding=b""), trusting(), "malformed-archive", tmp_path)
    refused(odd.with_member(name, padding=b"\n\n"), trusting(), "trailing-bytes", tmp_path)


@kinds
@pytest.mark.parametrize("tail", [b"\n", b"\0" * 512, b"PK\5\6" + bytes(18), b"!<arch>\n", b"\xff" * 60])
def test_AR_05_trailing_data_is_refused(kind: Kind, tail: bytes, tmp_path: Path) -> None:
    code = "trailing-bytes" if len(tail) < 60 else "malformed-archive"
    refused(replace(make(kind), tail=tail), trusting(), code, tmp_path)


@kinds
@pytest.mark.parametrize("name", ["/etc/passwd", "../up", "a/../b", "a/b", "..\\up", "C:\\x"])
def test_AR_06_paths_are_no_member_names(kind: Kind, name: str, tmp_path: Path) -> None:
    refused(make(kind).insert(3, Member("x", b"ok", header=header(name, 2))), trusting(), "malformed-archive", tmp_path)


VARIANTS = [
    {"mode": "0o0"},
    {"mode": "644"},
    {"mode": "100777"},
    {"mode": "100644"},
    {"mtime": "1552619572"},
    {"uid": "-1"},
    {"gid": "-1"},
    {"uid": "1000"},
    {"name": "payload1/"},
]


@pytest.mark.parametrize("change", VARIANTS)
def test_AR_07_header_forms_of_genuine_vibs_are_accepted(change: dict[str, str]) -> None:
    bundle = make("vib")
    member = bundle.members[2]
    values = {"name": member.name, **change}
    accepted(bundle.with_member(member.name, header=header(values.pop("name"), len(member.data), **values)), trusting())


@pytest.mark.parametrize("change", [*VARIANTS[:-1], {"name": "base/"}])
def test_AR_07_a_seal_has_one_form_of_headers(change: dict[str, str], tmp_path: Path) -> None:
    bundle = make("seal")
    member = bundle.members[2]
    values = {"name": member.name, **change}
    changed = bundle.with_member(member.name, header=header(values.pop("name"), len(member.data), **values))
    refused(changed, trusting(), "malformed-archive", tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"mode": "0o1"},
        {"mode": "9"},
        {"mode": "0x1"},
        {"mode": "-1"},
        {"mode": ""},
        {"uid": "-2"},
        {"uid": ""},
        {"mtime": "-1"},
        {"mtime": "1.5"},
        {"gid": "+1"},
        {"end": b"`\r"},
        {"end": b"\n`"},
    ],
)
def test_AR_07_no_other_form_is(change: dict[str, str], tmp_path: Path) -> None:
    bundle = make("vib")
    member = bundle.members[2]
    changed = bundle.with_member(member.name, header=header(member.name, len(member.data), **change))  # type: ignore[arg-type]
    refused(changed, trusting(), "malformed-archive", tmp_path)


# tar


def raw(
    name: str | bytes,
    data: bytes = b"",
    *,
    kind: bytes = b"0",
    mode: int = 0o644,
    link: str = "",
    size: int | None = None,
    magic: bytes = tar_format.MAGIC,
    mtime: int = MTIME,
) -> bytes:
    """A tar entry of any kind, with a right checksum."""
    path = name if isinstance(name, bytes) else name.encode()
    blank = struct.pack(
        "100s8s8s8s12s12s8s1s100s8s32s32s8s8s155s12s",
        path,
        b"%07o\0" % mode,
        b"0000000\0",
        b"0000000\0",
        b"%011o\0" % (len(data) if size is None else size),
        b"%011o\0" % mtime,
        b" " * 8,
        kind,
        link.encode(),
        magic,
        b"root",
        b"root",
        b"0000000\0",
        b"0000000\0",
        b"",
        b"",
    )
    block = blank[:148] + b"%06o\0 " % sum(blank) + blank[156:]
    return block + data + bytes(-len(data) % 512)


def tar(*entries: bytes) -> bytes:
    return b"".join(entries) + bytes(1024)


def hostile(kind: Kind, *entries: bytes, files: tuple[Entry, ...] | None = None) -> Bundle:
    """A signed bundle whose payload is a tar of these raw entries."""
    bundle = make(kind, payload_type="tar+gzip" if kind == "seal" else "tgz")
    return bundle.with_tar(tar(*entries), files)


def paths(*names: str) -> tuple[Entry, ...]:
    """Declared files of a `.vib`."""
    return tuple(map(Entry, names))


@kinds
@pytest.mark.parametrize("link", ["/etc", "../../etc", "../..", "a/../../x", "", "x\ny"])
def test_TAR_01_a_link_out_of_the_module_is_refused(kind: Kind, link: str, tmp_path: Path) -> None:
    bundle = hostile(kind, raw("opt/out", kind=b"2", mode=0o777, link=link))
    refused(bundle, trusting(), "unsafe-link", tmp_path)
    assert not (tmp_path / "etc").exists()


@kinds
def test_TAR_01_nothing_is_written_through_a_link(kind: Kind, tmp_path: Path) -> None:
    inside = hostile(kind, raw("opt/link", kind=b"2", mode=0o777, link="."), raw("opt/link/file", b"x"))
    refused(inside, trusting(), "unsafe-path", tmp_path)
    replaced = hostile(kind, raw("opt/f", kind=b"2", mode=0o777, link="g"), raw("opt/f", b"x"))
    refused(replaced, trusting(), "bad-listing", tmp_path)


@kinds
def test_TAR_01_hard_links_do_not_exist(kind: Kind, tmp_path: Path) -> None:
    refused(
        hostile(kind, raw("opt/a", b"x"), raw("opt/b", kind=b"1", link="opt/a")), trusting(), "unsafe-type", tmp_path
    )
    refused(hostile(kind, raw("opt/b", kind=b"1", link="/etc/passwd")), trusting(), "unsafe-type", tmp_path)


@kinds
def test_TAR_02_pax_headers_say_nothing_but_a_long_path(kind: Kind, tmp_path: Path) -> None:
    for record in (b"13 size=1024\n", b"14 path=opt/g\n", b"111 path=" + b"a" * 101 + b"\n"):
        for flag in (b"x", b"g"):
            pax = raw("././@PaxHeader", record, kind=flag)
            hidden = hostile(kind, pax, raw("opt/f", b"x" * 10), raw("opt/hidden", b"y"))
            code = "bad-listing" if kind == "seal" and flag == b"x" else "unsafe-type"
            refused(hidden, trusting(), code, tmp_path)


@kinds
@pytest.mark.parametrize(
    "field",
    [b"\x80" + bytes(10) + b"\x05", b"00000000005 ", b"0x5\0", b"-0000000005\0", b"           \0", b"99999999999\0"],
)
def test_TAR_02_sizes_have_one_reading(kind: Kind, field: bytes, tmp_path: Path) -> None:
    entry = raw("opt/f", b"12345")
    odd = entry[:124] + field.ljust(12, b"\0")[:12] + entry[136:]
    blank = odd[:148] + b" " * 8 + odd[156:512]
    fixed = blank[:148] + b"%06o\0 " % sum(blank) + blank[156:] + odd[512:]
    if kind == "vib" and field == b"00000000005 ":
        accepted(hostile(kind, fixed, files=paths("opt/f")), trusting())
        return
    refused(hostile(kind, fixed), trusting(), "bad-listing", tmp_path)


@kinds
@pytest.mark.parametrize("flag", [b"L", b"K", b"N"])
def test_TAR_03_long_name_headers_do_not_exist(kind: Kind, flag: bytes, tmp_path: Path) -> None:
    refused(
        hostile(kind, raw("././@LongLink", b"opt/long\0", kind=flag), raw("opt/f", b"x")),
        trusting(),
        "unsafe-type",
        tmp_path,
    )


@kinds
def test_TAR_04_a_header_that_claims_gigabytes_is_not_believed(kind: Kind, tmp_path: Path) -> None:
    start = time.process_time()
    for flag, code in (
        (b"x", "bad-listing" if kind == "seal" else "unsafe-type"),
        (b"L", "unsafe-type"),
        (b"0", "bad-listing"),
    ):
        refused(hostile(kind, raw("opt/f", b"", kind=flag, size=8 * limits.GIB - 1)), trusting(), code, tmp_path)
    assert time.process_time() - start < 1


@kinds
@pytest.mark.parametrize("flag", [b"3", b"4", b"6", b"7", b"S", b"M", b"D", b"V", b"A", b"8", b"\xff"])
def test_TAR_05_devices_fifos_and_sparse_files_are_refused(kind: Kind, flag: bytes, tmp_path: Path) -> None:
    refused(hostile(kind, raw("opt/odd", kind=flag)), trusting(), "unsafe-type", tmp_path)


def test_TAR_05_setuid_is_what_the_signed_data_says(tmp_path: Path) -> None:
    declared = make("seal", modes={"opt/acme/agent": 0o4755})
    accepted(declared, trusting())
    undeclared = make("seal").with_tar(tar_of(make("seal", modes={"opt/acme/agent": 0o4755})))
    refused(undeclared, trusting(), "file-mismatch", tmp_path)


def test_TAR_05_a_community_vib_brings_no_setuid(tmp_path: Path) -> None:
    bundle = make("vib", modes={"opt/acme/agent": 0o4755}, claimed_level=Level.COMMUNITY)
    refused(bundle, trusting(), "unsafe-mode", tmp_path)
    sticky = make("vib", modes={"opt/acme/agent": 0o1644}, claimed_level=Level.COMMUNITY)
    accepted(sticky, trusting())


@kinds
def test_TAR_05_a_mode_has_no_other_bits(kind: Kind, tmp_path: Path) -> None:
    refused(hostile(kind, raw("opt/f", b"x", mode=0o100644)), trusting(), "unsafe-mode", tmp_path)


@kinds
def test_TAR_06_duplicates_are_refused(kind: Kind, tmp_path: Path) -> None:
    refused(hostile(kind, raw("opt/f", b"1"), raw("opt/f", b"2")), trusting(), "bad-listing", tmp_path)
    refused(
        hostile(kind, raw("opt/d/", kind=b"5", mode=0o755), raw("opt/d/", kind=b"5", mode=0o755)),
        trusting(),
        "bad-listing",
        tmp_path,
    )


@kinds
def test_TAR_06_a_path_is_a_file_or_a_folder(kind: Kind, tmp_path: Path) -> None:
    bundle = hostile(kind, raw("opt/f", b"1"), raw("opt/f/below", b"2"))
    refused(bundle, trusting(), "unsafe-path", tmp_path)


@kinds
@pytest.mark.parametrize("name", ["", "/", ".", "opt//f", "opt/./f"])
def test_TAR_06_empty_names_are_refused(kind: Kind, name: str, tmp_path: Path) -> None:
    refused(hostile(kind, raw(name, b"x")), trusting(), "unsafe-path", tmp_path)


@kinds
@pytest.mark.parametrize(
    "pair",
    [("opt/File", "opt/file"), ("opt/stra\u00dfe", "opt/strasse"), ("opt/A/x", "opt/a/y"), ("opt/\u212a", "opt/k")],
)
def test_TAR_07_names_that_some_hosts_cannot_tell_apart_are_refused(
    kind: Kind, pair: tuple[str, str], tmp_path: Path
) -> None:
    entries = [raw(name, b"x") for name in sorted(pair, key=lambda text: text.encode().replace(b"/", b"\0"))]
    refused(hostile(kind, *entries), trusting(), "unsafe-path", tmp_path)


@kinds
@pytest.mark.parametrize(
    "name",
    [
        b"opt/\xff",
        b"opt/a\nb",
        b"opt/\x1b[2J",
        "opt/\u202eexe".encode(),
        "opt/e\u0301".encode(),
        "opt/\u200b".encode(),
        b"opt/\\..\\x",
        b"opt/a ",
        b" opt",
        b"opt/*",
        "opt/\u2028".encode(),
    ],
)
def test_TAR_08_unsafe_characters_in_names_are_refused(kind: Kind, name: bytes, tmp_path: Path) -> None:
    found = refused(hostile(kind, raw(name, b"x")), trusting(), "unsafe-path", tmp_path)
    assert all(str(value).isprintable() for check in found.checks for value in check.evidence.values())


@kinds
def test_TAR_08_bytes_after_the_nul_of_a_name_are_refused(kind: Kind, tmp_path: Path) -> None:
    refused(hostile(kind, raw(b"opt/f\0/../../hidden", b"x")), trusting(), "bad-listing", tmp_path)


@kinds
@pytest.mark.parametrize("name", ["/etc/passwd", "../up", "opt/../../up", "opt/..", "~root/x/.."])
def test_TAR_08_paths_that_leave_are_refused(kind: Kind, name: str, tmp_path: Path) -> None:
    refused(hostile(kind, raw(name, b"x")), trusting(), "unsafe-path", tmp_path)


@kinds
def test_TAR_09_an_undeclared_file_is_refused(kind: Kind, tmp_path: Path) -> None:
    more = make(kind, files={**FILES, "opt/acme/extra": b"x"})
    refused(make(kind).with_tar(tar_of(more)), trusting(), "file-undeclared", tmp_path)


@kinds
def test_TAR_09_a_missing_file_is_refused(kind: Kind, tmp_path: Path) -> None:
    fewer = make(kind, files={"opt/acme": None, "opt/acme/agent": b"\x7fELF agent"})
    refused(make(kind).with_tar(tar_of(fewer)), trusting(), "file-missing", tmp_path)


def test_TAR_09_every_property_of_a_file_is_compared(tmp_path: Path) -> None:
    good = make("seal", files={**FILES, "opt/link": "acme"})
    for files in (
        {**FILES, "opt/link": "acme", "opt/acme/conf": b"level = 2\n"},
        {**FILES, "opt/link": "acme/agent"},
        {**FILES, "opt/link": b"acme"},
        {**FILES, "opt/link": None},
    ):
        found = refused(good.with_tar(tar_of(make("seal", files=files))), trusting(), "file-mismatch", tmp_path)
        assert codes(found) == ["file-mismatch"]
    refused(
        good.with_tar(tar_of(make("seal", files={**FILES, "opt/link": "acme"}, modes={"opt/acme": 0o700}))),
        trusting(),
        "file-mismatch",
        tmp_path,
    )


def test_TAR_09_an_order_that_is_not_canonical_is_refused(tmp_path: Path) -> None:
    refused(hostile("seal", raw("opt/b", b"x"), raw("opt/a", b"x")), trusting(), "bad-listing", tmp_path)
    refused(hostile("seal", raw("opt/a", b"x", mtime=MTIME + 1)), trusting(), "bad-listing", tmp_path)


def test_TAR_09_a_ustar_that_says_it_is_a_visor_tar_is_refused(tmp_path: Path) -> None:
    """The shape of the tampered VIB: two readers would see two lists of files."""
    refused(make("vib").with_tar(tar(raw("opt/acme/agent", b"x"))), trusting(), "bad-listing", tmp_path)
    refused(make("vib", payload_type="tgz").with_tar(tar_of(make("vib"))), trusting(), "bad-listing", tmp_path)


@kinds
@pytest.mark.parametrize("tail", [b"x", b"\0" * 512 + b"x" * 512, raw("opt/hidden", b"x"), bytes(511)])
def test_TAR_09_nothing_hides_behind_the_end(kind: Kind, tail: bytes, tmp_path: Path) -> None:
    good = make(kind)
    refused(good.with_tar(tar_of(good) + tail), trusting(), "bad-listing", tmp_path)


@kinds
def test_TAR_09_the_readers_of_python_see_what_we_list(kind: Kind) -> None:
    bundle = make(kind, payload_type="tar+gzip" if kind == "seal" else "tgz")
    with tarfile.open(fileobj=io.BytesIO(tar_of(bundle))) as archive:
        names = [member.name for member in archive.getmembers()]
    found = accepted(bundle, trusting())
    assert found.manifest is not None
    assert [name for name in names if kind == "seal" or name != "opt/acme"] == [
        entry.path for entry in found.manifest.files
    ]


# gzip


WORDS = {
    "another file": (4096 * 3, 1, 0),
    "the headers": (512, 1, 0),
    "beyond the tar": (1 << 24, 1, 0),
    "more than its own": (0, 2, 0),
    "fix-ups alone": (0, 0, 1),
}


@pytest.mark.parametrize("name", WORDS)
def test_TAR_10_an_executable_s_text_is_its_own(name: str, tmp_path: Path) -> None:
    entries = [
        (Entry("opt", FileType.DIRECTORY, 0o755), VisorFields("5"), b""),
        (Entry("opt/agent", FileType.FILE, 0o755, 4), VisorFields("7", text=WORDS[name]), b"\x7fELF"),
        (Entry("opt/data", FileType.FILE, 0o644, 5), VisorFields("0"), b"other"),
    ]
    layout = VisorLayout(fields={entry.path: fields for entry, fields, _ in entries})
    tar = b"".join(visor.write([(entry, iter([data])) for entry, _, data in entries], layout))
    files = [Entry(entry.path) for entry, _, _ in entries[1:]]
    refused(make("vib").with_tar(tar, files), trusting(), "bad-listing", tmp_path)
    sound = VisorLayout(fields={"opt/agent": VisorFields("7", text=(0, 1, 1))})
    tar = b"".join(visor.write([(entry, iter([data])) for entry, _, data in entries], sound))
    accepted(make("vib").with_tar(tar, files), trusting())


@pytest.mark.parametrize(
    ("at", "value", "code"),
    [
        (346, b"etc", "bad-listing"),  # after the NUL of an empty prefix
        (329, b"0000001\0", "bad-listing"),
        (337, b"0000001\0", "bad-listing"),
        (270, b"x", "bad-listing"),  # after the NUL of the owner's name
    ],
)
def test_TAR_10_nothing_hides_in_fields_that_nobody_reads(at: int, value: bytes, code: str, tmp_path: Path) -> None:
    bundle = make("vib", payload_type="tgz", files={"opt/a": b"a"})
    tar = bytearray(tar_of(bundle))
    for start in (index for index in range(0, len(tar), 512) if tar[index : index + 5] == b"opt/a"):
        block = tar[start : start + 512]
        block[at : at + len(value)] = value
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
        tar[start : start + 512] = block
    refused(bundle.with_tar(bytes(tar)), trusting(), code, tmp_path)


@kinds
def test_TAR_11_a_file_below_another_module_s_link_is_found(kind: Kind) -> None:
    link = make(kind, name="one", files={"opt/x/link": "../../etc/cron.d"})
    below = make("vib", name="two", files={"opt/x/link/evil": b"evil"})
    for pair in ({"a": link, "b": below}, {"b": below, "a": link}):
        (finding,) = found_beside("path-of-another-kind", pair)
        assert (finding.bundle, finding.related) == ("a", ("b",))


def repacked(kind: Kind, change: Callable[[bytes], bytes]) -> Bundle:
    bundle = make(kind)
    return bundle.with_payload(change(bundle.members[2].data), tar_of(bundle))


@kinds
def test_GZ_01_a_second_gzip_member_is_refused(kind: Kind, tmp_path: Path) -> None:
    for extra in (b"", b"more", bytes(512)):
        bundle = repacked(kind, lambda data, extra=extra: data + gzip.compress(extra, mtime=0))
        refused(bundle, trusting(), "bad-payload", tmp_path)


@kinds
def test_GZ_01_a_tar_cut_into_two_members_is_refused(kind: Kind, tmp_path: Path) -> None:
    whole = tar_of(make(kind))
    halves = pack("tgz", whole[:512]) + pack("tgz", whole[512:])
    found = judge(repacked(kind, lambda _: halves), trusting())
    assert found.primary is not None
    refused(repacked(kind, lambda _: halves), trusting(), found.primary.code or "", tmp_path)
    assert found.primary.step == 7


@kinds
@pytest.mark.parametrize("tail", [b"\0", b"\0" * 512, b"\n", b"garbage"])
def test_GZ_02_trailing_bytes_are_refused(kind: Kind, tail: bytes, tmp_path: Path) -> None:
    refused(repacked(kind, lambda data: data + tail), trusting(), "bad-payload", tmp_path)


@kinds
@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: data[:-8] + bytes(4) + data[-4:],
        lambda data: data[:-4] + bytes(4),
        lambda data: data[:10] + b"\xff" * 20 + data[30:],
    ],
)
def test_GZ_02_damage_is_refused(kind: Kind, change: Callable[[bytes], bytes], tmp_path: Path) -> None:
    bundle = make(kind)
    if kind == "seal" and not change(bundle.members[2].data):
        return  # a payload of no bytes cannot be declared
    found = judge(repacked(kind, change), trusting())
    assert found.primary is not None
    assert found.primary.code in ("bad-payload", "bad-listing", "payload-digest-mismatch", "unpacked-size-mismatch")
    refused(repacked(kind, change), trusting(), found.primary.code, tmp_path)
    assert "bad-payload" in codes(found)


@kinds
@pytest.mark.parametrize("name", deflate.UNSOUND)
def test_GZ_05_a_set_of_codes_that_zlib_refuses_is_refused(kind: Kind, name: str, tmp_path: Path) -> None:
    body = deflate.UNSOUND[name] + zlib.crc32(deflate.DATA).to_bytes(4, "little") + struct.pack("<I", len(deflate.DATA))
    found = judge(repacked(kind, lambda _: GZIP_HEADER + body), trusting())
    assert found.primary is not None
    assert found.primary.step == 7
    assert "bad-payload" in codes(found)
    refused(repacked(kind, lambda _: GZIP_HEADER + body), trusting(), found.primary.code or "", tmp_path)


def bomb(size: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = b"".join(packer.compress(bytes(1 << 20)) for _ in range(size >> 20)) + packer.flush()
    return GZIP_HEADER + body + bytes(4) + (size & 0xFFFF_FFFF).to_bytes(4, "little")


@kinds
def test_GZ_03_a_bomb_ends_at_its_declared_size(kind: Kind, tmp_path: Path) -> None:
    packed = bomb(64 << 20)
    start = time.process_time()
    bundle = make(kind).with_payload(packed, unpacked_size=4096)
    found = judge(bundle, trusting())
    assert found.primary is not None
    assert found.primary.step == 7
    assert "unpacked-size-mismatch" in codes(found)
    refused(bundle, trusting(), found.primary.code or "", tmp_path)
    assert time.process_time() - start < 1


def test_GZ_03_a_bomb_without_a_declared_size_ends_at_the_ratio(tmp_path: Path) -> None:
    """Deflate alone cannot reach the ratio; a frame of zstd inside it can."""
    zeros = pack("vzstd", bytes(4 << 20))
    bundle = make("vib", payload_type="vzstd").with_payload(zeros)
    found = judge(bundle, trusting())
    assert found.primary is not None
    assert found.primary.step == 7
    assert "limit-exceeded" in codes(found)
    refused(bundle, trusting(), found.primary.code or "", tmp_path)


@kinds
def test_GZ_03_gzip_in_gzip_is_no_tar(kind: Kind, tmp_path: Path) -> None:
    twice = pack("tgz", pack("tgz", tar_of(make(kind))))
    found = judge(repacked(kind, lambda _: twice), trusting())
    assert found.primary is not None
    assert found.verdict is Verdict.REJECTED
    refused(repacked(kind, lambda _: twice), trusting(), found.primary.code or "", tmp_path)


def test_a_zstd_copy_from_beyond_the_window_is_refused(tmp_path: Path) -> None:
    """`zstd -d` and one call of libzstd unpack such a frame to different files."""
    whole = tar_of(make("seal"))
    packed = b"".join(compression.zstd_frames(iter([whole])))
    bundle = make("seal", payload_type="tar+zstd").with_payload(packed, whole)
    accepted(bundle, trusting())
    pieces = [zstd_blocks.raw(whole[at : at + 1024]) for at in range(0, len(whole) - 512, 1024)]
    rest = len(whole) - 1024 * len(pieces)
    far = zstd_blocks.frame(*pieces, zstd_blocks.matching(b"", (0, rest, 1025)), content=len(whole), window=0)
    refused(bundle.with_payload(far, whole), trusting(), "bad-payload", tmp_path)


@pytest.mark.parametrize(
    ("flags", "extra"), [(0x08, b"name\0"), (0x04, b"\4\0abcd"), (0x10, b"comment\0"), (0x02, b"\0\0"), (0xE0, b"")]
)
@kinds
def test_GZ_04_header_fields_carry_nothing(kind: Kind, flags: int, extra: bytes, tmp_path: Path) -> None:
    """A name (and a time) is what genuine VIBs have; nothing else, and nothing at all in a `.seal`."""
    bundle = repacked(kind, lambda data: data[:3] + bytes([flags]) + data[4:10] + extra + data[10:])
    if kind == "vib" and flags == 0x08:
        accepted(bundle, trusting())
    else:
        refused(bundle, trusting(), "bad-payload", tmp_path)


@kinds
def test_GZ_04_a_time_in_the_header_is_ignored_in_a_vib_alone(kind: Kind, tmp_path: Path) -> None:
    bundle = repacked(kind, lambda data: data[:4] + b"\1\2\3\4" + data[8:])
    if kind == "vib":
        accepted(bundle, trusting())
    else:
        refused(bundle, trusting(), "bad-payload", tmp_path)
