"""The top of the page: what was audited, what came of it in one sentence, the numbers, and the charts."""

from __future__ import annotations

import re
from collections.abc import Iterator

from modseal.auditing.finding import State
from modseal.auditing.run import LEVELS, Audit
from modseal.report.audit_html import charts
from modseal.report.audit_html.charts import Bar
from modseal.report.audit_html.escape import Markup, element, joined
from modseal.report.audit_html.groups import SEVERITIES, path
from modseal.report.audit_html.signers import QUARTERS, Signers, expiry
from modseal.report.audit_html.table import size
from modseal.report.audit_words import host_line, plural
from modseal.trust.examination import Verdict

_SHOWN = 5
"""Bars of the chart of signers, and of algorithms; the rest is one bar."""
_SHOWN_PATHS = 5


def facts(audit: Audit) -> Markup:
    """Under which policy, when, and of what."""
    origin = audit.policy.origin
    pairs: list[tuple[str, Markup | str | None]] = [
        ("Policy", path(audit.policy.source)),
        ("Policy SHA-256", element("code", origin.digest) if origin else None),
        ("Minimum level", str(audit.policy.minimum_level)),
        ("Judged at", element("time", f"{audit.at:%Y-%m-%d %H:%M:%S} UTC", datetime=f"{audit.at:%Y-%m-%dT%H:%M:%SZ}")),
        ("Audited", _paths(audit.paths)),
        ("Examined", f"{plural(audit.summary.bundles, 'bundle')}, {size(audit.summary.bytes)}"),
        *(("Host", host_line(host)) for host in audit.hosts[:_SHOWN_PATHS]),
        ("Left out", plural(audit.summary.left_out, "other file")),
        ("Audit", "complete" if audit.complete else "interrupted"),
    ]
    return joined(*(element("div", element("dt", name), element("dd", value)) for name, value in pairs if value))


def _paths(paths: tuple[str, ...]) -> Markup:
    more = len(paths) - _SHOWN_PATHS
    named = [element("span", path(one), class_="line") for one in paths[:_SHOWN_PATHS]]
    return joined(*named, f"and {more:,} more" if more > 0 else None)


def conclusion(audit: Audit) -> Markup:
    """The audit in one sentence, and a warning where there is more to come."""
    count = audit.summary.verdicts
    total = audit.summary.bundles
    good = count["accepted"]
    sentence = f"{good:,} of {plural(total, 'bundle')} accepted" if good < total or not total else _all(total)
    others = [f"{count[name]:,} {name}" for name in ("rejected", "undecided") if count[name]]
    lead = element("p", "; ".join([sentence, *others]) + ".", class_="lead")
    return joined(lead, None if audit.complete else element("p", _INTERRUPTED, class_="warning", role="alert"))


def _all(total: int) -> str:
    return "The one bundle is accepted" if total == 1 else f"All {total:,} bundles are accepted"


_INTERRUPTED = (
    "This audit was interrupted. The report has what was examined until then; what was not may be good or bad, and "
    "rules about more than one bundle were not asked."
)


def verdicts(audit: Audit) -> Markup:
    """One bar in three parts, with its numbers."""
    parts = [Bar(str(name), audit.summary.verdicts[name], str(name)) for name in Verdict]
    return joined(
        charts.share("verdicts", "Verdicts", parts),
        element("dl", *(_number(part.label, part.value, part.kind) for part in parts), class_="numbers-row"),
    )


def severities(audit: Audit) -> Markup:
    """The findings that count, by severity, and those that do not."""
    names = [str(severity) for severity in reversed(SEVERITIES)]
    counted = [_number(name, audit.summary.findings[name], name) for name in names]
    aside = [f"{audit.summary.set_aside[one]:,} {one}" for one in State if audit.summary.set_aside[one]]
    return joined(
        element("dl", *counted, class_="numbers-row"),
        element("p", f"Set aside, and not counted: {', '.join(aside)}.", class_="dim") if aside else None,
    )


def _number(label: str, value: int, kind: str) -> Markup:
    return element("div", element("dt", label, class_=f"key {kind}"), element("dd", f"{value:,}"))


def drawings(audit: Audit, signers: Signers) -> Iterator[Markup]:
    """The four charts."""
    levels = [Bar(name, audit.summary.levels[name], "trusted" if name != "none" else "untrusted") for name in LEVELS]
    yield charts.bars("levels", "Proven levels", "Bundles by the level that a trusted signer proves.", levels, _COLUMNS)
    yield charts.bars("algorithms", "Signature algorithms", _ALGORITHMS, list(_algorithms(signers)), _SIGNATURES)
    yield charts.bars("signers", "Signers", _SIGNERS, list(_signers(signers)), ("Signer", "Bundles"))
    yield charts.timeline("expiry", "Certificate expiry", _EXPIRY, expiry(signers.certificates.values(), audit.at))


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
