"""The state file: what it says comes back, and who could have written it otherwise is not believed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from builders import signed_depots as depots
from builders.pki import NOW
from builders.policies import trusting
from builders.trust_bundles import archive
from depot.client import Client
from modseal.depot import state
from modseal.depot.proved import Seen, prove
from modseal.errors import UndecidedError


@pytest.fixture
def place(tmp_path: Path) -> Path:
    path = tmp_path / "depot.state"
    index = depots.index()
    state.write(path, prove(index, (), trusting(), NOW), None, NOW)
    return path


def unusable(path: Path) -> str:
    with pytest.raises(UndecidedError) as caught:
        state.read(path)
    assert caught.value.failure.code == "depot-state-invalid"
    return caught.value.failure.detail


def test_what_was_seen_comes_back(place: Path) -> None:
    found = state.read(place)
    assert found
    assert (found.index.version, found.newest) == (1, NOW)
    assert state.decode(state.encode(found)) == found
    assert place.stat().st_mode & 0o777 == 0o600


def test_time_never_goes_back(place: Path) -> None:
    seen = state.read(place)
    proved = prove(depots.index(version=2), (), trusting(), NOW)
    state.write(place, proved, seen, NOW - depots.DAY)
    found = state.read(place)
    assert found
    assert found.newest == NOW


def test_no_file_means_that_nothing_was_seen(tmp_path: Path) -> None:
    assert state.read(tmp_path / "nothing") is None


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_a_file_that_others_can_write_is_not_believed(place: Path, mode: int) -> None:
    place.chmod(mode)
    assert "can be written by others" in unusable(place)


def test_a_link_is_not_followed(place: Path) -> None:
    (place.parent / "link").symlink_to(place)
    unusable(place.parent / "link")


def test_nothing_is_kept_where_others_can_exchange_it(place: Path) -> None:
    folder = place.parent / "shared"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(UndecidedError, match="others can exchange it"):
        state.write(folder / "state", prove(depots.index(), (), trusting(), NOW), None, NOW)
    assert not list(folder.iterdir())


@pytest.mark.parametrize("at", [0, 8, 70, -1])
def test_a_damaged_file_is_not_believed(place: Path, at: int) -> None:
    data = bytearray(place.read_bytes())
    data[at] ^= 1
    place.write_bytes(bytes(data))
    place.chmod(0o600)
    if at != -1:  # the last byte is the signature's, which is judged when it is needed
        unusable(place)


def test_a_file_of_other_members_is_not_believed(place: Path) -> None:
    place.write_bytes(archive([("state.json", b"{}")]))
    place.chmod(0o600)
    assert "its members are not" in unusable(place)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_not_believed(place: Path) -> None:
    os.chown(place, 12345, -1)
    assert "belongs to user 12345" in unusable(place)


def test_a_refused_depot_leaves_the_state_as_it_was(tmp_path: Path) -> None:
    client = Client(tmp_path)
    client.accepts(depots.index(version=2))
    before = client.state.read_bytes()
    client.refuses(depots.index(version=1), "depot-rollback")
    assert client.state.read_bytes() == before


def test_an_index_is_remembered_even_where_a_bundle_is_bad(tmp_path: Path) -> None:
    """The index is proved; that a bundle is missing makes no older index better."""
    client = Client(tmp_path)
    client.check(depots.index(version=2), held=[depots.SEAL])
    assert client.seen == 2
    assert isinstance(state.read(client.state), Seen)
