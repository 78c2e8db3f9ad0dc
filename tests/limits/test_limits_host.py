"""Limits of a host's image store: just under is read, just over decides nothing."""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from builders import hosts, recalls
from builders.pki import NOW
from limits.cover import bounds
from modseal import limits
from modseal.errors import FormatError, InputError, RefusedError, UndecidedError, UsageError
from modseal.files import folder
from modseal.format import break_glass
from modseal.format import recall as recall_format
from modseal.format.break_glass import BreakGlass
from modseal.format.times import time_text
from modseal.host import documents, event_log, index, measure, tpm
from modseal.host import verify as verifying
from modseal.host.damaged import is_changing
from modseal.host.documents import DepotRecord, Generation, Lockdown, ModuleName
from modseal.host.learned import keep_recalls
from modseal.host.lockdown import LockdownKeys, set_lockdown


@bounds("HOST_MODULES")
def test_a_generation_has_at_most_so_many_modules() -> None:
    modules = tuple(ModuleName("Acme", f"m{number}", "1", "0" * 64) for number in range(limits.HOST_MODULES))
    most = Generation(1, 0, time_text(NOW), "install", modules)
    assert documents.decode_generation(documents.encode(most), "g") == most
    more = Generation(1, 0, time_text(NOW), "install", (*modules, modules[0]))
    with pytest.raises(UndecidedError, match="items"):
        documents.decode_generation(documents.encode(more), "g")


@bounds("HOST_DEPOTS", "HOST_RECALLS")
def test_a_host_remembers_at_most_so_many_depots_and_recalls(tmp_path: Path) -> None:
    with hosts.host(tmp_path).store() as store:
        depots = tuple(DepotRecord(f"d{number}", "0" * 64) for number in range(limits.HOST_DEPOTS))
        most = replace(store.state, depots=depots, recalls=("0" * 64,) * limits.HOST_RECALLS)
        assert documents.decode_state(documents.encode(most), "s") == most
        for more in (replace(most, depots=(*depots, depots[0])), replace(most, recalls=(*most.recalls, "1" * 64))):
            with pytest.raises(UndecidedError, match="items"):
                documents.decode_state(documents.encode(more), "s")


@bounds("HOST_RECALLS_OF_ANCHOR")
def test_a_host_keeps_at_most_so_many_recalls_of_an_anchor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HOST_RECALLS_OF_ANCHOR", 2)
    host = hosts.host(tmp_path)
    for number in range(3):
        path = tmp_path / f"{number}.recall"
        path.write_bytes(recall_format.encode(recalls.make(name=f"list-{number}")))
        with pytest.raises(RefusedError, match="recalls of the anchor") if number == 2 else nullcontext():
            keep_recalls(host.root, [path], NOW)


@bounds("HOST_LOOKS", "HOST_CHANGE_LOOKS")
def test_a_host_that_is_always_changed_is_looked_at_so_many_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "HOST_CHANGE_LOOKS", 2)
    host = hosts.host(tmp_path)
    looks = []
    monkeypatch.setattr(verifying, "is_changing", lambda store: looks.append(store) or is_changing(store))
    (host.root / "var/lib/modseal/log.jsonl").unlink()
    assert (len(host.verify().findings), len(looks)) == (1, 1)
    with folder.locked(host.root / "var/lib/modseal"):
        assert [one.failure.code for one in host.verify().findings] == ["host-invalid"] * 2
    assert len(looks) == 1 + limits.HOST_LOOKS


@bounds("HOST_GENERATIONS")
def test_a_change_leaves_at_most_so_many_generations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HOST_GENERATIONS", 2)
    host = hosts.host(tmp_path)
    host.installed(host.bundle(version="1"))
    with host.store() as store:
        assert len(store.state.kept) == 2
    host.installed(host.bundle(version="2"))
    with host.store() as store:
        assert [one.number for one in store.state.kept] == [1, 2]


@bounds("HOST_DOCUMENT_SIZE", "HOST_LOG_SIZE")
def test_a_document_and_the_log_have_at_most_so_many_bytes(tmp_path: Path) -> None:
    host = hosts.host(tmp_path)
    with host.store() as store:
        for name, limit in (
            ("generations/0/generation.json", limits.HOST_DOCUMENT_SIZE),
            ("log.jsonl", limits.HOST_LOG_SIZE),
        ):
            path = store.path / name
            path.chmod(0o600)
            os.truncate(path, limit)
            assert len(store.read(name, limit)) == limit
            os.truncate(path, limit + 1)
        with pytest.raises(UndecidedError, match="over"):
            store.generation(store.state.generation)
        with pytest.raises(UndecidedError, match="over"):
            list(event_log.events(store))


@bounds("HOST_INDEX_STEPS")
def test_a_question_to_the_index_takes_at_most_so_many_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = hosts.host(tmp_path)
    host.installed(host.bundle(files={f"opt/acme/{number}": b"" for number in range(100)}))
    with host.store() as store:
        index.owners(store, "opt/acme/1", NOW)
        monkeypatch.setattr(limits, "HOST_INDEX_STEPS", 2000)
        assert len(index.owners(store, "opt/acme/1", NOW)) == 1
        monkeypatch.setattr(limits, "HOST_INDEX_STEPS", 300)
        with pytest.raises(InputError, match="interrupted"):
            index.owners(store, "opt/acme/1", NOW)


@bounds("HOST_KEYS")
def test_a_host_names_at_most_so_many_keys(tmp_path: Path) -> None:
    host = hosts.host(tmp_path)
    most = tuple(f"key-sha256:{number:064x}" for number in range(limits.HOST_KEYS))
    with host.store() as store:
        state = replace(store.state, lockdown=Lockdown(None, most, most, limits.HOST_KEYS))
        assert documents.decode_state(documents.encode(state), "s") == state
        more = replace(state, lockdown=Lockdown(None, (*most, "key-sha256:" + "f" * 64)))
        with pytest.raises(UndecidedError, match="items"):
            documents.decode_state(documents.encode(more), "s")
    set_lockdown(host.root, "normal", LockdownKeys(most), NOW)
    with pytest.raises(UsageError, match="names 16"):
        set_lockdown(host.root, "normal", LockdownKeys((*most, "key-sha256:" + "f" * 64)), NOW)


@bounds("BREAK_GLASS_SIZE", "BREAK_GLASS_DAYS")
def test_a_file_that_breaks_the_glass_has_at_most_so_many_bytes_and_days(monkeypatch: pytest.MonkeyPatch) -> None:
    most = BreakGlass("0" * 32, "0" * 32, NOW, NOW + timedelta(days=limits.BREAK_GLASS_DAYS), "it has to be")
    data = break_glass.encode(most)
    with pytest.raises(FormatError, match="more than 7 days"):
        break_glass.encode(replace(most, expires=most.expires + timedelta(seconds=1)))
    monkeypatch.setattr(limits, "BREAK_GLASS_SIZE", len(data))
    assert break_glass.decode(data).expires == most.expires
    monkeypatch.setattr(limits, "BREAK_GLASS_SIZE", len(data) - 1)
    with pytest.raises(FormatError, match="it is over"):
        break_glass.decode(data)


@bounds("HOST_FACTS", "HOST_FACT_SIZE")
def test_an_event_has_at_most_so_many_facts_of_that_size(tmp_path: Path) -> None:
    with hosts.host(tmp_path).store() as store:
        event = store.state.event
    many = {str(number): "" for number in range(limits.HOST_FACTS)}
    for most, more in (
        (many, {**many, "x": ""}),
        ({"a": "x" * limits.HOST_FACT_SIZE}, {"a": "x" * (limits.HOST_FACT_SIZE + 1)}),
    ):
        good, bad = (documents.encode_event(replace(event, facts=facts)) for facts in (most, more))
        assert documents.decode_event(good, "e").facts == most
        with pytest.raises(UndecidedError):
            documents.decode_event(bad, "e")
    line = measure.Measurement(dict.fromkeys(many, 0)).line()
    assert len(measure.replay(line, "log")) == 1
    with pytest.raises(FormatError):
        measure.replay(measure.Measurement({**dict.fromkeys(many, 0), "x": 0}).line(), "log")


def test_the_facts_of_the_largest_change_fit() -> None:
    """What could not be read again would leave a host that nobody can change."""
    name = "n" * limits.NAME_LENGTH
    listed = f"{name} {name} -> {name} ({'0' * 64}), "
    assert len(listed) * limits.HOST_MODULES < limits.HOST_FACT_SIZE


@bounds("FOLDERS_OPEN")
def test_so_many_folders_are_open_at_once_and_all_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[int] = []
    monkeypatch.setattr(limits, "FOLDERS_OPEN", 8)
    before = folder._open_closed
    monkeypatch.setattr(
        folder, "_open_closed", lambda *given: opened.append(len(os.listdir("/proc/self/fd"))) or before(*given)
    )
    for depth in (8, 9, 50):
        opened.clear()
        (tmp_path / "/".join("x" * depth)).mkdir(parents=True)
        descriptor = os.open(tmp_path, os.O_RDONLY)
        folder.empty(descriptor)
        os.close(descriptor)
        assert list(tmp_path.iterdir()) == []
        assert max(opened) - min(opened) <= 8


@bounds("TPM_SECONDS")
def test_a_tpm_is_awaited_so_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "tpm2_pcrextend"
    tool.write_text("#!/bin/sh\nexec sleep $SECONDS_TAKEN\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(limits, "TPM_SECONDS", 1)
    monkeypatch.setenv("SECONDS_TAKEN", "0")
    tpm.extend([])
    monkeypatch.setenv("SECONDS_TAKEN", "9")
    with pytest.raises(InputError, match="timed out"):
        tpm.extend([])
