"""Signing in two steps: the same bytes as direct signing, and a refusal for whatever does not belong together."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders.bundles import KINDS, accepted, make, snapshot
from builders.pki import EPOCH, NOW, Identity, ca, leaf, new_key, root, signer
from builders.policies import trusting
from modseal import limits
from modseal.bundle.open import OpenBundle
from modseal.errors import InputError, ModsealError, RefusedError, UsageError
from modseal.format import cms, der
from modseal.format.manifest import Kind
from modseal.format.source import BytesSource
from modseal.packing import two_step
from modseal.packing.sign import Signed, sign
from modseal.pki.algorithms import ALGORITHMS
from modseal.signing import prepared

kinds = pytest.mark.parametrize("kind", KINDS)
needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl")
TIME = datetime(2025, 5, 5, 5, 5, 5, tzinfo=UTC)
PSS = "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest"
DETERMINISTIC = (
    "rsa-pkcs1-sha256", "rsa-pkcs1-sha384", "rsa-pkcs1-sha512", "ed25519",
    "ecdsa-p256-sha256", "ecdsa-p384-sha384", "ecdsa-p521-sha512",
)  # fmt: skip


def key_kind(algorithm: str) -> str:
    if algorithm.startswith("rsa"):
        return "rsa"
    return algorithm.split("-")[1] if algorithm.startswith("ecdsa") else algorithm


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "b").write_bytes(make("seal").unsigned().data)
    return tmp_path


def prepare(folder: Path, identity: Identity | None = None, algorithm: str | None = None, at: datetime = NOW) -> bytes:
    """Write `folder/f` and what stands beside it for the bundle `folder/b`; returns what is to be signed."""
    who = (identity or signer()).signer()
    found = two_step.prepare(folder / "b", who.certificate, who.chain, at, TIME, algorithm)
    two_step.write(found, folder / "f", "a summary\n")
    return (folder / "f").read_bytes()


def attach(folder: Path, value: bytes | None = None, at: datetime = NOW, **more: Any) -> Signed:
    if value is not None:
        (folder / "sig").write_bytes(value)
    return two_step.attach(folder / "b", folder / "out", folder / "sig", folder / "f", at, **more)


def elsewhere(data: bytes, identity: Identity | None = None, algorithm: str = "ecdsa-p256-sha256") -> bytes:
    """A signature by a machine that has the key and nothing else."""
    return (identity or signer()).signer().sign(ALGORITHMS[algorithm], data)


@kinds
@pytest.mark.parametrize("algorithm", DETERMINISTIC)
def test_two_steps_and_one_give_the_same_bytes(kind: Kind, algorithm: str, tmp_path: Path) -> None:
    identity = signer(key_kind(algorithm))
    (tmp_path / "b").write_bytes(make(kind, signer("p256", 7)).data)
    direct = sign(tmp_path / "b", tmp_path / "direct", identity.signer(), NOW, TIME, algorithm)
    signed = attach(tmp_path, elsewhere(prepare(tmp_path, identity, algorithm), identity, algorithm))
    assert (tmp_path / "out").read_bytes() == (tmp_path / "direct").read_bytes()
    assert (signed.blocks, signed.fingerprint, signed.algorithm) == (2, direct.fingerprint, algorithm)


@pytest.mark.parametrize("algorithm", ["rsa-pss-sha256", "ml-dsa-65"])
def test_an_algorithm_that_signs_differently_each_time_verifies_too(algorithm: str, place: Path) -> None:
    identity = signer(key_kind(algorithm))
    attach(place, elsewhere(prepare(place, identity, algorithm), identity, algorithm))
    accepted((place / "out").read_bytes(), trusting())


def test_a_chain_is_embedded_as_in_direct_signing(place: Path) -> None:
    middle = ca("Middle", issuer=root(), key=new_key("p256", 60))
    below = leaf("Below", issuer=middle).with_chain(middle)
    sign(place / "b", place / "direct", below.signer(), NOW, TIME)
    attach(place, elsewhere(prepare(place, below), below))
    assert (place / "out").read_bytes() == (place / "direct").read_bytes()


@pytest.mark.parametrize(
    ("algorithm", "command", "same"),
    [
        ("rsa-pkcs1-sha256", "dgst -sha256 -sign k -out sig f", True),
        ("rsa-pkcs1-sha512", "dgst -sha512 -sign k -out sig f", True),
        ("rsa-pkcs1-sha256", "pkeyutl -sign -inkey k -in d -pkeyopt digest:sha256 -out sig", True),
        ("ed25519", "pkeyutl -sign -rawin -inkey k -in f -out sig", True),
        ("ecdsa-p256-sha256", "dgst -sha256 -sign k -out sig f", False),
        ("ecdsa-p256-sha256", "pkeyutl -sign -inkey k -in d -pkeyopt digest:sha256 -out sig", False),
        ("rsa-pss-sha256", f"dgst -sha256 {PSS} -sign k -out sig f", False),
    ],
)  # fmt: skip
@needs_openssl
def test_openssl_signs_what_is_prepared(algorithm: str, command: str, same: bool, place: Path) -> None:
    identity = signer(key_kind(algorithm))
    data = prepare(place, identity, algorithm)
    (place / "k").write_bytes(identity.key_pem)
    (place / "d").write_bytes(hashlib.new(ALGORITHMS[algorithm].digest_name, data).digest())
    subprocess.run(["openssl", *command.split()], cwd=place, check=True, capture_output=True)
    attach(place)
    accepted((place / "out").read_bytes(), trusting())
    sign(place / "b", place / "direct", identity.signer(), NOW, TIME, algorithm)
    assert ((place / "out").read_bytes() == (place / "direct").read_bytes()) is same


def test_what_is_prepared_is_the_signed_attributes_over_this_manifest(place: Path) -> None:
    data = prepare(place)
    manifest = OpenBundle(BytesSource((place / "b").read_bytes()), "b").manifest
    attributes = der.elements(der.Reader(data).enter(der.SET))
    assert len(attributes) == 5
    assert hashlib.sha256(manifest).digest() in data
    attach(place, elsewhere(data))
    member = OpenBundle(BytesSource((place / "out").read_bytes()), "out").signature
    assert cms.decode(cms.split_blocks(member)[0]).signers[0].signed_attributes == data


def test_the_state_says_what_it_was_made_for_and_holds_no_secret(place: Path) -> None:
    data = prepare(place, signer("rsa"))
    state = json.loads((place / "f.json").read_text())
    assert state["to-be-signed-sha256"] == hashlib.sha256(data).hexdigest()
    assert (state["algorithm"], state["signing-time"]) == ("rsa-pkcs1-sha256", "2025-05-05T05:05:05Z")
    assert "PRIVATE" not in json.dumps(state)
    assert (place / "f.txt").read_text() == "a summary\n"


@kinds
def test_another_signer_may_add_a_block_in_between(kind: Kind, tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(make(kind).unsigned().data)
    value = elsewhere(prepare(tmp_path))
    sign(tmp_path / "b", tmp_path / "b", signer("rsa").signer(), NOW, NOW)
    assert attach(tmp_path, value).blocks == 2
    accepted((tmp_path / "out").read_bytes(), trusting(minimum_signers=2))


def test_a_timestamp_is_over_the_attached_signature(place: Path) -> None:
    asked: list[bytes] = []

    def stamp(value: bytes) -> bytes:
        asked.append(value)
        return der.encode(der.SEQUENCE, der.encode_integer(1))

    value = elsewhere(prepare(place))
    attach(place, value, stamp=stamp)
    assert asked == [value]


# What is refused: with a reason, and nothing is written.


def left_alone(folder: Path, call: Callable[[], object], kind: type[ModsealError]) -> ModsealError:
    before = snapshot(folder)
    with pytest.raises(kind) as caught:
        call()
    assert snapshot(folder) == before
    return caught.value


WRONG: dict[str, Callable[[bytes, bytes], bytes]] = {
    "empty": lambda good, data: b"",
    "cut": lambda good, data: good[:-1],
    "longer": lambda good, data: good + b"\n",
    "base64": lambda good, data: good.hex().encode(),
    "over something else": lambda good, data: elsewhere(data + b"x"),
    "over its digest": lambda good, data: elsewhere(hashlib.sha256(data).digest()),
    "of another key": lambda good, data: elsewhere(data, signer("p256", 1)),
    "two bare numbers": lambda good, data: bytes(64),
}


@pytest.mark.parametrize("which", list(WRONG))
def test_a_signature_that_does_not_verify_is_refused_before_a_timestamp_is_asked_for(which: str, place: Path) -> None:
    data = prepare(place)
    (place / "sig").write_bytes(WRONG[which](elsewhere(data), data))

    def stamp(_: bytes) -> bytes:
        raise AssertionError("asked")

    failure = left_alone(place, lambda: attach(place, stamp=stamp), RefusedError).failure
    assert failure.code == "unfit-signature"
    assert "must be in DER" in failure.detail


def test_another_bundle_is_refused(place: Path) -> None:
    value = elsewhere(prepare(place))
    (place / "sig").write_bytes(value)
    (place / "b").write_bytes(make("seal", version="1.2.3-5").unsigned().data)
    failure = left_alone(place, lambda: attach(place), RefusedError).failure
    assert (failure.code, "another bundle" in failure.detail) == ("unfit-signature", True)


def test_a_bundle_that_was_damaged_in_between_is_refused(place: Path) -> None:
    good = make("seal").unsigned()
    (place / "sig").write_bytes(elsewhere(prepare(place)))
    damaged = good.with_member("base", data=good["base"].data[:-1] + b"!").data
    for data, code in ((damaged, "payload-digest-mismatch"), (b"!<arch>\n", "not-a-bundle")):
        (place / "b").write_bytes(data)
        assert left_alone(place, lambda: attach(place), ModsealError).failure.code == code


def test_a_certificate_that_has_signed_already_is_refused_in_either_step(place: Path) -> None:
    (place / "sig").write_bytes(elsewhere(prepare(place)))
    (place / "b").write_bytes(make("seal").data)
    left_alone(place, lambda: attach(place), UsageError)
    left_alone(place, lambda: prepare(place), UsageError)


def test_a_certificate_that_expires_between_the_steps_is_refused(place: Path) -> None:
    short = leaf("Short", start=EPOCH, end=datetime(2026, 1, 2, tzinfo=UTC))
    (place / "sig").write_bytes(elsewhere(prepare(place, short), short))
    later = datetime(2026, 1, 3, tzinfo=UTC)
    failure = left_alone(place, lambda: attach(place, at=later), RefusedError).failure
    assert (failure.code, "expired" in failure.detail) == ("unfit-certificate", True)
    assert attach(place).blocks == 1


@pytest.mark.parametrize(
    "unfit",
    [
        lambda: leaf("Past", start=EPOCH, end=datetime(2024, 2, 1, tzinfo=UTC)),
        lambda: leaf("No purpose", purposes=None),
        lambda: leaf("Weak", key=new_key("rsa-1024")),
    ],
)
def test_nothing_is_prepared_for_an_unfit_certificate(unfit: Callable[[], Identity], place: Path) -> None:
    assert left_alone(place, lambda: prepare(place, unfit()), RefusedError).failure.code == "unfit-certificate"


def test_nothing_is_prepared_for_a_damaged_bundle(place: Path) -> None:
    (place / "b").write_bytes(make("seal").with_signature(b"nonsense").data)
    left_alone(place, lambda: prepare(place), RefusedError)


def test_an_algorithm_that_does_not_fit_the_certificate_is_refused(place: Path) -> None:
    left_alone(place, lambda: prepare(place, algorithm="ed25519"), UsageError)


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], object], type[ModsealError]]] = {
    "another time": (lambda s: s.update({"signing-time": "2025-05-05T05:05:06Z"}), RefusedError),
    "no time": (lambda s: s.update({"signing-time": "soon"}), UsageError),
    "another digest": (lambda s: s.update({"to-be-signed-sha256": "0" * 64}), RefusedError),
    "another manifest": (lambda s: s.update({"manifest-sha256": "0" * 64}), RefusedError),
    "an algorithm for another key": (lambda s: s.update(algorithm="ed25519"), UsageError),
    "an unknown algorithm": (lambda s: s.update(algorithm="md5"), UsageError),
    "another certificate": (lambda s: s.update(certificates=[signer("p256", 1).pem.decode()]), RefusedError),
    "a certificate more": (lambda s: s["certificates"].append(root().pem.decode()), RefusedError),
    "a stranger in the chain": (lambda s: s["certificates"].append(root(3).pem.decode()), RefusedError),
    "no certificate": (lambda s: s.update(certificates=[]), UsageError),
    "nonsense for a certificate": (lambda s: s.update(certificates=["é"]), UsageError),
    "another schema": (lambda s: s.update(schema="modseal/prepared@2"), UsageError),
    "a key more": (lambda s: s.update(more=1), UsageError),
    "a key less": (lambda s: s.pop("algorithm"), UsageError),
}


@pytest.mark.parametrize("which", list(CHANGES))
def test_a_changed_state_is_refused(which: str, place: Path) -> None:
    change, kind = CHANGES[which]
    (place / "sig").write_bytes(elsewhere(prepare(place)))
    state = json.loads((place / "f.json").read_text())
    change(state)
    (place / "f.json").write_text(json.dumps(state))
    left_alone(place, lambda: attach(place), kind)


def test_a_file_that_is_missing_or_too_large_is_said(place: Path) -> None:
    prepare(place)
    left_alone(place, lambda: attach(place), InputError)
    left_alone(place, lambda: two_step.attach(place / "b", place / "b", place / "f", place / "g", NOW), InputError)
    left_alone(place, lambda: two_step.attach(place / "b", place / "b", place / "f", Path("/"), NOW), UsageError)
    (place / "sig").write_bytes(bytes(limits.PREPARED_SIZE + 1))
    left_alone(place, lambda: attach(place), UsageError)


def test_neither_the_bundle_nor_a_folder_is_written_over(place: Path) -> None:
    who = signer().signer()
    found = two_step.prepare(place / "b", who.certificate, who.chain, NOW, TIME)
    (place / "folder.json").mkdir()
    (place / "linked.txt").symlink_to("b")
    for name in ("b", "folder", "linked"):
        left_alone(place, lambda name=name: two_step.write(found, place / name, ""), UsageError)  # type: ignore[misc]
    left_alone(place, lambda: two_step.write(found, place / "absent" / "f", ""), InputError)


@settings(max_examples=150)
@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: json.dumps({"schema": text}).encode()))
def test_any_bytes_for_a_state_are_refused_in_one_way(data: bytes) -> None:
    with pytest.raises(UsageError, match="is not what `modseal sign --prepare` wrote"):
        prepared.decode(data, "f.json")


def test_a_state_reads_back_as_it_was_written(place: Path) -> None:
    middle = ca("Middle", issuer=root(), key=new_key("p256", 60))
    who = leaf("Below", issuer=middle).with_chain(middle).signer()
    state = two_step.prepare(place / "b", who.certificate, who.chain, NOW, TIME).state
    assert prepared.decode(prepared.encode(state), "f.json") == state
