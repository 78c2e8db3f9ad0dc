"""OpenSSL and GNU ar as witnesses: they read what modseal writes, and it reads what they write."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from builders import policies
from builders.bundles import Bundle, accepted, codes, judge, make
from builders.pki import leaf, new_key, root, signer
from builders.policies import trusting
from builders.transcript import run
from cli.conftest import key_options
from modseal.format.level import Level
from modseal.trust.examination import Verdict

openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl on this machine")
gnu_ar = pytest.mark.skipif(not shutil.which("ar"), reason="no ar on this machine")


def tool(cwd: Path, *command: str, ok: bool = True) -> bytes:
    done = subprocess.run(command, cwd=cwd, capture_output=True, check=False)
    assert (done.returncode == 0) == ok, done.stderr.decode()
    return done.stdout


@openssl
@pytest.mark.parametrize("kind", ["rsa", "p256", "p384", "p521"])
def test_openssl_verifies_our_blocks(tmp_path: Path, kind: str) -> None:
    """Not Ed25519: OpenSSL 3.0 cannot verify it in CMS at all."""
    (tmp_path / "a").write_bytes(make("seal").unsigned().data)
    (tmp_path / "key.pem").write_bytes(signer(kind).key_pem)
    (tmp_path / "cert.pem").write_bytes(signer(kind).pem)
    (tmp_path / "key.pem").chmod(0o600)
    (tmp_path / "root.pem").write_bytes(root().pem)
    assert run("sign", "a", "--key", "key.pem", "--cert", "cert.pem", cwd=tmp_path).code == 0
    from modseal.bundle.open import OpenBundle
    from modseal.format.source import BytesSource

    opened = OpenBundle(BytesSource((tmp_path / "a").read_bytes()), "a")
    (tmp_path / "manifest").write_bytes(opened.manifest)
    (tmp_path / "sig").write_bytes(opened.signature)
    command = (
        "openssl",
        "cms",
        "-verify",
        "-binary",
        "-inform",
        "PEM",
        "-in",
        "sig",
        "-CAfile",
        "root.pem",
        "-purpose",
        "any",
        "-out",
        "out",
        "-content",
    )
    tool(tmp_path, *command, "manifest")
    assert (tmp_path / "out").read_bytes() == opened.manifest
    (tmp_path / "other").write_bytes(opened.manifest + b" ")
    tool(tmp_path, *command, "other", ok=False)


@gnu_ar
@pytest.mark.parametrize("kind", ["seal", "vib"])
def test_gnu_ar_lists_and_prints_our_bundles(signed: Path, kind: str) -> None:
    manifest = "manifest.json" if kind == "seal" else "descriptor.xml"
    assert tool(signed, "ar", "t", f"a.{kind}").decode().split() == [manifest, "sig.pkcs7", "base"]
    assert b"acme-agent" in tool(signed, "ar", "p", f"a.{kind}", manifest)
    assert tool(signed, "ar", "p", f"a.{kind}", "sig.pkcs7").startswith(b"-----BEGIN PKCS7-----\n")


def by_hand(folder: Path, bundle: Bundle, options: str) -> bytes:
    """A bundle put together with `openssl cms -sign` and GNU ar, as community scripts do."""
    names = [member.name for member in bundle.members]
    for member in bundle.members:
        (folder / member.name).write_bytes(member.data)
        (folder / member.name).chmod(0o644)
    (folder / "key.pem").write_bytes(signer("rsa").key_pem)
    (folder / "cert.pem").write_bytes(signer("rsa").pem)
    tool(
        folder,
        "openssl",
        "cms",
        "-sign",
        "-binary",
        "-in",
        names[0],
        "-signer",
        "cert.pem",
        "-inkey",
        "key.pem",
        "-outform",
        "PEM",
        "-out",
        "sig.pkcs7",
        "-md",
        "sha256",
    )
    tool(folder, "ar", options, "made", *names)
    return (folder / "made").read_bytes()


@openssl
@gnu_ar
@pytest.mark.parametrize("options", ["rcD", "rcDS", "rcU", "rcUS"])
def test_a_vib_made_with_openssl_and_gnu_ar_is_accepted(tmp_path: Path, options: str) -> None:
    found = accepted(by_hand(tmp_path, make("vib"), options), trusting())
    assert found.proven_level is Level.PARTNER
    assert [one.claimed_time is not None for one in found.signers] == [True]


@openssl
@gnu_ar
def test_a_seal_made_with_gnu_ar_is_refused_for_its_headers_alone(tmp_path: Path) -> None:
    """GNU ar ends names with a slash and writes mode 100644 (or 644); a `.seal` has one header form."""
    made = by_hand(tmp_path, make("seal"), "rcD")
    found = judge(made, trusting())
    assert found.verdict is Verdict.REJECTED
    assert codes(found) == ["malformed-archive"]
    assert b"manifest.json/  0           0     0     " in made
    signature = (tmp_path / "sig.pkcs7").read_bytes()
    plain = make("seal", signer("rsa"))
    assert codes(judge(plain.with_signature(signature), trusting()))[0] == "malformed-signature"
    accepted(plain.with_signature(signature.replace(b"CMS-----", b"PKCS7-----")), trusting())


@openssl
@pytest.mark.parametrize("label", ["PKCS7", "CMS"])
def test_both_labels_of_openssl_are_read_in_a_vib(tmp_path: Path, label: str) -> None:
    bundle = make("vib")
    (tmp_path / "m").write_bytes(bundle.manifest_bytes)
    (tmp_path / "key.pem").write_bytes(signer("rsa").key_pem)
    (tmp_path / "cert.pem").write_bytes(signer("rsa").pem)
    command = ["openssl", "cms", "-sign"] if label == "CMS" else ["openssl", "smime", "-sign", "-md", "sha256"]
    tool(
        tmp_path,
        *command,
        "-binary",
        "-in",
        "m",
        "-signer",
        "cert.pem",
        "-inkey",
        "key.pem",
        "-outform",
        "PEM",
        "-out",
        "sig",
    )
    data = (tmp_path / "sig").read_bytes()
    assert data.startswith(b"-----BEGIN " + label.encode())
    accepted(bundle.with_signature(data), trusting())


@openssl
def test_openssl_with_the_key_identifier_is_read(tmp_path: Path) -> None:
    bundle = make("vib")
    (tmp_path / "m").write_bytes(bundle.manifest_bytes)
    (tmp_path / "key.pem").write_bytes(signer("rsa").key_pem)
    (tmp_path / "cert.pem").write_bytes(signer("rsa").pem)
    tool(
        tmp_path,
        "openssl",
        "cms",
        "-sign",
        "-binary",
        "-keyid",
        "-in",
        "m",
        "-signer",
        "cert.pem",
        "-inkey",
        "key.pem",
        "-outform",
        "PEM",
        "-out",
        "sig",
        "-keyopt",
        "rsa_padding_mode:pss",
    )
    accepted(bundle.with_signature((tmp_path / "sig").read_bytes()), trusting())


@openssl
def test_openssl_without_signed_attributes_is_refused(tmp_path: Path) -> None:
    bundle = make("vib")
    (tmp_path / "m").write_bytes(bundle.manifest_bytes)
    (tmp_path / "key.pem").write_bytes(signer("rsa").key_pem)
    (tmp_path / "cert.pem").write_bytes(signer("rsa").pem)
    tool(
        tmp_path,
        "openssl",
        "cms",
        "-sign",
        "-binary",
        "-noattr",
        "-in",
        "m",
        "-signer",
        "cert.pem",
        "-inkey",
        "key.pem",
        "-outform",
        "PEM",
        "-out",
        "sig",
    )
    found = judge(bundle.with_signature((tmp_path / "sig").read_bytes()), trusting())
    assert codes(found)[0] == "malformed-signature"


@openssl
@gnu_ar
def test_a_signature_of_openssl_and_one_of_ours_stand_side_by_side(desk: Path) -> None:
    made = by_hand(desk, make("vib"), "rcD")
    (desk / "made").write_bytes(made)
    assert run("sign", "made", *key_options("partner"), cwd=desk).code == 0
    policies.write(desk)
    assert run("verify", "made", "--policy", "policy.toml", cwd=desk).code == 0
    assert run("verify", "made", "--policy", "keys/policy.toml", cwd=desk).code == 0


@openssl
def test_a_chain_from_openssl_in_any_order_is_read(tmp_path: Path) -> None:
    from builders.pki import ca

    middle = ca("Middle", issuer=root(), key=new_key("p256", 61))
    below = leaf("Below", issuer=middle, key=new_key("rsa", 9))
    bundle = make("vib")
    (tmp_path / "m").write_bytes(bundle.manifest_bytes)
    (tmp_path / "key.pem").write_bytes(below.key_pem)
    (tmp_path / "cert.pem").write_bytes(below.pem)
    (tmp_path / "chain.pem").write_bytes(middle.pem + root().pem)
    tool(
        tmp_path,
        "openssl",
        "cms",
        "-sign",
        "-binary",
        "-in",
        "m",
        "-signer",
        "cert.pem",
        "-inkey",
        "key.pem",
        "-certfile",
        "chain.pem",
        "-outform",
        "PEM",
        "-out",
        "sig",
    )
    accepted(bundle.with_signature((tmp_path / "sig").read_bytes()), trusting())
