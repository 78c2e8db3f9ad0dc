"""Other people's documents that a module carries, held against what their media type says.

An SBOM is held against the official schemas of CycloneDX, which `cyclonedx-python-lib` ships, and a statement against
`in_toto.schema.json`, which is written from the specifications (in-toto attestation spec/v1/statement.md and
resource_descriptor.md; SLSA v1.0 provenance). The libraries are the extra `modseal[sbom]` and are imported only here:
a verifier takes an attachment as bytes and never parses it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from importlib import resources
from importlib.util import find_spec
from typing import Any

from modseal import limits
from modseal.errors import SpecError, foreign, require_spec
from modseal.files.small import read_small
from modseal.format.canonical_json import once
from modseal.format.shape import quote
from modseal.packing import provenance, sbom
from modseal.packing.plan import AttachmentPlan

_LONGEST = 200
_WORDS = {
    "type": "must be of the type {value}",
    "const": "must be {value}",
    "enum": "must be one of {value}",
    "pattern": "is not written as it must be ({value})",
    "format": "is not of the form {value}",
    "minItems": "needs at least {value} item(s)",
    "minProperties": "needs at least {value} field(s)",
    "minLength": "needs at least {value} character(s)",
    "uniqueItems": "has the same item twice",
}
"""What is wrong, by the rule of the JSON Schema that says so. The validators' own sentences quote whole documents."""


def check(attachments: Iterable[AttachmentPlan]) -> tuple[str, ...]:
    """Hold each attachment that claims to be CycloneDX or in-toto against its schema; what to warn of.

    Raises `SpecError` with every document that does not fit, `InputError`.
    """
    problems: list[str] = []
    warnings: list[str] = []
    for item in attachments:
        kind = _KINDS.get(item.media_type)
        if kind is None:
            continue
        name, libraries, problems_of = kind
        if not all(map(find_spec, libraries)):
            warnings.append(f"{item.name} was not checked against {name}: pip install modseal[sbom]")
            continue
        unfit = f"{item.path}: no {name} document"
        problems += [f"{unfit}: {problem}" for problem in _problems(item, unfit, problems_of)]
    require_spec(problems)
    return tuple(warnings)


def _problems(item: AttachmentPlan, unfit: str, problems_of: Callable[[Any], Iterator[str]]) -> tuple[str, ...]:
    """What does not fit. Raises `SpecError` for what is not JSON, or is nested too deep to be judged."""
    data = read_small(item.path, limits.ATTACHMENT_SIZE).data
    with foreign(lambda why: SpecError(f"{unfit}: {why[:_LONGEST]}").because("document-damaged")):
        document = json.loads(data.decode("utf-8"), object_pairs_hook=once, parse_constant=_no_constant)
        return tuple(problems_of(document))


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number of JSON")


def _cyclonedx(document: Any) -> Iterator[str]:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    said = document.get("specVersion") if isinstance(document, dict) else None
    versions = {version.to_version(): version for version in SchemaVersion if version >= SchemaVersion.V1_2}
    if said not in versions:
        yield f"$.specVersion: must be one of {', '.join(sorted(versions))}"
        return
    found = JsonStrictValidator(versions[said]).validate_str(json.dumps(document))
    if found:
        yield _sentence(found.data)


def _in_toto(document: Any) -> Iterator[str]:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    schema = json.loads(resources.files("modseal.packing").joinpath("in_toto.schema.json").read_bytes())
    found = best_match(Draft202012Validator(schema).iter_errors(document))
    if found:
        yield _sentence(found)


def _sentence(error: Any) -> str:
    """Where it is, as a JSON path, and what is wrong there."""
    value = error.validator_value
    if error.validator == "required":
        missing = next((name for name in value if name not in error.instance), "")
        words = f"{quote(missing)} is missing"
    elif error.validator == "additionalProperties":
        unknown = next((name for name in error.instance if name not in error.schema.get("properties", ())), "")
        words = f"{quote(unknown)} is not a field of it"
    else:
        shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        words = _WORDS.get(error.validator, "has none of the forms that it may have").format(value=shown[:_LONGEST])
    return f"{error.json_path[:_LONGEST]}: {words}"


_KINDS = {
    sbom.MEDIA_TYPE: ("CycloneDX", ("cyclonedx", "jsonschema", "referencing"), _cyclonedx),
    provenance.MEDIA_TYPE: ("in-toto Statement v1", ("jsonschema",), _in_toto),
}
