"""The elements of a `descriptor.xml`, in their one order (docs/vib.md, section 2).

All genuine files have each of the children of `<vib>` exactly once, and so must any other. Two are optional:
`<file-list>`, which bundles of base images without files lack, and `<packed-size>`, which some tools write. In the
descriptor of a stage folder the order does not count, as it did not for the tool that stage folders were made for.
"""

from __future__ import annotations

from modseal import limits
from modseal.format.strict_xml import Child, ElementRule
from modseal.format.vib_rules import CHECKSUMS


def leaf(name: str, *required: str) -> ElementRule:
    """An element with a text and these attributes."""
    return ElementRule(name, text=True, required=required)


PLATFORM = ("version", "locale", "productLineID")
"""The attributes of a platform."""

_CONSTRAINT = Child(ElementRule("constraint", required=("name",), optional=("relation", "version")), 0, limits.ITEMS)
_PROVIDE = Child(ElementRule("provide", required=("name",), optional=("version",)), 0, limits.ITEMS)
RELATIONSHIPS = ElementRule(
    "relationships",
    Child(ElementRule("depends", _CONSTRAINT)),
    Child(ElementRule("conflicts", _CONSTRAINT)),
    Child(ElementRule("replaces", _CONSTRAINT)),
    Child(ElementRule("provides", _PROVIDE)),
    Child(ElementRule("compatibleWith", _CONSTRAINT)),
)


FLAGS = ("live-install-allowed", "live-remove-allowed", "cimom-restart", "stateless-ready", "overlay")
"""Elements that say `true` or `false`, in their order."""


def _grammar(*, stage: bool) -> ElementRule:
    """The elements in their one order. In a stage, what the packer finds out may be absent."""
    once = 0 if stage else 1
    platform = ElementRule("softwarePlatform", required=PLATFORM)
    checksum = ElementRule("checksum", text=True, required=("checksum-type",), optional=("verify-process",))
    found_out = ("size",) if stage else ()
    payload = ElementRule(
        "payload",
        Child(checksum, once, len(CHECKSUMS)),
        required=("name", "type") if stage else ("name", "type", "size"),
        optional=(*found_out, "uncompressed-size", "compression-option", "boot-order", "vfat-name"),
    )
    return ElementRule(
        "vib",
        Child(leaf("type"), once),
        Child(leaf("name")),
        Child(leaf("version")),
        Child(leaf("vendor")),
        Child(leaf("summary")),
        Child(leaf("description")),
        Child(leaf("release-date"), once),
        Child(ElementRule("urls", Child(leaf("url", "key"), 0, limits.ITEMS)), once),
        Child(RELATIONSHIPS),
        Child(ElementRule("software-tags", Child(leaf("tag"), 0, limits.ITEMS)), once),
        Child(leaf("packed-size"), 0),
        Child(ElementRule("system-requires", Child(leaf("maintenance-mode")), Child(platform, 0, limits.ITEMS))),
        Child(ElementRule("file-list", Child(leaf("file"), 0, limits.FILES)), 0),
        Child(leaf("acceptance-level")),
        *(Child(leaf(name), once) for name in FLAGS),
        Child(ElementRule("payloads", Child(payload, 0, limits.PAYLOADS))),
        optional=("version",),
    )


DESCRIPTOR = _grammar(stage=False)
STAGE = _grammar(stage=True)
COMMENTS_IN_DESCRIPTOR = frozenset({"vib"})
COMMENTS_IN_STAGE = frozenset({"", *(element.name for element in STAGE.walk() if not element.text)})
