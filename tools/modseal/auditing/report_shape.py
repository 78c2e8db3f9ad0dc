"""The shape of `modseal/audit@1`: schemas/audit.schema.json is made from it, and reports are read back by it.

A report that is read back may have more in it: a later version's is read as far as this one knows it. And it needs
only the fields that a baseline, a comparison or a check uses.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from modseal.auditing.finding import Kind, Severity, State
from modseal.auditing.run import LEVELS, SCHEMA
from modseal.bundle import result_shape
from modseal.bundle.result_shape import EVIDENCE, STEP, array, digest, text, time
from modseal.format.manifest import MANIFEST_MEMBER
from modseal.format.shape import UNBOUNDED, Boolean, Integer, Nullable, Shape, Table, Text, location
from modseal.format.times import parse_time
from modseal.trust.examination import Verdict


class Misshapen(ValueError):  # noqa: N818 - what a report is
    """Not a report; the text says what is wrong, and where."""


def _count(about: str = "") -> Integer:
    return Integer(0, UNBOUNDED, about=about)


def _counts(names: Any, about: str = "") -> Table:
    return Table({str(name): _count() for name in names}, about=about)


_SEVERITIES = tuple(map(str, reversed(Severity)))
_RULE = Text(
    re.compile("[a-z][a-z0-9]*(-[a-z0-9]+)*"),
    most=UNBOUNDED,
    about="A code (docs/codes.md), or the id of a rule (docs/audits.md).",
)
_POLICY = Table(
    {
        "source": text("Where the policy came from."),
        "sha256": Nullable(
            digest(), about="Of the policy and all files that it names; null where it was not read from files."
        ),
        "minimum_level": Text(choices=result_shape.LEVELS),
    }
)
_SUMMARY = Table(
    {
        "bundles": _count(),
        "bytes": _count(),
        "depots": _count(),
        "left_out": _count("Files that are not bundles, and links to folders."),
        "verdicts": _counts(Verdict),
        "proven_levels": _counts(LEVELS),
        "findings": _counts(_SEVERITIES, "Those that count, by severity."),
        "set_aside": _counts((State.KNOWN, State.ALLOWED), "Those that do not count, by state."),
    }
)
_RESULT = result_shape.result(
    _RULE,
    {
        **result_shape.SIGNER,
        "not_before": time("The certificate's validity."),
        "not_after": time(),
        "timestamps": _count("Tokens beside the signature, whether they verify or not."),
    },
    {
        "size": _count("Bytes."),
        "format": Nullable(Text(choices=MANIFEST_MEMBER), about="What the container is; null where it is neither."),
        "examined_at": time("The time of verification of this bundle."),
    },
)
_HOST = Table(
    {
        "host": text("The folder or boot bank that it was found in."),
        "profile": Nullable(
            text(), about="The name of its image profile, unproved; null where there is not exactly one."
        ),
        "claimed_level": Nullable(
            Text(choices=result_shape.LEVELS), about="The acceptance level of its profile, unproved."
        ),
        "proven_level": Nullable(
            Text(choices=result_shape.LEVELS),
            about="That of its weakest VIB; null where one is not accepted or proves none.",
        ),
        "vibs": _count("VIBs in its database."),
        "vibs_as_claimed": _count("Those that are accepted and proven to be of the level that the host shows."),
        "payloads": _count("Payloads that the descriptors declare."),
        "payloads_present": _count("Those that were there to be examined."),
    }
)
_FINDING = Table(
    {
        "rule": _RULE,
        "kind": Text(choices=map(str, Kind), about="A check of the examination, or a rule of the audit."),
        "severity": Text(choices=_SEVERITIES),
        "bundle": text(),
        "sha256": Nullable(digest()),
        "step": Nullable(STEP, about="The check's step."),
        "undecided": Boolean(about="Whether it could not be judged, which is not a rejection."),
        "detail": text(),
        "evidence": EVIDENCE,
        "next_step": Text(most=UNBOUNDED),
        "related": array(text(), "Other bundles that belong to it."),
        "consequences": array(_RULE, "Codes and rules of what follows from it, and is not a finding of its own."),
        "state": Text(choices=map(str, State), about="It counts where it is new."),
        "reason": Nullable(text(), about="Why it does not count."),
        "fingerprint": digest("Of what was found in which bytes, wherever they lay and whenever they were looked at."),
    }
)
SHAPE = Table(
    {
        "schema": Text(choices=(SCHEMA,)),
        "policy": _POLICY,
        "at": time("The time of verification."),
        "complete": Boolean(about="Whether the audit came to its end. If not, bundles are missing."),
        "paths": array(text(), "What was audited, as it was given."),
        "rules": array(_RULE, "The rules that were asked. Checks are never left out.", unique=True),
        "summary": _SUMMARY,
        "hosts": array(_HOST, "Installed ESXi hosts that were found."),
        "results": array(_RESULT),
        "findings": array(_FINDING, "In the order of results; then those that come from comparing bundles."),
    },
    about="What `modseal audit --format json` writes. docs/audits.md says what each field means. A report is a claim: "
    "nobody signs it by itself.",
)

# What reading back needs: of most tables not all.


def _open(table: Table, *names: str, optional: Mapping[str, Shape] | None = None, **instead: Shape) -> Table:
    """These fields of a table, by default all; whatever else there is, is not looked at."""
    return Table({**{name: table.fields[name] for name in names or table.fields}, **instead}, optional, open=True)


_ANY = Table({}, open=True)
_HEAD = _open(SHAPE, "at", "complete", "paths", rules=array(text()), policy=_open(_POLICY), summary=_ANY)
_ROWS: Mapping[str, Table] = {
    "results": _open(
        *(_RESULT, "bundle", "sha256", "size", "verdict", "proven_level"),
        module=Nullable(_ANY),
        signers=array(_ANY),
        checks=array(_ANY),
    ),
    "findings": _open(
        _FINDING,
        *(name for name in _FINDING.fields if name not in ("rule", "fingerprint", "consequences")),
        rule=text(),
        optional={"consequences": array(text())},  # older reports have none
    ),
}


def head(values: Any) -> dict[str, Any]:
    """A report's values but for its lists, once they are looked at. Raises `Misshapen`."""
    if not isinstance(values, dict) or values.get("schema") != SCHEMA:
        raise Misshapen(f"its schema is not {SCHEMA}")
    _require(_HEAD, values)
    try:
        parse_time(values["at"])
    except ValueError:
        raise Misshapen(f"at: is {values['at']!r}, which is not a day of the calendar") from None
    return values


def row(name: str, values: Any, place: str) -> dict[str, Any]:
    """One of the `results` or `findings`, once it is looked at. Raises `Misshapen`."""
    _require(_ROWS[name], values, place)
    found: dict[str, Any] = values
    return found


def _require(shape: Table, values: Any, place: str = "") -> None:
    for problem in shape.problems(values):
        where = f"{place}.{location(problem.path)}" if place and problem.path else place or location(problem.path)
        raise Misshapen(f"{where}: {problem.message}")
