"""The installed modules: what each claims beside what is proved of it, who signed it, and whether it is withdrawn."""

from __future__ import annotations

from itertools import chain

from modseal import limits
from modseal.report.host_html.parts import (
    HostPage,
    TableRow,
    Values,
    alarm,
    facts,
    failure,
    is_proved,
    levels,
    more,
    name_link,
    pill,
    signers,
    steps,
    table,
    text,
)
from modseal.report.html import Markup, element, joined, prose
from modseal.report.text import plural
from modseal.serve.shown import Shown

_RECALLED = "recalled"
_COLUMNS = ("Module", "Claimed level", "Proven level", "Signed by", "Recall")


def page(shown: Shown) -> HostPage:
    """All of them; those that are not proved, or withdrawn, first."""
    found = shown.documents["inventory"]
    listed = sorted(found["modules"], key=lambda one: (not _is_bad(one), one["name"]))
    main = joined(
        element("h1", "Modules"),
        element("p", f"{plural(len(listed), 'module')} in generation {found['generation']}.", class_="lead"),
        _alarm([one for one in listed if _is_bad(one)]),
        *(alarm(failure(one)) for one in found["findings"] if one["module"] is None),
        element("p", prose(_recalls(found["recalls"])), class_="note"),
        table(_COLUMNS, map(_row, listed), "Installed modules") if listed else None,
    )
    return HostPage("Modules", main)


def _recalls(number: int) -> str:
    kept = f"{plural(number, 'list')} of recalls" if number else "no list of recalls"
    return f"This host keeps {kept}; with `unknown`, what is said of a module is not proved."


def _is_bad(module: Values) -> bool:
    return not is_proved(module) or module["recall"] == _RECALLED


def _alarm(bad: list[Values]) -> Markup | None:
    if not bad:
        return None
    number = len(bad)
    words = "1 module is" if number == 1 else f"{number:,} modules are"
    words += " not accepted, or not proved at the claimed level."
    names = (element("li", name_link(one["name"]), ": ", _why(one)) for one in bad[: limits.HTML_ITEMS])
    return alarm(element("p", element("b", words)), element("ul", *names, more(number)))


def _why(module: Values) -> Markup:
    problem = module["problem"]
    if problem is None:
        proved = module["proven_level"] or "nothing: nobody has signed it"
        return joined(f"claims {module['claimed_level']}, and what is proved is {proved}")
    return joined(text(problem["detail"]), " ", element("code", problem["code"]))


def _row(module: Values) -> TableRow:
    claimed, proven = levels(module)
    named = joined(
        name_link(module["name"]),
        " ",
        text(module["version"]),
        element("span", text(module["vendor"]), class_="dim line"),
    )
    return TableRow(
        (named, claimed, proven, signers(module["signers"]), _recall(module["recall"])), bad=_is_bad(module)
    )


def _recall(word: str) -> Markup:
    if word == _RECALLED:
        return pill(word, "rejected")
    return pill(word, "undecided") if word == "unknown" else element("span", word, class_="dim")


def one(shown: Shown) -> HostPage:
    """One of them, with the numbered steps of its verification."""
    found = shown.documents["proof"]
    claimed, proven = levels(found)
    good = found["verdict"] == "accepted"
    checks = (one for one in found["checks"] if one["status"] in ("failed", "inconclusive"))
    bad = next(chain(found["findings"], checks), None)
    main = joined(
        element("p", element("a", "Modules", href="/modules"), class_="up"),
        element("h1", text(found["name"]), " ", text(found["version"])),
        element("p", text(found["summary"]), class_="lead") if found["summary"] else None,
        None if good else alarm(element("p", element("b", _unproved(found))), failure(bad) if bad else None),
        facts(
            (
                ("Vendor", text(found["vendor"])),
                ("Claimed level", claimed),
                ("Proven level", proven),
                ("Verdict", pill(found["verdict"], found["verdict"])),
                ("Recall", _recall(found["recall"])),
                ("Released", _known(found["released"])),
                ("Signed by", signers(found["signers"])),
                ("Manifest SHA-256", _known(found["manifest_sha256"], "code")),
                ("Bundle SHA-256, as recorded", _known(found["bundle_sha256"], "code")),
            )
        ),
        _relations(found),
        element(
            "section",
            element("h2", "Steps of the verification"),
            element("p", prose(_STEPS), class_="note"),
            steps(found["checks"]),
        )
        if found["checks"]
        else None,
        _files(found) if found["files"] else None,
    )
    return HostPage(found["name"], main)


_STEPS = (
    "The signed parts are proved again for this page; whether each file on the disk is as it was is what `verify` says."
)


def _known(value: str | None, tag: str = "bdi") -> Markup | None:
    return element(tag, value) if value is not None else None


def _unproved(found: Values) -> str:
    what = "" if found["proven_level"] else " All of it is unproved."
    return f"Today's policy does not accept this module ({found['verdict']}).{what}"


def _relations(found: Values) -> Markup | None:
    if not found["relations"]:
        return None
    items = (
        element("li", label, " ", text(" ".join(str(part) for part in constraint.values() if part is not None)))
        for label, constraints in found["relations"].items()
        for constraint in constraints
    )
    return element("section", element("h2", "Relations"), element("ul", *items, class_="card"))


def _files(found: Values) -> Markup:
    files = found["files"][: limits.HTML_ROWS]
    left = len(found["files"]) - len(files)
    rows = (
        TableRow((element("bdi", one["path"], class_="path"), one["type"], one["mode"], _size(one), _content(one)))
        for one in files
    )
    return element(
        "section",
        element("h2", f"{len(found['files']):,} files, links and folders"),
        table(("Path", "Type", "Mode", "Bytes", "Content"), rows, "Files"),
        element("p", prose(f"{left:,} more: `modseal remote HOST get --format json` has them all."), class_="note")
        if left
        else None,
    )


def _size(entry: Values) -> str | None:
    return f"{entry['size']:,}" if entry["size"] is not None else None


def _content(entry: Values) -> Markup | None:
    if entry["sha256"]:
        return element("code", f"sha256:{entry['sha256'][:16]}…", title=entry["sha256"])
    return joined("to ", element("bdi", entry["target"], class_="path")) if entry["target"] else None
