"""Signatures as the kernel reads them: openssl makes the same bytes, and nothing but one form of one key's is taken."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from builders import pki
from modseal.errors import FormatError
from modseal.packing import kernel_signature
from modseal.pki import pkcs7

CONTENT = b"policy_name=modseal policy_version=0.0.1\n"
OWNER = pki.issue("owner", key=pki.new_key("rsa"))
SIGNED = kernel_signature.signed(CONTENT, OWNER.signer(), attached=True)


def test_openssl_makes_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "owner.pem").write_bytes(OWNER.pem)
    (tmp_path / "owner.key").write_bytes(OWNER.key_pem)
    (tmp_path / "content").write_bytes(CONTENT)
    words = ("-sign", "-noattr", "-binary", "-nodetach", "-signer", "owner.pem", "-inkey", "owner.key")
    more = ("-in", "content", "-outform", "der", "-md", "sha256")
    made = subprocess.run(["openssl", "smime", *words, *more], cwd=tmp_path, capture_output=True, check=True)
    assert made.stdout == SIGNED
    pkcs7.verify(made.stdout, CONTENT, OWNER.certificate)


@pytest.mark.parametrize(
    ("data", "content", "certificate"),
    [
        (SIGNED, CONTENT + b"op=EXECUTE action=ALLOW\n", OWNER.certificate),
        (SIGNED, CONTENT, pki.issue("owner", key=pki.new_key("rsa", 1)).certificate),
        (SIGNED, CONTENT, pki.issue("owner").certificate),
        (SIGNED + b"\0", CONTENT, OWNER.certificate),
        (SIGNED[:-1], CONTENT, OWNER.certificate),
        (b"", CONTENT, OWNER.certificate),
        (kernel_signature.signed(CONTENT, OWNER.signer(), attached=False), CONTENT, OWNER.certificate),
    ],
    ids=["content", "stranger", "no RSA", "longer", "cut", "nothing", "detached"],
)
def test_another_content_another_key_and_another_form_are_refused(
    data: bytes, content: bytes, certificate: object
) -> None:
    with pytest.raises(FormatError) as caught:
        pkcs7.verify(data, content, certificate)  # type: ignore[arg-type]
    assert caught.value.failure.code == "bad-signature"


def test_each_changed_byte_is_found() -> None:
    for at in range(len(SIGNED)):
        changed = bytearray(SIGNED)
        changed[at] ^= 1
        with pytest.raises(FormatError):
            pkcs7.verify(bytes(changed), CONTENT, OWNER.certificate)
