"""What the API shows, in the language of OData's metadata (CSDL 4.0), as Redfish wants it (DSP0266 section 8 and 10).

`$metadata` says which files describe the types that are used: those of Redfish itself, which DMTF publishes, and one of
our own, made from the shapes of our documents.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from html import escape

from modseal.format.shape import Array, Boolean, Integer, Nullable, Scalar, Shape, Table, Text, TextMap
from modseal.serve import routes
from modseal.serve.documents import DOCUMENTS, PARTS, kind_of
from modseal.serve.operations import OPERATIONS, STATE

NAMESPACE = "Modseal.v1_0_0"
_EDMX = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<edmx:Edmx xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx" Version="4.0">\n'
)
_EDM = 'xmlns="http://docs.oasis-open.org/odata/ns/edm"'
_DMTF = "http://redfish.dmtf.org/schemas/v1"
TYPES = {
    "AccountService": "v1_13_0",
    "EventDestination": "v1_13_0",
    "EventService": "v1_10_0",
    "LogEntry": "v1_16_0",
    "LogService": "v1_5_0",
    "Manager": "v1_19_0",
    "Message": "v1_1_2",
    "Role": "v1_3_1",
    "ServiceRoot": "v1_15_0",
    "SessionService": "v1_1_8",
    "SoftwareInventory": "v1_10_0",
    "Task": "v1_7_0",
    "TaskService": "v1_2_0",
    "UpdateService": "v1_11_0",
}
"""Redfish's types that are used, each in which version."""
_ENUMERATED = 16
"""Texts of which one is chosen, in a pattern; the codes are more, and have a page of their own."""
_COLLECTIONS = ("EventDestination", "LogEntry", "LogService", "Manager", "Role", "Session", "SoftwareInventory", "Task")


def metadata() -> str:
    """`$metadata`: where each type is described."""
    lines = [_EDMX.rstrip()]
    for name, version in TYPES.items():
        lines += _reference(f"{_DMTF}/{name}_v1.xml", name, f"{name}.{version}")
    for name in _COLLECTIONS:
        lines += _reference(f"{_DMTF}/{name}Collection_v1.xml", f"{name}Collection")
    lines += _reference(routes.SCHEMA, "Modseal", NAMESPACE)
    container = f'<EntityContainer Name="Service" Extends="ServiceRoot.{TYPES["ServiceRoot"]}.ServiceContainer"/>'
    lines += ["  <edmx:DataServices>", *_schema("Service", [container]), "  </edmx:DataServices>"]
    return "\n".join([*lines, "</edmx:Edmx>", ""])


def own_types() -> str:
    """Our own types: resources, documents, and the arguments of actions."""
    lines = [_EDMX.rstrip()]
    for file, *names in (
        ("Resource", "Resource", "Resource.v1_0_0"),
        ("Manager", "Manager", "Manager.v1_0_0"),
        ("RedfishExtensions", 'RedfishExtensions.v1_0_0" Alias="Redfish', 'Validation.v1_0_0" Alias="Validation'),
    ):
        lines += _reference(f"{_DMTF}/{file}_v1.xml", *names)
    lines += _reference(
        "http://docs.oasis-open.org/odata/odata/v4.0/errata03/csd01/complete/vocabularies/Org.OData.Core.V1.xml",
        'Org.OData.Core.V1" Alias="OData',
    )
    lines += ["  <edmx:DataServices>", *_schema("Modseal", _actions())]
    lines += [*_schema(NAMESPACE, [*_resources(), *_documents()]), "  </edmx:DataServices>"]
    return "\n".join([*lines, "</edmx:Edmx>", ""])


def _reference(uri: str, *namespaces: str) -> list[str]:
    includes = (f'    <edmx:Include Namespace="{one}"/>' for one in namespaces)
    return [f'  <edmx:Reference Uri="{uri}">', *includes, "  </edmx:Reference>"]


def _schema(namespace: str, lines: list[str]) -> list[str]:
    head = f'    <Schema {_EDM} Namespace="{namespace}">'
    return [head, *(f"      {line}" for line in lines), "    </Schema>"]


def _actions() -> list[str]:
    lines = []
    for route in routes.ROUTES:
        if not route.path.startswith(routes.ACTIONS):
            continue
        name, takes = route.path.rpartition(".")[2], OPERATIONS[route.operation].takes
        lines += [
            f'<Action Name="{name}" IsBound="true">',
            '<Parameter Name="Manager" Type="Manager.v1_0_0.OemActions"/>',
            *(
                f'<Parameter Name="{key}" Type="{_simple(shape)}" Nullable="{str(key not in takes.required).lower()}"/>'
                for key, shape in takes.fields.items()
            ),
            _about(route.about),
            "</Action>",
        ]
    return lines


def _simple(shape: Shape) -> str:
    """The type of an argument, which is no table."""
    match shape:
        case Array():
            return f"Collection({_simple(shape.item)})"
        case Integer():
            return "Edm.Int64"
        case Boolean():
            return "Edm.Boolean"
    return "Edm.String"


def _resources() -> Iterator[str]:
    """Those that Redfish has no type for: each has a document, and nothing else."""
    for route in routes.ROUTES:
        if route.path.startswith(f"{routes.OWN}/"):
            name = route.path.rpartition("/")[2]
            yield f'<EntityType Name="{name}" BaseType="Resource.v1_0_0.Resource">{_about(route.about)}</EntityType>'


def _documents() -> Iterator[str]:
    links = [f'<NavigationProperty Name="{one}" Type="{NAMESPACE}.{one}"/>' for one in routes.own_names()]
    for schema, table in DOCUMENTS.items():
        yield from _complex(kind_of(schema), table, "Resource.OemObject", links if schema == STATE else ())
    for name, table in PARTS.items():
        yield from _complex(name, table, "Resource.OemObject")


def _complex(name: str, table: Table, base: str = "", more: Iterable[str] = ()) -> Iterator[str]:
    """A table as a type, and after it the types of the tables in it."""
    below: dict[str, Shape] = {}
    derived = f' BaseType="{base}"' if base else ""
    yield f'<ComplexType Name="{name}"{derived}>{_about(table.about)}'
    for key, shape in table.fields.items():
        kind, is_null = _kind(name + key.title().replace("_", ""), shape, below)
        needed = '<Annotation Term="Redfish.Required"/>' if key in table.required else ""
        notes = needed + _pattern(shape) + _about(shape.about)
        yield f'<Property Name="{key}" Type="{kind}" Nullable="{str(is_null).lower()}">{notes}</Property>'
    yield from more
    yield "</ComplexType>"
    for other, shape in below.items():
        if isinstance(shape, Table):
            yield from _complex(other, shape)
        elif isinstance(shape, TextMap):
            yield from _map(other, shape)


def _kind(name: str, shape: Shape, below: dict[str, Shape]) -> tuple[str, bool]:
    """The type of a member, and whether it can be null; a type that it needs is added to `below`, with this name."""
    match shape:
        case Nullable():
            return _kind(name, shape.shape, below)[0], True
        case Array():
            return f"Collection({_kind(name, shape.item, below)[0]})", False
        case Table() | TextMap():
            below[name] = shape
            return f"{NAMESPACE}.{name}", False
        case Scalar():
            return "Edm.PrimitiveType", True
    return _simple(shape), False


def _pattern(shape: Shape) -> str:
    """What a text must be."""
    text = shape.shape if isinstance(shape, Nullable) else shape
    if not isinstance(text, Text) or not (text.pattern or 0 < len(text.choices) <= _ENUMERATED):
        return ""
    pattern = text.pattern.pattern if text.pattern else "|".join(map(re.escape, text.choices))
    return f'<Annotation Term="Validation.Pattern" String="^(?:{escape(pattern)})$"/>'


def _map(name: str, shape: TextMap) -> Iterator[str]:
    """A table whose keys are any texts."""
    below: dict[str, Shape] = {}
    kind = _kind(f"{name}Item", shape.item, below)[0]
    yield (
        f'<ComplexType Name="{name}"><Annotation Term="OData.AdditionalProperties" Bool="true"/>'
        '<Annotation Term="Redfish.DynamicPropertyPatterns"><Collection><Record>'
        f'<PropertyValue Property="Pattern" String=".*"/><PropertyValue Property="Type" String="{kind}"/>'
        "</Record></Collection></Annotation></ComplexType>"
    )
    for other, inner in below.items():
        if isinstance(inner, Table):
            yield from _complex(other, inner)


def _about(text: str) -> str:
    return f'<Annotation Term="OData.Description" String="{escape(text)}"/>' if text else ""
