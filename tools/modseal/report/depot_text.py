"""Depots as text for people."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from modseal.bundle.values import result_values
from modseal.depot.check import Checked
from modseal.depot.listing import DepotDifference, DepotRow, Listing
from modseal.errors import Failure
from modseal.format.times import time_text
from modseal.limits import MIB
from modseal.report.text import plural, render, safe
from modseal.trust.examination import Verdict

_SHOWN = 12
"""Failures shown; JSON has them all."""
LISTING_SCHEMA, CHECK_SCHEMA, DIFF_SCHEMA = "modseal/depot-listing@1", "modseal/depot-check@1", "modseal/depot-diff@1"


def listing_text(name: str, listing: Listing) -> str:
    """A depot and its bundles. It says that nothing of it is proved."""
    return "\n".join(_listing(name, listing))


def listing_json(name: str, listing: Listing) -> str:
    """The same for programs."""
    document = {
        "schema": LISTING_SCHEMA,
        "depot": name,
        "kind": listing.kind,
        "proved": False,
        "about": dict(listing.about),
        "bundles": [_values(row) for row in listing.rows],
        "problems": [_failure(one) for one in listing.failures],
    }
    return json.dumps(document, indent=2)


def _values(row: DepotRow) -> dict[str, Any]:
    return {
        "vendor": row.vendor,
        "name": row.name,
        "version": row.version,
        "claimed_level": str(row.level) if row.level else None,
        "path": row.path,
        "size": row.size,
        "sha256": row.sha256,
        "component": row.component or None,
        "platforms": list(row.platforms),
    }


def _listing(name: str, listing: Listing) -> Iterator[str]:
    count, size = len(listing.rows), sum(row.size for row in listing.rows)
    yield f"{safe(name)}: {listing.kind}, {plural(count, 'bundle')}, {size / MIB:.1f} MiB (unproved)"
    for label, text in listing.about:
        yield f"  {label:<14} {safe(text)}"
    for row in listing.rows:
        more = [safe(row.vendor), str(row.level or "no level"), safe(row.path)]
        yield f"  {safe(row.name)} {safe(row.version)}  {'  '.join(more)}"
    for failure in listing.failures:
        yield f"  {failure.code}: {safe(failure.detail)}"


def check_text(checked: Checked, *, verbose: bool) -> str:
    """What became of a depot: the verdict first, then its index, then what is wrong."""
    return "\n".join(_check(checked, verbose=verbose))


def check_json(checked: Checked, policy: str, at: datetime) -> str:
    """The same for programs; `results` are as in the report of `modseal verify`."""
    index = checked.index
    document = {
        "schema": CHECK_SCHEMA,
        "depot": checked.depot,
        "policy": policy,
        "at": time_text(at),
        "verdict": str(checked.verdict),
        "index": index
        and {
            "name": index.name,
            "version": index.version,
            "issued": time_text(index.issued),
            "expires": time_text(index.expires),
            "sha256": index.sha256,
            "bundles": len(index.bundles),
            "proved": checked.proved is not None,
            "recalls": list(checked.recalls),
            "profiles": list(checked.profiles),
        },
        "failures": [{**_failure(one), "next_step": one.next_step} for one in checked.failures],
        "results": [result_values(result) for result in checked.results],
    }
    return json.dumps(document, indent=2)


def _failure(failure: Failure) -> dict[str, Any]:
    return {"code": failure.code, "detail": failure.detail, "evidence": dict(failure.evidence)}


def _check(checked: Checked, *, verbose: bool) -> Iterator[str]:
    yield f"{safe(checked.depot)}: {checked.verdict}"
    index = checked.index
    if index:
        unproved = "" if checked.proved else "  (unproved)"
        yield f"  index          {safe(index.name)}, version {index.version}{unproved}"
        yield f"  expires        {time_text(index.expires)}"
    elif not checked.failures or checked.results:
        yield "  index          not signed: nobody says that this is all, or the newest"
    if checked.proved:
        anchors = dict(checked.proved.examination.trusted)
        for signer in checked.proved.examination.signers:
            anchor = anchors.get(signer.certificate.fingerprint)
            trust = f"trusted: {safe(anchor)}" if anchor else "not trusted"
            yield f"  signer         {safe(signer.certificate.subject)} ({trust})"
    yield from (f"  recall         {safe(recall)}" for recall in checked.recalls)
    yield from (f"  profile        {safe(profile)}" for profile in checked.profiles)
    counts = Counter(str(result.verdict) for result in checked.results)
    if checked.results:
        yield f"  bundles        {', '.join(f'{count} {verdict}' for verdict, count in sorted(counts.items()))}"
    shown = checked.failures if verbose else checked.failures[:_SHOWN]
    for failure in shown:
        yield f"  {failure.code}: {safe(failure.detail)}"
    if len(shown) < len(checked.failures):
        yield f"  ... and {len(checked.failures) - len(shown)} more; --verbose has them all"
    if checked.against:
        yield f"  next: {checked.against[0].next_step}"
    for result in checked.results:
        if verbose or result.verdict is not Verdict.ACCEPTED:
            yield render(result)


def diff_text(before: str, after: str, difference: DepotDifference) -> str:
    """How one depot differs from another."""
    return "\n".join(_diff(before, after, difference))


def diff_json(before: str, after: str, difference: DepotDifference) -> str:
    """The same for programs."""
    document = {
        "schema": DIFF_SCHEMA,
        "before": before,
        "after": after,
        "proved": False,
        "about": [{"field": label, "before": old, "after": new} for label, old, new in difference.about],
        "added": list(map(_values, difference.added)),
        "removed": list(map(_values, difference.removed)),
        "changed": [{"before": _values(old), "after": _values(new)} for old, new in difference.changed],
    }
    return json.dumps(document, indent=2)


def _diff(before: str, after: str, difference: DepotDifference) -> Iterator[str]:
    count = len(difference.added) + len(difference.removed) + len(difference.changed)
    yield f"{safe(before)} -> {safe(after)}: {plural(count, 'difference')} (unproved)"
    for label, old, new in difference.about:
        yield f"  {label:<14} {safe(old)} -> {safe(new)}"
    for row in difference.added:
        yield f"  + {safe(row.name)} {safe(row.version)}  {safe(row.vendor)}  {row.level or 'no level'}"
    for row in difference.removed:
        yield f"  - {safe(row.name)} {safe(row.version)}  {safe(row.vendor)}  {row.level or 'no level'}"
    for one, other in difference.changed:
        versions = f"{safe(one.version)} -> {safe(other.version)}"
        if one.version == other.version:
            versions = f"{safe(one.version)}: sha256 {one.sha256 or 'none'} -> {other.sha256 or 'none'}"
        level = "" if one.level == other.level else f"  {one.level or 'no level'} -> {other.level or 'no level'}"
        yield f"  ~ {safe(one.name)} {versions}{level}"
