"""What an audit leaves out and could hold a bundle: told by its bytes, whatever it is called."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from pathlib import Path

import pytest
import zstandard

from builders import bundles, policies
from builders.audits import audit_of
from modseal.auditing.discover import discover
from modseal.auditing.hiding import END
from modseal.auditing.target import LeftOut

VIB = bundles.make("vib").data


def zipped(**files: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def tarred(data: bytes, mode: str = "w") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]
        member = tarfile.TarInfo("a.vib")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


ZIP = zipped(**{"a.vib": VIB})
HIDDEN = {
    "a zip with one byte in front": (b"x" + ZIP, "a zip archive with bytes in front of it or behind"),
    "a zip behind a script": (b"#!/bin/sh\nexec unzip $0\n" + ZIP, "a zip archive with bytes in front of it or behind"),
    "a zip behind a long script": (b"#" * 200_000 + ZIP, "a zip archive with bytes in front of it or behind"),
    "a zip behind and before": (b"x" + ZIP + b"x" * 1000, "a zip archive with bytes in front of it or behind"),
    "a bundle, packed": (gzip.compress(VIB), "compressed (gzip): a bundle"),
    "a bundle, packed twice": (gzip.compress(gzip.compress(VIB)), "compressed (gzip): gzip again"),
    "a bundle, packed behind nothing": (gzip.compress(b"") + gzip.compress(VIB), "compressed (gzip): a bundle"),
    "a bundle, packed in two": (
        gzip.compress(VIB[:5]) + bytes(3) + gzip.compress(VIB[5:]),
        "compressed (gzip): a bundle",
    ),
    "a bundle, packed behind much nothing": (
        gzip.compress(b"") * (END // 20 + 1) + gzip.compress(VIB),
        "compressed (gzip), and empty as far as it was looked at",
    ),
    "a zip, packed": (gzip.compress(ZIP), "compressed (gzip): a zip archive in which no bundle was found"),
    "a damaged gzip": (b"\x1f\x8b\x08\xff" + VIB, "compressed (gzip), and damaged"),
    "a tar": (tarred(VIB), "a tar archive"),
    "a packed tar": (tarred(VIB, "w:gz"), "compressed (gzip): a tar archive"),
    "bzip2": (bz2.compress(VIB), "compressed (bzip2)"),
    "xz": (lzma.compress(VIB), "compressed (xz)"),
    "zstd": (zstandard.compress(VIB), "compressed (zstd)"),
    "a bundle with a byte in front": (b"\n" + VIB, "a bundle with 1 bytes in front"),
    "an ar archive that starts with another member": (
        bundles.make("vib").insert(0, bundles.Member("first", b"")).data,
        "an ar archive whose first member is not a manifest",
    ),
}
PLAIN = {
    "text": b"no bundle, and PK\5\6 is only a word",
    "nothing": b"",
    "packed nothing": gzip.compress(b""),
    "packed text": gzip.compress(b"log " * 100_000),
    "an end of a zip archive alone": b"text" + b"PK\5\6" + b"\1" * 18,
    "much text": b"text PK\5\6 " * 50_000,
}


def the_one(folder: Path, data: bytes) -> LeftOut:
    (folder / "notes.txt").write_bytes(data)
    (one,) = discover([str(folder)])
    assert isinstance(one, LeftOut)
    return one


@pytest.mark.parametrize("name", HIDDEN)
def test_what_could_hold_a_bundle_is_left_out_with_its_reason(name: str, tmp_path: Path) -> None:
    data, why = HIDDEN[name]
    one = the_one(tmp_path, data)
    assert (one.why, one.hides) == (why, True)


@pytest.mark.parametrize("name", PLAIN)
def test_other_files_hide_nothing(name: str, tmp_path: Path) -> None:
    assert not the_one(tmp_path, PLAIN[name]).hides


def test_a_zip_archive_without_a_bundle_may_have_others_in_it(tmp_path: Path) -> None:
    assert the_one(tmp_path, zipped(**{"a.gz": gzip.compress(VIB)})).hides


def test_only_the_ends_of_a_file_are_read(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(1 << 40)
    (one,) = discover([str(tmp_path)])
    assert isinstance(one, LeftOut)
    assert not one.hides
    assert not the_one_of(tmp_path / "deep", b"x" * END + VIB).hides


def the_one_of(folder: Path, data: bytes) -> LeftOut:
    folder.mkdir()
    return the_one(folder, data)


@pytest.mark.parametrize("name", ["a zip with one byte in front", "a bundle, packed"])
@pytest.mark.parametrize("strict", [False, True])
def test_strict_coverage_leaves_the_audit_undecided_whatever_is_ignored(
    name: str, strict: bool, tmp_path: Path
) -> None:
    (tmp_path / "good.vib").write_bytes(VIB)
    (tmp_path / "notes.txt").write_bytes(HIDDEN[name][0])
    audit = audit_of([tmp_path], policies.trusting(), strict_coverage=strict)
    (finding,) = (one for one in audit.findings() if one.rule == "left-out")
    assert (finding.bundle, finding.undecided) == (str(tmp_path / "notes.txt"), strict)
    assert HIDDEN[name][1] in finding.detail
    assert (audit.doubt, audit.summary.left_out) == (strict, 1)
    assert audit_of([tmp_path], policies.trusting(), strict_coverage=strict, ignore=("left-out",)).doubt == strict


def test_a_file_in_a_zip_archive_of_bundles_is_told_too(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(zipped(**{"a.vib": VIB, "b.gz": gzip.compress(VIB), "readme": b"text"}))
    audit = audit_of([tmp_path], policies.trusting(), strict_coverage=True)
    (finding,) = (one for one in audit.findings() if one.rule == "left-out")
    assert finding.bundle.endswith("a.zip!/b.gz")
    assert audit.doubt
