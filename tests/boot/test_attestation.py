"""What a host's TPM proves: a quote of one in software, checked against what is expected, with each part changed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from modseal.boot import attestation, tpm_commands
from modseal.boot.attestation import Expected, HostAttestation
from modseal.boot.documents import HostDocument
from modseal.boot.tpm_commands import Transport
from modseal.errors import FormatError, KeyMaterialError, RefusedError
from modseal.format.level import Level
from modseal.host.measure import Measurement

HOST = HostDocument("edge", 1, Level.PARTNER, None, None, ())
MODULES = [("nginx", "1.0", "a" * 64, "b" * 64), ("agent", "2.0", "c" * 64, "d" * 64)]
EVENTS = attestation.events(HOST, "e" * 64, 7, MODULES)
NONCE = b"nobody knew"


def quoted(tpm: Transport, events: Sequence[Mapping[str, Any]]) -> HostAttestation:
    """What a TPM says once these events were measured."""
    for one in events:
        tpm_commands.extend(tpm, attestation.MEASURED, Measurement(dict(one)).digest)
    registers = tpm_commands.read(tpm, attestation.REGISTERS)
    quote = tpm_commands.quote(tpm, attestation.REGISTERS, NONCE)
    return attestation.decode(attestation.encode(quote, registers, events), "x")


@pytest.fixture
def found(tpm: Transport) -> HostAttestation:
    return quoted(tpm, EVENTS)


def expected(found: HostAttestation, **changes: object) -> Expected:
    """What is expected, with other registers or other events; register 13 is that of the events."""
    made = replace(Expected(found.registers, EVENTS), **changes)  # type: ignore[arg-type]
    return replace(made, registers={**made.registers, attestation.MEASURED: attestation.replayed(made.events)})


def details(done: attestation.HostProof) -> list[str]:
    """What differs, but register 13: it does wherever an event does."""
    assert {one.code for one in done.differences} <= {"attestation-unexpected"}
    thirteen = [one.detail for one in done.differences if one.detail.startswith("register 13 is ")]
    assert bool(thirteen) == bool(done.differences)
    return [one.detail for one in done.differences if one.detail not in thirteen]


def test_a_host_that_runs_what_is_expected_has_no_difference(found: HostAttestation) -> None:
    done = attestation.verify(found, expected(found), NONCE, found.key)
    assert done.differences == ()
    assert [one["what"] for one in done.events] == ["host", "generation", "module", "module"]


def test_the_order_of_modules_does_not_matter() -> None:
    assert attestation.events(HOST, "e" * 64, 7, reversed(MODULES)) == EVENTS


def test_another_module_is_named_with_the_one_that_is_missing(found: HostAttestation) -> None:
    other = attestation.events(HOST, "e" * 64, 7, [MODULES[0], ("agent", "3.0", "c" * 64, "d" * 64)])
    done = attestation.verify(found, expected(found, events=other), NONCE, found.key)
    missing, other_one = details(done)
    assert "version 3.0" in missing
    assert "version 2.0" in other_one


@pytest.mark.parametrize("register", [4, 7, 11, 12])
def test_a_register_with_another_value_is_named(found: HostAttestation, register: int) -> None:
    wanted = {**found.registers, register: b"\1" * 32}
    (one,) = attestation.verify(found, expected(found, registers=wanted), NONCE, found.key).differences
    assert one.detail.startswith(f"register {register} is ")


def test_the_same_modules_in_another_order_are_a_difference(found: HostAttestation) -> None:
    done = attestation.verify(found, expected(found, events=EVENTS[::-1]), NONCE, found.key)
    assert details(done) == ["the same was measured in another order"]


@pytest.mark.parametrize(
    ("measured", "why"),
    [
        ((*EVENTS, EVENTS[2]), ["it was measured again: module: "]),
        ((EVENTS[2], *EVENTS, EVENTS[2]), ["it was measured again: module: "] * 2),
        (({**EVENTS[0], "version": True}, *EVENTS[1:]), ["it was not measured: host", "it was measured, and is not"]),
    ],
)
def test_what_is_measured_otherwise_is_a_difference_though_the_events_look_the_same(
    tpm: Transport, measured: tuple[dict[str, object], ...], why: list[str]
) -> None:
    """Whoever may extend the register makes a log for it. It is not the register that is expected."""
    made = quoted(tpm, measured)
    found = details(attestation.verify(made, expected(made), NONCE, made.key))
    assert [one.startswith(begin) for one, begin in zip(found, why, strict=True)] == [True] * len(why)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda one: {"statement": one.statement[:-1] + bytes([one.statement[-1] ^ 1])}, "signature"),
        (lambda one: {"signature": one.signature[:-1] + bytes([one.signature[-1] ^ 1])}, "signature"),
        (lambda one: {"registers": {**one.registers, 4: b"\1" * 32}}, "not those of the statement"),
        (lambda one: {"registers": {4: one.registers[4]}}, "other registers"),
        (lambda one: {"events": one.events[:-1]}, "replay"),
        (lambda one: {"key": one.key[:-1] + bytes([one.key[-1] ^ 1])}, "another key"),
    ],
)
def test_what_was_changed_proves_nothing(found: HostAttestation, change: object, why: str) -> None:
    with pytest.raises(RefusedError, match=why) as caught:
        attestation.verify(replace(found, **change(found)), expected(found), NONCE, found.key)  # type: ignore[operator]
    assert caught.value.failure.code == "attestation-invalid"


def test_an_answer_to_another_nonce_proves_nothing(found: HostAttestation) -> None:
    with pytest.raises(RefusedError, match="nonce"):
        attestation.verify(found, expected(found), b"another one", found.key)


def test_documents_come_back_as_they_were(found: HostAttestation) -> None:
    assert attestation.decode(attestation.encode_again(found), "x") == found
    wanted = expected(found)
    assert attestation.decode_expected(attestation.encode_expected(wanted), "x") == wanted
    assert attestation.public_key(attestation.key_pem(found).encode(), "x") == found.key


@pytest.mark.parametrize("data", [b"", b"{}", b"[]"])
def test_what_is_no_document_is_refused(data: bytes) -> None:
    for read in (attestation.decode, attestation.decode_expected):
        with pytest.raises(FormatError) as caught:
            read(data, "x")
        assert "`modseal pack`" not in caught.value.failure.next_step
    with pytest.raises(KeyMaterialError):
        attestation.public_key(data, "x")


@pytest.mark.parametrize("number", ["24", "99", "-1", "04", " 4", "4 ", "\u0664", "x", ""])
def test_a_register_has_one_number_in_one_spelling(found: HostAttestation, number: str) -> None:
    for document, read in (
        (attestation.encode_again(found), attestation.decode),
        (attestation.encode_expected(expected(found)), attestation.decode_expected),
    ):
        plain = json.loads(document)
        plain["registers"][number] = plain["registers"].pop("4")
        with pytest.raises(FormatError):
            read(json.dumps(plain).encode(), "x")


@pytest.mark.parametrize("number", [4, 7, 11, 12, 13])
def test_what_does_not_say_each_register_is_no_expectation(found: HostAttestation, number: int) -> None:
    wanted = expected(found)
    fewer = {one: value for one, value in wanted.registers.items() if one != number}
    with pytest.raises(FormatError, match=f"registers: .*{number}"):
        attestation.decode_expected(attestation.encode_expected(replace(wanted, registers=fewer)), "x")


def test_an_expectation_whose_events_are_not_its_register_is_none(found: HostAttestation) -> None:
    with pytest.raises(FormatError, match="do not replay"):
        attestation.decode_expected(attestation.encode_expected(replace(expected(found), events=EVENTS[1:])), "x")


def test_a_register_that_is_not_quoted_is_a_difference(tpm: Transport) -> None:
    for one in EVENTS:
        tpm_commands.extend(tpm, attestation.MEASURED, Measurement(dict(one)).digest)
    every = tpm_commands.read(tpm, attestation.REGISTERS)
    quote = tpm_commands.quote(tpm, [13], NONCE)
    said = attestation.decode(attestation.encode(quote, {13: every[13]}, EVENTS), "x")
    done = attestation.verify(said, Expected(every, EVENTS), NONCE, said.key)
    assert [one.detail.split(",")[0] for one in done.differences] == [
        f"register {one} is not quoted" for one in (4, 7, 11, 12)
    ]
    nothing = attestation.verify(said, Expected({}, EVENTS), NONCE, said.key)
    assert [one.detail.split(" is ")[0] for one in nothing.differences] == [
        f"register {one}" for one in attestation.REGISTERS
    ]
