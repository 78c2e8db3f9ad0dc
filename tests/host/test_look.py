"""What shows a host shows all that can be read of a damaged one, and nothing of it as proved that is not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from builders import hosts
from builders.pki import NOW
from builders.transcript import Transcript, run
from modseal.errors import UndecidedError
from modseal.host import look, values
from modseal.host.result_shape import SHAPE
from modseal.host.store import open_store, record_name
from modseal.trust.examination import Verdict

STORE = "root/var/lib/modseal"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A host with the modules `acme-agent` and `other`, of generations 1 and 2."""
    folder = tmp_path_factory.mktemp("sound")
    made = hosts.host(folder)
    made.installed(made.bundle())
    made.installed(made.bundle("other"))
    return folder


@pytest.fixture
def desk(sound: Path, tmp_path: Path) -> Path:
    """A copy of that host, to be damaged."""
    return shutil.copytree(sound, tmp_path / "desk", symlinks=True)


def spoil(path: Path) -> None:
    path.chmod(0o600)
    path.write_bytes(b"spoilt" + path.read_bytes()[6:])


def record(desk: Path, pick: Callable) -> Path:
    """Where a record is: `pick` gives its digest, of the store and of the record of `other`."""
    with open_store(desk / "root") as store:
        (other,) = (one for one in store.generation(store.newest).modules if one.name == "other")
        return store.path / record_name(pick(store, other, store.module(other.record)))


def host(desk: Path, *arguments: str) -> Transcript:
    """A command whose problems are part of its result."""
    done = run("host", *arguments, "--root", "root", cwd=desk)
    assert done.err == ""
    return done


def document(desk: Path, command: str, name: str = "", *, code: int) -> dict:
    """What a command shows, and the exit status that its verdict stands for."""
    root = desk / "root"
    match command:
        case "list":
            found = values.list_values(look.show_modules(root, NOW))
        case "get":
            found = values.get_values(look.show_module(root, name, NOW))
        case "history":
            found = values.history_values(look.show_history(root))
        case _:
            found = values.log_values(look.show_log(root, whole=True))
    assert SHAPE.problems(found) == []
    assert found["verdict"] == ("accepted", "rejected", None, "undecided")[code], found
    return found


def codes(found: dict) -> list[str]:
    return [one["code"] for one in found["findings"]]


def levels(found: dict) -> dict[str, str | None]:
    return {one["name"]: one["proven_level"] for one in found["modules"]}


def lines(done: Transcript) -> list[list[str]]:
    return [line.split() for line in done.out.splitlines()]


def test_nothing_is_found_on_a_sound_host(desk: Path) -> None:
    for arguments in (("list",), ("get", "other"), ("history",), ("log",)):
        assert document(desk, *arguments, code=0)["findings"] == []


@pytest.mark.parametrize(
    ("pick", "damage"),
    [
        (lambda store, other, kept: other.record, spoil),
        (lambda store, other, kept: kept.manifest, spoil),
        (lambda store, other, kept: kept.signature, Path.unlink),
    ],
    ids=["module", "manifest", "signature"],
)
def test_a_module_that_is_damaged_is_shown_as_such_among_the_others(
    desk: Path, pick: Callable, damage: Callable
) -> None:
    damage(record(desk, pick))
    done = host(desk, "list")
    assert done.code == 1
    assert run("host", "list", "--root", "root", "--format", "json", cwd=desk).code == 1
    assert lines(done)[:3] == [
        ["NAME", "VERSION", "VENDOR", "CLAIMED", "PROVEN"],
        ["acme-agent", "1.0", "Acme", "partner", "partner"],
        ["other", "1.0", "Acme", "unknown", "damaged"],
    ]
    assert "  other: installed-changed: " in done.out
    assert done.out.count("next: ") == 1
    found = document(desk, "list", code=1)
    assert levels(found) == {"acme-agent": "partner", "other": None}
    assert [(one["module"], one["code"]) for one in found["findings"]] == [("other", "installed-changed")]
    one = document(desk, "get", "other", code=1)
    assert (one["version"], one["proven_level"], one["signers"]) == ("1.0", None, [])
    assert codes(one) == ["installed-changed"]
    assert "damaged" in host(desk, "get", "other").out.splitlines()[0]
    assert document(desk, "get", "acme-agent", code=0)["proven_level"] == "partner"
    document(desk, "history", code=0)
    document(desk, "log", code=0)


@pytest.mark.parametrize("damage", [spoil, Path.unlink])
def test_what_an_unreadable_generation_has_is_not_said_to_be_nothing(desk: Path, damage: Callable) -> None:
    damage(desk / STORE / "generations/2/generation.json")
    done = host(desk, "list")
    assert (done.code, "no module is installed" in done.out) == (3, False)
    assert codes(document(desk, "list", code=3)) == ["host-invalid"]
    with pytest.raises(UndecidedError, match=r"cannot be used|No such file"):
        look.show_module(desk / "root", "other", NOW)
    assert [line[:6] for line in host(desk, "history").out.splitlines()][:3] == ["*!   2", "  next", "     0"]
    found = document(desk, "history", code=3)
    assert [one["number"] for one in found["generations"]] == [0, 1]
    assert (codes(found), found["lost"]) == (["host-invalid"], [])
    document(desk, "log", code=0)


def test_another_generation_in_the_place_of_the_one_that_was_made(desk: Path) -> None:
    path = desk / STORE / "generations/2/generation.json"
    path.chmod(0o600)
    path.write_bytes(path.read_bytes().replace(b"2026", b"2025", 1))
    found = document(desk, "list", code=3)
    assert (codes(found), levels(found)) == (["host-invalid"], {"acme-agent": "partner", "other": "partner"})
    assert codes(document(desk, "get", "other", code=3)) == ["host-invalid"]
    assert codes(document(desk, "history", code=3)) == ["host-invalid"]


@pytest.mark.parametrize("what", ["policy", "state", "pointer", "open"])
def test_where_nothing_says_which_policy_holds_no_module_is_proved(desk: Path, what: str) -> None:
    if what == "policy":
        spoil(record(desk, lambda store, other, kept: store.state.policy.text))
    elif what == "state":
        spoil(desk / STORE / "states/2/state.json")
    elif what == "pointer":
        (desk / STORE / "current").unlink()
    else:
        (desk / STORE).chmod(0o755)
    found = document(desk, "list", code=3)
    assert codes(found) == ["host-invalid"]
    assert levels(found)
    assert set(levels(found).values()) == {None}
    one = document(desk, "get", "acme-agent", code=3)
    assert (one["proven_level"], one["claimed_level"], codes(one)) == (None, "partner", ["host-invalid"])
    assert [signer["anchor"] for signer in one["signers"]] == [None]
    text = host(desk, "get", "acme-agent").out
    assert "unproved" in text.splitlines()[0]
    assert text.count("next: ") == 1
    assert document(desk, "history", code=0 if what == "policy" else 3)["generations"]
    events = document(desk, "log", code=0 if what == "policy" else 3)["events"]
    assert [one["event"] for one in events] == ["init", "install", "install"]
    assert {one["proved"] for one in events} == {what == "policy"}


def test_by_a_clock_that_was_set_back_no_module_is_proved(desk: Path) -> None:
    found = values.list_values(look.show_modules(desk / "root", NOW - timedelta(days=1)))
    assert (codes(found), set(levels(found).values())) == (["clock-set-back"], {None})


def test_a_store_without_any_state_still_shows_its_log(desk: Path) -> None:
    shutil.rmtree(desk / STORE / "states")
    found = document(desk, "log", code=3)
    assert [(one["event"], one["proved"]) for one in found["events"]] == [
        ("init", False),
        ("install", False),
        ("install", False),
    ]
    for show in (look.show_history, lambda root: look.show_modules(root, NOW)):
        with pytest.raises(UndecidedError):
            show(desk / "root")


def test_a_damaged_line_of_the_log_is_marked_and_what_is_not_linked_to_the_state_is_not_proved(desk: Path) -> None:
    path = desk / STORE / "log.jsonl"
    whole = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([whole[0], b"spoilt" + whole[1][6:], whole[2]]))
    done = host(desk, "log")
    assert done.code == 1
    assert [line[:2] for line in done.out.splitlines()] == ["? ", "! ", "  ", "  "]
    assert "log-broken: the event log is broken at line 2" in done.out.splitlines()[1]
    found = document(desk, "log", code=1)
    assert [(one["number"], one["proved"]) for one in found["events"]] == [(0, False), (2, True)]
    assert (codes(found), found["head"]) == (["log-broken"], None)
    verified = host(desk, "log", "--verify")
    assert (verified.code, "unbroken" in verified.out) == (1, False)
    assert "log-broken: " in verified.out


def test_a_line_that_was_changed_and_still_reads_well_is_not_proved(desk: Path) -> None:
    path = desk / STORE / "log.jsonl"
    path.write_bytes(path.read_bytes().replace(b"acme-agent 1.0", b"acme-agent 9.9"))
    found = document(desk, "log", code=1)
    assert [one["proved"] for one in found["events"]] == [False, False, True]
    assert codes(found) == ["log-broken"]


@pytest.mark.parametrize(("damage", "code"), [(Path.unlink, 3), (lambda path: path.write_bytes(b""), 1)])
def test_without_a_log_the_newest_event_is_the_one_of_the_state(desk: Path, damage: Callable, code: int) -> None:
    damage(desk / STORE / "log.jsonl")
    found = document(desk, "log", code=code)
    assert [(one["number"], one["proved"]) for one in found["events"]] == [(2, True)]


def test_a_lost_generation_hides_no_other_one(desk: Path) -> None:
    spoil(desk / STORE / "generations/0/generation.json")
    found = document(desk, "history", code=3)
    assert ([one["number"] for one in found["generations"]], codes(found)) == ([1, 2], [])
    assert [one["code"] for one in found["lost"]] == ["generation-lost"]
    document(desk, "list", code=0)


def test_a_vib_that_is_accepted_is_listed_as_proved(tmp_path: Path) -> None:
    """What it brings, which the verdict depends on, is in its payloads alone."""
    host = hosts.host(tmp_path)
    host.installed(host.bundle(kind="vib", vib=hosts.LIVE))
    (one,) = look.show_modules(host.root, NOW).modules or ()
    assert one.module
    assert one.module.examination.verdict is Verdict.ACCEPTED
