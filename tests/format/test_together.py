"""Modules that are installed together: no link or file of one where another has a directory."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modseal import limits
from modseal.errors import FormatError
from modseal.format import rules
from modseal.format.manifest import Entry, FileType
from modseal.format.together import PathClash, clashes, footprint


def module(**tree: str | bytes | None) -> list[Entry]:
    """Entries by path, with `__` for a slash: a link's target, a file's bytes, or None for a directory."""
    return [entry(path.replace("__", "/"), content) for path, content in tree.items()]


def entry(path: str, content: str | bytes | None) -> Entry:
    if content is None:
        return Entry(path, FileType.DIRECTORY, 0o755)
    if isinstance(content, str):
        return Entry(path, FileType.SYMLINK, 0o777, target=content)
    return Entry(path, FileType.FILE, 0o644, len(content))


def found(**modules: list[Entry]) -> list[PathClash[str]]:
    return list(clashes([(name, name, footprint(entries)) for name, entries in modules.items()]))


LINK = module(opt__x__link="../../etc/cron.d")
BELOW = module(opt__x__link__evil=b"x")


def test_a_file_below_a_link_of_another_module_is_found_whatever_the_order() -> None:
    expected = [PathClash("a", "b", "opt/x/link", "../../etc/cron.d", directory=True)]
    assert found(a=LINK, b=BELOW) == expected
    assert found(b=BELOW, a=LINK) == expected
    for order in permutations({"a": LINK, "b": BELOW, "c": module(opt__x__y=b"")}.items()):
        assert found(**dict(order)) == expected


@pytest.mark.parametrize(
    "other",
    [
        module(opt__x__link=None),
        module(opt__x__link__deep__er__evil=b""),
        module(opt__x__link__sub=None),
        module(opt__x__link__l="x"),
        [entry("opt/X/LINK/evil", b"")],
        [Entry("opt/x/link/evil")],
    ],
)
def test_whatever_needs_a_directory_there_is_found(other: list[Entry]) -> None:
    (clash,) = found(a=LINK, b=other)
    assert (clash.one, clash.other, clash.directory) == ("a", "b", True)


def test_a_file_where_another_module_has_a_link_is_found() -> None:
    assert found(b=module(opt__x__link=b""), a=LINK) == [
        PathClash("a", "b", "opt/x/link", "../../etc/cron.d", directory=False)
    ]


def test_a_file_where_another_module_has_a_directory_is_found() -> None:
    for order in ({"a": module(opt__x=b""), "b": BELOW}, {"b": BELOW, "a": module(opt__x=b"")}):
        assert found(**order) == [PathClash("a", "b", "opt/x", None, directory=True)]


def test_unicode_forms_and_case_do_not_count() -> None:
    one, other = [entry("opt/stra\u00dfe", "x")], [entry("opt/STRASSE/f", b"")]
    assert len(found(a=one, b=other)) == 1
    one, other = [entry("opt/\u00e9", "x")], [entry("opt/e\u0301/f", b"")]
    assert len(found(a=one, b=other)) == 1


@pytest.mark.parametrize(
    "other",
    [
        module(opt__x__links__f=b""),
        module(opt__x__lin=b""),
        module(opt__x=None),
        module(opt__x__other="link"),
        LINK,
    ],
)
def test_paths_that_only_lie_beside_each_other_are_not(other: list[Entry]) -> None:
    assert found(a=LINK, b=other) == []


def test_versions_of_one_module_replace_each_other_and_others_are_still_found() -> None:
    one, other, third = footprint(LINK), footprint(BELOW), footprint(BELOW)
    assert list(clashes([("m", 1, one), ("m", 2, other)])) == []
    assert [clash.other for clash in clashes([("m", 1, one), ("m", 2, other), ("n", 3, third)])] == [3]


def test_more_directories_than_the_limit_cannot_be_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DIRECTORIES", 3)
    assert found(a=module(a__b__c=b""), b=module(a__d=None)) == []
    with pytest.raises(FormatError, match="more than 3 directories"):
        found(a=module(a__b__c=b""), b=module(a__d=None, a__e=None))


NAMES = st.sampled_from(["a", "b", "A", "c/a"])
TREES = st.dictionaries(
    st.lists(NAMES, min_size=1, max_size=3).map("/".join), st.sampled_from(["x", b"", None]), max_size=4
).map(lambda tree: [entry(path, content) for path, content in tree.items()])


def sound(*modules: list[Entry]) -> bool:
    """Whether the tree that the modules make together is sound, but for what two of them may both bring."""
    together = {rules.fold(one.path): one for entries in modules for one in entries}
    return not any("is not a directory" in failure.detail for failure in rules.check_tree(together.values()))


@given(TREES, TREES)
def test_where_nothing_clashes_the_two_together_are_as_sound_as_each_alone(
    one: list[Entry], other: list[Entry]
) -> None:
    if sound(one) and sound(other) and not found(a=one, b=other):
        assert sound(one, other)
        assert sound(other, one)
