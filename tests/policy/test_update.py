"""Installing trust bundles: all of it or nothing, whatever fails."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from builders.bundles import snapshot
from builders.pki import NOW
from builders.trust_bundles import A, B, make, write
from modseal.errors import FormatError, InputError, ModsealError, UsageError
from modseal.policy import store as trust_store
from modseal.policy.update import read_bundle, update


@contextmanager
def unchanged(folder: Path) -> Iterator[None]:
    before = snapshot(folder)
    yield
    assert snapshot(folder) == before


def install(folder: Path, tmp_path: Path) -> Path:
    update(folder, [write(tmp_path, make())], [A.fingerprint], NOW)
    return folder


def test_a_first_install_makes_the_store_with_modes_that_do_not_depend_on_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        done = update(tmp_path / "etc" / "trust", [write(tmp_path, make())], [A.fingerprint], NOW)
    finally:
        os.umask(before)
    assert (done.bundle.version, done.previous) == (1, None)
    modes = {
        path.relative_to(tmp_path / "etc").as_posix(): path.stat().st_mode & 0o777
        for path in (tmp_path / "etc").rglob("*")
    }
    assert modes == {
        "trust": 0o755,
        "trust/state.json": 0o644,
        "trust/versions": 0o755,
        "trust/versions/1.trust": 0o644,
    }


def test_the_next_version_is_kept_beside_the_old_one_and_the_state_names_it(tmp_path: Path) -> None:
    folder = install(tmp_path / "store", tmp_path)
    done = update(folder, [write(tmp_path, make(2))], (), NOW + timedelta(hours=1))
    assert (done.bundle.version, done.previous) == (2, 1)
    found = trust_store.read(folder)
    assert found is not None
    assert (found.bundle.version, found.newest) == (2, NOW + timedelta(hours=1))
    assert sorted(path.name for path in (folder / "versions").iterdir()) == ["1.trust", "2.trust"]


def test_the_same_trust_bundle_again_only_advances_the_newest_time(tmp_path: Path) -> None:
    folder = install(tmp_path / "store", tmp_path)
    kept = (folder / "versions/1.trust").read_bytes()
    again = write(tmp_path, make(by=[B, A]))
    assert update(folder, [again], (), NOW + timedelta(days=1)).previous == 1
    found = trust_store.read(folder)
    assert found is not None
    assert found.newest == NOW + timedelta(days=1)
    assert (folder / "versions/1.trust").read_bytes() == kept


def test_an_initial_root_is_only_for_a_first_install(tmp_path: Path) -> None:
    folder = install(tmp_path / "store", tmp_path)
    with unchanged(folder), pytest.raises(UsageError, match="not by --initial-root"):
        update(folder, [write(tmp_path, make(1, [B]))], [B.fingerprint], NOW)


@pytest.mark.parametrize(
    ("version", "days", "code"),
    [
        (3, 0, "trust-bundle-gap"),
        (2, 200, "trust-bundle-expired"),
        (2, -1, "clock-set-back"),
    ],
)
def test_a_refused_trust_bundle_changes_nothing(tmp_path: Path, version: int, days: int, code: str) -> None:
    folder = install(tmp_path / "store", tmp_path)
    stick = write(tmp_path, make(version))
    with unchanged(tmp_path), pytest.raises(ModsealError) as caught:
        update(folder, [stick], (), NOW + timedelta(days=days))
    assert caught.value.failure.code == code


def test_a_refused_first_install_leaves_no_folder(tmp_path: Path) -> None:
    stick = write(tmp_path, make())
    with unchanged(tmp_path), pytest.raises(ModsealError):
        update(tmp_path / "etc" / "trust", [stick], [B.fingerprint], NOW)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("call", [1, 2, 3, 4])
@pytest.mark.parametrize("function", ["replace", "fsync", "fchmod"])
def test_whatever_fails_on_the_way_nothing_is_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, call: int, first: bool
) -> None:
    folder = tmp_path / "store"
    if not first:
        install(folder, tmp_path)
    stick = write(tmp_path, make() if first else make(2))
    before = snapshot(tmp_path)
    real, calls = getattr(os, function), [0]

    def failing(*arguments: object, **named: object) -> object:
        calls[0] += 1
        if calls[0] == call:
            raise OSError(28, "No space left on device")
        return real(*arguments, **named)

    monkeypatch.setattr(os, function, failing)
    try:
        update(folder, [stick], [A.fingerprint] if first else (), NOW + timedelta(hours=1))
    except InputError as error:
        assert "No space left" in error.failure.detail  # noqa: PT017 - some calls are after the deciding rename
        assert snapshot(tmp_path) == before
    else:
        found = trust_store.read(folder)
        assert found is not None
        assert found.bundle.version == (1 if first else 2), "what failed came after the rename that decides"


def test_what_an_interrupted_update_left_is_overwritten(tmp_path: Path) -> None:
    folder = install(tmp_path / "store", tmp_path)
    (folder / "versions/2.trust").write_bytes(b"half of it")
    update(folder, [write(tmp_path, make(2))], (), NOW)
    found = trust_store.read(folder)
    assert found is not None
    assert found.bundle.version == 2


def test_only_one_update_runs_at_a_time(tmp_path: Path) -> None:
    folder = install(tmp_path / "store", tmp_path)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with unchanged(folder), pytest.raises(InputError, match="another update"):
            update(folder, [write(tmp_path, make(2))], (), NOW)
    finally:
        os.close(descriptor)


def test_a_store_that_others_can_write_is_not_installed_into(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    folder.chmod(0o777)
    with unchanged(folder), pytest.raises(ModsealError) as caught:
        install(folder, tmp_path)
    assert caught.value.failure.code == "trust-store-invalid"


def test_a_damaged_store_is_not_installed_over(tmp_path: Path) -> None:
    folder = install(tmp_path / "store", tmp_path)
    (folder / "state.json").write_bytes(b"{}")
    with unchanged(folder), pytest.raises(ModsealError) as caught:
        update(folder, [write(tmp_path, make(2))], (), NOW)
    assert caught.value.failure.code == "trust-store-invalid"


def test_a_file_in_the_place_of_the_store_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with unchanged(tmp_path / "file"), pytest.raises(InputError):
        install(tmp_path / "file", tmp_path)


def test_a_trust_bundle_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.trust").write_bytes(b"!<arch>\n")
    with pytest.raises(FormatError, match=r"bad\.trust"):
        read_bundle(tmp_path / "bad.trust")
    with pytest.raises(InputError, match=r"none\.trust"):
        read_bundle(tmp_path / "none.trust")
