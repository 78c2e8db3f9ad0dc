"""What holds for every JSON Schema of ours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema


def require_closed(schema: dict[str, Any]) -> None:
    """It is a good schema, and each of its objects says what may be in it; one that allows nothing else wants all."""
    jsonschema.Draft202012Validator.check_schema(schema)
    for node in _objects(schema):
        assert node.get("additionalProperties") is not None, node
        if node["additionalProperties"] is False and "error" not in node["properties"]:
            assert set(node["required"]) == set(node["properties"])


def _objects(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict) and node.get("type") == "object":
        yield node
    for value in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _objects(value)
