"""The exported trust file in the hands of fapolicyd itself, on a system of its own."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from builders import fapolicyd, hosts
from builders.fapolicyd import Fapolicyd
from builders.pki import NOW
from modseal.errors import RefusedError
from modseal.packing.host_export import write

_WHY = fapolicyd.why_impossible()
pytestmark = pytest.mark.skipif(bool(_WHY), reason=str(_WHY))

TRUE = Path(shutil.which("true") or "/bin/true").read_bytes()
ECHO = Path(shutil.which("echo") or "/bin/echo").read_bytes()
FILES = {"opt/m/run": TRUE, "opt/m/second": TRUE + b"\0", "opt/m/ünïcode": TRUE + b"\0\0"}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fapolicyd]:
    folder = tmp_path_factory.mktemp("fapolicyd")
    host = hosts.host(folder)
    host.installed(host.bundle("m", files=FILES, modes=dict.fromkeys(FILES, 0o755)))
    write(host.root, "fapolicyd", folder / "out", NOW)
    with fapolicyd.system(folder) as system:
        _, root, _ = system
        (root / "opt/m").mkdir(parents=True)
        for name, data in (FILES | {"opt/m/other": ECHO}).items():
            (root / name).write_bytes(data)
            (root / name).chmod(0o755)
        with fapolicyd.running(folder, system, folder / "out/modseal.trust") as found:
            yield found


def test_its_database_has_what_is_exported(daemon: Fapolicyd) -> None:
    found = fapolicyd.database(daemon.run("fapolicyd-cli", "--dump-db").stdout.decode())
    expected = {f"/{name}": (len(data), hashlib.sha256(data).hexdigest()) for name, data in FILES.items()}
    assert {path: row for path, row in found.items() if path.startswith("/opt/")} == expected


@pytest.mark.parametrize("name", FILES)
def test_what_is_installed_runs(daemon: Fapolicyd, name: str) -> None:
    assert daemon.run(f"/{name}").returncode == 0


def test_what_is_not_installed_does_not_run(daemon: Fapolicyd) -> None:
    assert daemon.run("/opt/m/other").returncode == 126


def test_a_copy_under_another_name_does_not_run(daemon: Fapolicyd) -> None:
    shutil.copy(daemon.root / "opt/m/run", daemon.root / "opt/m/copy")  # the guard lets it run: it knows contents
    assert daemon.run("/opt/m/copy").returncode == 126


def test_a_file_that_was_exchanged_does_not_run(daemon: Fapolicyd) -> None:
    (daemon.root / "opt/m/new").write_bytes(TRUE[:-1] + b"x")
    (daemon.root / "opt/m/new").chmod(0o755)
    (daemon.root / "opt/m/new").rename(daemon.root / "opt/m/second")
    assert daemon.run("/opt/m/second").returncode == 126


def test_it_reads_no_line_after_a_path_with_a_space_and_so_none_is_written(tmp_path: Path) -> None:
    files = {"opt/m/run": TRUE, "opt/m/with space": ECHO, "opt/m/z": TRUE + b"z"}
    host = hosts.host(tmp_path)
    host.installed(host.bundle("m", files=files))
    with pytest.raises(RefusedError, match="has a space") as error:
        write(host.root, "fapolicyd", tmp_path / "out", NOW)
    assert error.value.failure.code == "unsafe-path"
    lines = (f"/{name} {len(data)} {hashlib.sha256(data).hexdigest()}\n" for name, data in files.items())
    (tmp_path / "trust").write_text("".join(lines))
    with fapolicyd.system(tmp_path) as system, fapolicyd.running(tmp_path, system, tmp_path / "trust") as daemon:
        found = fapolicyd.database(daemon.run("fapolicyd-cli", "--dump-db").stdout.decode())
        paths = sorted(path for path in found if path.startswith("/opt/"))
        if len(paths) == len(files):
            pytest.skip("this fapolicyd reads paths with spaces")
        assert paths == ["/opt/m/run"]
