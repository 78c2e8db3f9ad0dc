"""Whatever is changed of an installed image is found, each kind by its own code; what is not changed is not."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from builders import hosts
from builders.hosts import LIVE, Host
from builders.pki import NOW, crl, root, signer
from modseal.errors import RefusedError, UndecidedError
from modseal.format.level import Level
from modseal.format.manifest import Constraint
from modseal.host import event_log, export
from modseal.host import plan as planning
from modseal.host.documents import Event
from modseal.host.look import show_log
from modseal.host.store import Store, open_store, record_name
from modseal.trust.examination import Verdict

FILES = {
    "opt/acme": None,
    "opt/acme/bin/run": b"#!/bin/sh\necho run\n",
    "opt/acme/bin/other": b"#!/bin/sh\necho oth\n",
    "opt/acme/etc/conf": b"level = 1\n",
    "opt/acme/current": "bin/run",
    "opt/acme/empty": None,
    "usr/bin/acme": b"acme",
}


@pytest.fixture
def host(tmp_path: Path) -> Host:
    found = hosts.host(tmp_path)
    found.installed(found.bundle(files=FILES, modes={"opt/acme/bin/run": 0o755, "usr/bin/acme": 0o4755}))
    return found


def keep_times(path: Path, change: Callable[[Path], object]) -> None:
    """Change a file and put its times back, as who hides a change does."""
    status = path.stat()
    change(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@dataclass(frozen=True)
class Mutation:
    """One change of an image, and the code and path of what must be found."""

    change: Callable[[Path], object]
    code: str
    path: str
    root: bool = False


def swap_link(image: Path) -> None:
    (image / "opt/acme/current").unlink()
    (image / "opt/acme/current").symlink_to("bin/other")


def move(image: Path) -> None:
    (image / "opt/acme/bin/run").rename(image / "opt/acme/moved")


def file_as_link(image: Path) -> None:
    shutil.copyfile(image / "opt/acme/bin/run", image.parents[3] / "elsewhere")
    (image / "opt/acme/bin/run").unlink()
    (image / "opt/acme/bin/run").symlink_to(image.parents[3] / "elsewhere")


def device(image: Path) -> None:
    """A whiteout of overlayfs, which hides a file of the host."""
    os.mknod(image / "usr/bin/sudo", 0o020000, os.makedev(0, 0))


def exchange(image: Path) -> None:
    (image / "opt/acme/bin/run").rename(image / "opt/acme/bin/x")
    (image / "opt/acme/bin/other").rename(image / "opt/acme/bin/run")
    (image / "opt/acme/bin/x").rename(image / "opt/acme/bin/other")


MUTATIONS = {
    "changed byte": Mutation(
        lambda image: keep_times(image / "opt/acme/bin/run", lambda path: path.write_bytes(b"#!/bin/sh\necho ruN\n")),
        "installed-changed",
        "opt/acme/bin/run",
    ),
    "truncated": Mutation(
        lambda image: os.truncate(image / "opt/acme/etc/conf", 4), "installed-changed", "opt/acme/etc/conf"
    ),
    "longer": Mutation(
        lambda image: (image / "opt/acme/etc/conf").write_bytes(b"level = 11\n"),
        "installed-changed",
        "opt/acme/etc/conf",
    ),
    "extra file": Mutation(
        lambda image: (image / "opt/acme/bin/new").write_bytes(b"x"), "installed-extra", "opt/acme/bin/new"
    ),
    "extra folder": Mutation(lambda image: (image / "usr/games").mkdir(), "installed-extra", "usr/games"),
    "missing file": Mutation(
        lambda image: (image / "opt/acme/etc/conf").unlink(), "installed-missing", "opt/acme/etc/conf"
    ),
    "missing folder": Mutation(lambda image: (image / "opt/acme/empty").rmdir(), "installed-missing", "opt/acme/empty"),
    "mode": Mutation(lambda image: (image / "opt/acme/bin/other").chmod(0o755), "installed-mode", "opt/acme/bin/other"),
    "folder's mode": Mutation(lambda image: (image / "opt/acme").chmod(0o777), "installed-mode", "opt/acme"),
    "the image's own mode": Mutation(lambda image: image.resolve().chmod(0o777), "installed-mode", "."),
    "setuid set": Mutation(
        lambda image: (image / "opt/acme/bin/run").chmod(0o4755), "installed-mode", "opt/acme/bin/run"
    ),
    "setuid lost": Mutation(lambda image: (image / "usr/bin/acme").chmod(0o755), "installed-mode", "usr/bin/acme"),
    "owner": Mutation(
        lambda image: os.chown(image / "opt/acme/etc/conf", 1, -1), "installed-owner", "opt/acme/etc/conf", root=True
    ),
    "group": Mutation(
        lambda image: os.chown(image / "opt/acme/empty", -1, 1), "installed-owner", "opt/acme/empty", root=True
    ),
    "link's owner": Mutation(
        lambda image: os.lchown(image / "opt/acme/current", 1, -1), "installed-owner", "opt/acme/current", root=True
    ),
    "link leads elsewhere": Mutation(swap_link, "installed-link", "opt/acme/current"),
    "link for a file": Mutation(file_as_link, "installed-type", "opt/acme/bin/run"),
    "case twin": Mutation(
        lambda image: (image / "opt/acme/bin/RUN").write_bytes(b"x"), "installed-twin", "opt/acme/bin/RUN"
    ),
    "folder's twin": Mutation(lambda image: (image / "OPT").mkdir(), "installed-twin", "OPT"),
    "attribute": Mutation(
        lambda image: os.setxattr(image / "opt/acme/bin/run", "user.x", b"1"), "installed-attribute", "opt/acme/bin/run"
    ),
    "capability": Mutation(
        lambda image: os.setxattr(
            image / "opt/acme/bin/other",
            "security.capability",
            bytes.fromhex("0100000202000000000000000000000000000000"),
        ),
        "installed-attribute",
        "opt/acme/bin/other",
        root=True,
    ),
    "opaque folder": Mutation(
        lambda image: os.setxattr(image / "usr/bin", "trusted.overlay.opaque", b"y"),
        "installed-attribute",
        "usr/bin",
        root=True,
    ),
    "moved": Mutation(move, "installed-extra", "opt/acme/moved"),
    "exchanged": Mutation(exchange, "installed-changed", "opt/acme/bin/run"),
    "device": Mutation(device, "installed-extra", "usr/bin/sudo", root=True),
    "pipe for a file": Mutation(
        lambda image: ((image / "usr/bin/acme").unlink(), os.mkfifo(image / "usr/bin/acme")),
        "installed-type",
        "usr/bin/acme",
    ),
    "the extension's name": Mutation(
        lambda image: (image / "usr/lib/extension-release.d/extension-release.modseal").write_bytes(b"ID=bad\n"),
        "installed-changed",
        "usr/lib/extension-release.d/extension-release.modseal",
    ),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_every_change_of_an_image_is_found(host: Host, name: str) -> None:
    mutation = MUTATIONS[name]
    if mutation.root and os.geteuid() != 0:
        pytest.skip("needs root")
    assert host.codes() == []
    mutation.change(host.image)
    found = host.verify()
    assert found.verdict is Verdict.REJECTED
    assert (mutation.code, mutation.path) in [
        (one.failure.code, one.failure.evidence["path"]) for one in found.findings
    ], found.findings


@pytest.mark.parametrize("name", MUTATIONS)
def test_the_bundle_installed_again_puts_it_right(host: Host, name: str) -> None:
    if MUTATIONS[name].root and os.geteuid() != 0:
        pytest.skip("needs root")
    MUTATIONS[name].change(host.image)
    assert host.installed(host.root.parent / "acme-agent-1.0.seal").generation == 2
    assert host.codes() == []


def test_a_file_that_was_moved_is_named_with_its_old_place(host: Host) -> None:
    move(host.image)
    details = [one.failure.detail for one in host.verify().findings]
    assert "'opt/acme/moved' is not a module's, and has the content of 'opt/acme/bin/run', which is missing" in details


def test_a_change_of_a_vib_is_found(tmp_path: Path) -> None:
    """Its descriptor says no more than paths: the stored payload proves the rest."""
    host = hosts.host(tmp_path)
    host.installed(host.bundle(kind="vib", vib=LIVE))
    assert host.codes() == []
    path = host.image / "opt/acme-agent/bin/run"
    path.write_bytes(path.read_bytes()[::-1])
    assert host.codes() == ["installed-changed"]


@pytest.mark.parametrize("kind", ["seal", "vib"])
@pytest.mark.parametrize("part", ["manifest", "signature", "payload"])
def test_a_changed_record_proves_nothing(tmp_path: Path, kind, part: str) -> None:
    host = hosts.host(tmp_path)
    host.installed(host.bundle(kind=kind, **({"vib": LIVE} if kind == "vib" else {})))
    with host.store() as store:
        (name,) = store.generation(store.state.generation).modules
        record = store.module(name.record)
    digest = record.payloads[0].sha256 if part == "payload" else getattr(record, part)
    path = host.root / "var/lib/modseal/records" / digest[:2] / digest[2:]
    if part == "payload" and kind == "seal":
        assert not path.exists()
        return
    path.chmod(0o600)
    path.write_bytes(path.read_bytes().replace(b"a", b"b", 1)[:-1] + b"\n")
    found = host.verify()
    assert found.verdict is Verdict.REJECTED
    assert found.findings[0].module == "acme-agent"
    assert host.install(host.bundle("other")).verdict is Verdict.REJECTED
    again = host.root.parent / f"acme-agent-1.0.{kind}"
    assert host.installed(again).generation == 2
    assert host.codes() == []


def test_a_module_that_proves_nothing_any_more_can_be_removed(host: Host) -> None:
    host.installed(host.bundle("other"))
    with host.store() as store:
        (name, _) = store.generation(store.state.generation).modules
        path = store.path / record_name(store.module(name.record).manifest)
    path.unlink()
    assert [failure.code for failure in host.remove("other").failures] == ["installed-changed"]
    assert host.remove("acme-agent").verdict is Verdict.ACCEPTED
    assert host.modules() == {"other": "1.0"}
    assert host.codes() == []


@pytest.mark.parametrize("name", ["generations/1/generation.json", "states/1/state.json"])
def test_a_changed_document_decides_nothing(host: Host, name: str) -> None:
    path = host.root / "var/lib/modseal" / name
    path.chmod(0o600)
    path.write_bytes(path.read_bytes().replace(b"2026", b"2025", 1))
    assert ("log-broken" if name.startswith("states") else "host-invalid") in host.codes()


def test_a_store_that_others_can_enter_decides_nothing(host: Host) -> None:
    (host.root / "var/lib/modseal").chmod(0o755)
    with pytest.raises(UndecidedError, match="open to others"), open_store(host.root):
        pass


def test_a_signer_that_was_revoked_since_is_found(host: Host, tmp_path: Path) -> None:
    (tmp_path / "root.crl").write_bytes(crl(root(), signer()).public_bytes(Encoding.PEM))
    host.set_policy(more='[revocation]\ncrls = ["root.crl"]\n')
    found = host.verify()
    assert [(one.module, one.failure.code) for one in found.findings] == [("acme-agent", "revoked")]
    assert found.verdict is Verdict.REJECTED


def test_revocation_that_is_unknown_is_undecided(host: Host) -> None:
    host.set_policy(more="[revocation]\nrequired = true\n")
    assert host.codes() == ["revocation-unknown"]
    assert host.verify().verdict is not Verdict.ACCEPTED


def test_a_level_that_was_raised_by_the_policy_is_found(host: Host) -> None:
    host.set_policy(minimum="certified")
    assert host.codes() == ["level-below-minimum"]


def test_powers_are_judged_again(host: Host) -> None:
    host.set_policy(more="[anchor.may]\nsetuid = false\n")
    assert host.codes() == ["power-not-granted"]


def test_a_module_that_hides_what_it_is_from_the_record_is_found(tmp_path: Path) -> None:
    """Whether a file is a kernel module is recorded, and said by the file itself."""
    host = hosts.host(tmp_path)
    elf = b"\x7fELF" + bytes(12) + b"\1\0" + bytes(20)
    host.installed(host.bundle(files={"opt/driver": elf}))
    assert host.codes() == []
    host.set_policy(more="[anchor.may]\nkernel-modules = false\n")
    assert host.codes() == ["power-not-granted"]


def test_what_waits_is_verified_as_well(host: Host) -> None:
    host.installed(host.bundle("driver", kind="vib"))
    (host.root / "var/lib/modseal/generations/2/image/opt/driver/bin/run").write_bytes(b"driver 9.9")
    assert host.codes() == ["installed-changed"]


def test_the_link_that_systemd_follows_is_part_of_the_host(host: Host) -> None:
    link = host.root / "var/lib/extensions/modseal"
    link.unlink()
    assert host.codes() == ["installed-link"]
    link.symlink_to("/tmp")
    assert host.codes() == ["installed-link"]


def test_a_file_that_grew_beyond_all_measure_is_not_read(host: Host) -> None:
    os.truncate(host.image / "opt/acme/etc/conf", 1 << 40)
    assert host.codes() == ["installed-changed"]


def test_modules_of_several_levels_are_shown_with_their_own(tmp_path: Path) -> None:
    host = hosts.host(tmp_path, minimum="community")
    host.installed(host.bundle("low", level=Level.COMMUNITY), host.bundle("high", level=Level.CERTIFIED))
    assert [(one.name, str(one.level)) for one in host.verify().modules] == [
        ("high", "certified"),
        ("low", "community"),
    ]


@pytest.mark.parametrize("kind", ["seal", "vib"])
def test_a_folder_in_the_place_of_what_is_kept_of_a_module_is_a_finding(tmp_path: Path, kind: str) -> None:
    host = hosts.host(tmp_path)
    host.installed(host.bundle(kind=kind))
    with host.store() as store:
        (name,) = store.generation(store.newest).modules
        record = store.module(name.record)
        path = store.path / record_name(record.manifest if kind == "seal" else record.payloads[0].sha256)
    path.unlink()
    path.mkdir()
    assert "installed-changed" in host.codes()


def other_image(link: Path) -> None:
    """What systemd-sysext would merge is a copy with another program."""
    evil = link.parents[4] / "evil"
    shutil.copytree(link, evil, symlinks=True)
    (evil / "opt/acme/bin/run").write_bytes(b"#!/bin/sh\necho bad\n")
    link.unlink()
    link.symlink_to(evil)


def state_as_link(root: Path) -> None:
    store = root / "var/lib/modseal"
    other_image(store / "states/1/image")
    (store / "states/1").rename(root / "elsewhere")
    (store / "states/1").symlink_to(root / "elsewhere")


def extensions_as_link(root: Path) -> None:
    (root / "a/extensions").mkdir(parents=True)
    (root / "a/extensions/modseal").symlink_to("../modseal/current/image")
    (root / "a/modseal/current/image").mkdir(parents=True)
    shutil.rmtree(root / "var/lib/extensions")
    (root / "var/lib/extensions").symlink_to(root / "a/extensions")


def twin_extension(name: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        (root / name).mkdir(parents=True)

    return change


def folder_as_link(name: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        path = root / "var/lib/modseal" / name
        path.rename(root / "moved")
        path.symlink_to(root / "moved")

    return change


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda root: other_image(root / "var/lib/modseal/states/1/image"), "installed-link"),
        (state_as_link, "host-invalid"),
        (extensions_as_link, "installed-link"),
        (twin_extension("etc/extensions/modseal"), "installed-twin"),
        (twin_extension("run/extensions/modseal"), "installed-twin"),
        (twin_extension("var/lib/extensions/modseal.raw"), "installed-twin"),
        (twin_extension("var/lib/extensions/modseal.v"), "installed-twin"),
        (folder_as_link("generations"), "host-invalid"),
        (folder_as_link("generations/1"), "host-invalid"),
        (folder_as_link("generations/1/image"), "installed-type"),
        (folder_as_link("records"), "host-invalid"),
        (folder_as_link("states"), "host-invalid"),
    ],
)
def test_every_way_to_another_image_is_found(host: Host, change: Callable[[Path], None], code: str) -> None:
    change(host.root)
    assert code in host.codes()
    assert host.verify().verdict is not Verdict.ACCEPTED


@pytest.mark.parametrize("depth", [100, 1500])
def test_folders_deeper_than_any_module_has_are_found_and_go(host: Host, depth: int) -> None:
    descriptor = os.open(host.image / "opt", os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("x", dir_fd=descriptor)
        below = os.open("x", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)
    assert set(host.codes()) == {"installed-extra"}
    assert host.installed(host.root.parent / "acme-agent-1.0.seal").generation == 2
    assert host.codes() == []
    host.installed(host.bundle("other"))
    host.prune(1)
    assert not (host.root / "var/lib/modseal/generations/1").exists()


def log_as(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def change(log: Path) -> None:
        log.unlink()
        make(log)

    return change


@pytest.mark.parametrize(
    "spoil",
    [
        log_as(lambda log: None),
        log_as(Path.mkdir),
        log_as(os.mkfifo),
        log_as(lambda log: log.symlink_to("elsewhere")),
        lambda log: os.truncate(log, 1 << 30),
    ],
)
def test_a_spoiled_log_hides_nothing_and_keeps_nobody_from_removing(host: Host, spoil: Callable[[Path], None]) -> None:
    spoil(host.root / "var/lib/modseal/log.jsonl")
    (host.image / "opt/acme/bin/run").write_bytes(b"#!/bin/sh\necho bad\n")
    found = host.verify()
    assert found.verdict is Verdict.REJECTED
    assert {one.failure.code for one in found.findings} > {"installed-changed"}
    assert host.remove("acme-agent").verdict is Verdict.ACCEPTED


def replaced(path: Path) -> None:
    mode = path.stat().st_mode
    path.unlink()
    path.write_bytes(b"#!/bin/sh\necho bad\n")
    path.chmod(mode)


@pytest.mark.parametrize(
    "damage",
    [
        Path.unlink,
        replaced,
        lambda path: path.chmod(0o4755),
        lambda path: path.write_bytes(b"#!/bin/sh\necho bad\n"),  # shared with the image
    ],
)
def test_a_damaged_file_of_the_store_is_found_is_never_activated_and_is_repaired(
    host: Host, damage: Callable[[Path], object]
) -> None:
    run = host.image / "opt/acme/bin/run"
    (stored,) = [one for one in host.root.glob("var/lib/modseal/objects/*/*") if one.samefile(run)]
    other, again = host.bundle("other"), host.root.parent / "acme-agent-1.0.seal"
    damage(stored)
    assert host.verify().verdict is Verdict.REJECTED
    for options in ({"dry_run": True}, {}):
        refused = host.install(other, **options)
        assert [one.code for one in refused.failures] == ["installed-changed"]
        assert refused.generation is None
    for options in ({"dry_run": True}, {}):
        done = host.install(other, again, **options)
        assert done.verdict is Verdict.ACCEPTED
        assert done.plan
        assert [one.name for one in done.plan.repaired] == ["acme-agent"]
    assert host.codes() == []
    damage(next(one for one in host.root.glob("var/lib/modseal/objects/*/*") if one.samefile(run)))
    assert host.installed(again).generation == 3
    assert host.codes() == []


NEEDS = {"depends": (Constraint("lib", ">=", "1.0"),)}
UNLIKE: dict[str, list[dict[str, Any]]] = {
    "path-owned": [{"name": "a", "files": {"opt/x": b"a"}}, {"name": "b", "files": {"opt/x": b"b"}}],
    "dependency-missing": [{"name": "a", "related": NEEDS}],
    "path-not-mergeable": [{"name": "a", "files": {"usr/lib/os-release": b"ID=evil\n"}}],
    "module-conflicts": [{"name": "a", "related": {"conflicts": (Constraint("b"),)}}, {"name": "b"}],
}
"""Modules that no host takes together, each accepted by itself."""


@pytest.mark.parametrize("code", UNLIKE)
def test_modules_that_no_change_would_bring_together_are_no_generation(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who can write the store can put signed modules together as he likes; each is accepted by itself."""
    host = hosts.host(tmp_path)
    host.installed(host.bundle("before"))
    bundles = [host.bundle(**each) for each in UNLIKE[code]]
    assert code in [failure.code for failure in host.install(*bundles).failures]
    with monkeypatch.context() as patch:
        patch.setattr(planning, "together_failures", lambda _modules: iter(()))
        host.installed(*bundles)
    assert code in host.codes()
    with pytest.raises(RefusedError) as caught, open_store(host.root) as store:
        export.proved_modules(store, NOW)
    assert caught.value.failure.code == code
    host.rollback(1)
    assert [failure.code for failure in host.rollback(2).failures if failure.code == code]


def meanwhile(monkeypatch: pytest.MonkeyPatch, change: Callable[[], object], times: int = 1) -> None:
    """Have a change made while a host is verified, before its log is read."""
    left = [change] * times
    before = event_log.events

    def events(store: Store) -> Iterator[Event]:
        if left:
            left.pop()()
        return before(store)

    monkeypatch.setattr(event_log, "events", events)


def test_a_change_meanwhile_is_no_damage(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    other = host.bundle("other")
    meanwhile(monkeypatch, lambda: host.installed(other))
    found = host.verify()
    assert (found.findings, [one.name for one in found.modules]) == ((), ["acme-agent", "other"])
    meanwhile(monkeypatch, host.rollback)
    shown = show_log(host.root, whole=True)
    assert (shown.findings, shown.lines[-1].event.event if shown.lines[-1].event else "") == ((), "rollback")


def test_what_is_led_elsewhere_meanwhile_is_found(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def flip() -> None:
        store = host.root / "var/lib/modseal"
        (store / "states/7777").mkdir(exist_ok=True)
        (store / "current").unlink()
        (store / "current").symlink_to("states/7777")

    meanwhile(monkeypatch, flip)
    assert host.verify().verdict is not Verdict.ACCEPTED
