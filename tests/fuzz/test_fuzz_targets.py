"""The fuzz targets in small: their seeds are good, and what Hypothesis makes of them breaks no promise.

`make fuzz` does the same with atheris, for longer. Targets whose reader has a property test of its own beside
its other tests are not repeated here.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mutators
from modseal.bundle import layout
from modseal.bundle.open import OpenBundle
from modseal.format import cms, descriptor, manifest_json, pem, timestamp, trust_bundle
from modseal.format import zip as zip_format
from modseal.format.source import BytesSource
from modseal.packing import spec
from modseal.pki.certificate import Certificate
from modseal.pki.crl import Crl
from modseal.policy import file as policy_file
from modseal.trust import timestamp as proof
from modseal.trust.examination import Verdict
from modseal.trust.examine import examine
from modseal.trust.signature import verify_member
from targets import TARGETS
from targets.base import CONTENT, NOW, SEEDS, SIGNATURE, policy, read_fixture
from targets.depots import read_document
from targets.payloads import packed

HAVE_THEIR_OWN = {"descriptor", "tar-canonical", "tar-legacy", "tar-visor", "trust-bundle"}
EVERY_SEED = [pytest.param(name, seed, id=f"{name}-{seed}") for name in TARGETS for seed in TARGETS[name].seeds()]
JUNK = [b"", b"\0", b"\xff", b"\x30\x80", b"\x1f\x8b", b"[{", b'"\\ud800"', b"\\u0000", b"1e9", b"\n", b"./", b"======"]

READ: dict[str, Callable[[bytes], Any]] = {
    "archive": lambda data: OpenBundle(BytesSource(data), "seed").members,
    "trust-bundle": trust_bundle.decode,
    "bundle": lambda data: examine(OpenBundle(BytesSource(data), "seed"), policy(), NOW).verdict is Verdict.ACCEPTED,
    "manifest-json": manifest_json.decode,
    "descriptor": descriptor.decode,
    "cms": lambda data: verify_member(cms.join_blocks((data,)), CONTENT).signers,
    "signature-member": lambda data: verify_member(data, CONTENT, kind="vib").signers,
    "timestamp": lambda data: proof.verify(
        _token(data), SIGNATURE, policy().timestamp_anchors, policy().path_rules, NOW
    ),
    "certificate": Certificate.parse,
    "crl": lambda data: not Crl.parse(data, "seed").unjudged,
    "pem": lambda data: pem.is_der(data) or pem.read(data),
    "module-spec": lambda data: spec.parse(data, "seed"),
    "policy": lambda data: policy_file.parse(data, "seed", read_fixture),
    "zip": lambda data: zip_format.read(BytesSource(data)) or data.startswith(b"PK\x05\x06"),
    "depot-metadata": read_document,
    "visor-layout": lambda data: layout.decode(data, "seed"),
}


def _token(data: bytes) -> bytes:
    return timestamp.token_of_response(data) if data == TARGETS["timestamp"].seeds()["answer"] else data


def test_every_target_has_seeds_and_every_folder_of_seeds_a_target() -> None:
    assert {path.name for path in SEEDS.iterdir()} == set(TARGETS)
    assert all(target.seeds() for target in TARGETS.values())


@pytest.mark.parametrize(("name", "seed"), EVERY_SEED)
def test_a_seed_is_small_and_breaks_no_promise(name: str, seed: str) -> None:
    data = TARGETS[name].seeds()[seed]
    assert len(data) <= TARGETS[name].longest
    TARGETS[name].run(data)


@pytest.mark.parametrize(("name", "seed"), [one for one in EVERY_SEED if one.values[0] in READ])
def test_a_seed_is_good(name: str, seed: str) -> None:
    assert READ[name](TARGETS[name].seeds()[seed])


@pytest.mark.parametrize("name", ["tar+gzip", "tar+zstd", "vgz", "tgz"])
def test_a_seed_of_a_payload_is_good(name: str) -> None:
    for data in TARGETS[name].seeds().values():
        assert packed(name, data)[0].failures == ()


@pytest.mark.parametrize("name", sorted(TARGETS.keys() - HAVE_THEIR_OWN))
@settings(max_examples=60)
@given(st.data())
def test_a_seed_that_was_tampered_with_breaks_no_promise(name: str, data: st.DataObject) -> None:
    target = TARGETS[name]
    seed = data.draw(st.sampled_from(list(target.seeds().values())))
    start, length = data.draw(st.integers(0, len(seed))), data.draw(st.integers(0, 20))
    changed = seed[:start] + data.draw(st.sampled_from(JUNK) | st.binary(max_size=6)) + seed[start + length :]
    target.run(changed)


@pytest.mark.parametrize("name", sorted(name for name in TARGETS if TARGETS[name].mutator))
@settings(max_examples=60)
@given(st.integers(0, 2**32), st.integers(1, 3))
def test_a_seed_whose_form_was_kept_breaks_no_promise(name: str, number: int, times: int) -> None:
    """As the mutators of `make fuzz` change it: lengths, sizes and checksums are right."""
    target, chance = TARGETS[name], random.Random(number)
    changed = chance.choice(list(target.seeds().values()))
    for _ in range(times):
        changed = mutators.mutate(target.mutator, changed, target.longest, chance.randrange(2**32), _changer(chance))
    target.run(changed)


def _changer(chance: random.Random) -> mutators.Change:
    def change(data: bytes, most: int) -> bytes:
        start = chance.randrange(len(data) + 1)
        return (data[:start] + chance.choice([*JUNK, chance.randbytes(2)]) + data[start + chance.randrange(4) :])[:most]

    return change
