"""A whole build: that it depends on its inputs alone, who may read what it writes, and what it leaves when it ends."""

from __future__ import annotations

import filecmp
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from builders import image_builds
from builders.transcript import SOURCE
from modseal.errors import InputError, UsageError
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


def test_a_folder_that_is_not_empty_is_named_before_anything_is_read(spec: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").write_text("kept")
    broken = spec.with_name("broken.toml")
    broken.write_text(spec.read_text().replace("policy.toml", "none.toml").replace("python.deb", "none.deb"))
    with pytest.raises(UsageError, match="out is not empty"):
        image_builds.build(broken, tmp_path / "out")
    assert (tmp_path / "out/mine").read_text() == "kept"
