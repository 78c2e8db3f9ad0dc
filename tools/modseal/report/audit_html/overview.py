"""The top of the page: what was audited, what came of it in one sentence, the numbers, and the charts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from modseal.auditing.finding import State
from modseal.auditing.run import LEVELS, Audit
from modseal.format.times import time_text
from modseal.report.audit_html import charts
from modseal.report.audit_html.bundles import VERDICTS, BundleRow, Bundles
from modseal.report.audit_html.charts import Bar
from modseal.report.audit_html.groups import SEVERITIES, Group, path
from modseal.report.audit_html.signers import QUARTERS, Signers, expiry
from modseal.report.audit_html.table import link, parts, size
from modseal.report.audit_words import BY_DEFAULT, conclusion, host_line
from modseal.report.html import Markup, element, joined, prose
from modseal.report.text import plural
from modseal.trust.examination import Verdict

_SHOWN = 5
"""Bars of the chart of signers, and of algorithms; the rest is one bar."""
_SHOWN_PATHS = 5
_SHOWN_REJECTED, _SHOWN_UNDECIDED = 10, 4
"""Bundles that the first screen names."""


def facts(audit: Audit) -> Markup:
    """Under which policy, when, and of what."""
    origin = audit.policy.origin
    pairs: list[tuple[str, Markup | str | None]] = [
        ("Policy", path(audit.policy.source)),
        ("Minimum level", str(audit.policy.minimum_level)),
        ("Judged at", element("time", f"{audit.at:%Y-%m-%d %H:%M:%S} UTC", datetime=time_text(audit.at))),
        ("Audited", _paths(audit.paths)),
        ("Examined", f"{plural(audit.summary.bundles, 'bundle')}, {size(audit.summary.bytes)}"),
        *(("Host", host_line(host)) for host in audit.hosts[:_SHOWN_PATHS]),
        ("Left out", plural(audit.summary.left_out, "other file")),
        ("Audit", "complete" if audit.complete else "interrupted"),
        ("Policy SHA-256", element("code", origin.digest) if origin else None),
    ]
    return joined(*(element("div", element("dt", name), element("dd", value)) for name, value in pairs if value))


def _paths(paths: tuple[str, ...]) -> Markup:
    more = len(paths) - _SHOWN_PATHS
    named = [element("span", path(one), class_="line") for one in paths[:_SHOWN_PATHS]]
    return joined(*named, f"and {more:,} more" if more > 0 else None)


def first(audit: Audit) -> Markup:
    """The audit in one sentence, and what changes the meaning of all that follows."""
    sentence = conclusion(audit.summary)
    return joined(
        element("p", f"{sentence[0].upper()}{sentence[1:]}.", class_="lead"),
        None if audit.complete else element("p", _INTERRUPTED, class_="warning", role="alert"),
        element("p", BY_DEFAULT, class_="warning", role="alert") if audit.by_default else None,
    )


_INTERRUPTED = (
    "This audit was interrupted. The report has what was examined until then; what was not may be good or bad, and "
    "rules about more than one bundle were not asked."
)


def not_accepted(audit: Audit, bundles: Bundles, groups: Sequence[Group]) -> Markup | None:
    """The worst bundles that are not accepted, by name and with why; None where every bundle is accepted."""
    counts = audit.summary.verdicts
    lists = [
        _bad(verdict, counts[verdict], bundles, groups, most)
        for verdict, most in ((Verdict.REJECTED, _SHOWN_REJECTED), (Verdict.UNDECIDED, _SHOWN_UNDECIDED))
        if counts[verdict]
    ]
    return element("div", *lists, class_="card bad") if lists else None


def _bad(verdict: Verdict, total: int, bundles: Bundles, groups: Sequence[Group], most: int) -> Markup:
    """The first bundles of one verdict below their number."""
    number = VERDICTS.index(verdict)
    items = [_named(place, entry, groups) for place, entry in bundles.worst if entry.verdict == number][:most]
    more = element("li", link("verdict", verdict, f"and {total - len(items):,} more")) if total > len(items) else None
    heading = element("h2", link("verdict", verdict, f"{total:,} {verdict}"), class_=f"key {verdict}")
    return joined(heading, element("ol", *items, more))


def _named(place: int, entry: BundleRow, groups: Sequence[Group]) -> Markup:
    folder, name = parts(entry.file)
    why = groups[entry.cause].title if entry.cause is not None else "see its steps"
    return element(
        "li",
        element(
            "div",
            element("a", element("bdi", name), href=f"#bundle-{place}", class_="file"),
            element("bdi", folder, class_="folder") if folder else None,
        ),
        element("div", prose(why), class_="dim"),
    )


def verdicts(audit: Audit) -> Markup:
    """One bar in three parts, with its numbers."""
    shares = [Bar(str(name), audit.summary.verdicts[name], str(name)) for name in Verdict]
    return joined(charts.share("verdicts", "Verdicts", shares), _numbers("verdict", shares))


def severities(audit: Audit) -> Markup:
    """The findings that count, by severity, and those that do not."""
    shares = [Bar(str(one), audit.summary.findings[str(one)], str(one)) for one in reversed(SEVERITIES)]
    aside = [f"{audit.summary.set_aside[one]:,} {one}" for one in State if audit.summary.set_aside[one]]
    return joined(
        charts.share("severities", "Findings that count", shares),
        _numbers("severity", shares),
        element("p", f"Set aside, and not counted: {', '.join(aside)}.", class_="dim") if aside else None,
    )


def _numbers(filter_: str, shares: Sequence[Bar]) -> Markup:
    """Numbers that lead to the bundles that they count."""
    return element("dl", *(_number(filter_, one) for one in shares), class_="numbers-row")


def _number(filter_: str, one: Bar) -> Markup:
    value = f"{one.value:,}"
    number = link(filter_, one.label, value) if one.value else value
    return element("div", element("dt", one.label, class_=f"key {one.kind}"), element("dd", number))


def drawings(audit: Audit, signers: Signers) -> Iterator[Markup]:
    """The four charts."""
    levels = [Bar(name, audit.summary.levels[name], "trusted" if name != "none" else "untrusted") for name in LEVELS]
    yield charts.bars("levels", "Proven levels", _LEVELS, levels, _COLUMNS, "level")
    yield charts.bars("algorithms", "Signature algorithms", _ALGORITHMS, list(_algorithms(signers)), _SIGNATURES)
    yield charts.bars("signers", "Signers", _SIGNERS, list(_signers(signers)), ("Signer", "Bundles"))
    yield charts.timeline("expiry", "Certificate expiry", _EXPIRY, expiry(signers.certificates.values(), audit.at))


_LEVELS = "Bundles by the level that a trusted signer proves."
_COLUMNS = ("Level", "Bundles")
_SIGNATURES = ("Algorithm", "Signatures")
_SIGNERS = "Bundles by signer certificate. A hatched bar: no anchor of the policy trusts it, its name is unproved."
_ALGORITHMS = "Signatures that verify, by algorithm. A hatched bar: the signer is not trusted."
_EXPIRY = (
    f"Signer certificates by the quarter in which they end, {QUARTERS // 4} years ahead. This quarter's stand out. "
    "Hatched: not trusted, the date is unproved."
)


def _signers(signers: Signers) -> Iterator[Bar]:
    listed = signers.by_bundles()
    for one in listed[:_SHOWN]:
        note = "" if one.anchor else _UNTRUSTED
        whole = f"{one.subject}, {f'trusted by {one.anchor}' if one.anchor else 'not trusted, unproved'}"
        yield Bar(_common_name(one.subject), one.bundles, "trusted" if one.anchor else "untrusted", note, whole)
    rest = sum(one.bundles for one in listed[_SHOWN:]) + signers.uncounted
    if rest:
        yield Bar("all other signers", rest, "rest")
    if signers.unsigned:
        yield Bar("no signature that verifies", signers.unsigned, "untrusted")


def _common_name(subject: str) -> str:
    """The part of a subject (RFC 4514) that tells signers apart."""
    found = _COMMON_NAME.search(subject)
    return found[1] if found else subject


_COMMON_NAME = re.compile(r"(?:^|,)CN=((?:\\.|[^,\\+])+)")
_UNTRUSTED = "not trusted"


def _algorithms(signers: Signers) -> Iterator[Bar]:
    listed = sorted(signers.algorithms.items(), key=lambda item: (-item[1], item[0]))
    for (name, trusted), count in listed[:_SHOWN]:
        yield Bar(name, count, "trusted" if trusted else "untrusted", "" if trusted else _UNTRUSTED)
    rest = sum(count for _, count in listed[_SHOWN:])
    if rest:
        yield Bar("all others", rest, "rest")
