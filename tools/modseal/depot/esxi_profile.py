"""The image profile of a host: which VIBs it should have, under which names their payloads boot, and at which level.

Nobody signs a profile. It decides nothing about a VIB; where it disagrees with what is there, that is a finding.
The form is that of ESXi 6.7's one public profile (docs/vib.md, section 9). What later versions have besides
(components, base images, add-ons) is passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from modseal import limits
from modseal.errors import FormatError
from modseal.format.level import Level
from modseal.format.shape import quote
from modseal.format.strict_xml import Child, ElementRule, Node, parse
from modseal.format.xml_text import Element, branch, leaf, one_line
from modseal.values import dataclass

_PAYLOAD = ElementRule("payload", required=("payload-name",), text=True)
_VIB = ElementRule(
    "vib",
    Child(ElementRule("vib-id", text=True)),
    Child(ElementRule("payloads", Child(_PAYLOAD, 0, limits.PAYLOADS)), 0),
)
_TEXTS = ("creator", "profileID", "creationtime", "modifiedtime", "serialno", "description", "readonly")
_PROFILE = ElementRule(
    "imageprofile",
    Child(ElementRule("name", text=True)),
    *(Child(ElementRule(name, text=True), 0) for name in _TEXTS),
    Child(ElementRule("viblist", Child(_VIB, 0, limits.ZIP_ENTRIES))),
    Child(ElementRule("acceptancelevel", text=True), 0),
)


@dataclass(frozen=True)
class Profile:
    """What a profile says, unproved. `vibs` has the boot file of each payload by VIB id and payload name.

    `level` is the acceptance level of the host, and `said_level` how the profile says it: empty where it says none,
    and with no `level` where it is no known one. `texts` are the other elements with a text, by their names.
    """

    name: str
    level: Level | None
    said_level: str
    vibs: Mapping[str, Mapping[str, str]]
    texts: Mapping[str, str] = field(default_factory=dict)


def decode(data: bytes) -> Profile:
    """The profile that a document says. Raises `FormatError` (limit-exceeded, bad-metadata)."""
    try:
        return _read(parse(data, _PROFILE, ordered=False, unknown=[]))
    except FormatError as error:
        code, failure = error.failure.code, error.failure
        raise FormatError(
            "bad-metadata" if code == "bad-manifest" else code, failure.detail, **failure.evidence
        ) from None


def encode(profile: Profile) -> bytes:
    """The document of a profile, on one line, which `decode` reads back."""
    before = [leaf(name, profile.texts[name]) for name in _TEXTS if name in profile.texts]
    vibs = (
        branch(
            "vib",
            leaf("vib-id", id_),
            branch("payloads", *(Element("payload", (), boot, {"payload-name": name}) for name, boot in files.items())),
        )
        for id_, files in profile.vibs.items()
    )
    level = [leaf("acceptancelevel", profile.said_level)] if profile.said_level else []
    document = branch("imageprofile", leaf("name", profile.name), *before, branch("viblist", *vibs), *level)
    return one_line(document).encode("utf-8")


def _read(root: Node) -> Profile:
    vibs: dict[str, dict[str, str]] = {}
    for node in root.all("viblist")[0].children:
        id_ = _text(node, "vib-id")
        if id_ in vibs:
            raise node.error(f"the profile lists {quote(id_)} twice")
        payloads = vibs[id_] = {}
        for one in (one for group in node.all("payloads") for one in group.children):
            name = one.attributes["payload-name"]
            if name in payloads:
                raise one.error(f"the profile lists the payload {quote(name)} of {quote(id_)} twice")
            payloads[name] = one.text.strip()
    said = _text(root, "acceptancelevel")
    texts = {name: _text(root, name) for name in _TEXTS if root.find(name)}
    return Profile(_text(root, "name"), _level(said), said, vibs, texts)


def _level(said: str) -> Level | None:
    try:
        return Level.parse(said)
    except ValueError:
        return None


def _text(node: Node, name: str) -> str:
    found = node.find(name)
    return found.text.strip() if found else ""
