"""A second reader, written from the pages alone, accepts exactly what modseal accepts."""

from __future__ import annotations

import ast
from pathlib import Path
from random import Random

import pytest

from builders import bundles, policies
from differential import bundle_mutants
from differential.views import COUNT
from modseal.codes import CODES
from modseal.trust.examination import Verdict
from vectors import make, second
from vectors.keys import ROOT, SIGNER

SEEDS = COUNT or 1500
TRUSTING = policies.trusting(ROOT)


def refusal(data: bytes) -> str | None:
    """Why the second reader refuses; None where it accepts."""
    try:
        second.verify(data, SIGNER.key.public_key())
    except second.RefusedError as error:
        return str(error) or "refused"
    return None


def require_agreement(data: bytes, name: str) -> bool:
    """Whether both accept; nothing else than both or none is right."""
    found = bundles.judge(data, TRUSTING)
    other = refusal(data)
    assert (found.verdict is Verdict.ACCEPTED) == (other is None), (name, bundles.codes(found), found.primary, other)
    return other is None


def test_the_second_reader_stands_alone() -> None:
    names = [
        name
        for node in ast.walk(ast.parse(Path(second.__file__).read_text("utf-8")))
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [])
        + ([one.name for one in node.names] if isinstance(node, ast.Import) else [])
    ]
    assert not [name for name in names if name.split(".")[0] in ("modseal", "builders", "vectors", "differential")]


def test_both_readers_agree_about_changed_bundles() -> None:
    accepted = sum(
        require_agreement(bundle_mutants.mutant(Random(f"second {seed}")), f"seed {seed}") for seed in range(SEEDS)
    )
    print(f"second reader: {SEEDS} bundles, {accepted} accepted, 0 differences")  # noqa: T201
    assert SEEDS // 20 < accepted < SEEDS


STEPS = [
    vector
    for vector in make.vectors()
    if vector.kind == "seal"
    and vector.policy == "trusting"
    and (vector.code is None or CODES[vector.code].step in (0, 7, 8) or vector.code == "bad-manifest")
    and not vector.name.startswith(
        ("good-ecdsa", "good-rsa", "good-chain", "good-beside", "good-two", "expected", "timestamp")
    )
]


@pytest.mark.parametrize("vector", STEPS, ids=[vector.name for vector in STEPS])
def test_the_second_reader_agrees_with_the_vectors(vector: make.Vector) -> None:
    assert (refusal(vector.data) is None) == (vector.code is None), refusal(vector.data)
