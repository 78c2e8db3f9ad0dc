"""A payload is refused, or GNU tar, Python and libarchive see in it what modseal sees."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders.bundles import pack
from differential import mutants, views
from differential.views import COUNT, needs

TYPES = ("tgz", "tar+gzip", "tar+zstd")
SEEDS = COUNT or 120


def require_agreement(type_: str, packed: bytes, folder: Path) -> bool:
    """Whether modseal accepts; where it does, everybody sees the same."""
    seen = views.modseal_tree(type_, packed, mutants.MTIME)
    if seen is None:
        return False
    tree, data = seen
    path = folder / "payload"
    path.write_bytes(packed)
    assert views.python_tree(type_, packed) == tree
    assert views.gnu_tar_lines(type_, path) == views.expected_lines(tree)
    assert views.gnu_tar_bytes(type_, path) == data
    assert views.libarchive_tree(path) == tuple(sorted(tree))
    return True


def made(type_: str, seed: int) -> bytes:
    rng = Random(f"{type_} {seed}")
    items = mutants.entries(rng, long=type_ != "tgz")
    # A `.seal` takes its one canonical form alone, so most of its tars are changed little or not at all.
    base = mutants.canonical(items) if type_ != "tgz" or rng.random() < 0.2 else mutants.by_tarfile(rng, items)
    return pack(type_, mutants.mutated_tar(rng, base))


@needs("tar", "gzip", "zstd", "bsdtar")
@pytest.mark.parametrize("type_", TYPES)
def test_a_mutated_tar_is_refused_or_everybody_sees_the_same(tmp_path: Path, type_: str) -> None:
    accepted = 0
    for seed in range(SEEDS):
        try:
            accepted += require_agreement(type_, made(type_, seed), tmp_path)
        except Exception as error:
            raise AssertionError(f"seed {seed} of {type_}: {error!r}") from error
    print(f"{type_}: {SEEDS} archives, {accepted} accepted, 0 divergences")  # noqa: T201
    assert SEEDS // 10 < accepted < SEEDS


@needs("tar", "gzip", "zstd", "bsdtar")
@settings(max_examples=SEEDS, database=None)
@given(seed=st.integers(0), changes=st.integers(0, 4))
def test_a_tar_changed_as_hypothesis_likes_is_refused_or_everybody_sees_the_same(
    tmp_path_factory: pytest.TempPathFactory, seed: int, changes: int
) -> None:
    rng = Random(seed)
    data = mutants.by_tarfile(rng, mutants.entries(rng))
    for _ in range(changes):
        data = mutants.mutated_tar(rng, data)
    require_agreement("tgz", pack("tgz", data), tmp_path_factory.getbasetemp())
