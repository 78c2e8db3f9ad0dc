"""The solver holds a set against what its modules bring, and against the ESXi that is in it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from modseal.errors import Failure
from modseal.format.manifest import Entry, FileType, Relationships
from modseal.profile.candidates import Candidate, Refused
from modseal.profile.installed import TargetModules
from modseal.profile.solve import Solution, parse_asked, solve


def module(name: str, version: str = "1.0", *paths: str, depends: tuple[str, ...] = (), **more: Any) -> Candidate:
    files = tuple(Entry(path, FileType.FILE) for path in paths or (f"opt/{name}/f",))
    related = Relationships(depends=tuple(map(parse_asked, depends)))
    return Candidate(name, version, "Acme", related, depot="D", path=f"{name}-{version}.vib", files=files, **more)


def there(*modules: Candidate) -> TargetModules:
    return TargetModules(tuple(replace(one, depot="", path="") for one in modules))


def solved(*asked: str, among: list[Candidate], installed: TargetModules | None = None) -> Solution:
    return solve([parse_asked(one) for one in asked], among, installed or TargetModules(), lambda _: None)


def names(solution: Solution) -> list[str]:
    return [f"{one.name} {one.version}" for one in solution.modules]


CLASHES = [("opt/shared/f", "opt/shared/f"), ("opt/shared/f", "opt/Shared/F"), ("opt/f", "opt/f/below")]


@pytest.mark.parametrize(("one", "other"), CLASHES, ids=["same path", "letter case", "below a file"])
def test_two_that_bring_one_path_are_never_together(one: str, other: str) -> None:
    c1, c2 = module("c1", "1.0", one), module("c2", "1.0", other)
    assert names(solved("c1", "c2", among=[c1, module("c2")])) == ["c1 1.0", "c2 1.0"]
    found = solved("c1", "c2", among=[c1, c2])
    assert not found.modules
    assert not found.uncertain
    assert len(found.reasons) == 1
    assert "which c1 1.0 has" in found.reasons[0] or "which c2 1.0 has" in found.reasons[0]
    found = solved("c2", among=[c2], installed=there(c1))
    assert not found.modules
    assert "c1 1.0 is installed: it stays, gets newer or is replaced" in found.reasons


def test_another_version_is_taken_where_the_files_of_the_newest_clash() -> None:
    among = [module("c2", "2.0", "opt/shared/f"), module("c2", "1.0")]
    assert names(solved("c2", among=among, installed=there(module("c1", "1.0", "opt/shared/f")))) == [
        "c1 1.0",
        "c2 1.0",
    ]
    among = [module("c2", "1.0", "opt/shared/f"), module("c1", "2.0")]
    assert names(solved("c2", among=among, installed=there(module("c1", "1.0", "opt/shared/f")))) == [
        "c1 2.0",
        "c2 1.0",
    ]


def test_what_is_told_is_told_of_who_needs_it() -> None:
    among = [module("a", depends=("c1", "c2")), module("c1", "1.0", "f"), module("c2", "1.0", "f")]
    found = solved("a", among=among)
    assert set(found.reasons) == {"a 1.0 needs c1", "a 1.0 needs c2", "c2 1.0 brings 'f', which c1 1.0 has"}


def test_what_is_installed_together_stays_together() -> None:
    target = there(module("c1", "1.0", "f"), module("c2", "1.0", "f"))
    assert names(solved("a", among=[module("a")], installed=target)) == ["a 1.0", "c1 1.0", "c2 1.0"]


def test_an_update_brings_the_files_of_what_it_updates() -> None:
    found = solved("a >= 2", among=[module("a", "2.0", "f")], installed=there(module("a", "1.0", "f")))
    assert names(found) == ["a 2.0"]


def test_where_nobody_says_which_files_are_there_a_note_does() -> None:
    target = TargetModules((Candidate("c1", "1.0"),))
    found = solved("a", among=[module("a")], installed=target)
    assert found.modules
    assert found.notes == (
        "nothing says which files c1 (installed) has: whether a new module brings the same ones is not known",
    )


def test_the_files_are_those_that_are_proved() -> None:
    c1, c2 = module("c1"), module("c2")
    files = {id(c1): (Entry("f", FileType.FILE),), id(c2): (Entry("f", FileType.FILE),)}
    found = solve(
        [parse_asked("c1"), parse_asked("c2")],
        [c1, c2],
        TargetModules(),
        lambda _: None,
        files_of=lambda one: files[id(one)],
    )
    assert not found.modules


OLD, NEW = module("esx-base", "7.0.3-1"), module("esx-base", "8.0.2-1")
DRIVER = module("drv", platforms=("7.0",))


def test_the_platform_is_that_of_the_set() -> None:
    found = solved("drv", "esx-base >= 8", among=[DRIVER, NEW], installed=there(OLD))
    assert not found.modules
    assert "drv 1.0 is for ESXi 7.0, and does not go onto esx-base 8.0.2-1" in found.reasons
    assert names(solved("drv", among=[DRIVER, NEW], installed=there(OLD))) == ["drv 1.0", "esx-base 7.0.3-1"]


def test_the_base_gets_no_newer_below_an_installed_driver_of_another_one() -> None:
    assert not solved("esx-base >= 8", among=[NEW], installed=there(OLD, DRIVER)).modules
    newer = module("drv", "2.0", platforms=("8.0",))
    found = solved("esx-base >= 8", among=[NEW, newer], installed=there(OLD, DRIVER))
    assert names(found) == ["drv 2.0", "esx-base 8.0.2-1"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"other_product": "ESXio-arm 8.0"}, "x 1.0 is for ESXio-arm 8.0, and does not go onto"),
        ({"kind": "seal"}, "x 1.0 is a .seal, which ESXi does not install, and does not go onto"),
    ],
)
def test_what_is_for_something_else_does_not_go_onto_ESXi(more: dict[str, str], said: str) -> None:
    found = solved("x", among=[module("x", **more)], installed=there(NEW))
    assert not found.modules
    assert any(said in reason for reason in found.reasons)
    assert solved("x", among=[module("x", **more)]).modules


def test_a_twin_that_nobody_signed_hides_no_signed_one() -> None:
    twins = [replace(module("a", digest="ab"), depot=depot) for depot in ("unsigned", "signed")]
    refusal = Refused("a 1.0", Failure("unsigned", "it is not signed", {}))
    for among in (twins, twins[::-1]):
        found = solve(
            [parse_asked("a")],
            among,
            TargetModules(),
            lambda one: refusal if one.depot == "unsigned" else None,
        )
        assert [one.depot for one in found.modules] == ["signed"]


def test_a_list_that_does_not_say_what_is_provided_gives_no_firm_no() -> None:
    target = TargetModules((Candidate("esx-base", "8.0.2"),), is_whole=False)
    found = solved("a", among=[module("a", depends=("vmkapi_2_11_0_0",))], installed=target)
    assert not found.modules
    assert found.uncertain
    assert any("whether an installed module provides vmkapi_2_11_0_0" in note for note in found.notes)
    found = solved("a", among=[module("a", depends=("esx-base >= 9",))], installed=target)
    assert not found.uncertain
    assert not solved("nothing", among=[], installed=target).uncertain


def test_what_is_refused_of_two_copies_alike_is_said_once() -> None:
    twins = [replace(module("a", digest="ab"), depot=depot) for depot in ("one", "other")]
    refusal = Refused("a 1.0", Failure("recalled", "it is withdrawn", {}))
    assert solve([parse_asked("a")], twins, TargetModules(), lambda _: refusal).refused == (refusal,)
