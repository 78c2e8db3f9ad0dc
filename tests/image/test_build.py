"""A whole build: that it depends on its inputs alone, who may read what it writes, and what it leaves when it ends."""

from __future__ import annotations

import filecmp
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from zipfile import ZipFile

import pytest

from builders import elf_files, image_builds, pki
from builders.hosts import Host
from builders.transcript import SOURCE
from modseal.errors import InputError, ModsealError, RefusedError, SpecError, UsageError
from modseal.image import build as building

pytestmark = pytest.mark.skipif(
    not (shutil.which("mkfs.erofs") and shutil.which("mke2fs", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")),
    reason="mkfs.erofs or mke2fs is not installed",
)
TESTS = Path(__file__).parents[1]
ELSEWHERE = {
    "LC_ALL": "tr_TR.ISO-8859-9",
    "TZ": "Pacific/Kiritimati",
    "HOME": "/nonexistent",
    "SOURCE_DATE_EPOCH": "86400",
    "PYTHONHASHSEED": "7",
    "PYTHONPATH": f"{SOURCE}:{TESTS}",
    "PATH": os.environ["PATH"],
}
BUILD = (
    "import os, sys; os.umask(int(sys.argv[3], 8)); from pathlib import Path; from builders import image_builds\n"
    "image_builds.build(Path(sys.argv[1]), Path(sys.argv[2]))"
)


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return image_builds.make(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def built(spec: Path) -> Path:
    image_builds.build(spec, spec.parent / "out")
    return spec.parent / "out"


def modes(folder: Path) -> dict[str, str]:
    return {one.name: oct(one.stat().st_mode & 0o777) for one in folder.iterdir()}


def test_everything_of_an_image_depends_on_its_inputs_alone(spec: Path, built: Path, tmp_path: Path) -> None:
    temporary, out, umask = tmp_path / "a folder for what is temporary", tmp_path / "other", "055"
    temporary.mkdir()
    command = [sys.executable, "-c", BUILD, spec, out, umask]
    subprocess.run(command, env={**ELSEWHERE, "TMPDIR": str(temporary)}, cwd=temporary, check=True)
    names = sorted(modes(built))
    assert filecmp.cmpfiles(built, out, names, shallow=False) == (names, [], [])
    assert modes(out) == modes(built)
    assert out.stat().st_mode == built.stat().st_mode
    assert list(temporary.iterdir()) == []


def test_what_has_the_key_of_the_service_is_for_who_built_it_alone(built: Path) -> None:
    found = modes(built)
    assert (found.pop("disk.img"), found.pop("data.img")) == ("0o600", "0o600")
    assert set(found.values()) == {"0o644"}
    secret = (built.parent / "server.key").read_bytes()
    with (built / "data.img").open("rb") as data:
        assert secret in data.read()
    assert not [name for name in found if secret in (built / name).read_bytes()]


def test_an_image_without_a_key_is_for_everybody(spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = spec.with_name("plain.toml")
    made.write_text(spec.read_text().replace(image_builds.SERVE, ""))
    monkeypatch.setattr(building.disk, "write", lambda *_: None)  # half of the time
    image_builds.build(made, tmp_path / "out")
    assert set(modes(tmp_path / "out").values()) == {"0o644"}


@pytest.mark.parametrize("trouble", [KeyboardInterrupt(), OSError(28, "No space left on device")], ids=repr)
def test_a_build_that_ends_in_its_midst_leaves_nothing(
    spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: BaseException
) -> None:
    def end(*_: object) -> None:
        raise trouble

    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr(building.data, "write", end)  # the root and the generation are there
    with pytest.raises((KeyboardInterrupt, InputError)):
        image_builds.build(spec, tmp_path / "out")
    assert [one for one in tmp_path.rglob("*") if one.name != "temporary"] == []


@pytest.mark.parametrize("name", ["kernel.deb", "stub.deb", "vars.fd", "python.deb", "modseal-1.0-py3-none-any.whl"])
def test_a_file_with_another_digest_is_named_with_both(spec: Path, tmp_path: Path, name: str) -> None:
    before, named, after = spec.read_text().partition(f'file = "{name}"\nsha256 = "')
    digest = after[:64]
    broken = spec.with_name("broken.toml")
    broken.write_text(before + named + "0" * 64 + after[64:])
    with pytest.raises(RefusedError, match=f"{name} has the SHA-256 {digest}, and {'0' * 64} is named") as caught:
        image_builds.build(broken, tmp_path / "out")
    assert caught.value.failure.code == "content-digest-mismatch"
    assert "in the host.toml" in caught.value.failure.next_step
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_empty_is_named_before_anything_is_read(spec: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").write_text("kept")
    broken = spec.with_name("broken.toml")
    broken.write_text(spec.read_text().replace("policy.toml", "none.toml").replace("python.deb", "none.deb"))
    with pytest.raises(UsageError, match="out is not empty"):
        image_builds.build(broken, tmp_path / "out")
    assert (tmp_path / "out/mine").read_text() == "kept"


WHEEL = "aiohttp-1.0-py3-none-any.whl"


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ('pk = "pk.pem"', 'pk = "none.pem"', "none.pem cannot be read"),
        ('pk = "pk.pem"', 'pk = "pk.key"', "pk.key is not a readable file of certificates"),
        ('kek = "kek.pem"', 'kek = "ca.pem"', "ca.pem: firmware takes RSA keys"),
        ('cert = "db.pem"', 'cert = "pk.pem"', "belongs to the private key"),
        ("policy.toml", "none.toml", "policy .*none.toml: No such file"),
        ("2025-12-31", "2026-12-31", "released: is later than now"),
        ("vars.fd", "stub.deb", "no variable store"),
        ("kernel.deb", "stub.deb", "stub.deb has no boot/vmlinuz"),
        ("stub.deb", "kernel.deb", "kernel.deb has no usr/lib/systemd/boot"),
        ("modules = []", 'modules = ["nfs"]', "no module nfs"),
        ("python.deb", "kernel.deb", "no package brings usr/bin/python3.N"),
        ("python.deb", "arm.deb", "arm.deb is for arm64, and a host is for amd64"),
        (WHEEL, "aiohttp-1.0-cp312-cp312-linux_x86_64.whl", "is not for Python 3.11"),
        (WHEEL, "aiohttp-1.0-cp311-cp311-linux_aarch64.whl", "is not for Python 3.11"),
        (WHEEL, "other-1.0-py3-none-any.whl", "none of them is that of aiohttp"),
        (WHEEL, "modseal-2.0-py3-none-any.whl", "brings /usr/lib/modseal/modseal/boot/machine.py, and so does another"),
        ('certificate = "server.pem"', 'certificate = "ca.pem"', r"ca.pem and .*server.key"),
        ("[[package]]", '[[package]]\nexclude = ["*"]', "gets into the root from none of them; see `include`"),
        ("acme-1.0.seal", "none", "none"),
        ("acme-1.0.seal", "stranger-1.0.seal", "anchor"),
    ],
)
def test_a_mistake_is_found_before_anything_is_built(
    others: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str, after: str, why: str
) -> None:
    monkeypatch.setattr(building.root, "write", None)  # the first thing that is built
    text, files = others.read_text(), {one.name for one in others.parent.iterdir()}
    assert before in text
    if {before, after} <= files and pinned(others.parent, before) in text:
        before, after = pinned(others.parent, before), pinned(others.parent, after)
    wrong = others.with_name("wrong.toml")
    wrong.write_text(text.replace(before, after))
    with pytest.raises(ModsealError, match=why):
        image_builds.build(wrong, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "path", "code"),
    [
        ("shadow", "usr/lib/x86_64-linux-gnu/libc.so.6", "path-owned"),
        ("stack", "opt/acme/run", "writable-code"),
    ],
)
def test_a_module_that_brings_what_no_host_may_have_ends_the_build(
    others: Path, tmp_path: Path, name: str, path: str, code: str
) -> None:
    made = others.with_name(f"with-{name}.toml")
    made.write_text(others.read_text().replace("acme-1.0.seal", f"{name}-1.0.seal"))
    with pytest.raises(RefusedError, match=f"/{path} of {name}") as caught:
        image_builds.build(made, tmp_path / "out")
    assert caught.value.failure.code == code
    assert list(tmp_path.iterdir()) == []


def test_a_data_partition_that_is_too_small_is_named(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x/module").write_bytes(os.urandom(17 << 20))
    with pytest.raises(SpecError, match="data-size: 16 MiB are too few for 17825792 bytes"):
        building.data.write(tmp_path / "x", tmp_path / "data.img", 16 << 20, 0, "11111111-2222-5333-8444-555555555555")


def pinned(folder: Path, name: str) -> str:
    return f'file = "{name}"\nsha256 = "{hashlib.sha256((folder / name).read_bytes()).hexdigest()}"\n'


@pytest.fixture(scope="module")
def others(spec: Path) -> Path:
    """The spec, beside other files that it could name."""
    folder = spec.parent
    image_builds.debian(folder / "arm.deb", [image_builds.entry("usr/bin/python3.11")], architecture="arm64")
    for name in ("aiohttp-1.0-cp312-cp312-linux_x86_64", "aiohttp-1.0-cp311-cp311-linux_aarch64"):
        shutil.copyfile(folder / WHEEL, folder / f"{name}.whl")
    for name, file in (("other-1.0", "x.py"), ("modseal-2.0", "modseal/boot/machine.py")):
        with ZipFile(folder / f"{name}-py3-none-any.whl", "w") as wheel:
            wheel.writestr(file, b"x = 2")
    Host(folder / "root").bundle("stranger", "1.0", pki.issue("Stranger", issuer=pki.ca("Another CA")))
    Host(folder / "root").bundle("shadow", "1.0", files={"usr/lib/x86_64-linux-gnu/libc.so.6": b"another"})
    Host(folder / "root").bundle("stack", "1.0", files={"opt/acme/run": elf_files.program((elf_files.CODE,))})
    return spec
