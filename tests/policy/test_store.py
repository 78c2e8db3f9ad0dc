"""The trust store as verifiers read it: current, private, undamaged, or no policy at all."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from builders.pki import NOW, root
from builders.trust_bundles import A, clock_at, make, write
from modseal.errors import ModsealError
from modseal.format import trust_bundle
from modseal.policy import sources as policy_sources
from modseal.policy import store as trust_store
from modseal.policy.sources import load
from modseal.policy.update import update


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    update(folder, [write(tmp_path, make())], [A.fingerprint], NOW)
    return folder


def refused(folder: Path, code: str, at: datetime = NOW) -> str:
    with pytest.raises(ModsealError) as caught:
        load(str(folder), at)
    assert (caught.value.failure.code, caught.value.exit_code) == (code, 3)
    return caught.value.failure.detail


def test_a_store_is_a_policy(store: Path) -> None:
    policy = load(str(store), NOW)
    assert policy.anchors[0].certificate == root().parsed
    assert policy.source == f"{store}/versions/1.trust:policy.toml"
    assert load(f"store:{store}", NOW).anchors == policy.anchors


def test_the_default_store_is_that_of_the_environment(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODSEAL_TRUST_STORE", str(store))
    assert load("store:", NOW).source.startswith(str(store))


def test_the_default_store_is_the_machines_for_root_and_the_users_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert trust_store.default_folder({}) == Path("/etc/modseal/trust")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", "/home/someone")
    assert trust_store.default_folder({}) == Path("/home/someone/.config/modseal/trust")


def test_an_expired_trust_bundle_gives_no_policy(store: Path) -> None:
    expires = make().expires
    assert load(str(store), expires - timedelta(seconds=1))
    assert "expired" in refused(store, "trust-bundle-expired", expires)


def test_a_clock_before_the_newest_time_seen_gives_no_policy(store: Path) -> None:
    refused(store, "clock-set-back", NOW - timedelta(seconds=1))


def test_the_clock_is_read_where_no_time_is_given(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy_sources, "datetime", clock_at(NOW))
    assert load(str(store))
    monkeypatch.setattr(policy_sources, "datetime", clock_at(make().expires))
    with pytest.raises(ModsealError) as caught:
        load(str(store))
    assert caught.value.failure.code == "trust-bundle-expired"


def test_a_folder_without_a_store_is_no_policy(tmp_path: Path) -> None:
    assert "neither a policy nor a trust store" in refused(tmp_path, "trust-store-invalid")
    assert refused(Path(f"store:{tmp_path}/none"), "trust-store-invalid")


@pytest.mark.parametrize("path", ["", "versions", "state.json", "versions/1.trust"])
def test_what_others_can_write_is_refused(store: Path, path: str) -> None:
    target = store / path
    for bit in (0o020, 0o002):
        mode = target.stat().st_mode
        target.chmod(mode | bit)
        assert "written by others" in refused(store, "trust-store-invalid")
        target.chmod(mode)
    assert load(str(store), NOW)


def test_what_belongs_to_another_user_is_refused(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = store.stat().st_uid
    if owner == 0:
        os.chown(store / "state.json", 1234, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    assert "belongs to user" in refused(store, "trust-store-invalid")


@pytest.mark.parametrize("path", ["state.json", "versions/1.trust"])
def test_a_link_is_not_followed(store: Path, path: str, tmp_path: Path) -> None:
    target = store / path
    target.rename(tmp_path / "elsewhere")
    target.symlink_to(tmp_path / "elsewhere")
    refused(store, "trust-store-invalid")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nonsense",
        b"[]",
        b"\xff",
        b'{"schema":"modseal/trust-store@1"}',
        b'{"newest":"yesterday","schema":"modseal/trust-store@1","sha256":"00","version":1}',
        b'{"newest":"2026-01-01T00:00:00Z","schema":"modseal/trust-store@1","sha256":"00","version":1}',
        b'{"newest":"2026-01-01T00:00:00Z","schema":"modseal/trust-store@1","sha256":"00","version":2}',
    ],
)
def test_a_damaged_state_is_refused(store: Path, data: bytes) -> None:
    (store / "state.json").write_bytes(data)
    refused(store, "trust-store-invalid")


def test_a_trust_bundle_that_was_exchanged_is_refused(store: Path) -> None:
    other = make(contents={**make().files, "policy.toml": make().files["policy.toml"] + b"\n"})
    (store / "versions/1.trust").write_bytes(trust_bundle.encode(other))
    assert "not the trust bundle that was installed" in refused(store, "trust-store-invalid")
    (store / "versions/1.trust").write_bytes(b"!<arch>\n")
    refused(store, "trust-store-invalid")
    (store / "versions/1.trust").unlink()
    refused(store, "trust-store-invalid")


def test_the_state_is_read_as_it_is_written() -> None:
    state = trust_store.StoreState(7, "ab" * 32, NOW)
    assert trust_store.decode_state(trust_store.encode_state(state), "state.json") == state
