"""The shape of `bundle.values` and of `modseal/report@1`: schemas/report.schema.json is made from it.

A report is what we write, so no text in it has a bound.
"""

from __future__ import annotations

from collections.abc import Mapping

from modseal.bundle.values import SCHEMA
from modseal.codes import CODES
from modseal.format.level import Level
from modseal.format.shape import UNBOUNDED, Array, Boolean, Integer, Nullable, Scalar, Shape, Table, Text, TextMap
from modseal.trust.examination import STEPS, Status, Verdict
from modseal.values import regex


def text(about: str = "") -> Text:
    """Any text, the empty one too."""
    return Text(least=0, most=UNBOUNDED, about=about)


def time(about: str = "") -> Text:
    """A time in UTC, to the second."""
    pattern = regex("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
    return Text(pattern, form="a time like 2026-01-31T12:00:00Z", most=UNBOUNDED, about=about)


def digest(about: str = "") -> Text:
    """A SHA-256."""
    return Text(regex("[0-9a-f]{64}"), form="64 lower-case hex digits", most=UNBOUNDED, about=about)


def array(item: Shape, about: str = "", *, unique: bool = False) -> Array:
    """An array of any length."""
    return Array(item, most=UNBOUNDED, unique=unique, about=about)


LEVELS = tuple(map(str, sorted(Level, reverse=True)))
LEVEL = Nullable(Text(choices=LEVELS))
EVIDENCE = TextMap(text(), Scalar(), most=UNBOUNDED)
STEP = Integer(0, len(STEPS) - 1)

MODULE = Table(
    {
        "vendor": text(),
        "name": text(),
        "version": text(),
        "proved": Boolean(about="Whether the signature of a trusted signer covers these fields."),
    }
)
SIGNER: Mapping[str, Shape] = {
    "fingerprint": digest(),
    "subject": text(),
    "block": Integer(1, UNBOUNDED),
    "algorithm": text(),
    "claimed_time": Nullable(time(), about="What the signer says; never proof."),
    "trusted": Boolean(),
    "anchor": Nullable(text()),
}


def check(code: Text) -> Table:
    """A check, its code of this shape."""
    return Table(
        {
            "step": STEP,
            "id": Text(regex("[a-z]+\\.[a-z-]+"), most=UNBOUNDED),
            "status": Text(choices=map(str, Status)),
            "code": Nullable(
                code, about="Null where the check passed, does not apply, or was not examined (which is inconclusive)."
            ),
            "detail": text(),
            "evidence": EVIDENCE,
            "next_step": Nullable(text()),
        }
    )


def result(code: Text, signer: Mapping[str, Shape], more: Mapping[str, Shape]) -> Table:
    """A result with codes and signers of these shapes, and `more` fields."""
    return Table(
        {
            "bundle": text(),
            "sha256": Nullable(digest()),
            "verdict": Text(choices=map(str, Verdict)),
            "module": Nullable(MODULE),
            "claimed_level": Nullable(LEVEL.shape, about="Unproved."),
            "proven_level": LEVEL,
            "signers": array(Table(signer)),
            "checks": array(check(code)),
            **more,
        },
        {
            "error": Nullable(
                Table({"code": code, "detail": text(), "evidence": EVIDENCE}),
                about="Why the file could not be read at all.",
            )
        },
    )


CODE = Text(choices=CODES, about="The published codes (modseal.codes, docs/codes.md).")
SHAPE = Table(
    {
        "schema": Text(choices=(SCHEMA,)),
        "policy": text("Where the policy came from."),
        "at": time("The time of verification."),
        "results": array(result(CODE, SIGNER, {})),
    },
    about="What `modseal verify --format json` prints. docs/verification.md says what each field means.",
)
