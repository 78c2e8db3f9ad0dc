"""`modseal image` and `modseal attest`, as they are called: what is refused, and that nothing is left."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from builders import images, pki
from builders.transcript import run
from image.test_spec import GOOD
from modseal.boot import attestation
from modseal.image.expect import expect


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for kind in ("rsa", "p256"):
        made = pki.issue("owner", key=pki.new_key(kind))
        (tmp_path / f"{kind}.pem").write_bytes(made.pem)
        (tmp_path / f"{kind}.key").write_bytes(made.key_pem)
        (tmp_path / f"{kind}.key").chmod(0o600)
    policy = 'schema = "modseal/policy@1"\nminimum-level = "community"\nallow-unsigned-community = true\n'
    (tmp_path / "policy.toml").write_text(policy)
    (tmp_path / "x").write_bytes(b"no package")
    return tmp_path


def spec(folder: Path, kind: str = "rsa", digest: str = "0" * 64) -> None:
    text = GOOD.replace("db.key", f"{kind}.key").replace("db.pem", f"{kind}.pem").replace("0" * 64, digest)
    (folder / "host.toml").write_text(text)


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("kind", "digest", "said"),
    [
        ("rsa", "0" * 64, "is named"),
        ("rsa", hashlib.sha256(b"no package").hexdigest(), "no Debian package"),
        ("p256", "0" * 64, "RSA"),
    ],
)
def test_what_cannot_be_built_is_refused_and_leaves_nothing(folder: Path, kind: str, digest: str, said: str) -> None:
    spec(folder, kind, digest)
    before = left(folder)
    done = run("image", "build", "host.toml", "-o", "out", cwd=folder)
    assert done.code == 1, done
    assert said in done.err
    assert left(folder) == before


def test_a_mistake_in_the_spec_is_named_with_its_line(folder: Path) -> None:
    (folder / "host.toml").write_text(GOOD.replace("version = 3", "version = -3"))
    done = run("image", "build", "host.toml", "-o", "out", cwd=folder)
    assert done.code == 1
    assert "host.toml:3: version" in done.err
    assert "build the image again" in done.err


@pytest.mark.parametrize("nonce", ["", "00", "0g" * 8, "0" * 17, "AB" * 8])
def test_a_nonce_has_one_form(folder: Path, nonce: str) -> None:
    done = run("attest", "get", "http://127.0.0.1:9", "--nonce", nonce, "-o", "a", cwd=folder)
    assert done.code == 2
    assert "hexadecimal" in done.err


def test_what_a_host_says_without_proof_is_not_shown(folder: Path) -> None:
    images.built(folder / "image")
    (folder / "a.json").write_bytes(images.attestation())
    (folder / "expected.json").write_bytes(attestation.encode_expected(expect(folder / "image")))
    key = pki.new_key("p256", 7).public_key()
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    (folder / "host.pem").write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    words = ("--expect", "expected.json", "--key", "host.pem", "--nonce", "0123456789abcdef")
    done = run("attest", "verify", "a.json", *words, cwd=folder)
    assert done.code == 1
    assert done.out == ""
    assert "another key" in done.err
    assert "nginx" not in done.err
