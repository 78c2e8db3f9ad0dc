"""Folders of bundles to audit, and audits of them in this process."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from builders import bundles
from builders.bundles import Member
from builders.pki import NOW, signer
from modseal.auditing.cache import Cache
from modseal.auditing.choice import choose
from modseal.auditing.discover import discover
from modseal.auditing.engine import Engine, Serial
from modseal.auditing.run import Audit, run
from modseal.trust.policy import Policy


def folder_of(folder: Path, count: int = 3, **changes: object) -> list[Path]:
    """Bundles `0.seal`, `1.vib`, ... of modules `m0`, `m1`, ..., each signed by the usual signer."""
    folder.mkdir(exist_ok=True)
    paths = []
    for number in range(count):
        kind = "vib" if number % 2 else "seal"
        path = folder / f"{number:03}.{kind}"
        path.write_bytes(bundles.make(kind, name=f"m{number}", **changes).data)  # type: ignore[arg-type]
        paths.append(path)
    return paths


def audit_of(
    paths: Iterable[Path | str],
    policy: Policy,
    at: datetime = NOW,
    engine: Engine | None = None,
    cache: Cache | None = None,
    *,
    strict_coverage: bool = False,
    **choices: object,
) -> Audit:
    """An audit of paths, in this process unless an engine is given."""
    names = tuple(map(str, paths))
    choice = choose(policy, at, **choices)  # type: ignore[arg-type]
    result = Audit(policy, at, names, choice, strict_coverage=strict_coverage)
    return run(discover(names), engine or Serial(policy, at, cache), result, cache)


def many_of(folder: Path, count: int) -> None:
    """So many small bundles, each of a module of its own, made fast: all have the payload of the first."""
    folder.mkdir(exist_ok=True)
    base = bundles.make("seal")
    for number in range(count):
        manifest = Member("manifest.json", bundles.encode(replace(base.manifest, name=f"m{number}")))
        bundle = bundles.Bundle("seal", (manifest, *base.members[1:])).signed(signer())
        (folder / f"{number:06}.seal").write_bytes(bundle.data)
