"""What was asked for and may take long: how far it is, what became of it, and the steps by which that was decided."""

from __future__ import annotations

from collections.abc import Sequence

from modseal import limits
from modseal.report.host_html.log import who
from modseal.report.host_html.parts import (
    HostPage,
    TableRow,
    Values,
    alarm,
    facts,
    failure,
    generation_link,
    levels,
    more,
    pill,
    signers,
    steps,
    table,
    task_link,
    text,
    time,
)
from modseal.report.html import Child, Markup, element, joined
from modseal.serve.shown import Shown
from modseal.serve.tasks import DONE, FAILED, REFUSED, RUNNING

_KINDS = {RUNNING: "info", DONE: "accepted", REFUSED: "rejected", FAILED: "undecided"}
_MEANINGS = {
    RUNNING: "This page is loaded again every two seconds, until it has ended.",
    DONE: "It was done.",
    REFUSED: "The host refused it, and is as it was before.",
    FAILED: "It was not done, or cannot be decided; the host is as it was before.",
}


def page(shown: Shown) -> HostPage:
    """The newest first."""
    tasks = shown.documents["tasks"]["tasks"]
    rows = (
        TableRow(
            (
                task_link(one["id"], time(one["started"])),
                text(_what(one)),
                _state(one),
                who(one["by"]),
                time(one["ended"]) or element("span", "not ended", class_="dim"),
            )
        )
        for one in tasks
    )
    main = joined(
        element("h1", "Tasks"),
        element(
            "p", "The newest first. They are done one after another, and kept when the service ends.", class_="lead"
        ),
        table(("Begun", "What", "State", "Asked for by", "Ended"), rows, "Tasks")
        if tasks
        else element("p", "There is none yet."),
    )
    return HostPage("Tasks", main, changes=any(one["state"] == RUNNING for one in tasks))


def _what(task: Values) -> str:
    """What was asked for, with the names of what it is about."""
    given = task["arguments"]
    word = given.get("Action", task["operation"]) if task["operation"] == "install" else task["operation"]
    names = [*given.get("Files", ()), *given.get("Names", ()), *([given["name"]] if "name" in given else [])]
    named = ", ".join(one or "a bundle" for one in names)
    to = f" to generation {given['To']}" if "To" in given else ""
    tried = " (only tried)" if given.get("DryRun") else ""
    return f"{word} {named}".strip() + to + tried


def _state(task: Values) -> Markup:
    verdict = _verdict(task)
    if task["operation"] == "verify" and verdict:  # which is done whatever it has found
        return pill(verdict, verdict)
    if task["state"] == RUNNING and task.get("progress", ...) is None:
        return pill("waits", _KINDS[RUNNING])
    return joined(pill(task["state"], _KINDS[task["state"]]), _progress(task))


def _verdict(task: Values) -> str | None:
    """What came of it: of a task that is listed, that is all that is known of its result."""
    found: str | None = task["result"].get("verdict") if task["result"] else task.get("verdict")
    return found


def _meaning(task: Values) -> str:
    if task["operation"] == "verify" and _verdict(task):
        return "Every installed file was held against what is signed."
    return _MEANINGS[task["state"]]


def _progress(task: Values) -> Markup | None:
    """How far it is, while it is done."""
    step = task.get("progress")
    if task["state"] != RUNNING or not step:
        return None
    percent = f"{step['percent']} %"
    bar = element("progress", percent, value=step["percent"], max=100, aria_label="Progress")
    return joined(" ", bar, f" {percent}, step {step['number']} of {step['steps']}: ", text(step["what"]))


def one(shown: Shown) -> HostPage:
    """One of them; of a pushed bundle, each numbered step of its verification."""
    task = shown.documents["task"]
    main = joined(
        element("p", element("a", "Tasks", href="/tasks"), class_="up"),
        element("h1", text(_what(task))),
        element("p", _state(task), " ", _meaning(task), class_="lead", role="status"),
        alarm(failure(task["problem"])) if task["problem"] else None,
        facts(
            (
                ("Asked for by", who(task["by"], whole=True)),
                ("Begun", time(task["started"])),
                ("Ended", time(task["ended"])),
                ("Task", element("code", task["id"])),
            )
        ),
        _result(task["result"] or {}, tried=bool(task["arguments"].get("DryRun"))),
    )
    return HostPage(f"Task: {task['operation']}", main, changes=task["state"] == RUNNING)


def _result(found: Values, *, tried: bool) -> Markup:
    return joined(
        element("p", text(found["detail"])) if "detail" in found else None,
        _change(found, tried=tried) if "installed" in found else None,
        _findings(found["findings"]) if "findings" in found else None,
        *map(_bundle, found.get("results", ())),
    )


def _change(found: Values, *, tried: bool) -> Markup:
    """What was changed, or would be."""
    problems = [*found["problems"], *found["refused"]]
    lines = [*_lines(found)]
    done = "What would change" if tried else "What changed"
    accepted = found["verdict"] == "accepted"
    return joined(
        element("section", element("h2", "What speaks against it"), alarm(*map(failure, problems[: limits.HTML_ITEMS])))
        if problems
        else None,
        element(
            "section",
            element("h2", done if accepted else "What was asked for"),
            element(
                "ul", *(element("li", *line) for line in lines[: limits.HTML_ITEMS]), more(len(lines)), class_="card"
            ),
        )
        if lines
        else None,
        element("p", _generation(found), class_="note") if accepted and not tried else None,
    )


def _generation(found: Values) -> Markup:
    if found["generation"] is None:
        return joined("Nothing was to do.")
    link = generation_link(found["generation"])
    if not found["waits"]:
        return joined("Now ", link, " is active.")
    why = "; ".join(found["why_it_waits"])
    return joined("Now ", link, " is ready, and waits to become active: ", text(why))


def _lines(found: Values) -> list[tuple[Child, ...]]:
    lines: list[tuple[Child, ...]] = []
    for key in ("installed", "updated", "repaired", "removed", "skipped"):
        for one in found[key]:
            claimed, proven = levels({"verdict": found["verdict"], **one})
            was = joined(", was ", text(one["from"])) if "from" in one else None
            why = joined(": ", text(one["why"])) if "why" in one else None
            named = joined(text(one["name"]), " ", text(one["version"]), was, why)
            lines.append((f"{key} ", named, ", claimed ", claimed, ", proven ", proven))
    lines += [
        ("removed ", text(one["name"]), " ", text(one["version"]), ", of which nothing could be proved")
        for one in found["lost"]
    ]
    return lines


def _findings(found: Sequence[Values]) -> Markup:
    """Of a verification of the whole host."""
    items = (
        element("li", joined(text(one["module"]), ": ") if one["module"] else None, failure(one))
        for one in found[: limits.HTML_ITEMS]
    )
    listed = element("ul", *items, more(len(found)), class_="plain") if found else element("p", "Nothing was found.")
    return element("section", element("h2", "Findings"), alarm(listed) if found else listed)


def _bundle(result: Values) -> Markup:
    """The verdict about a bundle: the first reason and its next step, then each step."""
    module, error = result["module"], result.get("error")
    bad = next((one for one in result["checks"] if one["status"] in ("failed", "inconclusive")), error)
    accepted = result["verdict"] == "accepted"
    named = None
    if module:
        unproved = None if module["proved"] else joined(" ", element("span", "unproved", class_="tag unproved"))
        named = joined(text(module["vendor"]), " ", text(module["name"]), " ", text(module["version"]), unproved)
    claimed, proven = levels(
        {"claimed_level": result["claimed_level"], "proven_level": result["proven_level"], "verdict": result["verdict"]}
    )
    return element(
        "section",
        element("h2", "Verdict: ", text(result["bundle"]), " ", pill(result["verdict"], result["verdict"])),
        alarm(failure({"next_step": None, **bad})) if bad and not accepted else None,
        facts(
            (
                ("Module", named),
                ("Claimed level", claimed),
                ("Proven level", proven),
                ("Signed by", signers(result["signers"])),
                ("SHA-256", element("code", result["sha256"]) if result["sha256"] else None),
            )
        ),
        joined(element("h3", "Steps of the verification"), steps(result["checks"])) if result["checks"] else None,
    )
