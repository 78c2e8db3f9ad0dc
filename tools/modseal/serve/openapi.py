"""The table of routes without its pages as an OpenAPI description, for clients and tests that make requests up.

What an operation takes and gives is said by the shapes that the service itself checks and writes.
"""

from __future__ import annotations

import re
from typing import Any

from modseal import __version__
from modseal.format.json_schema import schema_of
from modseal.format.shape import Table
from modseal.serve.documents import DOCUMENTS, PARTS, kind_of
from modseal.serve.operations import OPERATIONS, PARAMETERS, STATE
from modseal.serve.routes import (
    EVENTS,
    INVENTORY,
    MONITOR,
    PAGES,
    PUSH,
    ROOT,
    ROUTES,
    SCHEMA,
    SERVICE,
    Route,
    own_names,
)

_JSON = "application/json"
_REFUSALS = {
    "400": "The request is not a valid one.",
    "403": "This certificate has not the role, the host is in strict mode, or a page from elsewhere asks.",
    "404": "There is no such thing.",
    "405": "Not in the table.",
    "408": "The rest of the request did not come.",
    "409": "The host refuses, and says why.",
    "413": "Too large.",
    "429": "Too many requests of this client.",
    "500": "A bug of modseal.",
    "503": "The host cannot decide, and says why.",
    "507": "The disk is full.",
}
_OTHER = {
    "/metrics": "text/plain",
    f"{ROOT}/$metadata": "application/xml",
    SCHEMA: "application/xml",
    EVENTS: "text/event-stream",
}
"""What is no JSON."""

_PLAIN = ("/redfish", f"{ROOT}/odata", "/openapi.json")
"""JSON that is no resource."""


def describe() -> dict[str, Any]:
    """The description, OpenAPI 3.1."""
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        if route.path in PAGES:
            continue
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    links = {name: _object({"@odata.id": _TEXT}) for name in own_names()}
    types = {kind_of(schema): table for schema, table in DOCUMENTS.items()} | dict(PARTS)
    schemas = {name: _typed(table) for name, table in types.items()}
    schemas[kind_of(STATE)]["properties"] |= links
    return {
        "openapi": "3.1.0",
        "info": {"title": "modseal host", "version": __version__},
        "components": {
            "securitySchemes": {"certificate": {"type": "mutualTLS"}},
            "schemas": {**schemas, **_RESOURCES},
        },
        "security": [{"certificate": []}],
        "paths": paths,
    }


def _typed(table: Table) -> dict[str, Any]:
    """A document as it stands in a resource: with its type."""
    schema = schema_of(table)
    schema["properties"] = {"@odata.type": {"type": "string"}, **schema["properties"]}
    schema["required"] = ["@odata.type", *schema["required"]]
    return schema


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    return {"type": "object", "required": [*required], "properties": {**required, **optional}}


def _own(schema: dict[str, Any]) -> dict[str, Any]:
    """An object that has a document of modseal's own."""
    return _object({"Oem": _object({"Modseal": schema})})


_TEXT = {"type": "string"}
_RESOURCES = {
    "Resource": _object({"@odata.id": _TEXT, "@odata.type": _TEXT, "Name": _TEXT}),
    "Task": {
        "allOf": [
            _reference("Resource"),
            _object(
                {
                    "TaskState": {"enum": ["Pending", "Running", "Completed", "Exception"]},
                    "Messages": {"type": "array", "items": _reference("Message")},
                    "Oem": _object({"ModsealTask": _reference("TaskRecord")}),
                }
            ),
        ]
    },
    "Message": {
        "allOf": [_object({"MessageId": _TEXT, "Message": _TEXT}), _own(_reference("Failure"))],
    },
    "Error": _object(
        {
            "error": _object(
                {
                    "code": _TEXT,
                    "message": _TEXT,
                    "@Message.ExtendedInfo": {"type": "array", "items": _reference("Message")},
                }
            )
        }
    ),
}


def is_resource(route: Route) -> bool:
    """Whether a route shows a resource of Redfish, which links lead to."""
    return route.method == "GET" and route.path not in (*_OTHER, *_PLAIN, *PAGES, MONITOR)


def _operation(route: Route) -> dict[str, Any]:
    operation = OPERATIONS.get(route.operation)
    found: dict[str, Any] = {
        "summary": route.about,
        "description": f"Role: {route.role}.",
        "responses": {
            **_good(route),
            **{
                status: {"description": text, "content": {_JSON: {"schema": _reference("Error")}}}
                for status, text in _REFUSALS.items()
            },
        },
    }
    found["parameters"] = [
        {"name": one, "in": "path", "required": True, "schema": {"type": "string"}}
        for one in re.findall(r"{(\w+)}", route.path)
    ]
    if route.path == INVENTORY:
        found["parameters"].append({"name": "pending", "in": "query", "schema": {"enum": ["true", "false"]}})
    if route.path == PUSH:
        found["requestBody"] = {"required": True, "content": {"multipart/form-data": {"schema": _push()}}}
    elif route.method == "POST" and operation:
        schema = schema_of(operation.takes)
        is_needed = bool(operation.takes.required)
        found["requestBody"] = {"required": is_needed, "content": {_JSON: {"schema": schema}}}
    return found


def _push() -> dict[str, Any]:
    """What Redfish has as the body of a push (DSP0266 section 13.7.1)."""
    parameters = schema_of(PARAMETERS)
    parameters["properties"]["ForceUpdate"] = {"const": False}
    parts = {"UpdateParameters": parameters, "UpdateFile": {"type": "string", "format": "binary"}}
    return {"type": "object", "properties": parts, "required": ["UpdateFile"], "additionalProperties": False}


def _good(route: Route) -> dict[str, Any]:
    """What comes where nothing speaks against it."""
    operation = OPERATIONS.get(route.operation)
    if (operation and operation.task) or route.path == MONITOR:
        where = {"Location": {"required": True, "schema": _TEXT}, "Retry-After": {"schema": _TEXT}}
        content = {_JSON: {"schema": _reference("Task")}}
        begun = {"description": "Not done yet: ask at `Location`.", "headers": where, "content": content}
        return {"202": begun, "200": {"description": "Done.", "content": content}}
    if route.path in _OTHER:
        return {"200": {"description": "Shown.", "content": {_OTHER[route.path]: {"schema": _TEXT}}}}
    return {"200": {"description": "Done, or shown.", "content": {_JSON: {"schema": _shown(route)}}}}


def _shown(route: Route) -> dict[str, Any]:
    operation = OPERATIONS.get(route.operation)
    own = _own(_reference(kind_of(operation.gives))) if operation and operation.gives else {}
    if route.method != "GET":
        return own
    if route.path in _PLAIN:
        return {"type": "object"}
    if route.operation == "task":
        return _reference("Task")
    if route.operation == "log":
        own = _own(_reference("Event" if "{" in route.path else "LogHead"))
    if route.path == SERVICE or not own:
        return _reference("Resource")
    return {"allOf": [_reference("Resource"), own]}
