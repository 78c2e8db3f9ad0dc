"""Writes a shape (`modseal.format.shape`) as JSON Schema 2020-12, so that what is published is what the code checks."""

from __future__ import annotations

from typing import Any

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
        case Variant():
            return {"oneOf": [schema_of(table) for table in shape.tables.values()]}
    return shape.json_schema()


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
