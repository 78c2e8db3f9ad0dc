"""What the policy grants, as comparisons of values: `[paths]`, undeclared bits."""

from __future__ import annotations

from dataclasses import replace

import pytest

from modseal.format.level import Level
from modseal.format.manifest import Entry, FileType, Manifest, Payload
from modseal.format.payload import Measured
from modseal.trust.granted import demand_of, placement_failures, undeclared_modes

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
    entries = (Entry("etc/x"), folder("opt", 0o4777), link("opt/l", "../etc"))
    assert [failure.detail for failure in placement_failures(SEAL, entries, ("opt/a/", "opt/l"))] == [
        "'etc/x' is outside the allowed paths of a community module",
        "'opt' has mode 4777, and only a plain folder (755) may be above the allowed paths of a community module",
        "'opt/l' leads to 'etc', outside the allowed paths of a community module",
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
