"""The signature of a boot program, as a host reads it: in the one form that is written here, and by the owner alone."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from builders.images import program
from builders.slots import OWNER, STRANGER
from modseal.boot import authenticode, portable_executable
from modseal.errors import FormatError
from modseal.image import firmware

SIGNED = firmware.sign_executable(program(b"kernel"), OWNER.signer())


def test_what_the_owner_has_signed_is_verified() -> None:
    assert authenticode.verify(SIGNED, OWNER.certificate) == portable_executable.digest(program(b"kernel"))


def test_what_a_stranger_has_signed_is_refused() -> None:
    other = firmware.sign_executable(program(b"kernel"), STRANGER.signer())
    with pytest.raises(FormatError, match="signature"):
        authenticode.verify(other, OWNER.certificate)


def test_what_nobody_has_signed_is_refused() -> None:
    with pytest.raises(FormatError, match="owner's signature"):
        authenticode.verify(program(b"kernel"), OWNER.certificate)


def test_no_byte_of_it_can_be_changed() -> None:
    checksum = range(88 + 64, 88 + 68)
    taken = []
    for at in range(0, len(SIGNED), 7):
        data = bytearray(SIGNED)
        data[at] ^= 1
        try:
            authenticode.verify(bytes(data), OWNER.certificate)
            taken.append(at)
        except FormatError:
            pass
    assert [at for at in taken if at not in checksum] == []


@pytest.mark.parametrize("more", [b"\0" * 8, b"x"])
def test_nothing_comes_behind_the_signature(more: bytes) -> None:
    with pytest.raises(FormatError):
        authenticode.verify(SIGNED + more, OWNER.certificate)


def test_a_signature_in_another_form_is_refused(tmp_path: Path) -> None:
    """sbsign's has a time: the firmware takes it, and nothing here parses it."""
    if not shutil.which("sbsign"):
        pytest.skip("sbsign is not installed")
    for name, data in (("p", program(b"kernel")), ("key", OWNER.key_pem), ("cert", OWNER.pem)):
        (tmp_path / name).write_bytes(data)
    words = ("--key", "key", "--cert", "cert", "--output", "signed", "p")
    subprocess.run(["sbsign", *words], cwd=tmp_path, check=True, capture_output=True)
    with pytest.raises(FormatError, match="exactly one signature"):
        authenticode.verify((tmp_path / "signed").read_bytes(), OWNER.certificate)
