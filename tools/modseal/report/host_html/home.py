"""The first page: the state of the host, and what was found when it was verified last."""

from __future__ import annotations

from modseal.report.host_html.parts import (
    HostPage,
    Values,
    alarm,
    facts,
    failure,
    generation_link,
    pill,
    task_link,
    text,
    time,
    warning,
)
from modseal.report.html import Markup, element, joined, prose
from modseal.report.text import plural
from modseal.serve.shown import VERIFIED, Shown


def page(shown: Shown) -> HostPage:
    """The state."""
    state = shown.documents["state"]
    main = joined(
        element("h1", "State of this host"),
        element("p", _sentence(state), class_="lead"),
        _waiting(state),
        facts(
            (
                ("Acceptance level", text(state["level"])),
                ("Minimum of the policy", text(state["policy_minimum"])),
                ("Lockdown", _lockdown(state)),
                ("Active", generation_link(state["generation"])),
                ("Installed", element("a", plural(state["modules"], "module"), href="/modules")),
                ("Changed", time(state["changed"])),
                ("Log", element("a", plural(state["event"] + 1, "line"), href="/log")),
                ("Host", element("code", state["host"])),
            )
        ),
        element("section", element("h2", "Verification"), _verified(state, shown.documents)),
    )
    return HostPage("State", main)


def _sentence(state: Values) -> str:
    return f"Generation {state['generation']} is active, with {plural(state['modules'], 'module')}."


def _waiting(state: Values) -> Markup | None:
    if state["pending"] is None:
        return None
    step = prose("It becomes active with `modseal remote HOST activate`, or when the host is started again.")
    return warning(element("p", generation_link(state["pending"]), " waits to become active. ", step))


def _lockdown(state: Values) -> Markup:
    if state["lockdown"] == "strict":
        return joined(pill("strict", "info"), " its controllers alone may change it")
    return joined(text(state["lockdown"]), ": whoever has the role may change it")


def _verified(state: Values, documents: Values) -> Markup:
    """What the newest verification found, if it is known at all, and whether it still says something."""
    task, tasks = documents[VERIFIED], documents["tasks"]["tasks"]
    runs = any(one["operation"] == "verify" and one["ended"] is None for one in tasks)
    running = element("p", "A verification is under way.", class_="note") if runs else None
    if task is None:
        step = prose("Hold every installed file against what is signed: `modseal remote HOST verify`.")
        return joined(warning(element("p", "This host was not verified, as far as is known here. ", step)), running)
    found = task["result"]
    when = joined(" at ", time(task["ended"]), ": ", task_link(task["id"], "what was found"))
    if found is None:
        problem = task["problem"] or {}
        return joined(alarm(element("p", pill("not decided", "undecided"), when), failure(problem)), running)
    number = "no generation" if found["generation"] is None else f"generation {found['generation']}"
    extent = f"{number}, {plural(len(found['modules']), 'module')}, {plural(found['paths'], 'path')}"
    said = joined(
        element("p", pill(found["verdict"], found["verdict"]), when),
        element("p", extent, class_="dim"),
    )
    old = found["generation"] != state["generation"] or state["changed"] > task["started"]
    later = element("p", "The host was changed since: verify again.") if old else None
    if found["verdict"] == "accepted":
        return joined(warning(said, later) if old else element("div", said, class_="card"), running)
    return joined(alarm(said, later, *(failure(one) for one in found["findings"][:1])), running)
