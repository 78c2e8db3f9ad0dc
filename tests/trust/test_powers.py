"""Powers: what a module does, by path, bits and content, held against what each anchor allows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from builders.bundles import KINDS, Bundle, accepted, codes, judge, make
from builders.pki import leaf, root, signer
from builders.policies import anchor, pin, trusting
from modseal.format.level import Level
from modseal.format.manifest import Constraint, Digest, Entry, FileType, Kind, Relationships, VibFields, View
from modseal.trust.examination import Verdict
from modseal.trust.policy import Policy
from modseal.trust.powers import GUARDED, PLACES, May, Power, uses

kinds = pytest.mark.parametrize("kind", KINDS)
PATH = "opt/acme/agent"
OBJECT = b"\x7fELF\2\1\1" + bytes(9) + b"\1\0" + bytes(46)
OTHERS = {"relationships": Relationships(replaces=(Constraint("other-agent"),))}
NARROW = {"names": ("acme-*",)}

DOES: dict[Power, dict[str, Any]] = {
    Power.KERNEL_MODULES: {"files": {PATH: OBJECT}},
    Power.SETUID: {"files": {PATH: b""}, "modes": {PATH: 0o4755}},
    Power.DEVICES: {"files": {"etc/udev/rules.d/9.rules": b""}},
    Power.AUTOSTART: {"files": {"etc/init.d/agent": b""}},
    Power.INTERPRETERS: {"files": {"opt/acme/python3.11": b""}},
    Power.REPLACE: OTHERS,
}
"""A module that needs this power and no other."""

SAID = {
    "default": May(),
    "granted": May(granted=frozenset(Power)),
    "refused": May(refused=frozenset(Power)),
}
ALLOWED: dict[tuple[str, bool], bool] = {
    ("default", False): True,
    ("default", True): False,
    ("granted", False): True,
    ("granted", True): True,
    ("refused", False): False,
    ("refused", True): False,
}
"""Whether a power is allowed, by what the policy says and whether the anchor's grant withholds it by default."""


def module(kind: Kind, power: Power, level: Level = Level.COMMUNITY, **changes: Any) -> Bundle:
    return make(kind, claimed_level=level, **{**DOES[power], **changes})


def refusal(bundle: Bundle, policy: Policy) -> dict[str, Any]:
    """The evidence of the one check that refuses the powers of a bundle."""
    found = judge(bundle, policy)
    assert found.verdict is Verdict.REJECTED
    (check,) = [one for one in found.checks if one.code == "power-not-granted"]
    assert (check.step, check.id) == (8, "files.powers")
    assert check.next_step
    return dict(check.evidence)


@kinds
@pytest.mark.parametrize("said", SAID)
@pytest.mark.parametrize("power", Power)
@pytest.mark.parametrize("level", [None, *Level], ids=lambda level: str(level) if level else "unsigned")
def test_the_table_of_powers(level: Level | None, power: Power, said: str, kind: Kind) -> None:
    """Each grant (or no signature), each power, each word of the policy, each format."""
    held = May() if level is None else SAID[said]
    rules = trusting(
        anchor(root(), level or Level.COMMUNITY, may=held, **NARROW),
        allow_unsigned_community=level is None,
        unsigned_may=SAID[said],
    )
    bundle = module(kind, power, level or Level.COMMUNITY)
    found = judge(bundle if level else bundle.unsigned(), rules)
    withheld = level in (None, Level.COMMUNITY) and power in GUARDED
    assert (found.verdict is Verdict.ACCEPTED) is ALLOWED[said, withheld], codes(found)
    undeclared = power is Power.SETUID and level in (None, Level.COMMUNITY) and (kind == "vib" or level is None)
    if found.verdict is not Verdict.ACCEPTED:
        assert codes(found) == ["unsafe-mode" if undeclared else "power-not-granted"]


def test_a_refusal_has_the_power_the_path_and_the_anchor() -> None:
    rules = trusting(anchor(root(), Level.COMMUNITY, "Acme CA"))
    assert refusal(module("vib", Power.KERNEL_MODULES), rules) == {
        "power": "kernel-modules",
        "path": PATH,
        "anchor": "Acme CA",
    }
    refused = trusting(anchor(root(), may=SAID["refused"], **NARROW))
    assert refusal(module("seal", Power.REPLACE), refused)["path"] == "other-agent"
    nobody = trusting(allow_unsigned_community=True)
    assert refusal(module("seal", Power.DEVICES).unsigned(), nobody)["anchor"] is None


def test_what_an_anchor_speaks_for_needs_no_power_to_be_replaced() -> None:
    accepted(module("seal", Power.REPLACE), trusting(anchor(root(), may=SAID["refused"])))


def test_a_vib_that_overlays_the_files_of_others_replaces() -> None:
    over = make("vib", vib=VibFields(overlay=True))
    accepted(over, trusting())
    refused = refusal(over, trusting(anchor(root(), may=SAID["refused"], name="Acme CA")))
    assert refused == {"power": "replace", "path": "overlay", "anchor": "Acme CA"}


@kinds
def test_bits_that_nobody_declared_need_a_grant_by_name(kind: Kind) -> None:
    """A certified anchor allows setuid by default, and that is for what its signers declare."""
    bundle = module(kind, Power.SETUID)
    assert codes(judge(bundle, trusting())) == (["unsafe-mode"] if kind == "vib" else [])
    accepted(bundle, trusting(anchor(root(), may=May(granted=frozenset({Power.SETUID})))))


@kinds
@pytest.mark.parametrize(("mode", "lends"), [(0o4755, True), (0o2755, True), (0o1777, False), (0o777, False)])
def test_folders_lend_rights_as_files_do(kind: Kind, mode: int, lends: bool) -> None:
    bundle = make(kind, claimed_level=Level.COMMUNITY, files={"opt/acme": None, PATH: b""}, modes={"opt/acme": mode})
    found = judge(bundle, trusting(anchor(root(), Level.COMMUNITY)))
    assert (found.verdict is Verdict.REJECTED) is lends


# By path and by content.


def needed(path: str, type_: FileType = FileType.FILE, **fields: Any) -> set[str]:
    return {str(use.power) for use in uses([Entry(path, type_, **fields)])}


@pytest.mark.parametrize(
    ("path", "power"),
    [
        ("etc/systemd/system/a.service", "autostart"),
        ("usr/lib/systemd/system-generators/a", "autostart"),
        ("lib/systemd/system/a.timer", "autostart"),
        ("etc/rc.local", "autostart"),
        ("etc/init.d/two\nlines", "autostart"),
        ("etc/rc.local.d/9.sh", "autostart"),
        ("etc/rc3.d/S99a", "autostart"),
        ("ETC/Init.d/a", "autostart"),
        ("etc/crontab", "autostart"),
        ("etc/cron.daily/a", "autostart"),
        ("etc/periodic/daily/a", "autostart"),
        ("etc/environment", "autostart"),
        ("etc/xinetd.d/a", "autostart"),
        ("home/anybody/.bashrc", "autostart"),
        ("home/anybody/.config/autostart/a.desktop", "autostart"),
        ("root/.zshenv", "autostart"),
        ("root/.ssh/rc", "autostart"),
        ("etc/skel/.profile", "autostart"),
        ("bootbank/a.v00", "autostart"),
        ("var/spool/cron/root", "autostart"),
        ("usr/libexec/jumpstart/plugins/a.json", "autostart"),
        ("etc/ld.so.preload", "autostart"),
        ("lib/udev/rules.d/a.rules", "devices"),
        ("usr/lib/tmpfiles.d/a.conf", "devices"),
        ("dev/a", "devices"),
        ("usr/lib/vmware/vmkmod/driver", "kernel-modules"),
        ("lib/modules/6.1/extra/a", "kernel-modules"),
        ("opt/acme/a.ko", "kernel-modules"),
        ("opt/acme/A.KO.xz", "kernel-modules"),
        ("etc/modules-load.d/a.conf", "kernel-modules"),
        ("etc/modprobe.d/a.conf", "kernel-modules"),
        ("bin/sh", "interpreters"),
        ("opt/acme/busybox", "interpreters"),
        ("lib64/ld-linux-x86-64.so.2", "interpreters"),
        ("opt/x/perl5.36.0", "interpreters"),
        ("etc/binfmt.d/a.conf", "interpreters"),
    ],
)
def test_places_and_names_need_their_power(path: str, power: str) -> None:
    assert needed(path) == {power}
    assert needed(path, FileType.SYMLINK, target="x") == {power}
    assert needed(path, FileType.DIRECTORY, mode=0o755) == set()


@pytest.mark.parametrize(
    "path", ["opt/etc/init.d/a", "etc/acme.conf", "opt/acme/bash.d/x", "opt/acme/a.kos", "bin/ash2"]
)
def test_other_places_and_names_need_none(path: str) -> None:
    assert needed(path) == set()


@pytest.mark.parametrize(
    ("path", "target", "powers"),
    [
        ("opt/x/link", "../../etc/cron.d", {"autostart"}),
        ("opt/x/link", "../../lib/modules", {"kernel-modules"}),
        ("opt/x/link", "../..", {"autostart", "devices", "interpreters", "kernel-modules"}),
        ("opt/x/link", "../y", set()),
        ("etc/cron.d", "../opt/x", {"autostart"}),
        ("lib", "opt/x", {"autostart", "devices", "interpreters", "kernel-modules"}),
        ("opt/x/link", "../../dev", {"devices"}),
    ],
)
def test_a_link_needs_what_it_makes_a_way_into(path: str, target: str, powers: set[str]) -> None:
    assert needed(path, FileType.SYMLINK, target=target) == powers


@pytest.mark.parametrize("path", ["etc/cron.d", "etc/cron.d/x", "etc", "lib/systemd"])
def test_a_folder_there_that_anybody_can_write_to_does_as_well(path: str) -> None:
    for mode in (0o777, 0o775, 0o1777):
        assert "autostart" in needed(path, FileType.DIRECTORY, mode=mode)
    assert needed("opt/acme", FileType.DIRECTORY, mode=0o777) == set()


@kinds
@pytest.mark.parametrize("path", [PATH, "opt/acme/readme.txt", "usr/lib/vmware/x"])
@pytest.mark.parametrize("order", [b"\1\0", b"\0\1"])
def test_a_relocatable_object_is_a_kernel_module_wherever_it_lies(kind: Kind, path: str, order: bytes) -> None:
    rules = trusting(anchor(root(), Level.COMMUNITY))
    data = OBJECT[:16] + order + OBJECT[18:]
    for size in (18, 64):
        bundle = make(kind, claimed_level=Level.COMMUNITY, files={path: data[:size]})
        assert refusal(bundle, rules)["power"] == "kernel-modules"
    for other in (data[:17], data[:16] + b"\2\0", b"\0" + data[1:], b""):
        accepted(make(kind, claimed_level=Level.COMMUNITY, files={path: other}), rules)


@pytest.mark.parametrize("payload_type", ["tgz", "vzstd", "vgz"])
def test_content_is_looked_at_in_every_payload_of_a_vib(payload_type: str) -> None:
    bundle = module("vib", Power.KERNEL_MODULES, payload_type=payload_type)
    assert refusal(bundle, trusting(anchor(root(), Level.COMMUNITY)))["path"] == PATH


def test_the_places_are_written_as_they_are_compared() -> None:
    for patterns in PLACES.values():
        for pattern in patterns:
            assert pattern == pattern.lower() or "NetworkManager" in pattern
            assert not pattern.startswith("/")
            assert "**" not in pattern


# Signers together.

TWO = (signer(), leaf("Second", issuer=root(1)))


@kinds
def test_one_signer_must_cover_all_that_a_module_does(kind: Kind) -> None:
    files = {"etc/init.d/a": b"", "etc/udev/a": b""}
    bundle = make(kind, *TWO, claimed_level=Level.COMMUNITY, files=files)
    starts = anchor(root(), Level.COMMUNITY, "Starts", may=May(refused=frozenset({Power.DEVICES})))
    devices = May(granted=frozenset({Power.DEVICES}), refused=frozenset({Power.AUTOSTART}))
    makes = anchor(root(1), Level.COMMUNITY, "Makes", may=devices)
    assert codes(judge(bundle, trusting(starts, makes))) == ["power-not-granted"]
    both = replace(makes, may=May(granted=frozenset({Power.DEVICES})))
    assert accepted(bundle, trusting(starts, both)).trusted[1][1] == "Makes"


@kinds
def test_the_powers_of_a_signer_who_is_not_trusted_count_for_nothing(kind: Kind) -> None:
    bundle = make(kind, *TWO, claimed_level=Level.COMMUNITY, **DOES[Power.DEVICES])
    stranger = anchor(root(1), Level.COMMUNITY, "Other vendor", vendors=("Other",), may=SAID["granted"])
    assert refusal(bundle, trusting(anchor(root(), Level.COMMUNITY, "Acme"), stranger))["anchor"] == "Acme"


@kinds
@pytest.mark.parametrize("power", Power)
def test_another_trusted_signature_takes_no_power_away(kind: Kind, power: Power) -> None:
    wide, narrow = (
        anchor(root(), Level.COMMUNITY, "W", may=SAID["granted"]),
        anchor(root(1), name="N", may=SAID["refused"]),
    )
    for signers in (TWO, tuple(reversed(TWO))):
        bundle = make(kind, *signers, claimed_level=Level.COMMUNITY, **DOES[power])
        accepted(bundle, trusting(narrow, wide, minimum_signers=2))


# What is not all known.


def boot() -> Bundle:
    """A `.vib` whose one payload nobody looks into."""
    good = make("vib", claimed_level=Level.PARTNER, files={})
    payload = good.manifest.payloads[0]
    raw = next(digest for digest in payload.digests if digest.view is View.RAW)
    return good.with_manifest(
        payloads=(replace(payload, type="boot", digests=(Digest("sha256", View.RAW, raw.value),)),)
    )


def powers_of(bundle: Bundle, policy: Policy) -> list[tuple[str, str | None]]:
    return [(str(one.status), one.code) for one in judge(bundle, policy).checks if one.step == 8]


def test_what_cannot_be_looked_into_is_undecided_unless_its_signer_may_do_everything() -> None:
    assert ("inconclusive", None) in powers_of(
        boot(), trusting(anchor(root(), may=May(refused=frozenset({Power.SETUID}))))
    )
    everything = [one for one in judge(boot(), trusting()).checks if one.id == "files.powers"]
    assert [str(one.status) for one in everything] == ["not-applicable"]
    assert judge(boot(), trusting()).verdict is Verdict.UNDECIDED


@kinds
def test_of_a_listing_that_breaks_off_the_powers_never_pass(kind: Kind) -> None:
    broken = make(kind, claimed_level=Level.COMMUNITY).with_payload(b"\x1f\x8bno gzip", b"", unpacked_size=0)
    for policy in (trusting(), trusting(anchor(root(), Level.COMMUNITY))):
        found = judge(broken, policy)
        assert not [one for one in found.checks if one.id == "files.powers" and one.status == "passed"]


# Paths of an anchor.


@kinds
def test_the_paths_of_an_anchor_bind_its_modules_whatever_they_claim(kind: Kind) -> None:
    for level in Level:
        for paths, fits in ((("opt/acme/",), True), (("opt/",), True), (("usr/", "opt/other/"), False)):
            rules = trusting(anchor(root(), may=May(paths=paths)))
            found = judge(make(kind, claimed_level=level), rules)
            assert (found.verdict is Verdict.ACCEPTED) is fits
            if not fits:
                assert refusal(make(kind, claimed_level=level), rules)["power"] == "paths"


# Several anchors.


@kinds
def test_every_anchor_on_one_ca_is_tried(kind: Kind) -> None:
    vendors = [anchor(root(), name=vendor, vendors=(vendor,)) for vendor in ("Acme", "Other")]
    for anchors in (vendors, vendors[::-1]):
        for vendor in ("Acme", "Other"):
            found = accepted(make(kind, vendor=vendor), trusting(*anchors))
            assert found.trusted == ((signer().fingerprint, vendor),)
        assert codes(judge(make(kind, vendor="Third"), trusting(*anchors))) == ["vendor-out-of-scope"]


@kinds
@pytest.mark.parametrize("make_anchor", [lambda **more: anchor(root(), **more), lambda **more: pin(signer(), **more)])
def test_grants_powers_and_pins_are_tried_as_well(kind: Kind, make_anchor: Any) -> None:
    low = make_anchor(grants=Level.COMMUNITY, name="Low")
    high = make_anchor(grants=Level.PARTNER, name="High", names=("acme-*",))
    driver = make_anchor(grants=Level.COMMUNITY, name="Driver", may=May(granted=frozenset({Power.KERNEL_MODULES})))
    for anchors in ((low, high, driver), (driver, high, low)):
        policy = trusting(*anchors)
        assert accepted(make(kind), policy).trusted[0][1] == "High"
        assert judge(make(kind, name="other"), policy).proven_level is None
        assert accepted(module(kind, Power.KERNEL_MODULES, name="other"), policy).trusted[0][1] == "Driver"
        accepted(make(kind), replace(policy, required_signers=("High",)))
        missing = judge(make(kind), replace(policy, required_signers=("Low",)))
        assert codes(missing) == ["required-signer-missing"]


@kinds
def test_a_signer_is_shown_under_the_anchor_that_allows_what_the_module_does(kind: Kind) -> None:
    plain = anchor(root(), Level.COMMUNITY, "Plain")
    driver = anchor(root(), Level.COMMUNITY, "Driver", may=May(granted=frozenset({Power.KERNEL_MODULES})))
    for anchors in ((plain, driver), (driver, plain)):
        found = accepted(module(kind, Power.KERNEL_MODULES), trusting(*anchors))
        (path,) = [check for check in found.checks if check.id == "chain.path"]
        assert path.evidence["anchor"] == "Driver"
        (one,) = found.judgements
        assert [outcome.path.anchor.name for outcome in one.outcomes if outcome.path] == ["Driver", "Plain"]
