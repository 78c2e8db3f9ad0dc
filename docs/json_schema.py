"""Writes a shape (`modseal.format.shape`) as JSON Schema 2020-12: the published schemas are what the code checks."""

from __future__ import annotations

import json
from typing import Any

from modseal.auditing import report_shape, run
from modseal.boot import documents as boot_documents
from modseal.bundle import diff_shape, result_shape, stage_modes
from modseal.depot import index as depot_index
from modseal.format import break_glass, image_profile, manifest_json, recall, trust_bundle
from modseal.format.json_schema import schema_of
from modseal.format.shape import Shape
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
