"""A document of the store that contradicts itself, or names what there cannot be, decides nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builders import hosts
from modseal.errors import UndecidedError
from modseal.host.documents import HostState, Reference, decode_state, encode


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> HostState:
    host = hosts.host(tmp_path_factory.mktemp("host"))
    host.installed(host.bundle())
    with host.store() as store:
        return store.state


OTHER = Reference(7, "0" * 64)


@pytest.mark.parametrize(
    "changes",
    [
        lambda state: {"kept": ()},
        lambda state: {"kept": state.kept[:1]},  # without the active one
        lambda state: {"kept": (*state.kept, state.kept[-1])},
        lambda state: {"kept": state.kept[::-1]},
        lambda state: {"kept": (*state.kept, replace(state.kept[-1], sha256="0" * 64))},
        lambda state: {"generation": replace(state.generation, sha256="0" * 64)},
        lambda state: {"pending": OTHER},
        lambda state: {"last": 0},
        lambda state: {"kept": (*state.kept, OTHER)},
        lambda state: {"changed": "2026-13-01T00:00:00Z"},
        lambda state: {"changed": "0000-01-01T00:00:00Z"},
        lambda state: {"event": replace(state.event, time="2026-02-30T00:00:00Z")},
    ],
)
def test_a_state_that_contradicts_itself_is_none(state: HostState, changes: Any) -> None:
    assert decode_state(encode(state), "s") == state
    with pytest.raises(UndecidedError) as raised:
        decode_state(encode(replace(state, **changes(state))), "s")
    assert raised.value.failure.code == "host-invalid"


def test_a_change_does_not_remove_the_active_generation_for_a_forged_state(tmp_path: Path) -> None:
    host = hosts.host(tmp_path)
    host.installed(host.bundle())
    with host.store() as store:
        forged = store.path / f"states/{store.state.event.number}/state.json"
        forged.chmod(0o600)
        forged.write_bytes(encode(replace(store.state, kept=())))
    with pytest.raises(UndecidedError):
        host.install(host.bundle("other"))
    assert (host.image / "opt/acme-agent/bin/run").exists()
