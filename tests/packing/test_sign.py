"""Signing a bundle: a block is added, every other byte stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from builders.bundles import KINDS, Bundle, accepted, header, make, snapshot
from builders.pki import NOW, leaf, root, signer
from builders.policies import trusting
from modseal import limits
from modseal.bundle.open import OpenBundle
from modseal.errors import ModsealError, RefusedError, UsageError
from modseal.format import cms
from modseal.format.manifest import Kind
from modseal.format.source import BytesSource
from modseal.packing.sign import append_block, sign

kinds = pytest.mark.parametrize("kind", KINDS)


def signed(folder: Path, bundle: Bundle, identity: object = None) -> bytes:
    (folder / "b").write_bytes(bundle.data)
    sign(folder / "b", folder / "out", (identity or signer()).signer(), NOW, NOW)  # type: ignore[attr-defined]
    return (folder / "out").read_bytes()


@kinds
def test_a_signed_bundle_differs_in_its_signature_member_alone(kind: Kind, tmp_path: Path) -> None:
    good = make(kind).unsigned()
    data = signed(tmp_path, good)
    opened = OpenBundle(BytesSource(data), "x")
    assert data == good.with_signature(opened.signature).data
    accepted(data, trusting())


@kinds
def test_blocks_that_are_there_keep_their_bytes(kind: Kind, tmp_path: Path) -> None:
    once = make(kind)
    twice = OpenBundle(BytesSource(signed(tmp_path, once, signer("rsa"))), "x")
    assert twice.signature.startswith(once.signature)
    assert len(cms.split_blocks(twice.signature)) == 2
    accepted((tmp_path / "out").read_bytes(), trusting(minimum_signers=2))


@kinds
def test_a_block_of_a_stranger_is_no_obstacle(kind: Kind, tmp_path: Path) -> None:
    accepted(signed(tmp_path, make(kind, leaf("Stranger", issuer=root(7)))), trusting())


def test_a_vib_with_genuine_header_variants_keeps_them(tmp_path: Path) -> None:
    good = make("vib").unsigned()
    old = good.members[2]
    odd = good.with_member(old.name, header=header(f"{old.name}/", len(old.data), mode="100644", mtime="1552619572"))
    data = signed(tmp_path, odd)
    assert b"payload1/       1552619572" in data
    accepted(data, trusting())


@pytest.mark.parametrize(("member", "separator"), [(b"", b""), (b"x\n", b""), (b"x", b"\n")])
def test_a_missing_final_newline_is_made_good(member: bytes, separator: bytes) -> None:
    assert append_block(member, b"\x30\0") == member + separator + cms.join_blocks((b"\x30\0",))


@kinds
def test_the_same_certificate_signs_once(kind: Kind, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="already signed"):
        signed(tmp_path, make(kind))
    assert list(snapshot(tmp_path)) == ["b"]


@kinds
def test_no_signature_is_put_under_damage(kind: Kind, tmp_path: Path) -> None:
    good = make(kind).unsigned()
    name = good.members[2].name
    for bundle in (
        good.with_member(name, data=b"x"),
        good.with_manifest_bytes(b"{}"),
        good.without(name),
        make(kind).with_signature(b"nonsense"),
    ):
        with pytest.raises(ModsealError) as raised:
            signed(tmp_path, bundle)
        assert raised.value.exit_code == 1
        assert list(snapshot(tmp_path)) == ["b"]


@kinds
def test_a_key_that_does_not_fit_its_certificate_signs_nothing(kind: Kind, tmp_path: Path) -> None:
    from dataclasses import replace

    wrong = replace(signer(), key=signer("p256", 1).key)
    with pytest.raises(RefusedError) as raised:
        signed(tmp_path, make(kind).unsigned(), wrong)
    assert raised.value.failure.code == "bad-signature"
    assert list(snapshot(tmp_path)) == ["b"]


def test_more_blocks_than_a_reader_takes_are_not_written(tmp_path: Path) -> None:
    full = make("seal")
    full = full.with_signature(
        b"".join(full.signed(signer("p256", 200 + n)).signature for n in range(limits.SIGNATURE_BLOCKS))
    )
    with pytest.raises(RefusedError) as raised:
        signed(tmp_path, full)
    assert raised.value.failure.code == "limit-exceeded"


def test_a_bundle_can_be_signed_in_place(tmp_path: Path) -> None:
    path = tmp_path / "b"
    path.write_bytes(make("seal").unsigned().data)
    path.chmod(0o640)
    result = sign(path, path, signer().signer(), NOW, NOW)
    assert (result.path, result.blocks, result.fingerprint) == (path, 1, signer().fingerprint)
    assert path.stat().st_mode & 0o777 == 0o640
    accepted(path.read_bytes(), trusting())
