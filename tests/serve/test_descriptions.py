"""What the service says of itself: its metadata and its OpenAPI description hold for all that it shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from jsonschema import Draft202012Validator

from builders.pki import leaf, root
from builders.served import Reply, Served, served, webhook
from modseal.serve import openapi, routes

EDM = "{http://docs.oasis-open.org/odata/ns/edm}"
EDMX = "{http://docs.oasis-open.org/odata/ns/edmx}"


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("described")
    with served(folder, webhook(folder)) as found:
        found.ended(found.push(found.host.bundle("acme-agent", "1.0")))
        found.ended(found.push(found.host.bundle("stranger", "1.0", leaf(issuer=root(7)))))
        found.ended(found.ask("POST", f"{routes.ACTIONS}.Verify", "operator"))
        yield found


@pytest.fixture(scope="module")
def shown(one: Served) -> dict[str, Reply]:
    """Every resource that links lead to from the root of the service."""
    found: dict[str, Reply] = {}
    waiting = [routes.SERVICE]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found[path] = one.ask("GET", path)
            assert found[path].status == 200, (path, found[path].data)
            waiting += [value for key, value in pairs(found[path].document) if key == "@odata.id"]
    return found


def pairs(value: object) -> Iterator[tuple[str, Any]]:
    """All keys within a document, each with its value."""
    if isinstance(value, list):
        for each in value:
            yield from pairs(each)
    elif isinstance(value, dict):
        for key, each in value.items():
            yield key, each
            yield from pairs(each)


def test_links_lead_to_every_resource_of_the_table(shown: dict[str, Reply]) -> None:
    for route in routes.ROUTES:
        if openapi.is_resource(route):
            pattern = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(route.path))
            assert any(re.fullmatch(pattern, path) for path in shown), route.path


def test_each_type_that_is_shown_is_one_that_the_metadata_name(one: Served, shown: dict[str, Reply]) -> None:
    metadata = ET.fromstring(one.ask("GET", f"{routes.ROOT}/$metadata").data)
    named = {include.attrib["Namespace"] for include in metadata.iter(f"{EDMX}Include")}
    types = {value for reply in shown.values() for key, value in pairs(reply.document) if key == "@odata.type"}
    assert {kind.removeprefix("#").rpartition(".")[0] for kind in types} <= named
    own = ET.fromstring(one.ask("GET", routes.SCHEMA).data)
    described = {kind.attrib["Name"] for tag in ("ComplexType", "EntityType") for kind in own.iter(f"{EDM}{tag}")}
    assert {kind.rpartition(".")[2] for kind in types if kind.startswith("#Modseal.")} <= described
    assert {f"Modseal.{action.attrib['Name']}" for action in own.iter(f"{EDM}Action")} == {
        route.path.rpartition("/")[2] for route in routes.ROUTES if route.path.startswith(routes.ACTIONS)
    }


def test_the_openapi_description_holds_for_all_that_is_shown(one: Served, shown: dict[str, Reply]) -> None:
    described = one.ask("GET", "/openapi.json").document
    tasks = [one["@odata.id"] for one in one.ask("GET", routes.TASKS).document["Members"]]
    more = [*(task.replace("/Tasks/", "/TaskMonitors/") for task in tasks), f"{routes.TASKS}/none"]
    replies = {**shown, **{path: one.ask("GET", path) for path in more}}
    assert {reply.status for reply in replies.values()} == {200, 404, 409}
    for path, reply in replies.items():
        [shape] = [
            one
            for one in described["paths"]
            if re.fullmatch(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(one)), path) and "get" in described["paths"][one]
        ]
        [schema] = described["paths"][shape]["get"]["responses"][str(reply.status)]["content"].values()
        whole = {**schema["schema"], "components": described["components"]}
        assert [error.message for error in Draft202012Validator(whole).iter_errors(reply.document)] == [], path


def test_whoever_waits_for_a_task_is_told_what_the_request_would_have_been_answered(one: Served) -> None:
    reply = one.push(one.host.bundle("stranger", "2.0", leaf(issuer=root(7))))
    assert (reply.status, reply.headers["Retry-After"]) == (202, "1")
    task = one.ended(reply)
    assert reply.headers["Location"] == task["TaskMonitor"]
    refused = one.ask("GET", task["TaskMonitor"])
    assert (refused.status, refused.codes) == (409, ["no-path"])
    assert refused.document["error"]["Oem"]["Modseal"]["verdict"] == "rejected"
    verified = one.ended(one.ask("POST", f"{routes.ACTIONS}.Verify", "operator"))
    assert one.ask("GET", verified["TaskMonitor"]).document == verified
