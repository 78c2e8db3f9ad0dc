"""The shape of `modseal/diff@1`, what `modseal diff --format json` prints: schemas/diff.schema.json is made from it."""

from __future__ import annotations

from modseal.bundle.result_shape import CODE, LEVEL, array, digest, text
from modseal.format.shape import Boolean, Nullable, Table, Text
from modseal.trust.examination import Verdict

SCHEMA = "modseal/diff@1"
PARTS = ("bundle", "field", "verdict", "signer", "payload", "attachment", "file")
"""What a difference may be of, in the order of the report."""

_SIDE = Table(
    {
        "bundle": text("Its path, as it was given."),
        "sha256": digest("Of the whole file."),
        "verdict": Nullable(Text(choices=map(str, Verdict)), about="Null without --policy."),
        "proven_level": LEVEL,
        "problems": array(Table({"code": CODE, "detail": text()}), "What could not be read, and so was not compared."),
    }
)
SHAPE = Table(
    {
        "schema": Text(choices=(SCHEMA,)),
        "proved": Boolean(about="Whether the policy accepts both; else all of it is what the files say of themselves."),
        "complete": Boolean(about="Whether all of both could be read."),
        "equal": Boolean(about="Whether nothing was found that differs; with `complete`, the files are the same."),
        "left": _SIDE,
        "right": _SIDE,
        "changes": array(
            Table(
                {
                    "part": Text(choices=PARTS),
                    "name": text("Of what in the part: a path, a signer, a field."),
                    "what": text("What of it differs; empty where it is there on one side alone, or has one value."),
                    "before": Nullable(text(), about="Null for what only the right side has."),
                    "after": Nullable(text(), about="Null for what only the left side has."),
                }
            )
        ),
    },
    about="What `modseal diff --format json` prints: two bundles compared.",
)
