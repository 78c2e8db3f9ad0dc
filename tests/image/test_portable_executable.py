"""Executables for the firmware: what is added, what is signed, and what sbsign and sbverify say of it."""

from __future__ import annotations

import shutil
import struct
import subprocess
import uuid
from pathlib import Path

import pytest

from builders import pki
from builders.images import empty_store, program
from modseal.boot import portable_executable
from modseal.errors import FormatError, RefusedError
from modseal.image import firmware


def test_added_sections_can_be_read_again_and_those_before_stay() -> None:
    made = portable_executable.with_sections(program(b"one" * 400), [(".cmdline", b"root"), (".linux", b"k" * 5000)])
    assert portable_executable.section(made, ".s0") == b"one" * 400
    assert portable_executable.section(made, ".cmdline") == b"root"
    assert portable_executable.section(made, ".linux") == b"k" * 5000
    assert portable_executable.section(made, ".initrd") is None


def test_symbols_behind_the_sections_are_left_out() -> None:
    assert portable_executable.with_sections(program(b"x", symbols=b"names"), [(".a", b"a")]) == (
        portable_executable.with_sections(program(b"x"), [(".a", b"a")])
    )


@pytest.mark.parametrize("at", [0, 64, 88])
def test_what_is_no_executable_is_refused(at: int) -> None:
    data = bytearray(program(b"x"))
    data[at] ^= 1
    with pytest.raises(FormatError):
        portable_executable.digest(bytes(data))


def test_a_gap_between_sections_is_refused() -> None:
    """Some readers hash what is in a gap and others do not."""
    data = bytearray(program(b"x", b"y"))
    struct.pack_into("<I", data, 88 + 240 + 40 + 20, 1024 + 1024)
    with pytest.raises(FormatError, match="gap"):
        portable_executable.digest(bytes(data))


def test_a_header_without_room_is_refused() -> None:
    with pytest.raises(FormatError, match="no room"):
        portable_executable.with_sections(program(b"x"), [(f".{number}", b"y") for number in range(20)])


OWNER = pki.issue("owner", key=pki.new_key("rsa"))


def test_a_signed_executable_is_not_signed_again() -> None:
    signed = firmware.sign_executable(program(b"x"), OWNER.signer())
    with pytest.raises(FormatError, match="signed already"):
        firmware.sign_executable(signed, OWNER.signer())


def test_the_same_key_gives_the_same_bytes_and_the_digest_does_not_change() -> None:
    once = firmware.sign_executable(program(b"x"), OWNER.signer())
    assert once == firmware.sign_executable(program(b"x"), OWNER.signer())
    assert portable_executable.digest(once) == portable_executable.digest(program(b"x"))


@pytest.mark.skipif(not shutil.which("sbverify"), reason="sbsigntool is not installed")
def test_sbverify_accepts_what_we_sign_and_no_other_bytes(tmp_path: Path) -> None:
    signed = bytearray(firmware.sign_executable(program(b"content" * 99), OWNER.signer()))

    (tmp_path / "owner.pem").write_bytes(OWNER.pem)

    def verified(data: bytes) -> bool:
        (tmp_path / "x.efi").write_bytes(data)
        command = ["sbverify", "--cert", tmp_path / "owner.pem", tmp_path / "x.efi"]
        return subprocess.run(command, capture_output=True).returncode == 0

    assert verified(bytes(signed))
    signed[1030] ^= 1
    assert not verified(bytes(signed))


@pytest.mark.skipif(not shutil.which("sbsign"), reason="sbsigntool is not installed")
def test_the_digest_is_that_of_sbsign(tmp_path: Path) -> None:
    (tmp_path / "x.efi").write_bytes(program(b"content" * 99))
    (tmp_path / "owner.pem").write_bytes(OWNER.pem)
    (tmp_path / "owner.key").write_bytes(OWNER.key_pem)
    key = ["--key", tmp_path / "owner.key", "--cert", tmp_path / "owner.pem"]
    subprocess.run(
        ["sbsign", *key, "--output", tmp_path / "y.efi", tmp_path / "x.efi"], check=True, capture_output=True
    )
    signed = (tmp_path / "y.efi").read_bytes()
    assert portable_executable.digest(program(b"content" * 99)) in signed


@pytest.mark.parametrize("kind", ["p256", "rsa-1024"])
def test_keys_that_firmware_does_not_take_are_refused(kind: str) -> None:
    with pytest.raises(RefusedError, match="RSA"):
        firmware.require_key(pki.issue("owner", key=pki.new_key(kind)).certificate, "the key")


def test_a_list_of_certificates_has_each_with_its_owner() -> None:
    name = uuid.UUID(int=5)
    made = firmware.certificate_list([OWNER.certificate, OWNER.certificate], name)
    size = struct.unpack_from("<I", made, 16)[0]
    assert made[:size] == made[size:]
    assert made[28:44] == name.bytes_le
    assert made[44:size] == OWNER.der


def test_what_is_revoked_is_a_list_of_digests() -> None:
    assert firmware.digest_list([], uuid.UUID(int=5)) == b""
    made = firmware.digest_list([b"\1" * 32, b"\2" * 32], uuid.UUID(int=5))
    assert struct.unpack_from("<III", made, 16) == (len(made), 0, 48)
    assert made[44:76] == b"\1" * 32
    assert made[92:] == b"\2" * 32


def test_variables_are_written_one_after_another_and_nothing_else_changes() -> None:
    made = firmware.store_variables(empty_store(), firmware.secure_boot(b"pk", b"kek", b"db"))
    assert len(made) == len(empty_store())
    assert [made.count(name.encode("utf-16-le") + b"\0\0") for name in ("PK", "KEK", "db", "SecureBootEnable")] == [
        1
    ] * 4
    with pytest.raises(FormatError, match="empty"):
        firmware.store_variables(made, [])


def test_variables_can_be_read_again() -> None:
    variables = firmware.secure_boot(b"pk", b"kek", b"db", b"dbx")
    assert firmware.read_variables(firmware.store_variables(empty_store(), variables)) == variables
    assert firmware.read_variables(empty_store()) == []


def test_a_store_that_is_full_or_is_none_is_refused() -> None:
    with pytest.raises(FormatError, match="do not fit"):
        firmware.store_variables(empty_store(128), firmware.secure_boot(b"pk" * 99, b"", b""))
    with pytest.raises(FormatError, match="no variable store"):
        firmware.store_variables(bytes(4096), [])
    with pytest.raises(FormatError, match="cut off"):
        firmware.store_variables(b"", [])
