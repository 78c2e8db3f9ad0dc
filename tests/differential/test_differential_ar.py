"""A container is refused, or GNU ar and libarchive see in it what modseal sees."""

from __future__ import annotations

from pathlib import Path
from random import Random

from builders.bundles import make
from differential import mutants, views
from differential.views import COUNT, needs

SEEDS = COUNT or 200


def require_agreement(data: bytes, folder: Path) -> bool:
    """Whether modseal accepts; where it does, everybody sees the same."""
    members = views.modseal_members(data)
    if members is None:
        return False
    path = folder / "bundle"
    path.write_bytes(data)
    assert views.gnu_ar(path, folder / "out") == views.expected_gnu_ar(members)
    assert views.libarchive_members(path) == ([name for name, _ in members], b"".join(data for _, data in members))
    return True


@needs("ar", "bsdtar")
def test_a_mutated_container_is_refused_or_everybody_sees_the_same(tmp_path: Path) -> None:
    accepted = 0
    for seed in range(SEEDS):
        try:
            accepted += require_agreement(mutants.archive(Random(seed)), tmp_path)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error!r}") from error
    print(f"ar: {SEEDS} archives, {accepted} accepted, 0 divergences")  # noqa: T201
    assert SEEDS // 10 < accepted < SEEDS


@needs("ar", "bsdtar")
def test_everybody_sees_the_same_members_in_what_modseal_writes(tmp_path: Path) -> None:
    for kind in ("seal", "vib"):
        assert require_agreement(make(kind, attachments={"sbom.json": b"{}"} if kind == "seal" else {}).data, tmp_path)
