"""`modseal host lockdown`, `modseal host break-glass` and `modseal break-glass` as transcripts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from builders.hosts import tree
from builders.transcript import Transcript, run, run_process
from cli.conftest import key_options
from modseal.cli.host import host as host_group

ROOT = ("--root", "R")
KEYS = (
    *("--controller", "keys/certified/signer.pem"),
    *("--break-glass", "keys/partner/signer.pem", "--break-glass", "keys/accepted/signer.pem"),
    *("--break-glass", "keys/community/signer.pem", "--threshold", "2"),
)


STORE = "R/var/lib/modseal"
LOGGED = (
    *(f"{STORE}/log.jsonl", f"{STORE}/current"),
    *(f"{STORE}/states/{number}{name}" for number in range(30) for name in ("", "/state.json", "/image")),
)
"""What changes where a refusal is logged, and nothing else does."""


def host(folder: Path, *arguments: object, **options: object) -> Transcript:
    return run("host", *arguments, *ROOT, cwd=folder, leaves=LOGGED, **options)


@pytest.fixture
def desk_host(signed: Path) -> Path:
    """The vendor's folder with a host `R`, on which a module is installed."""
    (signed / "R").mkdir()
    assert host(signed, "init", "--policy", "keys/policy.toml").code == 0
    assert host(signed, "install", "a.seal").code == 0
    return signed


@pytest.fixture
def strict(desk_host: Path) -> Path:
    """The same in strict mode."""
    assert host(desk_host, "lockdown", "set", "strict", *KEYS).code == 0
    return desk_host


def shown(folder: Path) -> dict:
    return json.loads(host(folder, "lockdown", "get", "--format", "json").out)


def make(folder: Path, name: str = "open.glass", signer: str = "partner") -> Transcript:
    found = shown(folder)
    numbers = ("--host", found["host"], "--lock", found["lock"] or "0" * 32)
    return run("break-glass", "create", *numbers, "--reason", "burnt", *key_options(signer), "-o", name, cwd=folder)


CHANGES = {
    "install": ("install", "a.vib"),
    "update": ("update", "a.vib"),
    "remove": ("remove", "acme-agent"),
    "rollback": ("rollback",),
    "activate": ("activate",),
    "prune": ("prune",),
    "recalls": ("recalls", "nothing.recall"),
    "acceptance set": ("acceptance", "set", "certified"),
    "policy set": ("policy", "set", "keys/policy.toml"),
    "lockdown set": ("lockdown", "set", "normal"),
}
"""Commands that change a host, but the one that ends strict mode and the one that makes a host."""
OTHERS = {
    *("init", "break-glass", "acceptance get", "policy show", "lockdown get", "list", "get", "history", "verify"),
    *("replay", "owner", "rebuild", "log", "export", "guard", "unit"),
}
"""Commands that change nothing that holds."""


def commands(group: click.Group, name: str = "") -> Iterator[str]:
    for each, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{name}{each} ")
        else:
            yield f"{name}{each}"


def test_no_command_of_a_host_is_forgotten() -> None:
    assert set(commands(host_group)) == CHANGES.keys() | OTHERS


def test_no_command_on_a_strict_host_changes_it(strict: Path) -> None:
    found = shown(strict)
    modules = host(strict, "list").out
    for number, command in enumerate(CHANGES.values(), 3):
        done = host(strict, *command)
        if command == ("activate",):  # nothing waits
            assert (done.code, done.out) == (0, "nothing to do\n")
            host(strict, "remove", "acme-agent")
            continue
        assert (done.code, done.out) == (1, ""), command
        assert done.err.startswith(f"modseal: {command[0]}: this host is in strict mode, and whoever asks on the host")
        assert "modseal host break-glass" in done.err
        assert len(host(strict, "log").out.splitlines()) == number + 1
    assert (shown(strict), host(strict, "list").out) == (found, modules)
    assert host(strict, "verify").code == 0
    assert host(strict, "init", "--policy", "keys/policy.toml").code == 2


def test_a_host_is_locked_down_and_recovered(desk_host: Path) -> None:
    assert shown(desk_host) | {"host": ""} == {
        "schema": "modseal/host-lockdown@1",
        "host": "",
        "mode": "normal",
        "lock": None,
        "controllers": [],
        "break_glass": {"keys": [], "threshold": 0},
    }
    dry = host(desk_host, "lockdown", "set", "strict", *KEYS, "--dry-run")
    assert (dry.code, "lock  " in dry.out) == (0, False)
    assert shown(desk_host)["mode"] == "normal"
    done = host(desk_host, "lockdown", "set", "strict", *KEYS)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[-1] == "Note host and lock somewhere else: who breaks the glass needs both."
    assert (shown(desk_host)["mode"], len(shown(desk_host)["break_glass"]["keys"])) == ("strict", 3)

    assert make(desk_host).code == 0
    few = host(desk_host, "break-glass", "open.glass")
    assert (few.code, few.out) == (1, "")
    assert "1 of the 2 keys that this host asks for have signed the file" in few.err
    endorse = ("break-glass", "endorse", "open.glass")
    twice = run(*endorse, *key_options("partner"), cwd=desk_host)
    assert (twice.code, "has signed already, and counts once" in twice.err) == (2, True)
    assert run(*endorse, *key_options("accepted"), cwd=desk_host).code == 0
    told = run("break-glass", "show", "open.glass", cwd=desk_host)
    assert (told.code, told.out.count("signed  key-sha256:")) == (0, 2)

    data = (desk_host / "open.glass").read_bytes()
    assert host(desk_host, "break-glass", "open.glass", "--dry-run").code == 0
    serial = run_process("host", "break-glass", "-", "--format", "json", *ROOT, cwd=desk_host, stdin=data)
    assert (serial.code, serial.err) == (0, "")
    assert json.loads(serial.out)["reason"] == "burnt"
    again = host(desk_host, "break-glass", "open.glass")
    assert (again.code, "which is in normal mode" in again.err) == (1, True)
    assert host(desk_host, "remove", "acme-agent").code == 0
    log = [line.split()[3] for line in host(desk_host, "log").out.splitlines()]
    assert log == ["init", "install", "lockdown", "refused", "break-glass", "refused", "remove"]


def test_a_lockdown_without_a_way_back_is_refused_with_the_way_to_have_one(desk_host: Path) -> None:
    before = tree(desk_host / "R")
    for given in ((), KEYS[:2], KEYS[2:]):
        done = host(desk_host, "lockdown", "set", "strict", *given)
        assert (done.code, done.out) == (1, "")
        assert "--controller" in done.err
        assert "--break-glass and --threshold" in done.err
    for given in (("--break-glass", "keys/partner/signer.pem"), ("--threshold", "3"), ("--controller", "sha256:00")):
        assert host(desk_host, "lockdown", "set", "strict", *given).code == 2
    assert tree(desk_host / "R") == before


def test_a_file_that_could_never_count_is_not_made(strict: Path) -> None:
    found = shown(strict)
    good = {"--host": found["host"], "--lock": found["lock"], "--reason": "x"}
    for bad in ({"--host": "1"}, {"--lock": "Z" * 32}, {"--reason": "a\nb"}, {"--expires": "2020-01-01"}):
        words = [word for option in ({**good, **bad}).items() for word in option]
        done = run("break-glass", "create", *words, *key_options("partner"), "-o", "o", cwd=strict)
        assert (done.code, done.out) == (2, "")
    late = run(
        *("break-glass", "create", *[w for o in good.items() for w in o], "--expires", "2099-01-01"),
        *(*key_options("partner"), "-o", "o"),
        cwd=strict,
    )
    assert (late.code, "more than 7 days" in late.err) == (2, True)
    assert not (strict / "o").exists()


def test_a_damaged_file_is_told_and_not_signed(strict: Path) -> None:
    make(strict)
    data = (strict / "open.glass").read_bytes()
    for bad in (data.replace(b"\n", b"\r\n"), data.replace(b"burnt", b"fired"), data[:-40], b""):
        (strict / "bad.glass").write_bytes(bad)
        assert run("break-glass", "show", "bad.glass", cwd=strict).code == 1
        assert run("break-glass", "endorse", "bad.glass", *key_options("accepted"), cwd=strict).code == 1
        assert (strict / "bad.glass").read_bytes() == bad
        assert host(strict, "break-glass", "bad.glass").code == 1
