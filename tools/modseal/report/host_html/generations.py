"""The generations, and what changed with each: against its parent, where that is still there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from modseal import limits
from modseal.report.host_html.parts import (
    HostPage,
    TableRow,
    Values,
    alarm,
    failure,
    more,
    pill,
    table,
    text,
    time,
    turn,
)
from modseal.report.html import Child, Markup, element, joined
from modseal.serve.shown import Shown

_STATES = {"active": ("active", "accepted"), "pending": ("waits", "undecided"), "kept": ("kept", "info")}


def page(shown: Shown) -> HostPage:
    """The newest first."""
    found = shown.documents["history"]
    known = {one["number"]: one for one in found["generations"]}
    before = shown.before if shown.before is not None else max(known, default=0) + 1
    numbers = [number for number in sorted(known, reverse=True) if number < before][: limits.HTML_ROWS]
    damaged = [*found["lost"], *found["findings"]]
    rows = (_row(known[number], known) for number in numbers)
    main = joined(
        element("h1", "Generations"),
        element(
            "p", "What is recorded of each, the newest first; what is active is proved under Modules.", class_="lead"
        ),
        alarm(
            element("p", element("b", "Not everything can be read:")),
            *(failure(one) for one in damaged[: limits.HTML_ITEMS]),
        )
        if damaged
        else None,
        table(("Generation", "State", "Made", "By", "Changed", "Modules"), rows, "Generations"),
        turn("/generations", numbers, min(known, default=None), shown.before),
    )
    return HostPage("Generations", main)


def _row(one: Values, known: Mapping[int, Values]) -> TableRow:
    return TableRow(
        (
            joined(f"{one['number']}", element("span", _parent(one), class_="dim line")),
            pill(*_STATES[one["state"]]),
            time(one["made"]),
            text(one["action"]),
            _changes(one, known),
            f"{len(one['modules']):,}",
        )
    )


def _parent(one: Values) -> str:
    return "the first" if one["parent"] is None else f"after {one['parent']}"


def _changes(one: Values, known: Mapping[int, Values]) -> Markup:
    """Against the parent; one that is gone tells nothing, which is not the same as that nothing changed."""
    if one["parent"] is None:
        before: Sequence[Values] = ()
    elif one["parent"] in known:
        before = known[one["parent"]]["modules"]
    else:
        gone = f"unknown: generation {one['parent']}, from which it was made, is not kept or cannot be read"
        return element("span", gone, class_="doubt")
    lines = [*_differences(before, one["modules"])]
    if not lines:
        return element("span", "no module has another version", class_="dim")
    shown = (element("li", *line) for line in lines[: limits.HTML_ITEMS])
    return element("ul", *shown, more(len(lines)), class_="plain")


def _differences(before: Sequence[Values], after: Sequence[Values]) -> Iterator[tuple[Child, ...]]:
    old, new = ({one["name"]: one for one in modules} for modules in (before, after))
    for name in sorted(old.keys() | new.keys()):
        if name not in old:
            yield "added ", text(name), " ", text(new[name]["version"])
        elif name not in new:
            yield "removed ", text(name), " ", text(old[name]["version"])
        elif old[name]["version"] != new[name]["version"]:
            yield "updated ", text(name), " ", text(old[name]["version"]), " to ", text(new[name]["version"])
        elif old[name]["vendor"] != new[name]["vendor"]:
            yield "replaced ", text(name), " of ", text(old[name]["vendor"]), " by that of ", text(new[name]["vendor"])
