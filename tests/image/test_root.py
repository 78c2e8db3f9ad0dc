"""The root of a host: which files of packages and wheels it has, and which it must not have."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

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
    root.write(tmp_path, files(name, mode=0o755))
    with pytest.raises(RefusedError, match="runs other files") as caught:
        root.require_no_interpreter(root.entries(tmp_path))
    assert caught.value.failure.code == "power-not-granted"


def test_libraries_and_the_one_loader_are_fine(tmp_path: Path) -> None:
    names = ("usr/lib64/ld-linux-x86-64.so.2", "usr/lib/x/liba.so", "usr/bin/site-agent")
    root.write(tmp_path, files(*names, mode=0o755))
    root.require_no_interpreter(root.entries(tmp_path))


def test_a_root_has_the_folders_that_are_mounted_over_and_the_links_of_a_merged_usr(tmp_path: Path) -> None:
    root.write(tmp_path, files("usr/lib/a"))
    assert {"proc", "sys", "dev", "run", "tmp", "var", "data", "opt", "etc"} <= {one.name for one in tmp_path.iterdir()}
    assert (tmp_path / "lib/a").read_bytes() == b"x"


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
