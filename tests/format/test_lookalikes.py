"""What is given as a bundle and is none is named, with what to do."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.bundles import make
from builders.transcript import run
from modseal.format.lookalikes import recognise

FILES = {
    "zip": (b"PK\x03\x04rest", "`modseal audit`"),
    "git-lfs-pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "`git lfs pull`"),
    "crlf": (make("vib").data.replace(b"\n", b"\r\n"), "CR LF"),
    "html": (b"\n<!DOCTYPE html><html><body>404</body></html>", "HTML page"),
    "iso": (bytes(0x8001) + b"CD001" + bytes(100), "ISO image"),
    "gzip": (b"\x1f\x8b\x08rest", "unpack it first"),
    "pem": (b"-----BEGIN CERTIFICATE-----\n", "PEM file"),
    "empty": (b"", "empty"),
    "tar": (b"a".ljust(257, b"\0") + b"ustar\x0000" + bytes(300), "a tar archive; unpack it first"),
    "xz": (b"\xfd7zXZ\0" + bytes(50), "compressed (xz)"),
    "empty zip": (b"PK\x05\x06" + bytes(18), "an empty zip archive"),
    "7z": (b"7z\xbc\xaf\x27\x1c" + bytes(50), "a 7z archive"),
    "thin ar": (b"!<thin>\n", "a thin ar archive"),
    "html with a mark": (b"\xef\xbb\xbf<!DOCTYPE html>", "HTML page"),
    "answer of a store": (b'<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code></Error>', "what a server answers"),
    "answer of a service": (b'{"message": "Not Found"}', "what a server answers"),
    "descriptor": (b'<vib version="5.0"><type>bootbank</type></vib>', "a manifest alone"),
    "manifest": (make("seal").manifest_bytes, "a manifest alone"),
    "utf-16": (make("vib").data[:40].decode().encode("utf-16"), "UTF-16"),
    "base64": (base64.encodebytes(make("vib").data), "in Base64"),
    "pgp": (b"-----BEGIN PGP SIGNATURE-----\n", "OpenPGP"),
    "elf": (b"\x7fELF" + bytes(100), "a program or library"),
    "script": (b"#!/bin/sh\n", "it is a script"),
    "line ends lost": (make("vib").data.replace(b"\n", b""), "line feeds were taken out"),
    "zeros": (bytes(5000), "begins with zeros"),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "command", [["verify", "--policy", "strict"], ["inspect"], ["extract", "-C", "out", "--unverified"]]
)
def test_a_file_of_another_kind_is_named_with_what_to_do(name: str, command: list[str], tmp_path: Path) -> None:
    data, words = FILES[name]
    (tmp_path / "x.vib").write_bytes(data)
    done = run(command[0], "x.vib", *command[1:], cwd=tmp_path, prefixed=False)
    assert words in done.out + done.err
    assert "not-a-bundle" in done.out + done.err
    assert "b'" not in done.out + done.err
    assert not (tmp_path / "out").exists()


def test_what_nobody_knows_is_not_guessed(tmp_path: Path) -> None:
    (tmp_path / "x.vib").write_bytes(b"something else")
    assert "does not start with the ar magic" in run("verify", "x.vib", "--policy", "strict", cwd=tmp_path).out


@given(st.binary(max_size=200), st.integers(0, 2**40))
def test_any_bytes_are_something_or_nothing(head: bytes, size: int) -> None:
    found = recognise(head, size)
    assert found is None or (found.name and found.what)
