"""A `.vib` whose descriptor has or lacks what only some genuine ones do."""

from __future__ import annotations

from collections.abc import Iterator

from modseal.auditing.finding import Severity
from modseal.auditing.rule import Hit, Rule, Subject
from modseal.format import vib_rules


def check(subject: Subject) -> Iterator[Hit]:
    """Each quirk of the descriptor once, however many payloads have it."""
    if subject.manifest:
        for name, words in dict(reversed(list(vib_rules.quirks(subject.manifest)))).items():
            yield Hit(words, {"quirk": name})


RULE = Rule(
    id="descriptor-quirk",
    severity=Severity.INFO,
    title="The descriptor has a form that only some genuine files have",
    what="The descriptor of a `.vib` has no version or no list of files, or has a packed size, a boot order, a name "
    "for the boot partition, or a checksum that only Intel TXT can compare (docs/vib.md, section 2).",
    why="Base images and some tools write such descriptors, and they are read. It is counted because whoever builds "
    "tools for a set of bundles wants to know which forms there are.",
    remedy="Nothing has to be done.",
    example="`cpu-microcode` of ESXi 6.7 has no `<file-list>`, and payloads with a `boot-order`.",
    check=check,
)
