"""Writes a shape (`modseal.format.shape`) as JSON Schema 2020-12: the published schemas are what the code checks."""

from __future__ import annotations

import json
from typing import Any

from modseal.auditing import report_shape, run
from modseal.boot import documents as boot_documents
from modseal.bundle import diff_shape, result_shape, stage_modes
from modseal.depot import index as depot_index
from modseal.format import break_glass, image_profile, manifest_json, recall, trust_bundle
from modseal.format.shape import (
    UNBOUNDED,
    Array,
    Boolean,
    Integer,
    Nullable,
    Scalar,
    Shape,
    Table,
    Text,
    TextMap,
    Variant,
)
from modseal.host import result_shape as host_shape
from modseal.image import spec_shape as image_shape
from modseal.packing import spec_shape
from modseal.policy import shape as policy_shape
from modseal.remote import inventory_shape
from modseal.serve import spec_shape as serve_shape

PUBLISHED: dict[str, tuple[Shape, str]] = {
    "manifest": (manifest_json.SHAPE, manifest_json.SCHEMA),
    "module": (spec_shape.SHAPE, spec_shape.SCHEMA),
    "stage": (stage_modes.SHAPE, stage_modes.SCHEMA),
    "policy": (policy_shape.SHAPE, policy_shape.SCHEMA),
    "trust-bundle": (trust_bundle.SHAPE, trust_bundle.SCHEMA),
    "depot": (depot_index.SHAPE, depot_index.SCHEMA),
    "recall": (recall.SHAPE, recall.SCHEMA),
    "break-glass": (break_glass.SHAPE, break_glass.SCHEMA),
    "profile": (image_profile.SHAPE, image_profile.SCHEMA),
    "report": (result_shape.SHAPE, result_shape.SCHEMA),
    "diff": (diff_shape.SHAPE, diff_shape.SCHEMA),
    "audit": (report_shape.SHAPE, run.SCHEMA),
    "host": (host_shape.SHAPE, "modseal host"),
    "image": (image_shape.SHAPE, image_shape.SCHEMA),
    "serve": (serve_shape.SHAPE, serve_shape.SCHEMA),
    "remote": (inventory_shape.SHAPE, inventory_shape.SCHEMA),
    "service": (boot_documents.SERVICE_SHAPE, boot_documents.SERVICE),
}
"""The schemas of schemas/ by name: the shape of each, and its title."""


def published(name: str) -> dict[str, Any]:
    """The whole schema of this name."""
    shape, title = PUBLISHED[name]
    return document(shape, f"urn:modseal:{name}:1", title)


def document(shape: Shape, identifier: str, title: str) -> dict[str, Any]:
    """A whole JSON Schema document for a shape."""
    schema = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": schema, "$id": identifier, "title": title, **schema_of(shape)}


def text(schema: dict[str, Any]) -> str:
    """A JSON Schema as it is committed: indented, with a final newline."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def schema_of(shape: Shape) -> dict[str, Any]:
    """The JSON Schema of a shape."""
    about = {"description": shape.about} if shape.about else {}
    return about | _keywords(shape)


def _keywords(shape: Shape) -> dict[str, Any]:
    match shape:
        case Text():
            return _text(shape)
        case Integer(least=least, most=most):
            return {"type": "integer", "minimum": least, **_most("maximum", most)}
        case Boolean():
            return {"type": "boolean"}
        case Array(least=least, most=most):
            unique = {"uniqueItems": True} if shape.unique else {}
            items = {"type": "array", "items": schema_of(shape.item)}
            return {**items, "minItems": least, **_most("maxItems", most), **unique}
        case Table():
            return {
                "type": "object",
                "properties": {key: schema_of(field) for key, field in shape.fields.items()},
                "required": list(shape.order),
                "additionalProperties": shape.open,
            }
        case TextMap(most=most):
            keys = {"type": "object", "propertyNames": schema_of(shape.key)}
            return {**keys, "additionalProperties": schema_of(shape.item), **_most("maxProperties", most)}
        case Nullable():
            return {"oneOf": [schema_of(shape.shape), {"type": "null"}]}
        case Scalar():
            return {"type": ["string", "integer", "boolean", "null"]}
        case spec_shape.SpecTime():
            return {"type": "string", "pattern": f"^(?:{spec_shape.TIME.pattern})$"}
        case Variant():
            return {"oneOf": [schema_of(table) for table in shape.tables.values()]}
    raise TypeError(type(shape))


def _text(shape: Text) -> dict[str, Any]:
    if len(shape.choices) == 1:
        return {"const": shape.choices[0]}
    if shape.choices:
        return {"enum": list(shape.choices)}
    pattern = {"pattern": f"^(?:{shape.pattern.pattern})$"} if shape.pattern else {}
    return {"type": "string", "minLength": shape.least, **_most("maxLength", shape.most), **pattern}


def _most(word: str, most: int) -> dict[str, Any]:
    """A bound, or nothing where there is none."""
    return {} if most == UNBOUNDED else {word: most}
