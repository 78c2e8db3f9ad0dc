"""`modseal remote` as transcripts: two hosts on loopback that decide for themselves, asked from one desk."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from builders import managed
from builders.hosts import Host
from builders.lockdowns import HOLDERS, holder, id_of
from builders.managed import Desk
from builders.pki import root, signer
from builders.served import Served, served
from builders.transcript import Transcript, run
from modseal import limits
from modseal.format.level import Level

ASKED = ("--inventory", "remote.toml")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("desk")


@pytest.fixture(scope="module")
def desk(folder: Path) -> Desk:
    return managed.desk(folder)


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Served]]:
    """Two hosts that are served."""
    with ExitStack() as stack:
        folders = {name: tmp_path_factory.mktemp(name) for name in ("web", "strict")}
        yield {
            name: stack.enter_context(served(folder, "requests = 100000", root(7))) for name, folder in folders.items()
        }


@pytest.fixture
def fleet(desk: Desk, services: dict[str, Served], monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Host]]:
    """They are new: `web`, and `strict`, which takes nothing below `accepted`."""
    monkeypatch.setattr(limits, "REMOTE_PAUSE", 20)
    with desk.hosts(**services):
        yield {"web": services["web"].renew(), "strict": services["strict"].renew(Level.ACCEPTED)}


def remote(desk: Desk, *words: object, **options: object) -> Transcript:
    return run("remote", *ASKED, *words, cwd=desk.folder, **options)


def as_json(desk: Desk, *words: object) -> dict:
    done = remote(desk, "--format", "json", *words)
    return {one["host"]: one for one in json.loads(done.out)["hosts"]}


def test_each_host_decides_for_itself_and_the_worst_counts(desk: Desk, fleet: dict[str, Host]) -> None:
    bundle = fleet["web"].bundle("acme-agent", "1.0", signer())
    done = remote(desk, "web", "strict", "install", bundle)
    assert (done.code, done.err) == (1, "")
    first, second, empty, *table = done.out.splitlines()
    assert first == "web: installed  acme-agent 1.0 (Acme), claimed partner, proven partner"
    assert second == "web: generation 1 is active"
    assert empty == ""
    assert [line.split()[:2] for line in table[:3]] == [
        ["HOST", "VERDICT"],
        ["web", "accepted"],
        ["strict", "rejected"],
    ]
    assert "level-below-host" in table[2]
    assert table[3].startswith("strict: next: ")
    assert (fleet["web"].modules(), fleet["strict"].modules()) == ({"acme-agent": "1.0"}, {})


def test_what_a_host_says_is_what_its_own_command_prints(desk: Desk, fleet: dict[str, Host]) -> None:
    web = fleet["web"]
    web.installed(web.bundle("acme-agent", "1.0", signer()))
    for words in (["list"], ["history"], ["log"], ["log", "--verify"], ["acceptance", "get"], ["lockdown", "get"]):
        proved = ["--verify"] if words == ["log"] else []  # from outside, a log is always proved
        own = run("host", *words, *proved, "--root", web.root, "--format", "json", cwd=desk.folder)
        assert as_json(desk, "web", *words)["web"]["result"] == json.loads(own.out)
        assert remote(desk, "web", *words).code == 0
    shown = remote(desk, "web", "list")
    assert shown.out.splitlines()[0].split() == ["NAME", "VERSION", "VENDOR", "CLAIMED", "PROVEN"]
    assert "acme-agent  1.0" in remote(desk, "web", "list").out
    assert remote(desk, "web", "get", "acme-agent").out.startswith("acme-agent 1.0 (Acme), claimed partner")
    assert remote(desk, "web", "verify").out.startswith("accepted: generation 1, 1 module, ")


def test_a_dry_run_changes_nothing(desk: Desk, fleet: dict[str, Host]) -> None:
    web = fleet["web"]
    bundle = web.bundle("acme-agent", "1.0", signer())
    done = remote(desk, "web", "install", bundle, "--dry-run")
    assert (done.code, done.err) == (0, "modseal: this was a dry run; nothing was changed\n")
    assert web.modules() == {}
    web.installed(bundle)
    assert remote(desk, "web", "remove", "acme-agent", "--dry-run").code == 0
    assert web.modules() == {"acme-agent": "1.0"}


def test_update_remove_and_rollback(desk: Desk, fleet: dict[str, Host]) -> None:
    web = fleet["web"]
    old, new = (web.bundle("acme-agent", version, signer()) for version in ("1.0", "2.0"))
    assert remote(desk, "web", "install", old).code == 0
    assert "updated    acme-agent 2.0" in remote(desk, "web", "update", new).out
    assert "generation 1 is active" in remote(desk, "web", "rollback", "--to", 1).out
    assert web.modules() == {"acme-agent": "1.0"}
    assert "removed    acme-agent 1.0" in remote(desk, "web", "remove", "acme-agent").out
    assert remote(desk, "web", "remove", "acme-agent").code == 1


def test_a_refusal_is_told_in_the_words_of_the_host(desk: Desk, fleet: dict[str, Host]) -> None:
    bundle = fleet["web"].bundle("acme-agent", "1.0", signer())
    bundle.write_bytes(bundle.read_bytes().replace(b"acme-agent", b"acme-agemt"))
    done = remote(desk, "web", "install", bundle)
    assert done.code == 1
    assert "rejected: " in done.out
    done = remote(desk, "web", "get", "nothing")
    assert done.code == 1
    assert done.out.startswith("rejected: not-installed: ")
    assert done.out.splitlines()[1].startswith("next: ")


def test_acceptance_and_lockdown_are_set(desk: Desk, fleet: dict[str, Host]) -> None:
    assert remote(desk, "web", "acceptance", "set", "PartnerSupported").out.startswith("acceptance level partner, was ")
    keys = [word for number in HOLDERS for word in ("--break-glass", id_of(holder(number)))]
    words = ("lockdown", "set", "strict", "--controller", id_of(holder(100)), *keys, "--threshold", 2)
    assert remote(desk, "web", *words, "--dry-run").code == 0
    assert remote(desk, "web", "lockdown", "get").out.startswith("mode        normal\n")
    assert remote(desk, "web", *words).code == 0
    done = remote(desk, "web", "acceptance", "set", "accepted")
    assert (done.code, done.out.split(": ")[:2]) == (1, ["rejected", "host-locked-down"])


def test_one_that_is_silent_keeps_no_other_waiting(desk: Desk, fleet: dict[str, Host]) -> None:
    with (desk.folder / "remote.toml").open("a") as file:
        file.write('[host.gone]\naddress = "127.0.0.1:1"\n')
    done = remote(desk, "--all", "list")
    assert done.code == 3
    assert "gone    undecided  host-unreachable: gone: Connection refused" in done.out
    assert "strict: no module is installed" in done.out


def test_the_keys_stand_in_files_and_hosts_go_by_address(desk: Desk, fleet: dict[str, Host]) -> None:
    address = (desk.folder / "remote.toml").read_text().partition('address = "')[2].partition('"')[0]
    given = ("--ca", "ca.pem", "--cert", "desk.pem", "--key", "desk.key")
    assert run("remote", *given, f"https://{address}", "list", cwd=desk.folder).code == 0
    for missing, option in ((0, "--ca"), (2, "--cert"), (4, "--key")):
        done = run("remote", *given[:missing], *given[missing + 2 :], address, "list", cwd=desk.folder)
        assert (done.code, done.err) == (2, f"modseal: {address}: give {option}, or write it into the inventory\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("web",), "say after the hosts what to do: install, update"),
        (("list",), "name hosts, or say --all"),
        (("--all", "web", "list"), "name hosts, or say --all"),
        (("wep", "list"), "no host of the inventory is called 'wep'; did you mean 'web'?"),
        (("web", "web", "list"), "web is the same host as web"),
        (("web:0", "list"), "is not the address of a host"),
        ((".web", "list"), "is not the address of a host"),
        (("a..b:1", "list"), "is not the address of a host"),
        (("http://web:80", "list"), "is not the address of a host"),
    ],
)
def test_what_is_not_clear_is_not_asked(desk: Desk, fleet: dict[str, Host], words: tuple[str, ...], said: str) -> None:
    done = remote(desk, *words)
    assert done.code == 2
    assert said in done.err
