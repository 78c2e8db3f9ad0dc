"""The pages of a served host, read as HTML: what they say, and that nothing in them is anything but text.

tests/serve has them over the network, tests/browser what only a browser can tell.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import pytest

from browser.hostile import TEXTS, result
from builders.html_page import HtmlPage
from modseal.report import audit_html, host_html
from modseal.report.html import shown as shown_text
from modseal.serve import routes
from modseal.serve.shown import PageRefusal, Shown

KEY = "key-sha256:" + "ab" * 32
TIME = "2026-06-01T12:00:00Z"
CSS = resources.files(host_html).joinpath("host.css").read_text("ascii")
TAGS = """
html head meta title link style body a header div p b nav main h1 h2 h3 h4 dl dt dd section table thead tbody tr th td
bdi code span time ul ol li details summary form input label fieldset legend button progress footer
"""


def module(name: str = "agent", **changes: Any) -> dict[str, Any]:
    """An installed module as the inventory has it; nothing is wrong with it."""
    return {
        "vendor": "Acme",
        "name": name,
        "version": "1.0",
        "claimed_level": "partner",
        "proven_level": "partner",
        "verdict": "accepted",
        "signers": [{"subject": "CN=Signer", "fingerprint": "ab" * 32, "anchor": "acme"}],
        "recall": "not recalled",
        "problem": None,
        **changes,
    }


def inventory(*modules: dict[str, Any], findings: Sequence[Mapping[str, Any]] = (), recalls: int = 0) -> dict[str, Any]:
    return {"generation": 1, "recalls": recalls, "modules": modules, "findings": findings}


def state(**changes: Any) -> dict[str, Any]:
    return {
        "host": "ab" * 16,
        "generation": 3,
        "pending": None,
        "level": "partner",
        "policy_minimum": "community",
        "lockdown": "normal",
        "event": 7,
        "changed": TIME,
        "modules": 2,
        **changes,
    }


def generation(number: int, parent: int | None, *modules: str) -> dict[str, Any]:
    """A generation with modules as `name version`."""
    named = [dict(zip(("name", "version"), one.split(), strict=True), vendor="Acme") for one in modules]
    values = {"number": number, "parent": parent, "made": TIME, "action": "install", "state": "kept"}
    return {**values, "modules": named}


def event(number: int, text: str = "plain", **changes: Any) -> dict[str, Any]:
    by = {"key": text, "name": text}
    return {"number": number, "time": TIME, "by": by, "event": text, "facts": {text: text}, "previous": None, **changes}


def task(operation: str = "install", **changes: Any) -> dict[str, Any]:
    return {
        "id": "20260601T120000Z-abcdef01",
        "operation": operation,
        "arguments": {},
        "by": {"key": KEY, "name": "CN=Ann"},
        "state": "done",
        "started": TIME,
        "ended": TIME,
        "result": None,
        "problem": None,
        **changes,
    }


def change(*results: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    lists = dict.fromkeys(("installed", "updated", "removed", "repaired", "lost", "skipped", "refused", "problems"), ())
    values = {"verdict": "accepted", "generation": 4, "waits": False, "why_it_waits": []}
    return {**values, **lists, "results": results, **changes}


def verified(verdict: str = "accepted", **changes: Any) -> dict[str, Any]:
    found = {"verdict": verdict, "generation": 3, "paths": 9, "modules": [{}, {}], "findings": []}
    return task("verify", result={**found, **changes})


def failure(code: str = "recalled", text: str = "a detail") -> dict[str, Any]:
    return {"code": code, "detail": text, "evidence": {}, "next_step": "Use the replacement."}


def source(path: str, role: str = "operator", before: int | None = None, **documents: Any) -> str:
    who = {"name": "CN=Ann", "key": KEY, "role": role}
    return host_html.show(Shown(path, who, documents, before, "token"))


def page(path: str, role: str = "operator", before: int | None = None, **documents: Any) -> HtmlPage:
    return HtmlPage(source(path, role, before, **documents))


def hostile(text: str) -> dict[str, str]:
    """Every page, with a text wherever somebody else's text can be."""
    signers = [{"subject": text, "fingerprint": text, "anchor": text}]
    named = {"vendor": text, "name": text, "version": text}
    check = {**failure(text=text), "step": 1, "status": "failed", "evidence": {text: text}}
    one = module(**named, signers=signers, proven_level=None, verdict="rejected", problem=check)
    entry = {"path": text, "type": "file", "mode": "0644", "size": 1, "sha256": None, "target": text}
    digests = {"manifest_sha256": "ab" * 32, "bundle_sha256": "ab" * 32}
    proof = {**one, **digests, "kind": "seal", "summary": text, "released": text, "files": [entry]}
    proof |= {"checks": [check], "findings": [{"module": text, **failure(text=text)}]}
    proof["relations"] = {text: [{"name": text, "relation": text, "version": text}]}
    history = {
        "generations": [{**generation(1, None), "action": text, "modules": [named]}],
        "lost": [failure(text=text)],
        "findings": [{"module": None, **failure(text=text)}],
    }
    changed = [{**named, "claimed_level": "partner", "proven_level": None, "from": text, "why": text}]
    changes = dict.fromkeys(("installed", "updated", "removed", "repaired", "lost", "skipped"), changed)
    found = change(result(text, text), verdict="rejected", problems=[failure(text=text)], **changes)
    by = {"by": {"key": text, "name": text}, "arguments": {"Action": text, "Files": [text], "Names": [text]}}
    failed = task("verify", result=None, problem=failure(text=text))
    tasks = {"tasks": [task(**by), failed]}
    return {
        "home": source(
            routes.HOME_PAGE, state=state(host=text, lockdown=text), verified=tasks["tasks"][1], tasks=tasks
        ),
        "modules": source(routes.MODULES_PAGE, inventory=inventory(one)),
        "module": source(routes.MODULE_PAGE, proof=proof),
        "generations": source(routes.GENERATIONS_PAGE, history=history),
        "log": source(routes.LOG_PAGE, log={"head": text, "events": [event(0, text)]}),
        "tasks": source(routes.TASKS_PAGE, tasks=tasks),
        "task": source(routes.TASK_PAGE, task=task(result=found, problem=failure(text=text), **by)),
        "upload": source(routes.UPLOAD_PAGE, keys={"mode": "strict", "controllers": [text]}),
        "refused": host_html.refuse(PageRefusal(404, text, text, text)),
    }


# Nothing but text.


@pytest.mark.parametrize("text", TEXTS)
def test_a_hostile_text_is_nothing_but_text(text: str) -> None:
    for name, html in hostile(text).items():
        found = HtmlPage(html)
        assert {tag for tag, _, _ in found.elements} <= set(TAGS.split()), name
        assert found.comments == [], name
        for tag, attributes, _ in found.elements:
            assert not [key for key in attributes if key.startswith("on") or key in ("style", "src", "srcdoc")], name
            places = r"/[\w/?=-]*|/(modules|tasks)/[\w%.~-]*( … \([\d,]+ more characters\))?|#main|data:,"
            assert re.fullmatch(places, attributes.get("href") or "/"), (name, tag, attributes)
        assert all(character.isprintable() or character == "\n" for character in html), name
        if text and name not in ("upload", "home"):
            assert shown_text(text)[:50] in "".join(found.all("body")), name


def test_the_policy_allows_this_style_alone() -> None:
    found = page(routes.HOME_PAGE, state=state(), verified=None, tasks={"tasks": []})
    digest = base64.b64encode(hashlib.sha256(found.all("style")[0].encode()).digest()).decode()
    directives = dict(part.strip().split(" ", 1) for part in host_html.PAGES.policy.split(";"))
    assert directives == {
        "default-src": "'none'",
        "style-src": f"'sha256-{digest}'",
        "img-src": "data:",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    assert not re.search("url|@import", CSS)


def test_every_colour_is_one_of_the_audits_page_whose_contrast_is_tested() -> None:
    assert not re.search("#[0-9a-f]{3}|rgb|hsl", CSS)
    known = set(re.findall(r"(--[a-z-]+):", resources.files(audit_html).joinpath("report.css").read_text("ascii")))
    assert set(re.findall(r"var\((--[a-z-]+)\)", CSS)) <= known


# What a page says.


def test_a_page_names_where_it_is_and_who_looks() -> None:
    found = page(routes.MODULES_PAGE, inventory=inventory())
    [here] = [text for tag, attributes, text in found.elements if tag == "a" and "aria-current" in attributes]
    assert here == ["Modules"]
    assert "CN=Ann, operator" in found.all("footer")[0]


@pytest.mark.parametrize(("role", "there"), [("reader", False), ("operator", True), ("admin", True)])
def test_the_way_to_the_form_is_shown_to_whoever_may_install(role: str, there: bool) -> None:
    found = page(routes.LOG_PAGE, role, log={"head": None, "events": []})
    assert ("Upload" in found.all("a")) is there


def test_the_state_names_a_generation_that_waits() -> None:
    assert "waits to become active" not in source(routes.HOME_PAGE, state=state(), verified=None, tasks={"tasks": []})
    [told] = page(routes.HOME_PAGE, state=state(pending=4), verified=verified(), tasks={"tasks": []}).all(
        "div", "warning"
    )
    assert told.startswith("generation 4 waits to become active.")


def test_a_host_that_was_not_verified_is_said_to_be_none() -> None:
    running = task("verify", ended=None, state="running")
    for tasks in ([], [task()], [running]):
        found = page(routes.HOME_PAGE, state=state(), verified=None, tasks={"tasks": tasks})
        assert "not verified, as far as is known" in found.all("div", "warning")[0]
        assert ("under way" in "".join(found.all("p"))) is (running in tasks)


def test_what_the_newest_verification_found_is_said_with_the_next_step() -> None:
    found = page(routes.HOME_PAGE, state=state(), verified=verified(), tasks={"tasks": []})
    assert found.all("span", "pill") == ["accepted"]
    assert found.all("div", "alarm") == []
    bad = verified("rejected", findings=[{"module": "agent", **failure()}])
    [told] = page(routes.HOME_PAGE, state=state(), verified=bad, tasks={"tasks": []}).all("div", "alarm")
    for words in ("rejected", "a detail recalled", "Next: Use the replacement."):
        assert words in told


@pytest.mark.parametrize("changes", [{"generation": 4}, {"changed": "2026-06-01T12:00:01Z"}])
def test_a_verification_of_a_host_that_was_changed_since_says_so(changes: dict[str, Any]) -> None:
    found = page(routes.HOME_PAGE, state=state(**changes), verified=verified(), tasks={"tasks": []})
    assert "The host was changed since: verify again." in found.all("div", "warning")[0]


def test_claimed_and_proven_level_stand_side_by_side_and_what_is_not_proved_shouts() -> None:
    bad = [
        module("b-claims", claimed_level="certified", verdict="rejected", problem=failure("level-not-granted")),
        module("c-unproved", proven_level=None, verdict="rejected", problem=failure("no-path")),
        module("d-lost", claimed_level=None, proven_level=None, verdict="undecided", problem=failure("host-invalid")),
        module("e-withdrawn", recall="recalled", verdict="rejected", problem=failure()),
    ]
    found = page(routes.MODULES_PAGE, inventory=inventory(module("a-good"), *bad))
    rows = {row["Module"].split()[0]: row for row in found.table()}
    assert [*rows] == ["b-claims", "c-unproved", "d-lost", "e-withdrawn", "a-good"], "the bad ones come first"
    levels = {name: (row["Claimed level"], row["Proven level"]) for name, row in rows.items()}
    assert levels == {
        "a-good": ("partner", "partner"),
        "b-claims": ("certified unproved", "partner"),
        "c-unproved": ("partner unproved", "not proved"),
        "d-lost": ("unknown", "not proved"),
        "e-withdrawn": ("partner", "partner"),
    }
    [told] = found.all("div", "alarm")
    assert told.startswith("4 modules are not accepted, or not proved at the claimed level.")
    assert len([1 for tag, attributes, _ in found.elements if tag == "tr" and attributes.get("class") == "bad"]) == 4
    assert page(routes.MODULES_PAGE, inventory=inventory(module())).all("div", "alarm") == []


def test_changes_of_a_generation_are_those_against_its_parent() -> None:
    generations = [
        generation(0, None),
        generation(1, 0, "agent 1.0", "net 1.0"),
        generation(2, 1, "agent 2.0", "disk 1.0"),
        generation(3, 2, "agent 2.0", "disk 1.0"),
        generation(9, 8, "agent 2.0"),
    ]
    rows = page(routes.GENERATIONS_PAGE, history={"generations": generations, "lost": [], "findings": []}).table()
    changed = {row["Generation"].split("after")[0].split("the")[0]: row["Changed"] for row in rows}
    assert [*changed] == ["9", "3", "2", "1", "0"]
    assert changed["9"] == "unknown: generation 8, from which it was made, is not kept or cannot be read"
    assert changed["3"] == changed["0"] == "no module has another version"
    assert changed["2"] == "updated agent 1.0 to 2.0added disk 1.0removed net 1.0"
    assert changed["1"] == "added agent 1.0added net 1.0"


def test_a_generation_that_is_lost_is_named() -> None:
    lost, damaged = failure("generation-lost", "generation 1 is lost"), failure("host-invalid", "the state is damaged")
    history = {"generations": [generation(2, 1)], "lost": [lost], "findings": [{"module": None, **damaged}]}
    [told] = page(routes.GENERATIONS_PAGE, history=history).all("div", "alarm")
    assert "generation 1 is lost generation-lost" in told
    assert "the state is damaged host-invalid" in told


def test_who_is_named_in_the_log_by_key_or_as_a_user_of_the_host() -> None:
    by = [{"key": KEY, "name": "CN=Ann"}, {"uid": "0", "user": "root", "login_uid": "1000"}, {"uid": "7"}, {}]
    events = [event(number, by=one) for number, one in enumerate(by)]
    rows = page(routes.LOG_PAGE, log={"head": "ab" * 32, "events": events}).table()
    assert [row["Who"] for row in rows] == ["unknown", "user 7", "root, login 1000", "CN=Annkey-sha256:abababababab…"]


def test_a_task_that_runs_is_loaded_again_and_one_that_has_ended_is_not() -> None:
    running = task(state="running", ended=None)
    for each, again in ((running, True), (task(), False)):
        assert ('http-equiv="refresh"' in source(routes.TASK_PAGE, task=each)) is again
        assert ('http-equiv="refresh"' in source(routes.TASKS_PAGE, tasks={"tasks": [each]})) is again


def test_a_task_says_how_far_it_is_and_whether_it_has_begun() -> None:
    step = {"number": 2, "steps": 4, "what": "verifying", "done": 1, "of": 2, "percent": 37}
    running = task(state="running", ended=None)
    for progress, said in ((step, "running 37 % 37 %, step 2 of 4: verifying"), (None, "waits")):
        [row] = page(routes.TASKS_PAGE, tasks={"tasks": [{**running, "progress": progress}]}).table()
        assert row["State"] == said
        assert said in page(routes.TASK_PAGE, task={**running, "progress": progress}).all("p", "lead")[0]


def test_a_listed_verification_has_its_verdict_whatever_it_found() -> None:
    listed = {**task("verify", state="refused"), "verdict": "rejected"}
    assert page(routes.TASKS_PAGE, tasks={"tasks": [listed]}).table()[0]["State"] == "rejected"


def test_a_refused_bundle_has_its_reason_first_then_each_numbered_step() -> None:
    refused = result("agent.seal", "plain")
    found = page(routes.TASK_PAGE, task=task(state="refused", result=change(refused, verdict="rejected")))
    [told] = found.all("div", "alarm")
    assert told == "plain payload-digest-mismatchNext: plain"
    assert found.all("h4") == [
        *("0 container", "1 signature", "2 time", "3 chain", "4 purpose", "5 revocation", "6 level", "7 payloads"),
        *("8 files", "9 restrictions"),
    ]
    steps = [attributes.get("class") for tag, attributes, _ in found.elements if tag == "li"]
    assert [one for one in steps if one and "check" not in one] == [
        "none",
        "passed",
        *["none"] * 5,
        "failed",
        *["none"] * 2,
    ]


def test_what_was_only_tried_is_not_said_to_be_done() -> None:
    one = {**module(), "proven_level": "partner"}
    for tried, title in ((False, "What changed"), (True, "What would change")):
        found = page(routes.TASK_PAGE, task=task(arguments={"DryRun": tried}, result=change(installed=[one])))
        assert title in found.all("h2")
        assert ("generation 4 is active" in "".join(found.all("p"))) is not tried


def test_a_strict_host_says_before_the_upload_that_it_will_refuse() -> None:
    for mode, controllers, warned in (("strict", [], True), ("strict", [KEY], False), ("normal", [], False)):
        found = page(routes.UPLOAD_PAGE, keys={"mode": mode, "controllers": controllers})
        assert bool(found.all("div", "warning")) is warned


def test_each_field_of_the_form_has_a_label_and_the_token_comes_before_the_bundles() -> None:
    found = page(routes.UPLOAD_PAGE, keys={"mode": "normal", "controllers": []})
    names = [attributes["name"] for tag, attributes, _ in found.elements if tag == "input"]
    assert names == ["token", "UpdateFile", "Action", "Action", "DryRun"]
    assert [text.strip().split(":")[0] for text in found.all("label")] == [
        *("Bundles (.seal or .vib)", "Install", "Update", "Only try"),
    ]


@pytest.mark.parametrize("status", [400, 403, 404, 405, 408, 413, 429, 500, 503])
def test_each_refusal_says_what_to_do_next(status: int) -> None:
    found = HtmlPage(host_html.refuse(PageRefusal(status, "because")))
    assert re.fullmatch("Because.*Next: .{20,}", found.all("div", "alarm")[0])
