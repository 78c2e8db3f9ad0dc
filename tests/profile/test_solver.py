"""The solver: it finds a set if and only if there is one, and says in plain words why there is none."""

from __future__ import annotations

import pytest

from modseal import limits
from modseal.errors import Failure, RefusedError, UndecidedError, UsageError
from modseal.format.manifest import Constraint, Relationships
from modseal.profile.candidates import Candidate, Refused, require_one_content
from modseal.profile.installed import BARE_LIST, TargetModules
from modseal.profile.solve import Solution, parse_asked, solve
from modseal.report.profile_text import solution_text


def module(name: str, version: str = "1.0", **related: tuple[Constraint, ...]) -> Candidate:
    return Candidate(name, version, "Acme", Relationships(**related), (), "D", f"{name}-{version}.vib")


def solved(*asked: str, among: list[Candidate], installed: TargetModules | None = None) -> Solution:
    return solve([parse_asked(one) for one in asked], among, installed or TargetModules(), lambda _: None)


def names(solution: Solution) -> list[str]:
    return [f"{one.name} {one.version}" for one in solution.modules]


def needs(*texts: str) -> tuple[Constraint, ...]:
    return tuple(map(parse_asked, texts))


def test_the_newest_that_fits_is_taken() -> None:
    among = [module("a"), module("a", "2.0", depends=needs("b << 2")), module("b"), module("b", "2.0")]
    assert names(solved("a", among=among)) == ["a 2.0", "b 1.0"]


def test_an_older_one_is_taken_where_the_newest_cannot_be() -> None:
    among = [module("a"), module("a", "2.0", depends=needs("b >= 2")), module("b", "1.4")]
    assert names(solved("a", among=among)) == ["a 1.0"]


def test_why_nothing_fits_is_told_of_the_newest() -> None:
    among = [module("agent", "2.0", depends=needs("foo >= 2")), module("foo", "1.4")]
    assert solved("agent", among=among).reasons == ("agent 2.0 needs foo >= 2, and the newest foo in D is 1.4",)


def test_only_what_has_to_do_with_it_is_told_of_what_was_asked_for() -> None:
    among = [module("agent", "1"), module("agent", "2"), module("other", "1"), module("other", "2", depends=needs("x"))]
    found = solved("agent", "other = 2", among=among)
    assert found.reasons == ("other 2 needs x, and nothing that can be used offers it",)


def test_a_long_chain_of_needs_is_told_in_full_to_programs_and_in_part_to_people() -> None:
    among = [module(f"c{number}", depends=needs(f"c{number + 1}")) for number in range(50)]
    found = solved("c0", among=among)
    assert len(found.reasons) == 50
    text = solution_text(found).splitlines()
    assert text[1] == "  c0 1.0 needs c1"
    assert text[-1] == "  and 30 more reasons; --format json has them all"


def test_what_no_depot_has_is_named() -> None:
    found = solved("nothing", among=[])
    assert found.reasons == ("asked for: nothing, and nothing that can be used offers it",)
    assert not found.uncertain


def test_what_is_provided_meets_a_need() -> None:
    among = [module("a", depends=needs("api >= 2")), module("b", provides=needs("api = 3"))]
    assert names(solved("a", among=among)) == ["a 1.0", "b 1.0"]


def test_what_conflicts_is_never_together() -> None:
    among = [module("a", conflicts=needs("b")), module("b")]
    found = solved("a", "b", among=among)
    assert not found.modules
    assert "a 1.0 conflicts with b: b 1.0" in found.reasons


def test_what_is_installed_stays_or_gets_newer() -> None:
    there = TargetModules((Candidate("foo", "2.0"),))
    among = [module("a", depends=needs("foo << 2")), module("foo", "1.0")]
    assert not solved("a", among=among, installed=there).modules
    among = [module("a", depends=needs("foo >= 3")), module("foo", "3.0")]
    assert names(solved("a", among=among, installed=there)) == ["a 1.0", "foo 3.0"]


def test_what_is_installed_is_not_touched_without_need() -> None:
    there = TargetModules((Candidate("foo", "2.0"),))
    among = [module("a", depends=needs("foo")), module("foo", "3.0")]
    assert names(solved("a", among=among, installed=there)) == ["a 1.0", "foo 2.0"]


def test_what_is_replaced_goes() -> None:
    there = TargetModules((Candidate("foo", "2.0"),))
    found = solved("a", among=[module("a", replaces=needs("foo"))], installed=there)
    assert names(found) == ["a 1.0"]
    assert [one.name for one in found.removed] == ["foo"]


def test_what_is_installed_gets_no_older_where_another_module_replaces_it() -> None:
    there = TargetModules((Candidate("foo", "2.0"),))
    among = [module("a", replaces=needs("foo = 2.0"), depends=needs("foo")), module("foo", "1.0")]
    found = solved("a", among=among, installed=there)
    assert not found.modules
    assert "foo 2.0 is installed: it stays, gets newer or is replaced" in found.reasons


def test_what_is_in_a_list_offers_its_own_name_and_version_only() -> None:
    there = TargetModules((Candidate("base", "8.0"),), (BARE_LIST,), is_whole=False)
    assert names(solved("a", among=[module("a", depends=needs("base >= 8"))], installed=there)) == ["a 1.0", "base 8.0"]
    found = solved("a", among=[module("a", depends=needs("vmkapi"))], installed=there)
    assert not found.modules
    assert found.uncertain
    assert any("names and versions" in note for note in found.notes)


def test_only_a_proved_bundle_counts() -> None:
    among = [module("a"), module("a", "2.0")]
    refusal = Refused("a 2.0", Failure("unsigned", "it is not signed", {}))
    found = solve(needs("a"), among, TargetModules(), lambda one: refusal if one.version == "2.0" else None)
    assert names(found) == ["a 1.0"]
    assert found.refused == (refusal,)


def test_one_id_with_two_contents_is_an_error_that_names_both() -> None:
    one, other = (Candidate("a", "1", "V", depot="D", path=f"{n}.vib", digest=n * 64) for n in "ab")
    with pytest.raises(RefusedError, match=f"{'a' * 64}.*{'b' * 64}") as refused:
        require_one_content([one, other])
    assert refused.value.failure.code == "content-differs"


@pytest.mark.parametrize("text", ["", "a >", "a >= 1 2", ">= 1", "a => 1", "a/b", "a >= ~1"])
def test_what_is_no_constraint_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_asked(text)


# What a hostile or careless publisher writes.


def test_modules_that_need_each_other_come_together() -> None:
    among = [module(name, depends=needs(other)) for name, other in ("ab", "bc", "ca")]
    assert names(solved("b", among=among)) == ["a 1.0", "b 1.0", "c 1.0"]


def test_a_module_may_need_and_refuse_what_it_offers_itself() -> None:
    among = [module("a", depends=needs("api"), conflicts=needs("api", "a"), provides=needs("api = 1"))]
    assert names(solved("a", among=among)) == ["a 1.0"]


def test_two_that_offer_one_name_and_refuse_it_are_never_together() -> None:
    among = [module(name, provides=needs("mta = 1"), conflicts=needs("mta")) for name in "ab"]
    found = solved("a", "b", among=among)
    assert found.reasons == ("a 1.0 conflicts with mta: b 1.0",)


def test_what_needs_an_older_version_of_itself_is_impossible() -> None:
    found = solved("a", among=[module("a", "1"), module("a", "2", depends=needs("a << 2"))])
    assert names(found) == ["a 1"]
    found = solved("a", among=[module("a", "2", depends=needs("a << 2"))])
    assert found.reasons == ("a 2 needs a << 2, and the newest a in D is 2",)


def test_what_replaces_what_it_needs_is_impossible() -> None:
    found = solved("a", among=[module("a", depends=needs("b"), replaces=needs("b")), module("b")])
    assert found.reasons == ("a 1.0 needs b", "a 1.0 replaces b: b 1.0")


def test_a_chain_of_replacements_leads_to_its_end() -> None:
    there = TargetModules((Candidate("a", "1.0"),))
    among = [module("b", replaces=needs("a")), module("c", replaces=needs("b")), module("d", replaces=needs("c", "a"))]
    assert names(solved("d", among=among, installed=there)) == ["d 1.0"]
    found = solved("c", among=among[:2], installed=there)  # b is nowhere, and c does not say that it takes a's place
    assert names(found) == ["a 1.0", "c 1.0"]


def test_what_is_installed_beside_what_it_replaces_stays_there() -> None:
    there = TargetModules((Candidate("a", "1.0", "Acme", Relationships(replaces=needs("b"))), Candidate("b", "1.0")))
    assert names(solved("c", among=[module("c")], installed=there)) == ["a 1.0", "b 1.0", "c 1.0"]


def test_a_target_that_is_broken_already_is_told_apart() -> None:
    there = TargetModules((Candidate("old", "1.0", "Acme", Relationships(depends=needs("gone"))),))
    first, *others = solved("a", among=[module("a")], installed=there).reasons
    assert first == "whatever is asked for, what is installed does not go together"
    assert "old 1.0 (installed) needs gone, and nothing that can be used offers it" in others


def test_modules_that_replace_each_other_are_never_together() -> None:
    among = [module("a", replaces=needs("b")), module("b", replaces=needs("a"))]
    assert not solved("a", "b", among=among).modules
    assert names(solved("a", among=among)) == ["a 1.0"]


def test_what_is_provided_without_a_version_meets_no_range() -> None:
    among = [module("a", depends=needs("api >= 0")), module("b", provides=(Constraint("api"),))]
    found = solved("a", among=among)
    assert found.reasons == ("a 1.0 needs api >= 0, and b 1.0 offers api without a version",)


def test_a_range_that_what_is_provided_misses_is_told() -> None:
    among = [module("a", depends=needs("api >= 3")), module("b", provides=needs("api = 2"))]
    assert solved("a", among=among).reasons == ("a 1.0 needs api >= 3, and b 1.0 offers api 2",)


@pytest.mark.parametrize("text", ["0", "0.0", "00", "0-0", "0~"])
def test_versions_near_nothing_are_versions(text: str) -> None:
    assert names(solved(f"a = {text}", among=[module("a", text)])) == [f"a {text}"]
    assert not solved(f"a << {text}", f"a >> {text}", among=[module("a", text)]).modules


def test_a_version_of_thousands_of_digits_is_refused_as_usage() -> None:
    with pytest.raises(UsageError):
        parse_asked("a >= " + "9" * 5000)


def test_equal_versions_in_two_spellings_are_one_module_to_choose() -> None:
    among = [module("a", "1.0"), module("a", "1.00"), module("b", depends=needs("a = 1"))]
    assert len(solved("b", among=[*among, module("a", "1")], installed=None).modules) == 2


def test_two_versions_of_one_name_are_never_together_however_many_there_are() -> None:
    among = [module("a", str(number)) for number in range(3000)]
    assert names(solved("a", among=among)) == ["a 2999"]
    assert names(solved("a << 7", among=among)) == ["a 6"]
    assert not solved("a = 1", "a = 2999", among=among).modules


def pigeons(count: int) -> list[Candidate]:
    """One pigeon more than there are holes; each needs a hole, and no two go into one."""
    holes = [f"hole{number}" for number in range(count)]
    found = []
    for number in range(count + 1):
        found.append(module(f"pigeon{number}", depends=needs(f"place{number}")))
        for hole in holes:
            offered = (f"place{number}", f"in-{hole}")
            found.append(module(f"{hole}-{number}", provides=needs(*offered), conflicts=needs(f"in-{hole}")))
    return found


def test_pigeons_without_enough_holes_are_impossible() -> None:
    asked = [f"pigeon{number}" for number in range(5)]
    assert not solved(*asked, among=pigeons(4)).modules
    assert solved(*asked[:4], among=pigeons(4)).modules


def test_a_puzzle_that_has_no_short_proof_is_not_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SOLVER_STEPS", 200_000)
    asked = [f"pigeon{number}" for number in range(31)]
    with pytest.raises(UndecidedError, match="limit of steps"):
        solved(*asked, among=pigeons(30))


def test_rules_without_number_are_not_taken_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SOLVER_RULES", 10_000)
    crowd = [module(f"m{number}", provides=needs("all"), conflicts=needs("all")) for number in range(200)]
    with pytest.raises(UndecidedError, match="more rules"):
        solved("all", among=crowd)


def test_every_refused_bundle_is_left_out_until_nothing_is_left() -> None:
    among = [module("a", str(number)) for number in range(300)]
    asked = list[str]()

    def why_not(one: Candidate) -> Refused:
        asked.append(one.version)
        return Refused(one.version, Failure("unsigned", "it is not signed", {}))

    found = solve(needs("a"), among, TargetModules(), why_not)
    assert not found.modules
    assert asked == [str(number) for number in range(299, -1, -1)]
