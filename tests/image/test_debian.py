"""Debian packages, as dpkg-deb makes them."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from builders import image_builds
from builders.image_builds import entry
from modseal.causes import CAUSES
from modseal.errors import FormatError, InputError, ModsealError, RefusedError
from modseal.format.manifest import FileType
from modseal.image import debian

pytestmark = pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="dpkg-deb is not installed")
CONTROL = (
    "Package: acme\nVersion: 1:2.0~rc-1\nArchitecture: amd64\nMaintainer: A <a@example.com>\nDescription: x\n y: z\n"
)


def package(folder: Path, compression: str = "xz") -> Path:
    top = folder / "top"
    (top / "DEBIAN").mkdir(parents=True)
    (top / "DEBIAN/control").write_text(CONTROL)
    (top / "lib").mkdir()
    (top / "usr/bin").mkdir(parents=True)
    (top / "lib/x.so.1").write_bytes(b"library" * 99)
    (top / "lib/x.so").symlink_to("x.so.1")
    (top / "usr/bin/run").write_bytes(b"program")
    (top / "usr/bin/run").chmod(0o755)
    command = ["dpkg-deb", "--root-owner-group", f"-Z{compression}", "-b", top, folder / "acme.deb"]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "acme.deb"


def opened(path: Path) -> debian.DebianPackage:
    return debian.open_package(path, hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.mark.parametrize("compression", ["xz", "zstd", "none"])
def test_a_package_has_its_name_and_its_files_with_a_merged_usr(tmp_path: Path, compression: str) -> None:
    found = opened(package(tmp_path, compression))
    assert (found.name, found.version) == ("acme", "1:2.0~rc-1")
    assert found.purl == "pkg:deb/debian/acme@1%3A2.0~rc-1?arch=amd64"
    files = {one.path: one for one in debian.files(found)}
    assert files["usr/lib/x.so.1"].data == b"library" * 99
    assert (files["usr/lib/x.so"].type, files["usr/lib/x.so"].target) == (FileType.SYMLINK, "x.so.1")
    assert files["usr/bin/run"].mode == 0o755


def test_another_digest_than_the_named_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="SHA-256") as caught:
        debian.open_package(package(tmp_path), "0" * 64)
    assert caught.value.failure.next_step == CAUSES["other-file"]


def test_what_is_no_package_is_refused(tmp_path: Path) -> None:
    for data in (b"", b"!<arch>\n", b"nothing of the kind"):
        (tmp_path / "x.deb").write_bytes(data)
        with pytest.raises(FormatError) as caught:
            opened(tmp_path / "x.deb")
        assert caught.value.failure.next_step == CAUSES["package-unfit"]
    os.mkfifo(tmp_path / "pipe")  # nobody writes to it
    for name in ("absent.deb", "pipe", "."):
        with pytest.raises(InputError):
            debian.open_package(tmp_path / name, "0" * 64)


@pytest.mark.parametrize("cut", [0.3, 0.6, 0.95])
def test_a_package_that_is_cut_off_is_refused(tmp_path: Path, cut: float) -> None:
    data = package(tmp_path).read_bytes()
    (tmp_path / "x.deb").write_bytes(data[: int(len(data) * cut)])
    with pytest.raises(ModsealError):
        list(debian.files(opened(tmp_path / "x.deb")))


@pytest.mark.parametrize(
    ("entries", "code"),
    [
        ([entry("../../etc/x")], "unsafe-path"),
        ([entry("usr/./x")], "unsafe-path"),
        ([entry("usr//x")], "unsafe-path"),
        ([entry("usr/x"), entry("./usr/x")], "unsafe-path"),
        ([entry("lib/x"), entry("usr/lib/x", tarfile.SYMTYPE, "y")], "unsafe-path"),
        ([entry("usr/x", tarfile.DIRTYPE), entry("usr/x")], "unsafe-path"),
        ([entry("dev/x", tarfile.CHRTYPE)], "unsafe-type"),
        ([entry("dev/x", tarfile.BLKTYPE)], "unsafe-type"),
        ([entry("run/x", tarfile.FIFOTYPE)], "unsafe-type"),
        ([entry("usr/x", tarfile.LNKTYPE, "../../etc/passwd")], "unsafe-link"),
        ([entry("usr/x", tarfile.LNKTYPE, "/etc/passwd")], "unsafe-link"),
        ([entry("usr/y", tarfile.DIRTYPE), entry("usr/x", tarfile.LNKTYPE, "usr/y")], "unsafe-link"),
    ],
)
def test_what_no_package_should_have_is_refused(tmp_path: Path, entries: list[tarfile.TarInfo], code: str) -> None:
    with pytest.raises(FormatError) as caught:
        list(debian.files(opened(image_builds.debian(tmp_path / "x.deb", entries))))
    assert caught.value.failure.code == code
    assert "distribution" in caught.value.failure.next_step


def test_a_folder_may_be_named_twice_and_a_link_may_have_two_names(tmp_path: Path) -> None:
    folders = [entry("./lib/", tarfile.DIRTYPE), entry("usr/lib", tarfile.DIRTYPE)]
    links = [entry("usr/lib/a", tarfile.SYMTYPE, "b"), entry("usr/lib/c", tarfile.LNKTYPE, "./lib/a")]
    found = {one.path: one for one in debian.files(opened(image_builds.debian(tmp_path / "x.deb", folders + links)))}
    assert (found["usr/lib/c"].type, found["usr/lib/c"].target) == (FileType.SYMLINK, "b")


def test_a_name_is_read_alike_in_every_locale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tarfile.TarFile, "encoding", "iso-8859-1")  # what tarfile takes from the locale
    assert [one.path for one in debian.files(opened(image_builds.debian(tmp_path / "x.deb", [entry("usr/ü")])))] == [
        "usr/ü"
    ]
