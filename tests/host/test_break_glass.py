"""The file that ends strict mode: what it takes, for which host, until when, and only once."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import hosts, lockdowns
from builders.hosts import Host, tree
from builders.lockdowns import actor, glass, holder, id_of
from builders.pki import NOW, Identity
from builders.transcript import SOURCE
from modseal.errors import Failure, FormatError, ModsealError, UndecidedError
from modseal.format import break_glass as glass_format
from modseal.format import statement_file
from modseal.format.level import Level
from modseal.host import event_log, lockdown, settings
from modseal.host.actor import Actor
from modseal.host.break_glass import BrokenGlass, break_glass, judge
from modseal.host.documents import HostState
from modseal.host.lockdown import LockdownKeys

A, B, C = (holder(number) for number in lockdowns.HOLDERS)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    host = hosts.host(tmp_path)
    lockdowns.lock(host)
    return host


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Host:
    """A strict host that no test changes."""
    host = hosts.host(tmp_path_factory.mktemp("locked"))
    lockdowns.lock(host)
    return host


def mode(host: Host) -> str:
    return state_of(host).lockdown.mode


def state_of(host: Host) -> HostState:
    with host.store() as store:
        return store.state


def code(host: Host, data: bytes, at=NOW) -> str | None:
    """Why a file does not end the strict mode of a host; None where it would."""
    found = judge(data, state_of(host), at)
    return found.code if isinstance(found, Failure) else None


def test_it_ends_strict_mode_for_everybody_and_is_logged(host: Host) -> None:
    before = state_of(host)
    found = break_glass(host.root, glass(host), NOW)
    assert found.keys == tuple(sorted((id_of(A), id_of(B))))
    after = state_of(host)
    assert after.lockdown == lockdown.changed(before.lockdown, "normal", LockdownKeys())
    assert (after.level, after.policy, after.generation, after.host) == (
        before.level,
        before.policy,
        before.generation,
        before.host,
    )
    assert after.event.event == "break-glass"
    assert after.event.facts["reason"] == "the controller has burnt"
    assert after.event.facts["keys"] == ", ".join(found.keys)
    host.installed(host.bundle())
    assert host.codes() == []


def test_it_is_used_once_whatever_comes_after(host: Host) -> None:
    first, second = glass(host), glass(host, B, C, reason="another one")
    break_glass(host.root, first, NOW)
    assert code(host, first) == code(host, second) == "break-glass-used"
    lockdown.set_lockdown(host.root, "strict", LockdownKeys(), NOW)
    assert code(host, first) == code(host, second) == "break-glass-used"
    assert code(host, glass(host)) is None


def test_a_lockdown_that_is_changed_takes_no_file_of_before(host: Host) -> None:
    before = glass(host)
    lockdown.set_lockdown(host.root, "strict", lockdowns.keys(threshold=1), NOW, actor=actor())
    assert code(host, before) == "break-glass-used"


def test_a_host_takes_no_file_of_another_one(locked: Host, tmp_path: Path) -> None:
    other = hosts.host(tmp_path)
    lockdowns.lock(other)
    assert state_of(other).host != state_of(locked).host
    assert code(locked, glass(other)) == "break-glass-other-host"
    assert code(locked, glass(locked, host=state_of(other).host)) == "break-glass-other-host"
    assert code(locked, glass(locked, lock=state_of(other).lockdown.lock)) == "break-glass-used"


def test_a_host_in_normal_mode_takes_none(tmp_path: Path) -> None:
    host = hosts.host(tmp_path)
    assert code(host, glass(host, lock="0" * 32)) == "break-glass-used"


def test_it_counts_from_its_first_second_to_before_its_last(locked: Host) -> None:
    start, end, second = NOW - timedelta(hours=1), NOW + timedelta(hours=1), timedelta(seconds=1)
    data = glass(locked, not_before=start, expires=end)
    assert [code(locked, data, at) for at in (start - second, start, end - second, end)] == [
        "break-glass-early",
        None,
        None,
        "break-glass-expired",
    ]


def test_it_takes_as_many_keys_as_the_host_says_each_once(locked: Host) -> None:
    other = holder(lockdowns.HOLDERS[0])
    assert other.der != A.der
    assert other.parsed.key_der == A.parsed.key_der
    stranger, controller = holder(lockdowns.STRANGER), holder(lockdowns.CONTROLLER)
    few: list[tuple[Identity, ...]] = [
        (A,), (A, A), (A, other), (A, stranger), (stranger, controller), (A, controller)
    ]  # fmt: skip
    assert [code(locked, glass(locked, *by)) for by in few] == ["break-glass-threshold"] * len(few)
    assert code(locked, lockdowns.signed(glass_format.decode(glass(locked)))) == "break-glass-threshold"
    enough: list[tuple[Identity, ...]] = [(A, B), (B, C), (A, B, C), (A, stranger, C), (other, B)]
    assert [code(locked, glass(locked, *by)) for by in enough] == [None] * len(enough)


def test_a_certificate_that_has_ended_costs_nobody_the_key(locked: Host) -> None:
    ended = holder(lockdowns.HOLDERS[0], end=NOW - timedelta(days=1))
    assert code(locked, glass(locked, ended, B)) is None


def test_a_key_that_is_too_weak_does_not_count(tmp_path: Path) -> None:
    host, weak = hosts.host(tmp_path), holder(1, "rsa-1024")
    keys = LockdownKeys((actor().key or "",), (id_of(weak),), 1)
    lockdown.set_lockdown(host.root, "strict", keys, NOW)
    assert code(host, glass(host, weak)) == "break-glass-threshold"


def test_a_signature_of_something_else_refuses_the_file(locked: Host) -> None:
    good = glass_format.decode(glass(locked))
    other = glass_format.decode(glass(locked, reason="something else"))
    mixed = glass_format.encode(glass_format.BreakGlass(**{**fields(good), "signature": other.signature}))
    assert code(locked, mixed) == "break-glass-invalid"


def fields(one: glass_format.BreakGlass) -> dict[str, object]:
    return {name: getattr(one, name) for name in one.__dataclass_fields__}


@pytest.mark.parametrize("data", [b"", b"!<arch>\n", b"\x00" * 100, b"!<arch>\nx"])
def test_what_is_no_such_file_is_refused(locked: Host, data: bytes) -> None:
    assert code(locked, data) == "break-glass-invalid"


@pytest.fixture(scope="module")
def good(locked: Host) -> bytes:
    return glass(locked)


@given(st.data())
def test_no_damage_of_a_good_file_lets_it_say_more(locked: Host, good: bytes, data: st.DataObject) -> None:
    """Every changed, cut, repeated or inserted byte refuses the file, or leaves all that it says and who says it."""
    at = data.draw(st.integers(0, len(good) - 1))
    kind = data.draw(st.sampled_from(["flip", "cut", "insert", "remove", "repeat"]))
    end = data.draw(st.integers(at, len(good)))
    bad = {
        "flip": good[:at] + bytes([good[at] ^ data.draw(st.integers(1, 255))]) + good[at + 1 :],
        "cut": good[:at],
        "insert": good[:at] + data.draw(st.binary(min_size=1, max_size=8)) + good[at:],
        "remove": good[:at] + good[end:],
        "repeat": good[:at] + good[at:end] * 2 + good[end:],
    }[kind]
    found = judge(bad, state_of(locked), NOW)
    if isinstance(found, BrokenGlass):
        assert found.glass.signed == glass_format.decode(good).signed
        assert found.keys == tuple(sorted((id_of(A), id_of(B))))
    else:
        assert found.code in ("break-glass-invalid", "break-glass-threshold")


def test_no_flipped_bit_of_what_is_signed_counts(locked: Host, good: bytes) -> None:
    state = state_of(locked)
    start = good.index(b"{")
    for at in range(start, start + len(glass_format.decode(good).signed)):
        for bit in (1, 32, 128):
            assert isinstance(judge(good[:at] + bytes([good[at] ^ bit]) + good[at + 1 :], state, NOW), Failure)


@pytest.mark.parametrize(
    "changes",
    [
        {"expires": NOW - timedelta(hours=1)},
        {"expires": NOW - timedelta(hours=2)},
        {"not_before": NOW, "expires": NOW + timedelta(days=7, seconds=1)},
        {"host": "0" * 31},
        {"lock": "A" * 32},
        {"reason": ""},
        {"reason": "two\nlines"},
    ],
)
def test_what_such_a_file_cannot_say(locked: Host, changes: dict[str, object]) -> None:
    with pytest.raises(FormatError) as error:
        glass(locked, **changes)
    assert error.value.failure.code == "break-glass-invalid"


def test_every_refusal_is_logged_and_the_clock_of_the_host_stays(host: Host) -> None:
    for data, at in ((b"nothing", NOW), (glass(host, A), NOW), (glass(host), NOW + timedelta(days=9000))):
        with pytest.raises(ModsealError):
            break_glass(host.root, data, at)
    with host.store() as store:
        found = [(one.event, one.facts.get("code")) for one in event_log.events(store)][-3:]
    assert found == [
        ("refused", "break-glass-invalid"),
        ("refused", "break-glass-threshold"),
        ("refused", "break-glass-expired"),
    ]
    assert mode(host) == "strict"
    break_glass(host.root, glass(host), NOW)


def test_a_dry_run_judges_and_uses_nothing(host: Host) -> None:
    data, before = glass(host), tree(host.root)
    assert break_glass(host.root, data, NOW, dry_run=True).keys
    with pytest.raises(ModsealError):
        break_glass(host.root, glass(host, A), NOW, dry_run=True)
    assert tree(host.root) == before
    break_glass(host.root, data, NOW)


def test_a_clock_that_was_set_back_brings_no_file_to_life(host: Host) -> None:
    data = glass(host, not_before=NOW - timedelta(days=2), expires=NOW - timedelta(days=1))
    with pytest.raises(UndecidedError) as error:
        break_glass(host.root, data, NOW - timedelta(days=2))
    assert error.value.failure.code == "clock-set-back"
    assert mode(host) == "strict"


def test_two_at_once_use_it_once(host: Host, tmp_path: Path) -> None:
    path = tmp_path / "open.break-glass"
    path.write_bytes(glass(host))
    call = (
        "import sys; from pathlib import Path; from datetime import datetime, UTC\n"
        "from modseal.host.break_glass import break_glass\n"
        "from modseal.errors import ModsealError\n"
        "input()\n"
        "try: break_glass(Path(sys.argv[1]), Path(sys.argv[2]).read_bytes(), datetime(2026, 1, 1, tzinfo=UTC))\n"
        "except ModsealError as error: print(error.failure.code)\n"
    )
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", call, host.root, path],
            env={"PYTHONPATH": str(SOURCE)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for run in runs:
        assert run.stdin
        run.stdin.write("\n")
        run.stdin.flush()
    said = sorted(run.communicate()[0].strip() for run in runs)
    assert said[0] == ""
    assert set(said[1:]) <= {"break-glass-used", "io-error"}
    with host.store() as store:
        assert [one.event for one in event_log.events(store)].count("break-glass") == 1
    assert mode(host) == "normal"


@pytest.mark.parametrize(
    "key", ["\x01" * 200_000, "k" * 1_000_000, "\ud800", "\u202e"], ids=["escapes", "long", "half", "bidi"]
)
def test_what_a_file_says_does_not_spoil_the_log_of_its_refusal(host: Host, key: str) -> None:
    document = b'{"%s":1}' % json.dumps(key)[1:-1].encode()
    data = statement_file.encode(glass_format.MEMBER, document, b"")
    with pytest.raises(ModsealError) as error:
        break_glass(host.root, data, NOW)
    assert error.value.failure.code == "break-glass-invalid"
    with host.store() as store:
        newest = list(event_log.events(store))[-1]
    assert (newest.event, newest.facts["code"]) == ("refused", "break-glass-invalid")
    assert len(newest.facts["detail"]) < 20_000
    break_glass(host.root, glass(host), NOW)


def test_a_reason_with_half_a_character_is_none(locked: Host) -> None:
    good = glass_format.decode(glass(locked))
    document = good.signed.replace(b"burnt", b"\\ud800")
    data = statement_file.encode(glass_format.MEMBER, document, good.signature)
    assert code(locked, data) == "break-glass-invalid"


def test_a_name_of_an_actor_does_not_spoil_the_log(host: Host) -> None:
    for name in ("CN=\ud800", "CN=" + "x" * 10_000_000, "CN=Müller\n"):
        settings.set_level(host.root, Level.COMMUNITY, NOW, actor=Actor(actor().key, name))
        settings.set_level(host.root, Level.PARTNER, NOW, actor=Actor(actor().key, name))
        with host.store() as store:
            assert len(list(event_log.events(store))[-1].by["name"]) < 20_000
    assert host.codes() == []
