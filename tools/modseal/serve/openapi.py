"""The table of routes as an OpenAPI description, for clients and for tests that make requests up."""

from __future__ import annotations

import re
from typing import Any

from modseal import __version__
from modseal.serve.operations import OPERATIONS
from modseal.serve.routes import PUSH, ROUTES, Route

_KINDS = {str: "string", int: "integer", bool: "boolean", list: "array"}
_REPLIES = {
    "200": "Done, or shown.",
    "202": "Begun: `Location` names the task.",
    "400": "The request is not a valid one.",
    "403": "This certificate has not the role, or the host is in strict mode.",
    "404": "There is no such thing.",
    "409": "The host refuses, and says why.",
    "413": "Too large.",
    "429": "Too many requests of this client.",
}


def describe() -> dict[str, Any]:
    """The description, OpenAPI 3.1."""
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "modseal host", "version": __version__},
        "components": {"securitySchemes": {"certificate": {"type": "mutualTLS"}}},
        "security": [{"certificate": []}],
        "paths": paths,
    }


def _operation(route: Route) -> dict[str, Any]:
    found: dict[str, Any] = {
        "summary": route.about,
        "description": f"Role: {route.role}.",
        "responses": {status: {"description": text} for status, text in _REPLIES.items()},
    }
    names = re.findall(r"{(\w+)}", route.path)
    if names:
        found["parameters"] = [
            {"name": one, "in": "path", "required": True, "schema": {"type": "string"}} for one in names
        ]
    if route.path == PUSH:
        parts = {"UpdateParameters": {"type": "object"}, "UpdateFile": {"type": "string", "format": "binary"}}
        content = {"multipart/form-data": {"schema": {"type": "object", "properties": parts, "required": [*parts]}}}
        found["requestBody"] = {"required": True, "content": content}
    elif route.method == "POST":
        takes = {name: {"type": _KINDS[kind]} for name, kind in OPERATIONS[route.operation].takes.items()}
        schema = {"type": "object", "properties": takes, "additionalProperties": False}
        found["requestBody"] = {"content": {"application/json": {"schema": schema}}}
    return found
