"""`modseal sign` with every kind of key file, and what it refuses to sign with."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat, pkcs12

from builders import policies
from builders.bundles import make
from builders.pki import EPOCH, Identity, ca, leaf, new_key, root, signer
from builders.transcript import Transcript, run, run_process
from cli.conftest import key_options

ROOT = Path(__file__).parents[2]

POLICY = ("--policy", "policy.toml")
SECRET = "correct horse"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with an unsigned bundle, a policy, and a good signer's files."""
    (tmp_path / "a").write_bytes(make("seal").unsigned().data)
    policies.write(tmp_path)
    write(tmp_path, signer())
    return tmp_path


def write(folder: Path, identity: Identity) -> None:
    for name, data in (("key.pem", identity.key_pem), ("cert.pem", identity.pem)):
        (folder / name).write_bytes(data)
        (folder / name).chmod(0o600)


def encrypted(folder: Path) -> None:
    data = signer().key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(SECRET.encode()))
    (folder / "key.pem").write_bytes(data)


PLAIN = ("sign", "a", "--key", "key.pem", "--cert", "cert.pem")


def test_a_pkcs12_file_brings_its_certificates(place: Path) -> None:
    middle = ca("Middle", issuer=root(), key=new_key("p256", 60))
    below = leaf("Below", issuer=middle)
    data = pkcs12.serialize_key_and_certificates(
        b"me", below.key, below.certificate, [middle.certificate], BestAvailableEncryption(SECRET.encode())
    )
    (place / "key.p12").write_bytes(data)
    (place / "key.p12").chmod(0o600)
    (place / "secret").write_text(SECRET + "\n")
    done = run("sign", "a", "--key", "key.p12", "--passphrase-file", "secret", cwd=place)
    assert (done.code, done.err) == (0, "")
    assert run("verify", "a", *POLICY, cwd=place).code == 0


def test_a_chain_is_embedded_so_that_the_root_alone_suffices(place: Path) -> None:
    middle = ca("Middle", issuer=root(), key=new_key("p256", 60))
    write(place, leaf("Below", issuer=middle))
    (place / "middle.pem").write_bytes(middle.pem)
    assert run(*PLAIN, "-o", "bare", cwd=place).code == 0
    assert run("verify", "bare", *POLICY, cwd=place).code == 1
    assert run(*PLAIN, "--chain", "middle.pem", cwd=place).code == 0
    assert run("verify", "a", *POLICY, cwd=place).code == 0


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_an_encrypted_key_opens_with_the_passphrase_file(place: Path, ending: str) -> None:
    encrypted(place)
    (place / "secret").write_bytes((SECRET + ending).encode())
    assert run(*PLAIN, "--passphrase-file", "secret", cwd=place).code == 0
    assert run("verify", "a", *POLICY, cwd=place).code == 0


@pytest.mark.parametrize("wrong", ["wrong", "", SECRET + " "])
def test_a_wrong_passphrase_is_undecided_and_never_shown(place: Path, wrong: str) -> None:
    encrypted(place)
    (place / "secret").write_text(wrong)
    done = run(*PLAIN, "--passphrase-file", "secret", cwd=place)
    assert done.code == 3
    assert "passphrase does not open key.pem" in done.err
    assert not wrong.strip() or wrong not in done.err


def test_a_missing_passphrase_file_is_undecided(place: Path) -> None:
    encrypted(place)
    done = run(*PLAIN, "--passphrase-file", "absent", cwd=place)
    assert (done.code, "absent: No such file" in done.err) == (3, True)


def test_no_passphrase_and_no_terminal_is_undecided(place: Path) -> None:
    encrypted(place)
    done = run_process(*PLAIN, cwd=place)
    assert done.code == 3
    assert "--passphrase-file" in done.err


@pytest.mark.parametrize("kind", ["rsa", "p256", "p384", "p521", "ed25519"])
def test_every_kind_of_key_signs_what_verifies(place: Path, kind: str) -> None:
    write(place, signer(kind))
    assert run(*PLAIN, cwd=place).code == 0
    assert run("verify", "a", *POLICY, cwd=place).code == 0


def test_rsa_pss_is_a_choice_and_a_choice_that_does_not_fit_is_usage(place: Path) -> None:
    write(place, signer("rsa"))
    done = run(*PLAIN, "--algorithm", "rsa-pss-sha256", cwd=place)
    assert "rsa-pss-sha256" in done.out
    assert run("verify", "a", *POLICY, cwd=place).code == 0
    assert run(*PLAIN, "--algorithm", "ed25519", "-o", "b", cwd=place).code == 2
    assert run(*PLAIN, "--algorithm", "md5", "-o", "b", cwd=place).code == 2


def test_signing_twice_with_one_certificate_is_usage(place: Path) -> None:
    assert run(*PLAIN, cwd=place).code == 0
    before = (place / "a").read_bytes()
    done = run(*PLAIN, cwd=place)
    assert (done.code, "already signed" in done.err) == (2, True)
    assert (place / "a").read_bytes() == before


@pytest.mark.parametrize(
    ("who", "reason"), [("expired", "valid until 2021-12-31"), ("wrong-eku", "no extended key usage codeSigning")]
)
def test_an_unfit_example_signer_is_refused(desk: Path, who: str, reason: str) -> None:
    done = run("sign", "a.seal", *key_options(who), cwd=desk)
    assert done.code == 1
    assert reason in done.err.splitlines()[0]
    assert len(done.err.splitlines()) == 2


def _unfit() -> dict[str, tuple[Identity, str]]:
    return {
        "not yet valid": (leaf("Future", start=datetime(2100, 1, 1, tzinfo=UTC)), "valid only from 2100-01-01"),
        "a CA": (leaf("CA", basic=(True, None)), "that of a CA"),
        "no key usage": (leaf("No usage", usage=None), "digitalSignature"),
        "no purpose": (leaf("No purpose", purposes=None), "codeSigning"),
        "a weak key": (leaf("Weak", key=new_key("rsa-1024")), "1024"),
        "expired": (leaf("Past", start=EPOCH, end=datetime(2024, 2, 1, tzinfo=UTC)), "valid until 2024-02-01"),
    }


@pytest.mark.parametrize("which", ["not yet valid", "a CA", "no key usage", "no purpose", "a weak key", "expired"])
def test_a_certificate_that_no_gate_accepts_does_not_sign(place: Path, which: str) -> None:
    identity, reason = _unfit()[which]
    write(place, identity)
    done = run(*PLAIN, cwd=place)
    assert done.code == 1
    assert reason in done.err.splitlines()[0]


def test_a_key_that_does_not_belong_is_refused(place: Path) -> None:
    (place / "key.pem").write_bytes(signer("p256", 1).key_pem)
    (place / "key.pem").chmod(0o600)
    done = run(*PLAIN, cwd=place)
    assert (done.code, "belongs to the private key" in done.err) == (1, True)


@pytest.mark.parametrize(
    "data",
    [b"", b"nonsense", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", b"\x30\x03\x02\x01\x03"],
)
def test_a_file_that_is_no_key_is_undecided(place: Path, data: bytes) -> None:
    (place / "key.pem").write_bytes(data)
    done = run(*PLAIN, cwd=place)
    assert done.code == 3
    assert "key.pem" in done.err


def test_a_readable_key_is_warned_of_and_signs(place: Path) -> None:
    (place / "key.pem").chmod(0o644)
    done = run(*PLAIN, cwd=place)
    assert done.code == 0
    assert done.err.startswith("modseal: warning: other users can read")


def test_a_damaged_bundle_is_not_signed(place: Path) -> None:
    good = make("seal").unsigned()
    (place / "a").write_bytes(good.with_member("base", data=good["base"].data[:-1] + b"!").data)
    done = run(*PLAIN, cwd=place)
    assert done.code == 1
    assert "digest" in done.err


def test_a_bad_epoch_is_usage(place: Path) -> None:
    for value in ("soon", "1" * 30, ""):
        assert run(*PLAIN, cwd=place, env={"SOURCE_DATE_EPOCH": value}).code == 2


def test_output_takes_the_mode_of_the_bundle_and_follows_a_link(place: Path) -> None:
    (place / "a").chmod(0o640)
    (place / "target").write_text("mine")
    (place / "b").symlink_to("target")
    assert run(*PLAIN, "-o", "b", cwd=place).code == 0
    assert (place / "b").readlink() == Path("target")
    assert (place / "target").stat().st_mode & 0o777 == 0o640
    assert (place / "target").read_bytes() != b"mine"


@pytest.mark.parametrize("mode", ["--key", "--prepare"])
def test_a_revoked_or_denied_certificate_is_refused_before_it_signs_where_a_policy_is_named(
    tmp_path: Path, mode: str
) -> None:
    shutil.copytree(ROOT / "keys-example", tmp_path / "keys")
    for key in tmp_path.glob("keys/*/*.key"):
        key.chmod(0o600)
    assert run("pack", ROOT / "docs/examples/hello", "-o", "a.seal", cwd=tmp_path).code == 0

    def sign(who: str, policy: str) -> Transcript:
        how = {"--key": f"keys/{who}/signer.key", "--prepare": f"{who}.tbs"}[mode]
        certificate = f"keys/{who}/signer.pem"
        return run("sign", "a.seal", mode, how, "--cert", certificate, "--policy", policy, cwd=tmp_path)

    before = (tmp_path / "a.seal").read_bytes()
    refused = sign("revoked", "keys/policy.toml")
    assert refused.code == 1
    assert "cannot sign under keys/policy.toml: CN=Example revoked signer" in refused.err
    assert "was revoked on" in refused.err
    assert "no chain leads from" in sign("partner", "vmware").err
    denying = (tmp_path / "keys/policy.toml").read_text() + '[deny]\ncertificates = ["partner/signer.pem"]\n'
    (tmp_path / "keys/denying.toml").write_text(denying)
    assert "the deny list has the signer" in sign("partner", "keys/denying.toml").err
    assert (tmp_path / "a.seal").read_bytes() == before
    assert sign("partner", "keys/policy.toml").code == 0
