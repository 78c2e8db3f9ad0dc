"""The root of a host: which files of packages and wheels it has, and which it must not have."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from builders import image_builds
from modseal.boot import documents
from modseal.errors import FormatError, RefusedError
from modseal.format.manifest import FileType
from modseal.image import root
from modseal.image.debian import PackageFile
from modseal.image.spec import PackageSpec, Pinned
from modseal.policy.sources import load

ANY = Pinned(Path("x.deb"), "0" * 64)


def files(*paths: str, mode: int = 0o644) -> dict[str, PackageFile]:
    return {path: PackageFile(path, FileType.FILE, mode, b"x") for path in paths}


def taken(paths: tuple[str, ...], include: tuple[str, ...] = (), exclude: tuple[str, ...] = ()) -> list[str]:
    return list(root.taken(files(*paths), PackageSpec(ANY, include, exclude)))


def test_programs_and_documentation_are_left_out_and_libraries_are_taken() -> None:
    paths = (
        "usr/bin/run",
        "usr/sbin/serve",
        "usr/share/doc/a/b",
        "etc/run.conf",
        "usr/lib/x/liba.so",
        "usr/share/a/data",
    )
    assert taken(paths) == ["usr/lib/x/liba.so", "usr/share/a/data"]


def test_what_is_included_by_name_is_all_that_is_taken() -> None:
    paths = ("usr/bin/run", "usr/bin/other", "usr/lib/x/liba.so")
    assert taken(paths, include=("usr/bin/r*",)) == ["usr/bin/run"]
    assert taken(paths, include=("usr/bin/*",), exclude=("usr/bin/o*",)) == ["usr/bin/run"]


@pytest.mark.parametrize(
    "name", ["usr/bin/sh", "usr/bin/python3.11", "usr/sbin/busybox", "opt/x/perl", "usr/lib/ld-2.36.so"]
)
def test_a_program_that_runs_files_ends_the_build(tmp_path: Path, name: str) -> None:
    root.write(tmp_path / "root", files(name, mode=0o755))
    with pytest.raises(RefusedError, match="runs other files") as caught:
        root.require_no_interpreter(root.entries(tmp_path / "root"))
    assert caught.value.failure.code == "power-not-granted"


def test_libraries_and_the_one_loader_are_fine(tmp_path: Path) -> None:
    names = ("usr/lib64/ld-linux-x86-64.so.2", "usr/lib/x/liba.so", "usr/bin/site-agent")
    root.write(tmp_path / "root", files(*names, mode=0o755))
    root.require_no_interpreter(root.entries(tmp_path / "root"))


def test_a_root_has_the_folders_that_are_mounted_over_and_the_links_of_a_merged_usr(tmp_path: Path) -> None:
    root.write(tmp_path / "root", files("usr/lib/a"))
    assert {"proc", "sys", "dev", "run", "tmp", "var", "data", "opt", "etc"} <= {
        one.name for one in (tmp_path / "root").iterdir()
    }
    assert (tmp_path / "root/lib/a").read_bytes() == b"x"


@pytest.fixture(params=[0o000, 0o002, 0o022, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def modes(place: Path) -> dict[str, str]:
    found = [place, *(path for path in place.rglob("*") if not path.is_symlink())]
    return {str(path.relative_to(place)): oct(path.stat().st_mode & 0o7777) for path in found}


@pytest.mark.usefixtures("umask")
def test_the_umask_of_who_builds_decides_about_nothing(tmp_path: Path) -> None:
    place = tmp_path / "root"
    root.write(place, files("usr/lib/x/y") | files("opt/run", mode=0o4750))
    found = modes(place)
    assert found.pop("usr/lib/x/y") == "0o644"
    assert found.pop("opt/run") == "0o755"
    assert found.keys() >= {".", "usr", "usr/lib/x", "etc", "usr/sbin"}
    assert set(found.values()) == {"0o755"}


def python(folder: Path) -> dict[str, PackageFile]:
    loader = PackageFile("usr/lib64/ld-linux-x86-64.so.2", FileType.FILE, 0o755, image_builds.LOADER.encode())
    return files("usr/bin/python3.11") | {loader.path: loader}


@pytest.mark.usefixtures("umask")
def test_compiled_files_are_for_everybody_to_read_whatever_the_umask(tmp_path: Path) -> None:
    root.write(tmp_path / "root", {"usr/lib/a/m.py": PackageFile("usr/lib/a/m.py", FileType.FILE, 0o644, b"x = 1")})
    root.compile_python(tmp_path / "root", python(tmp_path))
    found = modes(tmp_path / "root")
    assert found["usr/lib/a/m.pyc"] == "0o644"
    assert "usr/lib/a/m.py" not in found


def test_no_file_of_the_building_machine_gets_into_an_image_by_a_link(tmp_path: Path) -> None:
    outside, place = tmp_path / "secret.py", tmp_path / "root"
    outside.write_text("secret = 1")
    link = PackageFile("usr/lib/a/site.py", FileType.SYMLINK, 0o777, target=str(outside))
    root.write(place, {link.path: link, **files("usr/lib/a/b.txt")})
    root.compile_python(place, python(tmp_path))
    assert sorted(path.name for path in (place / "usr/lib/a").iterdir()) == ["b.txt", "site.py"]
    assert (place / link.path).is_symlink()


def test_the_folder_that_a_build_is_started_in_is_not_where_it_imports_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "compileall.py").write_text("raise SystemExit('not the one of the packages')")
    monkeypatch.chdir(tmp_path)
    root.write(tmp_path / "root", files("usr/lib/a/b.txt"))
    root.compile_python(tmp_path / "root", python(tmp_path))


def link(path: str, target: str) -> dict[str, PackageFile]:
    return {path: PackageFile(path, FileType.SYMLINK, 0o777, target=target)}


@pytest.mark.parametrize(
    ("brought", "code"),
    [
        (("usr/lib/a", "{outside}"), "unsafe-link"),
        (("usr/lib", "{outside}"), "unsafe-link"),
        (("usr", "{outside}"), "unsafe-link"),
        (("etc", "{outside}"), "unsafe-link"),
        (("usr/sbin", "{outside}"), "unsafe-link"),
        (("usr/lib/a", ""), "unsafe-path"),
        (("proc", ""), "unsafe-path"),
    ],
)
def test_nothing_is_written_through_what_a_package_has_brought(
    tmp_path: Path, brought: tuple[str, str], code: str
) -> None:
    outside, place = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    path, target = brought
    above = link(path, target.format(outside=outside)) if target else files(path)
    with pytest.raises(RefusedError, match=re.escape(path)) as caught:
        root.write(place, above | files("usr/lib/a/evil", "etc/evil"))
    assert caught.value.failure.code == code
    assert "distribution" in caught.value.failure.next_step
    assert list(outside.iterdir()) == []
    assert not place.exists()


def test_what_is_compiled_is_written_through_no_link_of_a_package_either(tmp_path: Path) -> None:
    root.write(tmp_path / "root", {})
    climbing = link("usr/lib/a.so", "..") | link("usr/lib/a.so/b.so", "..") | files("usr/lib/a.so/b.so/evil.so")
    with pytest.raises(RefusedError, match=r"usr/lib/a\.so"):
        root.compile_python(tmp_path / "root", python(tmp_path) | climbing)


def wheel(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"content")
    return path


def test_a_host_has_no_code_that_signs(tmp_path: Path) -> None:
    made = wheel(tmp_path / "modseal-1-py3-none-any.whl", "modseal/boot/machine.py", "modseal/host/store.py",
        "modseal/signing/keys.py", "modseal/packing/sign.py", "modseal/ca/issue.py", "modseal/cli/main.py",
        "modseal-1.dist-info/RECORD", "modseal-1.data/data/share/man/man1/modseal.1")  # fmt: skip
    assert [path for path, _ in root.wheel(made)] == [
        "usr/lib/modseal/modseal/boot/machine.py", "usr/lib/modseal/modseal/host/store.py",
    ]  # fmt: skip


def test_another_package_of_such_a_name_is_left_whole(tmp_path: Path) -> None:
    assert [path for path, _ in root.wheel(wheel(tmp_path / "x-1.whl", "x/signing/keys.py"))] == [
        "usr/lib/modseal/x/signing/keys.py"
    ]


def test_what_is_no_wheel_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.whl").write_bytes(b"nothing of the kind")
    with pytest.raises(FormatError):
        list(root.wheel(tmp_path / "x.whl"))
    with pytest.raises(FormatError, match=r"\.\."):
        list(root.wheel(wheel(tmp_path / "y.whl", "../../x")))
    with pytest.raises(FormatError, match=r"y\.whl"):
        list(root.wheel(wheel(tmp_path / "y.whl", ".")))


def test_a_wheel_that_is_damaged_anywhere_is_refused(tmp_path: Path) -> None:
    """Whatever the library says of it: a wheel is read as it is, or not at all."""
    made = tmp_path / "x.whl"
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/a.py", b"content " * 9)
    good = made.read_bytes()
    [(_, content)] = root.wheel(made)
    refused = 0
    for place in range(len(good)):
        for value in (good[place] ^ 0xFF, good[place] ^ 1):
            made.write_bytes(good[:place] + bytes([value]) + good[place + 1 :])
            try:
                assert {data for _, data in root.wheel(made)} <= {content}
            except FormatError as error:
                refused += error.failure.evidence == {"cause": "package-unfit"}
    assert refused > len(good) // 2


def test_a_name_of_a_wheel_has_one_form(tmp_path: Path) -> None:
    assert [path for path, _ in root.wheel(wheel(tmp_path / "y.whl", "a//b.py"))] == ["usr/lib/modseal/a/b.py"]


def test_a_host_reads_the_very_policy_that_was_given(tmp_path: Path) -> None:
    from builders import pki, policies
    from modseal.policy.sources import from_bytes
    from modseal.trust.policy import PolicyBytes

    policy = load(str(policies.write(tmp_path)))
    host = documents.HostDocument("edge", 1, policy.minimum_level, None, None, ("root.pem",))
    owner = pki.issue("owner", key=pki.new_key("rsa"))
    written = root.host_files(host, policy, owner.certificate)
    place = documents.PLACE
    text, anchor = written[f"{place}/policy.toml"], written[f"{place}/files/0"]
    again = from_bytes(PolicyBytes(text, (("root.pem", anchor),)), "x")
    assert policy.origin is not None
    assert again.origin is not None
    assert again.origin.digest == policy.origin.digest
    assert written[f"{place}/owner.der"] == owner.der
