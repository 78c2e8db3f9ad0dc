"""A chain with a gap: who signs is warned, and who verifies is told which certificate is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography import x509

from builders import policies
from builders.bundles import make
from builders.pki import ca, leaf, root
from builders.transcript import Transcript, run

WARNING = "modseal: warning: the signature does not carry the certificate of CN=Issuing CA,O=Test, which issued"
BETWEEN = ca("Issuing CA", issuer=root())
AUTHORITY = x509.AuthorityKeyIdentifier.from_issuer_public_key(BETWEEN.key.public_key())
LEAF = leaf("Release signer", issuer=BETWEEN, extensions=[(AUTHORITY, False)])
KEY_ID = BETWEEN.parsed.key_id


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An unsigned bundle, a signer below an issuing CA, and a policy that has the root alone."""
    policies.write(tmp_path)
    (tmp_path / "a.seal").write_bytes(make("seal").unsigned().data)
    for name, one in (("signer", LEAF), ("issuing", BETWEEN)):
        (tmp_path / f"{name}.pem").write_bytes(one.pem)
    (tmp_path / "signer.key").write_bytes(LEAF.key_pem)
    (tmp_path / "signer.key").chmod(0o600)
    return tmp_path


def sign(place: Path, *more: str) -> Transcript:
    return run("sign", "a.seal", "--key", "signer.key", "--cert", "signer.pem", *more, cwd=place)


def verify(place: Path, *more: str) -> Transcript:
    return run("verify", "a.seal", "--policy", "policy.toml", *more, cwd=place)


def test_signing_without_the_issuer_warns_and_with_it_does_not(place: Path) -> None:
    done = sign(place, "-o", "bare.seal")
    assert done.code == 0
    assert done.err.startswith(WARNING)
    assert "--chain" in done.err
    done = sign(place, "--chain", "issuing.pem")
    assert (done.code, done.err) == (0, "")
    assert verify(place).code == 0


def test_preparing_without_the_issuer_warns_too(place: Path) -> None:
    done = run("sign", "a.seal", "--prepare", "a.tbs", "--cert", "signer.pem", cwd=place)
    assert done.code == 0
    assert done.err.startswith(WARNING)


def test_signing_under_a_policy_says_what_to_embed_before_anything_is_signed(place: Path) -> None:
    done = sign(place, "--policy", "policy.toml")
    assert done.code == 1
    assert "has the certificate of CN=Issuing CA,O=Test, which issued CN=Release signer,O=Test" in done.err
    assert done.err.splitlines()[-1] == "modseal: next: Name a file with the missing certificate with --chain."


def test_verify_names_the_missing_certificate_and_does_not_send_for_an_anchor(place: Path) -> None:
    assert sign(place).code == 0
    done = verify(place)
    assert done.code == 1
    assert KEY_ID
    assert "neither the bundle nor the policy has the certificate of CN=Issuing CA,O=Test" in done.out
    assert f"missing: CN=Issuing CA,O=Test\n      missing key id: {KEY_ID.hex()}" in done.out
    assert "next: Ask the vendor for the missing certificate" in done.out
    assert "anchor only if you trust" not in done.out
    (result,) = json.loads(verify(place, "--format", "json").out)["results"]
    (check,) = [check for check in result["checks"] if check["code"] == "no-path"]
    assert check["evidence"]["missing"] == "CN=Issuing CA,O=Test"
    assert check["evidence"]["cause"] == "issuer-missing"


def test_the_named_certificate_completes_the_chain(place: Path) -> None:
    assert sign(place).code == 0
    text = (place / "policy.toml").read_text()
    (place / "policy.toml").write_text(text.replace("[[anchor]]", 'intermediates = ["issuing.pem"]\n[[anchor]]', 1))
    assert verify(place).code == 0


def test_a_gap_further_up_is_named(place: Path) -> None:
    lowest = ca("Lowest CA", issuer=BETWEEN)
    bundle = make("seal", leaf("Far signer", issuer=lowest).with_chain(lowest))
    (place / "a.seal").write_bytes(bundle.data)
    assert "CN=Issuing CA,O=Test, which issued CN=Lowest CA,O=Test" in verify(place).out


@pytest.mark.parametrize("embedded", [True, False], ids=["root embedded", "signer alone"])
def test_a_chain_that_ends_at_a_stranger_still_asks_for_trust(place: Path, embedded: bool) -> None:
    stranger = ca("Stranger")
    signer = leaf("Their signer", issuer=stranger).with_chain(stranger) if embedded else leaf("Alone", issuer=None)
    if not embedded:
        signer = ca("Alone", basic=(False, None), usage={"digital_signature"}).with_chain()
    (place / "a.seal").write_bytes(make("seal", signer).data)
    done = verify(place)
    assert "self-signed" in done.out
    assert "next: Ask the vendor which certificate signs this module" in done.out
