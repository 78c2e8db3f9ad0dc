"""The rules of an audit, by what they look at; docs/audits.md is made from them."""

from __future__ import annotations

from modseal.auditing.rule import Rule
from modseal.auditing.rules import (
    contents,
    depots,
    esxi,
    keys,
    making,
    sets,
    signers,
)

RULES: tuple[Rule, ...] = (
    # Who stands for it.
    signers.CLAIM_ABOVE_PROVEN,
    signers.UNKNOWN_SIGNER_BESIDE,
    signers.SIGNATURE_SET_ASIDE,
    # For how long.
    signers.SIGNER_EXPIRES_SOON,
    signers.SIGNER_EXPIRED_PINNED,
    signers.SIGNER_EXPIRED_TIMESTAMPED,
    signers.NO_TIMESTAMP,
    keys.WEAK_ALGORITHM,
    keys.ALGORITHM_LEAVING,
    # What is in it.
    contents.STARTUP_SCRIPT,
    contents.SETUID_FILE,
    contents.STICKY_FILE,
    contents.PATH_OUTSIDE_ALLOWED,
    # Whether hosts take it, and let it go.
    making.GUNZIP_SHA256_MISSING,
    making.CHECKSUM_ORDER,
    making.DESCRIPTOR_QUIRK,
    making.NOT_REMOVABLE_LIVE,
    # How it was made.
    making.FLING_LEFTOVER,
    making.NOT_REPRODUCIBLE,
    # Bundles beside each other.
    sets.SAME_ID_OTHER_CONTENT,
    sets.SAME_MANIFEST_OTHER_BYTES,
    sets.SAME_CONTENT_TWICE,
    sets.PATH_OF_ANOTHER_KIND,
    # Beside the bundles.
    sets.LEFT_OUT,
    *depots.RULES,
    # Installed hosts.
    *esxi.RULES,
)
"""Every rule, in the order of docs/audits.md."""

BUNDLE_RULES = tuple(rule for rule in RULES if rule.check)
SET_RULES = tuple(rule for rule in RULES if rule.start)
BY_ID = {rule.id: rule for rule in RULES}
