"""What the policy grants, as comparisons of values: `[paths]`, undeclared bits, powers under each anchor."""

from __future__ import annotations

from dataclasses import replace

import pytest

from modseal.format.level import Level
from modseal.format.manifest import Entry, FileType, Manifest, Payload
from modseal.format.payload import Measured
from modseal.trust.granted import (
    Demand,
    PowerChecks,
    demand_of,
    judge,
    placement_failures,
    refusals,
    undeclared_modes,
)
from modseal.trust.policy import Anchor
from modseal.trust.powers import May, Power

ENTRIES = (
    Entry("opt", FileType.DIRECTORY, 0o755),
    Entry("opt/f", FileType.FILE, 0o644),
    Entry("opt/l", FileType.SYMLINK, 0o777, target="f"),
)
PAYLOAD = Payload("p", "vgz", 10, 20)
SEAL = Manifest("seal", "V", "n", "1", Level.COMMUNITY, payloads=(PAYLOAD,), files=ENTRIES)
VIB = replace(SEAL, kind="vib", files=(Entry("opt/f"), Entry("opt/l")))


def placed(*entries: Entry, allowed: tuple[str, ...] = ("opt/",), level: Level = Level.COMMUNITY) -> list[object]:
    manifest = replace(SEAL, claimed_level=level)
    return [failure.evidence["path"] for failure in placement_failures(manifest, entries, allowed)]


def folder(path: str, mode: int | None = 0o755) -> Entry:
    return Entry(path, FileType.DIRECTORY, mode)


def link(path: str, target: str) -> Entry:
    return Entry(path, FileType.SYMLINK, 0o777, target=target)


def test_everything_of_a_community_module_must_be_in_allowed_paths() -> None:
    assert placed(*ENTRIES) == placed(*ENTRIES, allowed=()) == []
    assert placed(*ENTRIES, allowed=("usr/", "op/")) == ["opt", "opt/f", "opt/l"]
    assert placed(*ENTRIES, allowed=("usr/",), level=Level.PARTNER) == []
    assert placed(Entry("opt"), Entry("etc/x"), Entry("opt/x")) == ["opt", "etc/x"]


@pytest.mark.parametrize("mode", [0o755, 0o777, 0o700, 0o4755, 0o1755, 0o2755, 0])
def test_above_the_allowed_paths_a_folder_must_be_a_plain_one(mode: int) -> None:
    above = [folder("etc", mode), folder("etc/vmware", mode), folder("etc/vmware/pciid", mode)]
    expected = [] if mode == 0o755 else [one.path for one in above]
    assert placed(*above, allowed=("etc/vmware/pciid/",)) == expected
    assert placed(folder("etc/vmware/pciid/x", mode), allowed=("etc/vmware/pciid/",)) == []


def test_no_link_and_no_file_stands_above_the_allowed_paths() -> None:
    for entry in (link("etc", "opt"), link("etc/vmware", "../opt"), Entry("etc", FileType.FILE, 0o644)):
        assert placed(entry, allowed=("etc/vmware/pciid/", "opt/")) == [entry.path]


def test_a_folder_at_one_prefix_and_below_another_is_below() -> None:
    assert placed(folder("opt/acme", 0o700), allowed=("opt/", "opt/acme/")) == []


@pytest.mark.parametrize(
    ("target", "fits"),
    [("y", True), ("../y", True), ("..", True), ("../../etc/cron.d", False), ("../..", False), ("../../opt", True)],
)
def test_a_link_must_lead_into_the_allowed_paths(target: str, fits: bool) -> None:
    assert placed(link("opt/x/link", target)) == ([] if fits else ["opt/x/link"])


def test_a_failure_says_what_is_wrong() -> None:
    entries = (Entry("etc/x"), folder("opt", 0o4777), link("opt/l", "../etc"), link("opt/l", ".."))
    assert [failure.detail for failure in placement_failures(SEAL, entries, ("opt/a/", "opt/l"))] == [
        "'etc/x' is outside the allowed paths of a community module",
        "'opt' has mode 4777, and only a plain folder (755) may be above the allowed paths of a community module",
        "'opt/l' leads to 'etc', outside the allowed paths of a community module",
        "'opt/l' leads to '.', outside the allowed paths of a community module",
    ]


def test_a_failure_names_the_list_that_it_is_held_against() -> None:
    [failure] = placement_failures(SEAL, (Entry("etc/x"),), ("opt/",), "esxi-8")
    assert failure.detail == "'etc/x' is outside the allowed paths of a community module (list esxi-8)"
    assert failure.evidence == {"path": "etc/x", "list": "esxi-8"}


def measured(*entries: Entry, listed: bool = True) -> Measured:
    return Measured({}, 10, 20, entries, (), listed)


@pytest.mark.parametrize("mode", [0o4755, 0o2755, 0o6755])
@pytest.mark.parametrize("index", [0, 1])
def test_a_community_module_brings_no_bits_that_nobody_declared(mode: int, index: int) -> None:
    entries = (*ENTRIES[:index], replace(ENTRIES[index], mode=mode), *ENTRIES[index + 1 :])
    for manifest, signed, refused in (
        (VIB, True, True),
        (VIB, False, True),
        (SEAL, True, False),
        (SEAL, False, True),
        (replace(VIB, claimed_level=Level.PARTNER), True, False),
    ):
        demand = demand_of(manifest, [(PAYLOAD, measured(*entries))], signed=signed)
        (*found,) = undeclared_modes(demand)
        assert [failure.code for failure in found] == (["unsafe-mode"] if refused else [])
        evidence = {"path": entries[index].path, "mode": f"{mode:o}", "cause": "setuid-undeclared"}
        assert all(failure.evidence == evidence for failure in found)


@pytest.mark.parametrize("mode", [0o1755, 0o755, 0o1777, None])
def test_the_sticky_bit_and_plain_modes_need_no_declaration(mode: int | None) -> None:
    demand = demand_of(VIB, [(PAYLOAD, measured(replace(ENTRIES[1], mode=mode)))], signed=True)
    assert list(undeclared_modes(demand)) == []


def test_what_is_declared_and_not_found_is_demanded_as_well() -> None:
    whole = demand_of(VIB, [(PAYLOAD, measured(ENTRIES[1]))], signed=True)
    assert [entry.path for entry in whole.entries] == ["opt/f", "opt/l"]
    assert whole.complete
    assert not demand_of(VIB, [], signed=True).complete
    assert not demand_of(VIB, [(PAYLOAD, measured(listed=False))], signed=True).complete


def test_a_folder_that_two_payloads_have_is_judged_in_both() -> None:
    other = replace(PAYLOAD, name="q")
    found = [(PAYLOAD, measured(folder("etc"))), (other, measured(folder("etc", 0o4777)))]
    demand = demand_of(replace(VIB, payloads=(PAYLOAD, other), files=()), found, signed=True)
    assert [failure.code for failure in undeclared_modes(demand)] == ["unsafe-mode"]
    assert [failure.code for failure in placement_failures(VIB, demand.entries, ("etc/x/",))] == ["path-not-allowed"]


# Powers, held against anchors.

UDEV, CRON = Entry("etc/udev/a", FileType.FILE, 0o644), Entry("etc/cron.d/a", FileType.FILE, 0o644)
WITHHOLDING = May(refused=frozenset({Power.AUTOSTART, Power.DEVICES}))
WIDE, NARROW, NARROWEST = (
    Anchor(name, Level.CERTIFIED, may=may)
    for name, may in (
        ("Wide", May()),
        ("Narrow", May(refused=frozenset({Power.DEVICES}))),
        ("Narrowest", WITHHOLDING),
    )
)


def doing(*entries: Entry, manifest: Manifest = SEAL, signed: bool = True, listed: bool = True) -> Demand:
    plain = replace(manifest, files=())
    return demand_of(plain, [(PAYLOAD, measured(*entries, listed=listed))], signed=signed)


def told(found: PowerChecks) -> list[tuple[int, str, str, str | None]]:
    return [(check.step, check.id, str(check.status), check.code) for check in found.checks]


def test_the_first_anchor_that_allows_everything_is_the_one_that_counts() -> None:
    found = judge(doing(UDEV), (NARROW, WIDE, NARROWEST), May())
    assert (told(found), found.anchor) == ([(8, "files.powers", "passed", None)], WIDE)
    assert found.checks[0].detail == "Wide allows all that the module does"


def test_an_unsigned_module_is_held_against_the_policy() -> None:
    found = judge(doing(CRON, signed=False), (None,), May())
    assert (told(found), found.anchor) == ([(8, "files.powers", "passed", None)], None)
    assert found.checks[0].detail == "the policy, for unsigned modules, allows all that the module does"
    refused = judge(doing(CRON, signed=False), (None,), WITHHOLDING)
    assert told(refused) == [(8, "files.powers", "failed", "power-not-granted")]
    assert refused.checks[0].detail == "unsigned modules may not: autostart ('etc/cron.d/a')"
    assert refused.checks[0].evidence == {"power": "autostart", "path": "etc/cron.d/a", "anchor": None}


def test_where_no_anchor_allows_everything_the_one_that_refuses_least_is_named() -> None:
    for holders in ((NARROW, NARROWEST), (NARROWEST, NARROW)):
        found = judge(doing(UDEV, CRON), holders, May())
        assert (told(found), found.anchor) == ([(8, "files.powers", "failed", "power-not-granted")], NARROW)
        assert found.checks[0].evidence == {"power": "devices", "path": "etc/udev/a", "anchor": "Narrow"}
    both = judge(doing(UDEV, CRON), (NARROWEST,), May())
    assert [check.evidence["power"] for check in both.checks] == ["devices", "autostart"]


def test_what_is_not_all_known_is_fine_for_who_may_do_everything_alone() -> None:
    for holders in ((WIDE,), (NARROW, WIDE)):
        found = judge(doing(listed=False), holders, May())
        assert (told(found), found.anchor) == ([(8, "files.powers", "not-applicable", None)], WIDE)
    found = judge(doing(listed=False), (NARROW, NARROWEST), May())
    assert (told(found), found.anchor) == ([(8, "files.examined", "inconclusive", None)], NARROW)
    within = Anchor("Within", Level.CERTIFIED, may=May(paths=("opt/",)))
    community = Anchor("Community", Level.COMMUNITY)
    for anchor in (within, community):
        assert told(judge(doing(listed=False), (anchor,), May()))[0][2] == "inconclusive"
    named = replace(community, may=May(granted=frozenset(Power)))
    assert told(judge(doing(listed=False), (named,), May()))[0][2] == "not-applicable"


def test_without_a_trusted_signer_bits_that_nobody_declared_are_told_all_the_same() -> None:
    found = judge(doing(Entry("opt/f", FileType.FILE, 0o4755), signed=False), (), May())
    assert (told(found), found.anchor) == ([(8, "files.powers", "not-applicable", None)], None)
    assert [failure.code for failure in found.unsafe] == ["unsafe-mode"]


def test_bits_that_nobody_declared_are_one_failure_and_not_a_power_as_well() -> None:
    demand = doing(Entry("opt/f", FileType.FILE, 0o4755), manifest=VIB)
    community = Anchor("Community", Level.COMMUNITY)
    assert [failure.code for failure in refusals(demand, community, May())] == ["unsafe-mode"]
    declared = replace(demand, undeclared=False)
    assert [failure.evidence["power"] for failure in refusals(declared, community, May())] == ["setuid"]


@pytest.mark.parametrize(("count", "said"), [(1, "'usr/0'"), (2, "'usr/0' and 1 more"), (3, "'usr/0' and 2 more")])
def test_a_refusal_names_the_first_path_and_counts_the_others(count: int, said: str) -> None:
    within = Anchor("Within", Level.CERTIFIED, may=May(paths=("opt/",)))
    entries = [Entry(f"usr/{number}", FileType.FILE, 0o644) for number in reversed(range(count))]
    (failure,) = refusals(doing(*entries, Entry("opt/f", FileType.FILE, 0o644)), within, May())
    assert (failure.code, failure.detail) == ("power-not-granted", f"signers under Within may not: paths ({said})")
    assert failure.evidence == {"power": "paths", "path": "usr/0", "anchor": "Within"}
