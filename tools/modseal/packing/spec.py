"""A `module.toml` as values: read, checked value by value, with the line of everything that is wrong.

Nothing but the spec itself is read here; `plan` looks at the files that it names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from modseal.errors import Failure, SpecError, require_spec
from modseal.format import rules, toml_text
from modseal.format.level import Level
from modseal.format.lookalikes import not_text
from modseal.format.manifest import Constraint, Platform, Relationships, VibFields
from modseal.format.shape import Problem, quote
from modseal.format.shape import Steps as Place
from modseal.format.stage_descriptor import GivenText
from modseal.format.times import time_text
from modseal.packing.given import put
from modseal.packing.spec_shape import DEFAULT_PAYLOAD, SHAPE


@dataclass(frozen=True, slots=True)
class PayloadSpec:
    """A `[[payload]]`: a folder (or none) and where its tree goes. `type` is as written, or empty."""

    name: str
    root: str | None
    prefix: str
    type: str
    exclude: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FileSpec:
    """A `[[file]]`: a mode for a path, or a single file from `source` for the payload of that name."""

    path: str
    mode: int | None
    source: str | None
    payload: str


@dataclass(frozen=True, slots=True)
class AttachmentSpec:
    """An `[[attachment]]`."""

    name: str
    file: str
    media_type: str


@dataclass(frozen=True, slots=True)
class ComponentSpec:
    """A `[[component]]`: what is built into the files. What the spec does not say is empty."""

    name: str
    version: str = ""
    purl: str = ""
    license: str = ""

    @property
    def reference(self) -> str:
        """What tells it from all other components of the module."""
        return self.purl or f"component:{self.name}@{self.version}"


@dataclass(frozen=True, slots=True)
class ModuleSpec:
    """A whole spec. `released` is UTC text ending in Z, or empty where the spec does not say."""

    document: toml_text.TomlDocument
    source: str
    vendor: str
    name: str
    version: str
    level: Level
    summary: str
    description: str
    released: str
    relationships: Relationships
    vib: VibFields
    payloads: tuple[PayloadSpec, ...]
    files: tuple[FileSpec, ...]
    attachments: tuple[AttachmentSpec, ...]
    components: tuple[ComponentSpec, ...]
    sbom: bool
    expected_signers: tuple[str, ...]
    exclude: tuple[str, ...]

    def describe(self, place: Place, message: str) -> str:
        """A problem with a value as one line: `file:line: field: message`."""
        return self.document.describe(Problem(place, message), self.source)


def parse(data: bytes, source: str, given: Mapping[str, GivenText] | None = None) -> ModuleSpec:
    """The spec that some TOML says, with what is `given` in its place; `source` names it in messages.

    Raises `SpecError` with every problem that the text alone shows, each with its line and field.
    """
    try:
        document = toml_text.parse(data)
    except toml_text.TomlError as error:
        what = not_text(data)
        if what:
            raise SpecError(f"{source} is not the spec of a module: {what}").because("not-a-spec") from None
        raise SpecError(error.describe(source)) from None
    put(given or {}, document)
    require_spec(document.problems(SHAPE, source))
    spec = _read(document, source)
    require_spec(spec.describe(place, message) for place, message in _problems(spec))
    return spec


def _read(document: toml_text.TomlDocument, source: str) -> ModuleSpec:
    values: Any = document.values
    payloads = tuple(_payload(item) for item in values.get("payload", ()))
    first = payloads[0].name if payloads else DEFAULT_PAYLOAD
    released: datetime | str = values.get("released", "")
    return ModuleSpec(
        document=document,
        source=source,
        vendor=values["vendor"],
        name=values["name"],
        version=values["version"],
        level=Level.parse(values.get("level", str(Level.COMMUNITY))),
        summary=values.get("summary", ""),
        description=values.get("description", ""),
        released=released if isinstance(released, str) else time_text(released),
        relationships=Relationships(
            depends=_constraints(values, "depends"),
            conflicts=_constraints(values, "conflicts"),
            replaces=_constraints(values, "replaces"),
            provides=tuple(
                Constraint(item["name"], item.get("relation", "=" if "version" in item else None), item.get("version"))
                for item in values.get("provides", ())
            ),
        ),
        vib=_vib(values.get("vib", {})),
        payloads=payloads,
        files=tuple(_file(item, first) for item in values.get("file", ())),
        attachments=tuple(
            AttachmentSpec(item["name"], item["file"], item["media-type"]) for item in values.get("attachment", ())
        ),
        components=tuple(ComponentSpec(**item) for item in values.get("component", ())),
        sbom=values.get("attestations", {}).get("sbom", False),
        expected_signers=tuple(sorted(set(values.get("expected-signers", ())))),
        exclude=tuple(values.get("exclude", ())),
    )


def _payload(item: dict[str, Any]) -> PayloadSpec:
    return PayloadSpec(
        item.get("name", DEFAULT_PAYLOAD),
        item.get("root"),
        item.get("prefix", "").removesuffix("/"),
        item.get("type", ""),
        tuple(item.get("exclude", ())),
    )


def _file(item: dict[str, Any], first: str) -> FileSpec:
    mode = int(item["mode"], 8) if "mode" in item else None
    return FileSpec(item["path"], mode, item.get("source"), item.get("payload", first))


def _constraints(values: dict[str, Any], key: str) -> tuple[Constraint, ...]:
    return tuple(Constraint(item["name"], item.get("relation"), item.get("version")) for item in values.get(key, ()))


def _vib(values: dict[str, Any]) -> VibFields:
    default = VibFields()
    return VibFields(
        type=values.get("type", default.type),
        urls=tuple(values.get("urls", {}).items()),
        tags=tuple(values.get("tags", ())),
        maintenance_mode=values.get("maintenance-mode", default.maintenance_mode),
        platforms=tuple(_platform(item) for item in values.get("platforms", ())),
        live_install_allowed=values.get("live-install-allowed", default.live_install_allowed),
        live_remove_allowed=values.get("live-remove-allowed", default.live_remove_allowed),
        cimom_restart=values.get("cimom-restart", default.cimom_restart),
        stateless_ready=values.get("stateless-ready", default.stateless_ready),
        overlay=values.get("overlay", default.overlay),
    )


def _platform(item: dict[str, Any]) -> Platform:
    default = Platform(item["version"])
    return Platform(item["version"], item.get("product", default.product), item.get("locale", default.locale))


def _problems(spec: ModuleSpec) -> Iterator[tuple[Place, str]]:
    """What the rules of the formats refuse: the same functions that the verifier calls."""
    yield from _at(("vendor",), rules.check_identity(spec.vendor, spec.name, spec.version))
    yield from _at(("summary",), rules.check_text("summary", spec.summary))
    yield from _at(("description",), rules.check_text("description", spec.description))
    for label, constraints in spec.relationships.by_label():
        for index, constraint in enumerate(constraints):
            yield from _at((label, index), rules.check_constraint(label, constraint))
    yield from _member_problems(spec)
    yield from _path_problems(spec)
    yield from _component_problems(spec.components)
    yield from _vib_problems(spec.vib)


def _member_problems(spec: ModuleSpec) -> Iterator[tuple[Place, str]]:
    """Each payload and attachment has a name of its own that is not reserved."""
    places: list[Place] = [("payload", index, "name") for index in range(len(spec.payloads))]
    places += [("attachment", index, "name") for index in range(len(spec.attachments))]
    names = [payload.name for payload in spec.payloads] + [attachment.name for attachment in spec.attachments]
    for index, place in enumerate(places):
        before = sum(1 for _ in rules.check_members(names[:index]))
        yield from _at(place, list(rules.check_members(names[: index + 1]))[before:])


def _component_problems(components: tuple[ComponentSpec, ...]) -> Iterator[tuple[Place, str]]:
    seen: set[str] = set()
    for index, item in enumerate(components):
        for label, text in (("name", item.name), ("version", item.version), ("license", item.license)):
            if text:
                yield from _at(("component", index, label), rules.check_line(f"{label} of a component", text))
        if item.reference in seen:
            yield ("component", index), f"{quote(item.reference)} is there twice"
        seen.add(item.reference)


def _path_problems(spec: ModuleSpec) -> Iterator[tuple[Place, str]]:
    for index, payload in enumerate(spec.payloads):
        if payload.prefix:
            yield from _at(("payload", index, "prefix"), _maybe(rules.check_path(payload.prefix)))
        if payload.root is None and (payload.prefix or payload.exclude):
            yield ("payload", index), "has a 'prefix' or 'exclude', which only go with a 'root'"
        yield from _source_problems(("payload", index, "root"), payload.root)
    names = {payload.name for payload in spec.payloads} or {DEFAULT_PAYLOAD}
    for index, file in enumerate(spec.files):
        yield from _at(("file", index, "path"), _maybe(rules.check_path(file.path)))
        yield from _source_problems(("file", index, "source"), file.source)
        if file.payload not in names:
            yield ("file", index, "payload"), f"no payload is named {quote(file.payload)}"
        if file.mode is None and file.source is None:
            yield ("file", index), "needs a 'mode' (for a path of a tree) or a 'source' (to add a file)"
    for index, attachment in enumerate(spec.attachments):
        yield from _source_problems(("attachment", index, "file"), attachment.file)


def _source_problems(place: Place, name: str | None) -> Iterator[tuple[Place, str]]:
    """A file or folder of the spec: found from the spec, so that it is the same on every machine."""
    if name is not None and (name.startswith("/") or "\0" in name):
        yield place, f"is {quote(name)}, and must be relative to the spec"


def _vib_problems(vib: VibFields) -> Iterator[tuple[Place, str]]:
    for key, url in vib.urls:
        yield from _at(("vib", "urls", key), rules.check_line("key of a url", key))
        yield from _at(("vib", "urls", key), rules.check_text("url", url))
    for index, tag in enumerate(vib.tags):
        yield from _at(("vib", "tags", index), rules.check_line("tag", tag))
    for index, platform in enumerate(vib.platforms):
        for label, text in (("version", platform.version), ("product", platform.product), ("locale", platform.locale)):
            if text or label != "locale":
                yield from _at(("vib", "platforms", index, label), rules.check_line(f"{label} of a platform", text))


def _at(place: Place, failures: Iterable[Failure]) -> Iterator[tuple[Place, str]]:
    return ((place, failure.detail) for failure in failures)


def _maybe(failure: Failure | None) -> tuple[Failure, ...]:
    return (failure,) if failure else ()
