"""Strict mode: the controllers change a host, and nobody else; what it takes to begin, and what is logged."""

from __future__ import annotations

import ast
import inspect
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from builders import hosts, image_profiles, lockdowns, policies, recalls, signed_depots
from builders.bundles import make
from builders.hosts import Host, tree
from builders.lockdowns import CONTROLLER, HOLDERS, STRANGER, actor, holder, id_of, keys
from builders.pki import NOW
from modseal import host as room
from modseal.errors import InputError, RefusedError, UndecidedError, UsageError
from modseal.format.level import Level
from modseal.format.manifest import Constraint
from modseal.format.recall import encode
from modseal.host import change, depots, documents, event_log, learned, lockdown, prune, settings, switch
from modseal.host.actor import LOCAL, Actor
from modseal.host.documents import Event, Lockdown
from modseal.host.lockdown import LockdownKeys, Mode, read_key, set_lockdown
from modseal.policy.sources import load

ROOM = Path(inspect.getfile(room)).parent
WANTED = make("seal", name="wanted", files={"opt/wanted": b"w"})


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return hosts.host(tmp_path)


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Host:
    """A host in strict mode on which every change has something to do: one generation waits."""
    host = hosts.host(tmp_path_factory.mktemp("busy"))
    host.installed(host.bundle("first"))
    host.installed(host.bundle("second"))
    host.installed(host.bundle("driver", kind="vib"))
    host.bundle("new")
    (host.root.parent / "a.recall").write_bytes(encode(recalls.make(recalls.entry("nothing"))))
    signed_depots.write(host.root.parent / "depot", signed_depots.contents(signed_depots.index(WANTED), (WANTED,)))
    policies.write(host.root.parent, name="stricter.toml", more='[deny]\nnames = ["x"]\n')
    lockdowns.lock(host)
    return host


def beside(host: Host, name: str) -> Path:
    return host.root.parent / name


CHANGES: dict[Callable[..., object], Callable[[Host, Actor], object]] = {
    change.install: lambda host, by: change.install(host.root, [beside(host, "new-1.0.seal")], NOW, actor=by),
    change.remove: lambda host, by: change.remove(host.root, ["first"], NOW, actor=by),
    depots.install_from: lambda host, by: depots.install_from(
        host.root, [Constraint("wanted")], [str(beside(host, "depot"))], NOW, actor=by
    ),
    depots.install_profile: lambda host, by: depots.install_profile(
        host.root, image_profiles.make(WANTED), [str(beside(host, "depot"))], NOW, actor=by
    ),
    learned.keep_recalls: lambda host, by: learned.keep_recalls(host.root, [beside(host, "a.recall")], NOW, actor=by),
    lockdown.set_lockdown: lambda host, by: set_lockdown(host.root, "normal", LockdownKeys(), NOW, actor=by),
    prune.prune: lambda host, by: prune.prune(host.root, 1, NOW, actor=by),
    settings.set_level: lambda host, by: settings.set_level(host.root, Level.COMMUNITY, NOW, actor=by),
    settings.set_policy: lambda host, by: settings.set_policy(
        host.root, load(str(beside(host, "stricter.toml"))), NOW, actor=by
    ),
    switch.rollback: lambda host, by: switch.rollback(host.root, None, NOW, actor=by),
    switch.activate: lambda host, by: switch.activate(host.root, NOW, actor=by),
}
"""Every function that changes a host, with a change that it makes."""
KEY_A, KEY_B = (f"key-sha256:{one * 64}" for one in "ab")
GATES = {"changing", "unlocking", "opened", "_visiting", "Staging"}
"""What leads to a store that can be written to."""


def functions() -> dict[str, ast.FunctionDef]:
    """Every function of the room by its module and name."""
    return {
        f"{path.stem}.{node.name}": node
        for path in sorted(ROOM.glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
    }


def test_every_function_that_changes_a_host_takes_an_actor_and_is_in_the_table() -> None:
    changing = {}
    for name, node in functions().items():
        calls = {one.func.id for one in ast.walk(node) if isinstance(one, ast.Call) and isinstance(one.func, ast.Name)}
        if calls & GATES:
            changing[name] = {one.arg for one in (*node.args.args, *node.args.kwonlyargs)}
    assert [name for name, arguments in changing.items() if "actor" not in arguments] == []
    public = {name for name in changing if name.rpartition(".")[2] not in GATES and "._" not in name}
    known = {f"{one.__module__.rpartition('.')[2]}.{one.__name__}" for one in CHANGES}
    assert public == known | {"break_glass.break_glass"}


def copied(busy: Host, folder: Path) -> Host:
    subprocess.run(["cp", "-a", busy.root.parent, folder / "site"], check=True)
    return Host(folder / "site" / "root")


def events(host: Host) -> list[Event]:
    with host.store() as store:
        return list(event_log.events(store))


@pytest.mark.parametrize("by", [LOCAL, actor(STRANGER)], ids=["local", "a stranger"])
def test_in_strict_mode_nobody_else_changes_anything_and_each_refusal_is_logged(
    tmp_path: Path, busy: Host, by: Actor
) -> None:
    host = copied(busy, tmp_path)
    for count, one in enumerate(CHANGES.values(), len(events(host))):
        with host.store() as store:
            before = replace(store.state, event=None)  # type: ignore[arg-type]
        with pytest.raises(RefusedError) as error:
            one(host, by)
        assert error.value.failure.code == "host-locked-down"
        with host.store() as store:
            assert replace(store.state, event=None) == before  # type: ignore[arg-type]
        logged = events(host)[count:]
        assert [(each.event, each.facts["code"], each.by.get("key")) for each in logged] == [
            ("refused", "host-locked-down", by.key)
        ]
    assert host.codes() == []


@pytest.mark.parametrize("called", CHANGES, ids=lambda one: one.__name__)
def test_in_strict_mode_a_controller_changes_everything(tmp_path: Path, busy: Host, called: Callable) -> None:
    host = copied(busy, tmp_path)
    with host.store() as store:
        before = replace(store.state, event=None)  # type: ignore[arg-type]
    CHANGES[called](host, actor())
    with host.store() as store:
        assert replace(store.state, event=None) != before  # type: ignore[arg-type]
        assert store.state.event.by["key"] == actor().key
        assert store.state.event.by["name"] == "CN=Holder 100"


def test_a_dry_run_is_refused_as_the_change_would_be_and_leaves_no_trace(busy: Host) -> None:
    before = tree(busy.root)
    for call in (
        lambda by: change.remove(busy.root, ["first"], NOW, dry_run=True, actor=by),
        lambda by: set_lockdown(busy.root, "normal", LockdownKeys(), NOW, dry_run=True, actor=by),
    ):
        with pytest.raises(RefusedError) as error:
            call(LOCAL)
        assert error.value.failure.code == "host-locked-down"
        call(actor())
    assert tree(busy.root) == before


def test_reading_stays_for_everybody(busy: Host) -> None:
    assert busy.codes() == []
    assert busy.modules() == {"first": "1.0", "second": "1.0"}
    assert events(busy)[-1].event == "lockdown"


def test_a_boot_of_a_strict_host_on_which_nothing_waits_is_no_refusal(host: Host) -> None:
    lockdowns.lock(host)
    before = tree(host.root)
    assert host.activate().generation is None
    assert tree(host.root) == before


def test_a_refusal_at_a_wrong_time_does_not_stop_the_controller(host: Host) -> None:
    lockdowns.lock(host)
    with pytest.raises(RefusedError):
        settings.set_level(host.root, Level.COMMUNITY, NOW + timedelta(days=40_000))
    settings.set_level(host.root, Level.COMMUNITY, NOW, actor=actor())
    with pytest.raises(UndecidedError) as error:
        settings.set_level(host.root, Level.PARTNER, NOW - timedelta(seconds=1), actor=actor())
    assert error.value.failure.code == "clock-set-back"
    assert [one.event for one in events(host)] == ["init", "lockdown", "refused", "acceptance"]


def refused_lockdown(host: Host, given: LockdownKeys, mode: Mode = "strict") -> str:
    before = tree(host.root)
    with pytest.raises((RefusedError, UsageError)) as error:
        set_lockdown(host.root, mode, given, NOW)
    assert tree(host.root) == before
    return error.value.failure.code


def test_strict_mode_needs_a_controller_and_a_way_back(host: Host) -> None:
    good = keys()
    assert refused_lockdown(host, LockdownKeys()) == "lockdown-incomplete"
    assert refused_lockdown(host, replace(good, controllers=())) == "lockdown-incomplete"
    assert refused_lockdown(host, LockdownKeys(good.controllers)) == "lockdown-incomplete"
    set_lockdown(host.root, "strict", good, NOW)


def test_the_way_back_does_not_lead_through_the_controllers(host: Host) -> None:
    assert refused_lockdown(host, keys(threshold=2, controllers=(CONTROLLER, *HOLDERS[:2]))) == "lockdown-incomplete"
    set_lockdown(host.root, "strict", keys(threshold=2, controllers=(CONTROLLER, HOLDERS[0])), NOW)


@pytest.mark.parametrize("threshold", [0, 4, None])
def test_the_threshold_is_one_that_the_keys_can_reach(host: Host, threshold: int | None) -> None:
    assert refused_lockdown(host, replace(keys(), threshold=threshold), "normal") == "usage"


def test_whom_a_host_names_can_be_prepared_and_stays_in_normal_mode(host: Host) -> None:
    prepared = set_lockdown(host.root, "normal", keys(), NOW).after
    assert (prepared.mode, prepared.lock) == ("normal", None)
    strict = set_lockdown(host.root, "strict", LockdownKeys(), NOW)
    assert strict.before == prepared
    assert replace(strict.after, lock=None) == prepared
    assert set_lockdown(host.root, "normal", LockdownKeys(), NOW, actor=actor()).after == prepared
    host.set_level(Level.COMMUNITY)


def test_the_same_again_changes_nothing_and_each_new_lockdown_has_a_lock_of_its_own(host: Host) -> None:
    first = lockdowns.lock(host)
    before = tree(host.root)
    assert set_lockdown(host.root, "strict", LockdownKeys(), NOW, actor=actor()).after == first
    assert tree(host.root) == before
    more = set_lockdown(host.root, "strict", keys(threshold=1), NOW, actor=actor()).after
    set_lockdown(host.root, "normal", LockdownKeys(), NOW, actor=actor())
    again = set_lockdown(host.root, "strict", LockdownKeys(), NOW).after
    assert len({first.lock, more.lock, again.lock}) == 3


@pytest.mark.parametrize(
    "found",
    [
        Lockdown("0" * 32),
        Lockdown("0" * 32, (KEY_A,)),
        Lockdown("0" * 32, (), (KEY_B,), 1),
        Lockdown(None, (), (KEY_B,), 0),
        Lockdown(None, (), (KEY_B,), 2),
        Lockdown(None, (), (), 1),
        Lockdown(None, (KEY_B, KEY_A)),
        Lockdown(None, (KEY_A, KEY_A)),
    ],
)
def test_a_state_that_nobody_could_end_or_that_has_two_forms_is_none(host: Host, found: Lockdown) -> None:
    with host.store() as store:
        data = documents.encode(replace(store.state, lockdown=found))
    with pytest.raises(UndecidedError) as error:
        documents.decode_state(data, "s")
    assert error.value.failure.code == "host-invalid"


def test_who_is_in_strict_mode_by_hand_is_found(host: Host) -> None:
    """Back to normal mode by an older state, or by one that was written by hand: the log tells."""
    lockdowns.lock(host)
    with host.store() as store:
        state, name = store.state, host.root / "var/lib/modseal" / store.state_name / "state.json"
    name.chmod(0o600)
    name.write_bytes(documents.encode(replace(state, lockdown=replace(state.lockdown, lock=None))))
    assert "log-broken" in host.codes()


def test_a_key_is_named_by_its_name_or_a_certificate_and_by_no_fingerprint(tmp_path: Path) -> None:
    one, again = holder(1), holder(1)
    plain = id_of(one)
    assert plain == id_of(again)
    assert read_key(plain) == plain
    for name, data in (("a.pem", one.pem), ("a.der", one.der)):
        (tmp_path / name).write_bytes(data)
        assert read_key(str(tmp_path / name)) == plain
    for text in (plain[:-1], plain.removeprefix("key-"), f"sha256:{one.fingerprint}"):
        with pytest.raises(UsageError, match="is not key-sha256: and 64"):
            read_key(text)
    with pytest.raises(InputError):
        read_key(plain.upper())
    for name, data in (("two.pem", one.pem + again.pem), ("key.pem", one.key_pem), ("cut.der", one.der[:-1])):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UsageError):
            read_key(str(tmp_path / name))
    (tmp_path / "weak.pem").write_bytes(holder(1, "rsa-1024").pem)
    with pytest.raises(RefusedError) as error:
        read_key(str(tmp_path / "weak.pem"))
    assert error.value.failure.code == "weak-key"


@pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl on this machine")
def test_openssl_and_sha256sum_give_the_same_name(tmp_path: Path) -> None:
    (tmp_path / "c.pem").write_bytes(holder(1).pem)
    command = "openssl x509 -in c.pem -noout -pubkey | openssl pkey -pubin -outform DER | sha256sum"
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert f"key-sha256:{done.stdout.split()[0]}" == read_key(str(tmp_path / "c.pem"))
