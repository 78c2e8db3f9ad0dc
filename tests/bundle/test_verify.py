"""The gate's story: open, examine, result."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from builders.bundles import KINDS, Member, make
from builders.pki import NOW, leaf, root
from builders.policies import trusting
from modseal.bundle.open import OpenBundle
from modseal.bundle.verify import verify
from modseal.format.manifest import Kind
from modseal.format.source import BytesSource
from modseal.trust.examination import Verdict
from modseal.trust.integrity import examine_integrity

kinds = pytest.mark.parametrize("kind", KINDS)


@kinds
def test_a_result_has_the_digest_where_it_was_asked_for(kind: Kind, tmp_path: Path) -> None:
    data = make(kind).data
    (tmp_path / "b").write_bytes(data)
    found = verify(tmp_path / "b", trusting(), NOW, with_digest=True)
    assert (found.verdict, found.sha256, found.failure) == (Verdict.ACCEPTED, hashlib.sha256(data).hexdigest(), None)
    assert verify(tmp_path / "b", trusting(), NOW, with_digest=False).sha256 is None


def test_what_cannot_be_read_is_undecided_and_never_raises(tmp_path: Path) -> None:
    found = verify(tmp_path / "absent", trusting(), NOW, with_digest=True)
    assert (found.verdict, found.examination) == (Verdict.UNDECIDED, None)
    assert found.failure is not None
    assert found.failure.code == "io-error"


@kinds
def test_integrity_asks_nobody_who_signed(kind: Kind) -> None:
    good = make(kind)
    for bundle in (
        good,
        good.unsigned(),
        good.with_signature(b"nonsense"),
        make(kind, leaf("Stranger", issuer=root(7))),
    ):
        found = examine_integrity(OpenBundle(BytesSource(bundle.data), "x"), NOW)
        assert found.verdict is Verdict.ACCEPTED
        assert (found.manifest_signed, found.proven_level, found.trusted) == (False, None, ())
        assert {check.step for check in found.checks} == {0, 7, 8}


@kinds
def test_integrity_refuses_all_damage(kind: Kind) -> None:
    good = make(kind)
    name = good.members[2].name
    for bundle in (
        good.with_member(name, data=b"x"),
        good.insert(3, Member("x", b"")),
        good.with_manifest_bytes(b"{}"),
        good.without(name),
    ):
        assert examine_integrity(OpenBundle(BytesSource(bundle.data), "x"), NOW).verdict is Verdict.REJECTED
    assert examine_integrity(OpenBundle(BytesSource(good.data[:-1]), "x"), NOW).verdict is Verdict.REJECTED
