"""The descriptor of a stage folder, from which a `.vib` is still to be made: all that is wrong with it, at once.

Elements stand in any order, and comments anywhere between them; version, type, release date, urls, tags, the list of
files, and what says how it is installed may be absent, as for the tool that stage folders were made for. The list of
files, sizes and checksums are ignored where present (re-packing an extracted module is common): the packer finds them
out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from modseal.errors import FormatError
from modseal.format import vib_rules
from modseal.format.descriptor import CHOICES, children, located, not_a_choice, read_manifest, read_number
from modseal.format.manifest import Manifest, Payload, VibFields
from modseal.format.payload import VIB_TYPES
from modseal.format.strict_xml import ElementRule, Node, parse
from modseal.format.vib_grammar import COMMENTS_IN_STAGE, FLAGS, STAGE

_FILLING = {"name": "x", "version": "0", "vendor": "x", "acceptance-level": "community"}
"""Sound texts for what is missing, so that all else can still be judged; those of other elements are below."""


_DEFAULTS = {name: str(getattr(VibFields(), name.replace("-", "_"))).lower() for name in FLAGS}
"""What is not said of an installation, as texts."""


class GivenText(NamedTuple):
    """A text that takes the place of an element's, and who gave it, such as `--version`."""

    text: str
    source: str


class StageError(FormatError):
    """A descriptor of a stage folder that is wrong.

    `problems` are all of them, in the order of their places. `manifest` is what could be read nevertheless, for
    looking further; None where that is nothing.
    """

    def __init__(self, problems: list[FormatError], manifest: Manifest | None = None) -> None:
        self.problems = tuple(problem.failure for problem in sorted(problems, key=_place))
        first = self.problems[0]
        super().__init__(first.code, first.detail, **first.evidence)
        self.manifest = manifest


def decode(data: bytes, given: Mapping[str, GivenText] | None = None) -> Manifest:
    """The manifest that the descriptor of a stage folder says so far, with the texts that are `given` in its place.

    So payloads have size 0 and no digest, and `released` may be empty. `given` has names of elements; one that is not
    there is added. The failure of a given text has no line, but its source in its detail and its evidence (`given`).

    Raises `StageError`.
    """
    given = given or {}
    problems: list[FormatError] = []
    try:
        root = parse(data, _grammar(given), comments_in=COMMENTS_IN_STAGE, ordered=False, problems=problems)
    except FormatError as error:  # what cannot be read on after
        raise StageError([*problems, error]) from None
    _put(root, given)
    _put(root, {name: GivenText(text, "") for name, text in _DEFAULTS.items() if root.find(name) is None})
    _complete(root)
    for node in root.walk():
        choices = CHOICES.get(node.name)
        if choices and node.text not in choices:
            problems.append(not_a_choice(node, choices))
            node.text = next(iter(choices))
    try:
        manifest = read_manifest(root, tuple(_payloads(root, problems)), ())
    except FormatError as error:
        raise StageError([*problems, error]) from None
    problems += (located(failure, root) for failure in vib_rules.check_stage(manifest))
    if problems:
        raise StageError(problems, manifest)
    return manifest


def _place(error: FormatError) -> tuple[int, int]:
    """Where a problem stands, for sorting; what stands nowhere comes first."""
    evidence = error.failure.evidence
    return int(evidence.get("line") or 0), int(evidence.get("column") or 0)


def _grammar(given: Mapping[str, GivenText]) -> ElementRule:
    """The elements of a stage; what is given may be absent."""
    places = (replace(child, least=0) if child.element.name in given else child for child in STAGE.children)
    return ElementRule(STAGE.name, *places, optional=STAGE.attributes)


def _put(root: Node, given: Mapping[str, GivenText]) -> None:
    """Put the texts that are given into their elements."""
    for child in root.element.children:
        if child.element.name in given and root.find(child.element.name) is None:
            root.children.append(Node(child.element, {}, 0, 0))
    for node in root.walk():
        if node.name in given:
            node.text, node.source = given[node.name]


def _complete(node: Node) -> None:
    """Make a tree one that can be read: what is missing is filled in, and what lacks an attribute is left out.

    Both have been noted as problems when the tree was parsed.
    """
    for payload in node.all("payload"):
        payload.attributes.setdefault("type", VIB_TYPES[0])
    node.children = [child for child in node.children if child.attributes.keys() >= child.element.required]
    for place in node.element.children:
        if place.least and not node.all(place.element.name):
            filling = Node(place.element, {}, node.line, node.column)
            filling.text = next(iter(CHOICES.get(filling.name, ())), _FILLING.get(filling.name, ""))
            node.children.append(filling)
    for child in node.children:
        _complete(child)


def _payloads(root: Node, problems: list[FormatError]) -> Iterator[Payload]:
    for node in children(root, "payloads"):
        try:
            order = read_number(node, "boot-order") if "boot-order" in node.attributes else None
        except FormatError as error:
            problems.append(error)
            order = None
        yield Payload(
            node.attributes["name"],
            node.attributes["type"],
            0,
            None,
            compression_option=node.attributes.get("compression-option"),
            boot_order=order,
            vfat_name=node.attributes.get("vfat-name"),
        )
