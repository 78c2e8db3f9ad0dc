"""The log: who changed what, and when. The host has proved that no line is missing or changed."""

from __future__ import annotations

from modseal import limits
from modseal.report.host_html.parts import HostPage, TableRow, Values, table, text, time, turn
from modseal.report.html import Markup, element, joined
from modseal.serve.shown import Shown

_KEY = len("key-sha256:") + 12


def page(shown: Shown) -> HostPage:
    """The newest lines first."""
    found = shown.documents["log"]
    events = [one for one in reversed(found["events"]) if shown.before is None or one["number"] < shown.before]
    events = events[: limits.HTML_ROWS]
    head = joined("Unbroken from its first line; the newest is ", element("code", f"sha256:{found['head']}"), ".")
    main = joined(
        element("h1", "Log"),
        element("p", head, class_="note") if found["head"] else None,
        table(("Line", "When", "Who", "What", "Details"), map(_row, events), "Log"),
        turn("/log", [one["number"] for one in events], 0, shown.before),
    )
    return HostPage("Log", main)


def _row(one: Values) -> TableRow:
    facts = (
        element("div", element("dt", f"{name.replace('_', ' ')}: "), element("dd", text(value)))
        for name, value in one["facts"].items()
        if name != "state"
    )
    return TableRow(
        (one["number"], time(one["time"]), who(one["by"]), text(one["event"]), element("dl", *facts, class_="evidence"))
    )


def who(by: Values, *, whole: bool = False) -> Markup:
    """Who asked: a client by name and key, as much of it as tells one from another, or all; or a user of the host."""
    name = by.get("name") or by.get("user") or (f"user {by['uid']}" if "uid" in by else None)
    login = f", login {by['login_uid']}" if "login_uid" in by else None
    if "key" in by:
        key = by["key"] if whole or len(by["key"]) <= _KEY else f"{by['key'][:_KEY]}…"
        return joined(text(name) if name else None, element("span", element("code", key), class_="dim line"))
    return joined(text(name or "unknown"), login)
