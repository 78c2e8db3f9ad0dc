"""The shapes of what `modseal host --format json` prints: schemas/host.schema.json is made from them."""

from __future__ import annotations

from modseal.bundle.result_shape import CODE, EVIDENCE, LEVEL, LEVELS, SIGNER, array, digest, result, text, time
from modseal.format.shape import UNBOUNDED, Boolean, Integer, Nullable, Scalar, Shape, Table, Text, TextMap, Variant
from modseal.host import values
from modseal.trust.examination import Verdict

_NUMBER = Integer(0, UNBOUNDED)
_VERDICT = Text(choices=map(str, Verdict))
_LEVEL_NAME = Text(choices=LEVELS)
_NAMED: dict[str, Shape] = {"vendor": text(), "name": text(), "version": text()}
_MODULE: dict[str, Shape] = {
    **_NAMED,
    "claimed_level": _LEVEL_NAME,
    "proven_level": Nullable(
        LEVEL.shape, about="What today's policy proves; null where it does not accept the module."
    ),
}
_FAILURE: dict[str, Shape] = {"code": CODE, "detail": text(), "evidence": EVIDENCE, "next_step": text()}
_FINDINGS = array(
    Table({"module": Nullable(text()), **_FAILURE}), "What is damaged of it, or of what proves it; with a verdict."
)
_SHOWN: dict[str, Shape] = {
    **_MODULE,
    "claimed_level": Nullable(
        LEVEL.shape, about="With null the module is damaged: nothing but recorded names is known of it."
    ),
    "verdict": _VERDICT,
}
_RANDOM = text("32 lower-case hex digits.")
_KEYS = array(text(), "Each as `key-sha256:` and 64 hex digits.")
_BY = TextMap(text(), text(), most=UNBOUNDED)
EVENT = Table(
    {
        "number": _NUMBER,
        "time": time(),
        "by": _BY,
        "event": text(),
        "facts": _BY,
        "previous": Nullable(digest(), about="The SHA-256 of the line before."),
        "proved": Boolean(about="Whether the state that holds leads to it; else it may be anybody's."),
    }
)
_CONSTRAINT = Table({"name": text(), "relation": Nullable(text()), "version": Nullable(text())})
_FILE = Table(
    {
        "path": text(),
        "type": Text(choices=("file", "directory", "symlink")),
        "mode": text(),
        "size": Nullable(_NUMBER),
        "sha256": Nullable(digest()),
        "target": Nullable(text()),
    }
)
_GENERATION = Table(
    {
        "number": _NUMBER,
        "parent": Nullable(_NUMBER),
        "made": time(),
        "action": text(),
        "state": Text(choices=("active", "pending", "kept")),
        "modules": array(Table(_NAMED), "As recorded, unproved."),
    }
)
_INDEXED = Table(
    {
        "generation": _NUMBER,
        "path": text(),
        "module": text(),
        "version": text(),
        "type": Text(choices=("file", "directory", "symlink")),
        "mode": text(),
        "sha256": Nullable(digest()),
    }
)
SHAPE = Variant(
    "schema",
    {
        values.CHANGE: Table(
            {
                "action": text(),
                "verdict": _VERDICT,
                "generation": Nullable(_NUMBER, about="The one that was made or gone to; null where none was."),
                "waits": Boolean(about="Whether it becomes active with `host activate`."),
                "why_it_waits": array(text()),
                "installed": array(Table(_MODULE)),
                "updated": array(Table({**_MODULE, "from": text()})),
                "removed": array(Table(_MODULE)),
                "repaired": array(Table(_MODULE)),
                "lost": array(Table(_NAMED), "Removed; nothing of them could be proved, so these are recorded names."),
                "skipped": array(Table({**_MODULE, "why": text()})),
                "refused": array(
                    Table({"bundle": text(), **_FAILURE}), "Bundles of depots that could not be chosen, and why."
                ),
                "depots": array(
                    Table({"name": text(), "version": _NUMBER, "before": Nullable(_NUMBER)}),
                    "Signed depots that were used; `before` is the version that the host had seen.",
                ),
                "problems": array(Table(_FAILURE), "What speaks against the change, besides the bundles themselves."),
                "results": array(result(CODE, SIGNER, {}), "The verification of each bundle."),
            },
            about="install, update, remove, rollback, activate; a dry run prints the same.",
        ),
        values.LIST: Table(
            {
                "verdict": _VERDICT,
                "generation": _NUMBER,
                "pending": Nullable(_NUMBER),
                "shown": _NUMBER,
                "level": _LEVEL_NAME,
                "modules": array(Table(_SHOWN)),
                "findings": _FINDINGS,
            }
        ),
        values.MODULE: Table(
            {
                **_SHOWN,
                "verdict": _VERDICT,
                "findings": _FINDINGS,
                "kind": Nullable(Text(choices=("seal", "vib"))),
                "summary": Nullable(text()),
                "released": Nullable(text()),
                "manifest_sha256": Nullable(digest()),
                "bundle_sha256": Nullable(digest(), about="As recorded when it was installed."),
                "signers": array(Table({"subject": text(), "fingerprint": digest(), "anchor": Nullable(text())})),
                "relations": TextMap(text(), array(_CONSTRAINT), most=UNBOUNDED),
                "files": array(_FILE),
            }
        ),
        values.HISTORY: Table(
            {
                "verdict": _VERDICT,
                "generations": array(_GENERATION),
                "lost": array(Table(_FAILURE), "Generations that are kept to go back to, and are not there."),
                "findings": _FINDINGS,
            }
        ),
        values.RECALLS: Table(
            {
                "recalls": array(
                    Table(
                        {
                            "name": text(),
                            "version": _NUMBER,
                            "expires": time(),
                            "sha256": digest(),
                            "modules": _NUMBER,
                            "new": Boolean(),
                        }
                    )
                )
            }
        ),
        values.PRUNED: Table({"removed": array(_NUMBER), "kept": array(_NUMBER)}, about="Numbers of generations."),
        values.VERIFICATION: Table(
            {
                "verdict": _VERDICT,
                "at": time(),
                "policy": Nullable(text(), about="Where it came from; null where the host's state cannot be read."),
                "generation": Nullable(_NUMBER, about="The active one; null where nothing says which that is."),
                "paths": _NUMBER,
                "modules": array(Table({**_MODULE, "verdict": _VERDICT}), "None where the policy cannot be read."),
                "findings": array(Table({"module": Nullable(text()), **_FAILURE})),
            }
        ),
        values.LOG: Table(
            {
                "verdict": _VERDICT,
                "head": Nullable(digest(), about="Of the newest line, where `--verify` has proved all of them."),
                "events": array(EVENT, "Those that can be read."),
                "findings": _FINDINGS,
            }
        ),
        values.LOCKDOWN: Table(
            {
                "host": _RANDOM,
                "mode": Text(choices=("normal", "strict")),
                "lock": Nullable(
                    _RANDOM, about="The lockdown that a break-glass file ends; null in normal mode, and in a dry run."
                ),
                "controllers": _KEYS,
                "break_glass": Table({"keys": _KEYS, "threshold": _NUMBER}),
            }
        ),
        values.BROKEN_GLASS: Table(
            {"host": _RANDOM, "lock": _RANDOM, "reason": text(), "sha256": digest(), "keys": _KEYS}
        ),
        values.OWNERS: Table({"files": array(_INDEXED, "As recorded, unproved.")}),
        values.ACCEPTANCE: Table(
            {
                "level": _LEVEL_NAME,
                "policy_minimum": _LEVEL_NAME,
                "was": Nullable(LEVEL.shape, about="The one before, where it was set."),
            }
        ),
        values.MADE: Table(
            {
                "level": _LEVEL_NAME,
                "policy": text("Where it came from."),
                "policy_sha256": digest("Of the policy's text."),
            },
            about="init.",
        ),
        values.POLICY: Table(
            {
                "source": text(),
                "sha256": digest("Of the text and every file that it names."),
                "minimum_level": _LEVEL_NAME,
                "anchors": array(
                    Table(
                        {
                            "name": text(),
                            "grants": _LEVEL_NAME,
                            "kind": Text(choices=("ca", "pin")),
                            "fingerprint": digest(),
                            "vendors": array(text(), "Patterns; none for all."),
                            "names": array(text(), "Patterns; none for all."),
                        }
                    )
                ),
                "text": text("All of it, as TOML."),
                "not_accepted": Nullable(
                    array(Table(_MODULE)), about="Installed modules that it does not accept, where it was set."
                ),
            },
            about="policy show, policy set.",
        ),
        values.EXPORT: Table(
            {
                "format": text(),
                "generation": _NUMBER,
                "modules": _NUMBER,
                "files": _NUMBER,
                "signed": Boolean(about="The kernel takes no IPE policy and no fs-verity digests without."),
            },
            about="export --json.",
        ),
        values.INDEX: Table({"entries": _NUMBER}, about="rebuild."),
        values.REPLAY: Table(
            {
                "pcr": _NUMBER,
                "sha256": digest("What the register must have."),
                "events": array(TextMap(text(), Scalar(), most=UNBOUNDED)),
            }
        ),
        values.PROBLEM: Table(
            {"verdict": Text(choices=("rejected", "undecided")), **_FAILURE},
            about="Of every command that has no result; the message is on standard error as well.",
        ),
    },
    about="What `modseal host --format json` prints; each command its own table.",
)
