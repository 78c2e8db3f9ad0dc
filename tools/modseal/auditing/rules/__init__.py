"""The rules of an audit, one a module but for those of depots; docs/audits.md is made from them."""

from __future__ import annotations

from modseal.auditing.rule import Rule
from modseal.auditing.rules import (
    algorithm_leaving,
    checksum_order,
    claim_above_proven,
    depots,
    descriptor_quirk,
    esxi,
    fling_leftover,
    gunzip_sha256_missing,
    left_out,
    no_timestamp,
    not_removable_live,
    not_reproducible,
    path_of_another_kind,
    path_outside_allowed,
    same_content_twice,
    same_id_other_content,
    same_manifest_other_bytes,
    setuid_file,
    signature_set_aside,
    signer_expired_pinned,
    signer_expired_timestamped,
    signer_expires_soon,
    startup_script,
    sticky_file,
    unknown_signer_beside,
    weak_algorithm,
)

RULES: tuple[Rule, ...] = (
    # Who stands for it.
    claim_above_proven.RULE,
    unknown_signer_beside.RULE,
    signature_set_aside.RULE,
    # For how long.
    signer_expires_soon.RULE,
    signer_expired_pinned.RULE,
    signer_expired_timestamped.RULE,
    no_timestamp.RULE,
    weak_algorithm.RULE,
    algorithm_leaving.RULE,
    # What is in it.
    startup_script.RULE,
    setuid_file.RULE,
    sticky_file.RULE,
    path_outside_allowed.RULE,
    # Whether hosts take it, and let it go.
    gunzip_sha256_missing.RULE,
    checksum_order.RULE,
    descriptor_quirk.RULE,
    not_removable_live.RULE,
    # How it was made.
    fling_leftover.RULE,
    not_reproducible.RULE,
    # Bundles beside each other.
    same_id_other_content.RULE,
    same_manifest_other_bytes.RULE,
    same_content_twice.RULE,
    path_of_another_kind.RULE,
    # Beside the bundles.
    left_out.RULE,
    *depots.RULES,
    # Installed hosts.
    *esxi.RULES,
)
"""Every rule, in the order of docs/audits.md."""

BUNDLE_RULES = tuple(rule for rule in RULES if rule.check)
SET_RULES = tuple(rule for rule in RULES if rule.start)
BY_ID = {rule.id: rule for rule in RULES}
