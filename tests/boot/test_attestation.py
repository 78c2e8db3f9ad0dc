"""What a host's TPM proves: a quote of one in software, checked against what is expected, with each part changed."""

from __future__ import annotations

from dataclasses import replace

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


@pytest.fixture
def found(tpm: Transport) -> HostAttestation:
    for one in EVENTS:
        tpm_commands.extend(tpm, attestation.MEASURED, Measurement(dict(one)).digest)
    registers = tpm_commands.read(tpm, attestation.REGISTERS)
    quote = tpm_commands.quote(tpm, attestation.REGISTERS, NONCE)
    return attestation.decode(attestation.encode(quote, registers, EVENTS), "x")


def expected(found: HostAttestation, **changes: object) -> Expected:
    return replace(Expected(found.registers, EVENTS), **changes)  # type: ignore[arg-type]


def test_a_host_that_runs_what_is_expected_has_no_difference(found: HostAttestation) -> None:
    done = attestation.verify(found, expected(found), NONCE, found.key)
    assert done.differences == ()
    assert [one["what"] for one in done.events] == ["host", "generation", "module", "module"]


def test_the_order_of_modules_does_not_matter() -> None:
    assert attestation.events(HOST, "e" * 64, 7, reversed(MODULES)) == EVENTS


def test_another_module_is_named_with_the_one_that_is_missing(found: HostAttestation) -> None:
    other = attestation.events(HOST, "e" * 64, 7, [MODULES[0], ("agent", "3.0", "c" * 64, "d" * 64)])
    done = attestation.verify(found, expected(found, events=other), NONCE, found.key)
    assert [one.code for one in done.differences] == ["attestation-unexpected"] * 2
    assert "version 3.0" in done.differences[0].detail
    assert "version 2.0" in done.differences[1].detail


@pytest.mark.parametrize("register", [4, 7, 11])
def test_a_register_with_another_value_is_named(found: HostAttestation, register: int) -> None:
    wanted = {**found.registers, register: b"\1" * 32}
    (one,) = attestation.verify(found, expected(found, registers=wanted), NONCE, found.key).differences
    assert one.detail.startswith(f"register {register} is ")


def test_the_same_modules_in_another_order_are_a_difference(found: HostAttestation) -> None:
    done = attestation.verify(found, expected(found, events=EVENTS[::-1]), NONCE, found.key)
    assert "order" in done.differences[0].detail


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
        with pytest.raises(FormatError):
            read(data, "x")
    with pytest.raises(KeyMaterialError):
        attestation.public_key(data, "x")
