"""Results as text for people: the verdict first, then what failed, the evidence, one next step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from modseal.errors import Evidence, Failure, Scalar
from modseal.files.names import portable
from modseal.report import colour
from modseal.trust.examination import STEPS, Check, Examination, Status, Verdict

if TYPE_CHECKING:  # most who say something show no result of a bundle
    from modseal.bundle.verify import Result

Mark = Callable[[Verdict | Status, str], str]
"""Shows a word as what it means."""
Detail = Literal["quiet", "lines", "failures", "verbose"]
_SHOWN_FAILURES = 12
"""Failed checks shown in full; a broken payload can have thousands. JSON has them all."""


def render(result: Result, *, verbose: bool = False, in_colour: bool = False) -> str:
    """One result as lines of text, without a final newline."""
    return "\n".join(_lines(result, colour.paint if in_colour else colour.plain, verbose=verbose))


def pieces(results: Iterable[Result], detail: Detail, *, in_colour: bool = False) -> Iterator[str]:
    """Each result as text, in its turn: all of it (`verbose`), what failed, or one line; `quiet` only what failed."""
    for result in results:
        if detail in ("lines", "quiet"):
            if detail == "lines" or result.verdict is not Verdict.ACCEPTED:
                yield line(result, in_colour=in_colour)
        else:
            yield render(result, verbose=detail == "verbose", in_colour=in_colour)


def line(result: Result, *, in_colour: bool = False) -> str:
    """One result as one line: the verdict, and what was proved, or else what decided against it and what to do."""
    mark = colour.paint if in_colour else colour.plain
    head = f"{safe_name(result.bundle)}: {mark(result.verdict, str(result.verdict))}"
    examination = result.examination
    if examination and examination.verdict is Verdict.ACCEPTED and examination.manifest:
        manifest = examination.manifest
        level = examination.proven_level if examination.trusted else "unproved, unsigned"
        return f"{head}: {safe(manifest.vendor)} {safe(manifest.name)} {safe(manifest.version)}, {level}"
    reason = (examination.primary if examination else None) or result.failure
    if reason is None:
        return head
    detail = reason.detail.removeprefix(f"{result.bundle}: ")  # the line has the name already
    return f"{head}: {reason.code}: {safe(detail)}; next: {reason.next_step}"


def extracted(result: Result, place: Path, *, unverified: bool) -> str:
    """What was unpacked of an accepted bundle, and into which folder."""
    manifest = result.examination.manifest if result.examination else None
    note = " (unverified)" if unverified else ""
    count = len(manifest.files) if manifest else 0
    entries = plural(count, "entry")
    return f"{safe_name(result.bundle)}: extracted {entries} to {safe_name(place)}{note}"


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows in columns."""
    widths = [*(max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)), 0]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def plural(count: int, noun: str) -> str:
    """A number and what it counts."""
    if count != 1:
        noun = f"{noun[:-1]}ies" if noun.endswith("ry") else f"{noun}s"
    return f"{count:,} {noun}"


def safe(text: object) -> str:
    r"""A text from a file, for a terminal: anything that is not printable is escaped.

    A byte of a name that is not UTF-8 is `\xff`, as JSON has it; what is a character from U+0080 on is `\u0080`.
    """
    line = str(text)
    return line if line.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in line)


def safe_name(name: object) -> str:
    r"""The name of a file, for a terminal: a backslash is `\\`, so that no name looks like another's escape."""
    return safe(portable(str(name)))


def _escaped(character: str) -> str:
    if "\ud800" <= character <= "\udfff":
        return portable(character)
    return ascii(character)[1:-1] if character < "\x80" or character > "\xff" else f"\\u{ord(character):04x}"


def failure_lines(found: Sequence[Failure]) -> Iterator[str]:
    """Each failure, and the next step of the first one."""
    for failure in found:
        yield f"  {failure.code}: {safe(failure.detail)}"
    if found:
        yield f"  next: {found[0].next_step}"


def plain(value: Scalar) -> str:
    """A value of evidence as every report writes it."""
    return "none" if value is None else safe(value)


def _lines(result: Result, mark: Mark, *, verbose: bool) -> Iterator[str]:
    yield f"{safe_name(result.bundle)}: {mark(result.verdict, str(result.verdict))}"
    examination = result.examination
    if examination is None:
        if result.failure:
            yield f"  {safe(result.failure.detail)}"
            yield f"  next: {result.failure.next_step}"
        return
    yield from _module(examination)
    if verbose or examination.verdict is not Verdict.ACCEPTED:
        yield from _steps(examination, mark, verbose=verbose)


def _module(examination: Examination) -> Iterator[str]:
    manifest = examination.manifest
    if manifest is None:
        return
    unproved = "" if examination.trusted else f"  (unproved: {_why_unproved(examination)})"
    yield f"  module         {safe(manifest.vendor)} {safe(manifest.name)} {safe(manifest.version)}{unproved}"
    yield f"  claimed level  {manifest.claimed_level}"
    yield f"  proven level   {examination.proven_level or 'none'}"
    anchors = dict(examination.trusted)
    for signer in examination.signers:
        anchor = anchors.get(signer.certificate.fingerprint)
        trust = f"trusted: {safe(anchor)}" if anchor else "not trusted"
        yield f"  signer         {safe(signer.certificate.subject)} ({trust})"


def _why_unproved(examination: Examination) -> str:
    return "no signer of it is trusted" if examination.manifest_signed else "no valid signature covers it"


def _steps(examination: Examination, mark: Mark, *, verbose: bool) -> Iterator[str]:
    bad = [check for check in examination.checks if check.code and check.status in (Status.FAILED, Status.INCONCLUSIVE)]
    for check in examination.checks if verbose else bad[:_SHOWN_FAILURES]:
        status = mark(check.status, f"{check.status:<14}")
        yield f"  {check.step} {STEPS[check.step]:<12} {status} {_reason(check)}{safe(check.detail)}"
        if check in bad:
            yield from _evidence(check.evidence)
    if not verbose and len(bad) > _SHOWN_FAILURES:
        yield f"  ... and {len(bad) - _SHOWN_FAILURES} more; --format json has them all"
    primary = examination.primary
    if primary and primary.next_step:
        yield f"  next: {primary.next_step}"


def _reason(check: Check) -> str:
    return f"{check.code}: " if check.code else ""


def _evidence(evidence: Evidence) -> Iterator[str]:
    for name, value in evidence.items():
        yield f"      {name.replace('_', ' ')}: {plain(value)}"
