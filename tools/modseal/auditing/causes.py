"""One cause is one finding: what only follows from another finding of the same bundle is named there, not told again.

An unsigned bundle that claims a level has no signature, therefore no grant for its level, and so it claims more than
is proven. Whoever reads a report has one thing to do about that. The bundle's result still has every check.
"""

from __future__ import annotations

from collections import Counter
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

_FILES = ("file-undeclared", "file-missing", "file-mismatch")
"""What says that a file is not the declared one: of all files of a bundle together, the first stands for the others."""

_FOLLOWS: Mapping[str, Sequence[str | int]] = {
    "level-not-granted": (1,),
    "claim-above-proven": (0, 1, 2, 3, 4, 5, 6, 9),
    "payload-missing": ("missing-member",),
    "payload-undeclared": ("unknown-member",),
    **{code: _PAYLOAD[:place] for place, code in enumerate(_PAYLOAD) if place > 1},
    "bad-listing": _PAYLOAD,
    **dict.fromkeys(_FILES, (*_PAYLOAD, "bad-listing")),
}
"""A rule or code, and what explains it: codes, or any check of a step that did not pass. No two explain each other."""


def by_cause(findings: Iterable[Finding]) -> Iterator[Finding]:
    """The findings of one bundle that follow from no other, each with the names of those that do."""
    every = tuple(findings)
    cause = _Causes(every)
    followers: dict[int, dict[str, None]] = {}
    roots: list[Finding] = []
    files: Counter[str] = Counter()
    for one in every:
        root = cause.root_of(one)
        if root is not one:
            followers.setdefault(id(root), {})[one.rule] = None
            continue
        if not files[one.rule]:
            roots.append(one)
        files[one.rule] += one.rule in _FILES
    for root in roots:
        more = files[root.rule] - 1
        detail = f"{root.detail}; and {more:,} more file{'s' if more > 1 else ''}" if more > 0 else root.detail
        yield replace(root, detail=detail, consequences=tuple(followers.get(id(root), ())))


class _Causes:
    """What explains each of these findings."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self._first: dict[str | int | tuple[str, object] | None, Finding] = {}
        for one in findings:
            for key in (one.rule, one.step, (one.rule, one.evidence.get("payload"))):
                self._first.setdefault(key, one)

    def root_of(self, finding: Finding) -> Finding:
        """The finding that this one follows from, and that follows from none; itself where it does not follow."""
        while above := self._of(finding):
            finding = above
        return finding

    def _of(self, finding: Finding) -> Finding | None:
        if finding.rule == "level-not-granted" and "granted" in finding.evidence:
            return None  # there is a signer, and the level is more than the anchor grants
        payload = finding.evidence.get("payload")
        # What is said of one payload explains what is said of that one, and of files, which name no payload.
        explaining = _FOLLOWS.get(finding.rule, ())
        keys = ((key, payload) if payload is not None and key in _PAYLOAD else key for key in explaining)
        return next((self._first[key] for key in keys if key in self._first), None)
