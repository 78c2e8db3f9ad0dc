"""Recalls for tests: `make` gives a good one of one module, signed by its signers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from builders import cms as cms_builder
from builders.pki import NOW, Identity, signer
from modseal.format import recall as recall_format
from modseal.format.recall import Recall, Withdrawn


def entry(name: str = "acme-agent", vendor: str = "Acme", reason: str = "it burns", **changes: Any) -> Withdrawn:
    return Withdrawn(vendor, name, reason, **changes)


def make(
    *modules: Withdrawn,
    name: str = "acme-recalls",
    version: int = 1,
    by: Sequence[Identity] | None = None,
    issued: datetime = NOW - timedelta(days=1),
    expires: datetime = NOW + timedelta(days=90),
) -> Recall:
    return signed(Recall(name, version, issued, expires, modules or (entry(),)), *((signer(),) if by is None else by))


def signed(recall: Recall, *by: Identity) -> Recall:
    """The document made and signed anew, one block for each."""
    declared = recall_format.declare(recall)
    blocks = [cms_builder.pem(cms_builder.block(declared, one)) for one in by]
    return replace(recall, signed=declared, signature=b"".join(blocks))
