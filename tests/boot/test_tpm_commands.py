"""The TPM's commands against swtpm, a TPM in software, and what tpm2-tools say of the same registers."""

from __future__ import annotations

import hashlib
import struct

import pytest

from modseal.boot import tpm_commands
from modseal.boot.tpm_commands import Transport
from modseal.errors import InputError


def test_a_register_has_what_it_was_extended_by(tpm: Transport) -> None:
    assert tpm_commands.read(tpm, [13]) == {13: bytes(32)}
    tpm_commands.extend(tpm, 13, b"\1" * 32)
    tpm_commands.extend(tpm, 13, b"\2" * 32)
    value = hashlib.sha256(hashlib.sha256(bytes(32) + b"\1" * 32).digest() + b"\2" * 32).digest()
    assert tpm_commands.read(tpm, [13, 11]) == {13: value, 11: bytes(32)}


def test_the_key_of_quotes_is_the_same_each_time(tpm: Transport) -> None:
    first, second = (tpm_commands.quote(tpm, [11, 13], nonce) for nonce in (b"one", b"two"))
    assert first.key == second.key
    assert first.statement != second.statement


def test_what_the_tpm_refuses_is_an_error(tpm: Transport) -> None:
    with pytest.raises(InputError, match="refuses"):
        tpm_commands.extend(tpm, 99, bytes(32))


@pytest.mark.parametrize("answer", [b"", b"\x80", struct.pack(">HII", 0x8001, 99, 0)])
def test_an_answer_that_is_cut_off_is_an_error(answer: bytes) -> None:
    with pytest.raises(InputError):
        tpm_commands.quote(lambda _: answer, [13], b"x")
