"""One cause is one finding: what only follows from another finding of the same bundle is named there, not told again.

An unsigned bundle that claims a level has no signature, therefore no grant for its level, and so it claims more than
is proven. Whoever reads a report has one thing to do about that. The bundle's result still has every check.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from modseal.auditing.finding import Finding

_PAYLOAD = (
    "payload-missing",
    "payload-undeclared",
    "payload-size-mismatch",
    "payload-digest-mismatch",
    "unpacked-size-mismatch",
    "bad-payload",
)
"""What says that a payload is not the one that the manifest describes; a later one follows from an earlier one."""

_FOLLOWS: Mapping[str, Sequence[str | int]] = {
    "level-not-granted": (1,),
    "claim-above-proven": (0, 1, 2, 3, 4, 5, 6, 9),
    "payload-missing": ("missing-member",),
    "payload-undeclared": ("unknown-member",),
    **{code: _PAYLOAD[:place] for place, code in enumerate(_PAYLOAD) if place > 1},
    "bad-listing": _PAYLOAD,
    **dict.fromkeys(("file-undeclared", "file-missing", "file-mismatch"), (*_PAYLOAD, "bad-listing")),
}
"""A rule or code, and what explains it: codes, or any check of a step that did not pass. No two explain each other."""


def by_cause(findings: Iterable[Finding]) -> Iterator[Finding]:
    """The findings of one bundle that follow from no other, each with the names of those that do."""
    every = tuple(findings)
    first: dict[str | int | tuple[str, object], Finding] = {}
    for one in every:
        for key in (one.rule, one.step, (one.rule, one.evidence.get("payload"))):
            if key is not None:
                first.setdefault(key, one)

    def cause(finding: Finding) -> Finding | None:
        if finding.rule == "level-not-granted" and "granted" in finding.evidence:
            return None  # there is a signer, and the level is more than the anchor grants
        payload = finding.evidence.get("payload")
        for key in _FOLLOWS.get(finding.rule, ()):
            # What is said of one payload explains what is said of that one, and of files, which name no payload.
            found = first.get((key, payload) if payload is not None and key in _PAYLOAD else key)
            if found is not None:
                return found
        return None

    followers: dict[int, dict[str, None]] = {}
    roots = []
    for one in every:
        root = one
        while above := cause(root):
            root = above
        if root is one:
            roots.append(one)
        else:
            followers.setdefault(id(root), {})[one.rule] = None
    for root in roots:
        yield replace(root, consequences=tuple(followers.get(id(root), ())))
