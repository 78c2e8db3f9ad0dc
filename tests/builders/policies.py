"""Policies for tests: as values, and as TOML files with what they name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from builders.pki import Identity, root
from modseal.format.level import Level
from modseal.trust.policy import Anchor, Policy

LEVELS = tuple(Level)


def anchor(identity: Identity, grants: Level = Level.CERTIFIED, name: str = "Test anchor", **changes: Any) -> Anchor:
    """A CA anchor."""
    return Anchor(name, grants, certificate=identity.parsed, **changes)


def pin(identity: Identity, grants: Level = Level.CERTIFIED, name: str = "Test pin", **changes: Any) -> Anchor:
    """An exact signer certificate."""
    return Anchor(name, grants, fingerprint=identity.fingerprint, **changes)


def trusting(*anchors: Anchor | Identity, minimum: Level = Level.COMMUNITY, **changes: Any) -> Policy:
    """A policy with these anchors (by default the root of good signers); an identity is a CA that grants all."""
    chosen = anchors or (root(),)
    values = tuple(
        one if isinstance(one, Anchor) else anchor(one, name=f"Anchor {number}") for number, one in enumerate(chosen)
    )
    return Policy("test policy", minimum, values, **changes)


def write(
    folder: Path,
    identity: Identity | None = None,
    *,
    name: str = "policy.toml",
    minimum: str = "partner",
    grants: str = "certified",
    more: str = "",
) -> Path:
    """A policy file that trusts one root, with more TOML after it."""
    (folder / "root.pem").write_bytes((identity or root()).pem)
    path = folder / name
    path.write_text(
        f'schema = "modseal/policy@1"\nminimum-level = "{minimum}"\n\n'
        f'[[anchor]]\nname = "Test anchor"\ncertificate = "root.pem"\ngrants = "{grants}"\n{more}'
    )
    return path
