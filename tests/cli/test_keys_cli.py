"""`modseal keys`: a PKI made by commands alone, what it refuses, and that no secret is ever shown."""

from __future__ import annotations

import os
import pty
import select
import shutil
import stat
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    pkcs12,
)
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builders.bundles import make, snapshot
from builders.transcript import SOURCE, Transcript, run
from modseal.ca import issue
from modseal.ca.description import describe_file
from modseal.ca.issue import Validity
from modseal.cli import keys, keys_ca
from modseal.errors import ModsealError
from modseal.signing import key_file
from signing.pki import new_key

SECRETS = {"root.pass": "root secret words", "ca.pass": "ca secret words", "key.pass": "key secret words"}
POLICY = """\
schema = "modseal/policy@1"
minimum-level = "partner"

[[anchor]]
name = "Acme"
certificate = "{anchor}/ca.pem"
grants = "partner"

[revocation]
crls = [{crls}]
required = true
"""
NAME = "CN=Release signer 1,O=Acme"
needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weak encryption: these tests make many keys."""
    monkeypatch.setattr(key_file, "ITERATIONS", 1000)


def keys_command(folder: Path, *arguments: object, code: int = 0) -> Transcript:
    done = run("keys", *arguments, cwd=folder)
    assert done.code == code, done.err + done.out
    for secret in SECRETS.values():
        assert secret not in done.out + done.err
    return done


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with passphrases and an unsigned bundle."""
    for name, secret in SECRETS.items():
        (tmp_path / name).write_text(secret + "\n")
        (tmp_path / name).chmod(0o600)
    (tmp_path / "a").write_bytes(make("seal").unsigned().data)
    return tmp_path


@pytest.fixture
def pki(desk: Path) -> Path:
    """The folder with a root, a CA for partners below it, and a signer of that."""
    keys_command(desk, "ca", "root", "--name", "Acme root", "--passphrase-file", "root.pass")
    parent = ("--parent", "root", "--parent-passphrase-file", "root.pass")
    keys_command(desk, "ca", "ca", "--name", "Acme CA", "--level", "partner", *parent, "--passphrase-file", "ca.pass")
    request(desk)
    keys_command(desk, "issue", "--ca", "ca", "--csr", "csr", "--passphrase-file", "ca.pass", "-o", "cert.pem")
    return desk


def request(
    folder: Path, key: str = "key.pem", csr: str = "csr", subject: str = NAME, kind: str = "ecdsa-p256"
) -> None:
    keys_command(folder, "new", key, "--type", kind, "--passphrase-file", "key.pass")
    keys_command(folder, "csr", "--key", key, "--subject", subject, "--passphrase-file", "key.pass", "-o", csr)


def lists(folder: Path) -> None:
    """A CRL of each CA."""
    for name, secret in (("root", "root.pass"), ("ca", "ca.pass")):
        keys_command(folder, "crl", "--ca", name, "--passphrase-file", secret, "-o", f"{name}.crl")


def verified(folder: Path, anchor: str, crls: str) -> Transcript:
    (folder / "policy.toml").write_text(POLICY.format(anchor=anchor, crls=crls))
    return run("verify", "a", "--policy", "policy.toml", cwd=folder)


SIGN = ("sign", "a", "--key", "key.pem", "--cert", "cert.pem", "--passphrase-file", "key.pass")


# The main job.


def test_a_root_a_ca_and_a_signer_sign_what_verifies_until_it_is_revoked(pki: Path) -> None:
    lists(pki)
    assert run(*SIGN, "--chain", "ca/ca.pem", cwd=pki).code == 0
    assert verified(pki, "root", '"root.crl", "ca.crl"').code == 0
    assert verified(pki, "ca", '"ca.crl"').code == 0
    assert verified(pki, "root", '"ca.crl"').code == 3  # nobody says whether the CA is revoked
    done = keys_command(pki, "revoke", "--ca", "ca", "cert.pem", "--reason", "keyCompromise")
    assert NAME in done.out
    assert "write a new CRL" in done.out
    assert verified(pki, "ca", '"ca.crl"').code == 0  # not before the new list
    assert (
        "CRL 2 of CN=Acme CA, 1 revoked"
        in keys_command(pki, "crl", "--ca", "ca", "--passphrase-file", "ca.pass", "-o", "ca.crl").out
    )
    for anchor, crls in (("root", '"root.crl", "ca.crl"'), ("ca", '"ca.crl"')):
        done = verified(pki, anchor, crls)
        assert done.code == 1
        assert "keyCompromise" in done.out


def test_a_revoked_ca_rejects_what_its_signers_signed(pki: Path) -> None:
    keys_command(pki, "revoke", "--ca", "root", "ca/ca.pem", "--reason", "cACompromise")
    lists(pki)
    assert run(*SIGN, "--chain", "ca/ca.pem", cwd=pki).code == 0
    done = verified(pki, "root", '"root.crl", "ca.crl"')
    assert done.code == 1
    assert "cACompromise" in done.out


@needs_openssl
def test_openssl_verifies_what_the_commands_made(pki: Path) -> None:
    lists(pki)
    options = ["-x509_strict", "-crl_check_all", "-CRLfile", "root.crl", "-CRLfile", "ca.crl"]
    command = ["openssl", "verify", "-CAfile", "root/ca.pem", "-untrusted", "ca/ca.pem", *options, "cert.pem"]
    assert subprocess.run(command, cwd=pki, capture_output=True).returncode == 0
    keys_command(pki, "revoke", "--ca", "ca", "cert.pem")
    lists(pki)
    assert subprocess.run(command, cwd=pki, capture_output=True).returncode == 2
    shown = ["openssl", "crl", "-in", "ca.crl", "-CAfile", "ca/ca.pem", "-noout", "-crlnumber"]
    done = subprocess.run(shown, cwd=pki, capture_output=True, text=True)
    assert "verify OK" in done.stderr
    assert int(done.stdout.partition("=")[2], 16) == 2
    csr = ["openssl", "req", "-in", "csr", "-verify", "-noout"]
    assert subprocess.run(csr, cwd=pki, capture_output=True).returncode == 0


@pytest.mark.parametrize("kind", key_file.KEY_TYPES)
def test_every_type_of_key_signs_what_verifies(kind: str, desk: Path) -> None:
    keys_command(desk, "ca", "ca", "--name", "Acme CA", "--type", kind, "--passphrase-file", "ca.pass")
    request(desk, kind=kind)
    keys_command(desk, "issue", "--ca", "ca", "--csr", "csr", "--passphrase-file", "ca.pass", "-o", "cert.pem")
    keys_command(desk, "crl", "--ca", "ca", "--passphrase-file", "ca.pass", "-o", "ca.crl")
    assert run(*SIGN, cwd=desk).code == 0
    assert verified(desk, "ca", '"ca.crl"').code == 0


def test_the_lines_for_a_policy_can_be_used_in_one(pki: Path) -> None:
    parent = ("--parent", "root", "--parent-passphrase-file", "root.pass", "--unencrypted")
    done = keys_command(pki, "ca", 'b"\\', "--name", 'Acme "B" \\ CA', "--level", "certified", *parent)
    anchor = done.out.partition("for a policy:\n")[2]
    (pki / "policy.toml").write_text(f'schema = "modseal/policy@1"\nminimum-level = "partner"\n{anchor}')
    assert 'Acme "B" \\ CA' in run("policy", "check", "policy.toml", cwd=pki).out
    assert run("policy", "check", "policy.toml", cwd=pki).code == 0


def test_a_timestamp_authority_has_a_ca_of_its_own(pki: Path) -> None:
    parent = ("--parent", "root", "--parent-passphrase-file", "root.pass")
    keys_command(pki, "ca", "time", "--name", "Time CA", "--timestamping", *parent, "--passphrase-file", "ca.pass")
    request(pki, "tsa.key", "tsa.csr", "CN=Time 1,O=Acme", "rsa-3072")
    issue_options = ("--csr", "tsa.csr", "--passphrase-file", "ca.pass", "-o", "tsa.pem")
    assert "for code signing" in keys_command(pki, "issue", "--ca", "time", *issue_options, code=1).err
    assert "for time stamping" in keys_command(pki, "issue", "--ca", "ca", "--timestamping", *issue_options, code=1).err
    keys_command(pki, "issue", "--ca", "time", "--timestamping", *issue_options)
    assert "is for       time stamping" in keys_command(pki, "show", "tsa.pem").out


# Files and passphrases.


def test_keys_are_encrypted_and_private_and_the_rest_is_public(pki: Path) -> None:
    for name in ("root/ca.key", "ca/ca.key", "key.pem"):
        assert stat.S_IMODE((pki / name).stat().st_mode) == 0o600
        assert (pki / name).read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    for name in ("root/ca.pem", "ca/index.json", "cert.pem", "csr"):
        assert stat.S_IMODE((pki / name).stat().st_mode) == 0o644


def test_without_a_terminal_a_passphrase_must_come_from_a_file(desk: Path) -> None:
    assert "--unencrypted" in keys_command(desk, "new", "key.pem", code=3).err
    assert "--unencrypted" in keys_command(desk, "ca", "ca", "--name", "CA", code=3).err
    done = keys_command(desk, "new", "key.pem", "--unencrypted", "--passphrase-file", "key.pass", code=2)
    assert "exclude each other" in done.err
    assert "not encrypted" in keys_command(desk, "new", "key.pem", "--unencrypted").out
    keys_command(desk, "csr", "--key", "key.pem", "--subject", NAME, "-o", "csr")


@pytest.mark.parametrize("secret", ["", "abc", "abcdefg\n"])
def test_a_short_passphrase_makes_no_key(secret: str, desk: Path) -> None:
    (desk / "short").write_text(secret)
    assert "shorter than 8" in keys_command(desk, "new", "k", "--passphrase-file", "short", code=2).err
    assert "shorter than 8" in keys_command(desk, "ca", "c", "--name", "CA", "--passphrase-file", "short", code=2).err


def test_a_wrong_passphrase_is_undecided_and_changes_nothing(pki: Path) -> None:
    for command in (
        ("crl", "--ca", "ca", "-o", "crl"),
        ("issue", "--ca", "ca", "--csr", "csr", "-o", "other"),
        ("ca", "new", "--name", "X", "--parent", "root", "--unencrypted", "--parent-passphrase-file", "ca.pass"),
        ("csr", "--key", "key.pem", "--subject", NAME, "-o", "other"),
    ):
        extra = () if command[0] == "ca" else ("--passphrase-file", "root.pass")
        assert "passphrase does not open" in keys_command(pki, *command, *extra, code=3).err


def at_terminal(folder: Path, *arguments: str, answers: tuple[str, ...]) -> tuple[int, str]:
    """Run a command at a terminal, and answer each of its prompts."""
    main = "from modseal.signing import key_file; key_file.ITERATIONS = 1000; from modseal.cli.main import main; main()"
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.execve(
            sys.executable, [sys.executable, "-c", main, "keys", *arguments], {**os.environ, "PYTHONPATH": str(SOURCE)}
        )
    shown, waiting, end = b"", list(answers), time.monotonic() + 60
    while time.monotonic() < end:
        try:
            ready, _, _ = select.select([terminal], [], [], 1)
            data = os.read(terminal, 4096) if ready else b""
        except OSError:
            break
        if ready and not data:
            break
        shown += data
        if data.endswith(b": ") and waiting:
            time.sleep(0.1)  # until the terminal's echo is off
            os.write(terminal, waiting.pop(0).encode() + b"\n")
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), shown.decode()


def test_at_a_terminal_a_new_passphrase_is_asked_for_twice_and_never_echoed(desk: Path) -> None:
    answers = ("correct horse", "wrong horse", "correct horse", "correct horse")
    code, shown = at_terminal(desk, "new", "key.pem", answers=answers)
    assert code == 0, shown
    assert "do not match" in shown
    assert "horse" not in shown
    code, shown = at_terminal(
        desk, "csr", "--key", "key.pem", "--subject", NAME, "-o", "csr", answers=("correct horse",)
    )
    assert code == 0, shown
    assert "horse" not in shown


# What it refuses.


def test_nothing_is_replaced_by_accident(pki: Path) -> None:
    ca_pass = ("--passphrase-file", "ca.pass")
    assert "is there already" in keys_command(pki, "new", "key.pem", "--unencrypted", code=2).err
    assert "is not empty" in keys_command(pki, "ca", "ca", "--name", "X", "--unencrypted", code=2).err
    for output in ("key.pem", "ca/ca.pem", "ca/index.json", "ca"):
        keys_command(pki, "crl", "--ca", "ca", *ca_pass, "-o", output, code=2)
        keys_command(pki, "issue", "--ca", "ca", "--csr", "csr", *ca_pass, "-o", output, code=2)
    keys_command(
        pki, "csr", "--key", "key.pem", "--subject", NAME, "--passphrase-file", "key.pass", "-o", "key.pem", code=2
    )


def test_a_certificate_outlives_no_ca(pki: Path) -> None:
    options = ("--csr", "csr", "--passphrase-file", "ca.pass", "-o", "other")
    done = keys_command(pki, "issue", "--ca", "ca", "--days", "3651", *options, code=1)
    assert "days are the most" in done.err
    assert "next: Correct what the message names" in done.err
    for days in ("0", "-1", "36501", "soon"):
        keys_command(pki, "issue", "--ca", "ca", "--days", days, *options, code=2)


def test_a_lost_key_gets_no_new_certificate(pki: Path) -> None:
    keys_command(pki, "revoke", "--ca", "ca", "cert.pem", "--reason", "keyCompromise")
    options = ("--csr", "csr", "--passphrase-file", "ca.pass", "-o", "other")
    assert "make a new key" in keys_command(pki, "issue", "--ca", "ca", *options, code=1).err


def test_a_certificate_is_revoked_by_its_serial_number_and_only_once(pki: Path) -> None:
    serial = x509.load_pem_x509_certificate((pki / "cert.pem").read_bytes()).serial_number
    for text in ("", "xyz", "0x12", "1" * 41):
        keys_command(pki, "revoke", "--ca", "ca", "--serial", text, code=2)
    keys_command(pki, "revoke", "--ca", "ca", code=2)
    keys_command(pki, "revoke", "--ca", "ca", "cert.pem", "--serial", "1", code=2)
    assert "no certificate with" in keys_command(pki, "revoke", "--ca", "ca", "--serial", "1", code=1).err
    keys_command(pki, "revoke", "--ca", "ca", "--serial", f"{serial:X}", "--reason", "superseded")
    again = keys_command(pki, "revoke", "--ca", "ca", "cert.pem", "--reason", "superseded", code=2)
    assert "is revoked since" in again.err
    assert "was issued by CN=Acme CA" in keys_command(pki, "revoke", "--ca", "root", "cert.pem", code=1).err


def test_options_that_need_a_parent_say_so(desk: Path) -> None:
    for option in (("--timestamping",), ("--parent-passphrase-file", "ca.pass")):
        done = keys_command(desk, "ca", "x", "--name", "X", "--unencrypted", *option, code=2)
        assert "with --parent" in done.err


def test_extensions_in_a_request_are_left_out_and_said(pki: Path) -> None:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name.from_rfc4514_string("CN=Other"))
    builder = builder.add_extension(x509.BasicConstraints(True, None), critical=True)
    asked = builder.sign(new_key("p256", 5), issue.digest_for(new_key("p256", 5)))
    (pki / "other.csr").write_bytes(asked.public_bytes(Encoding.PEM))
    options = ("--csr", "other.csr", "--passphrase-file", "ca.pass", "-o", "other")
    done = keys_command(pki, "issue", "--ca", "ca", *options)
    assert "not taken over" in done.err
    assert "code signing" in keys_command(pki, "show", "other").out


# What is shown.


def certificate(days: int, subject: str = "CN=Test", kind: str = "p256", start: int = -400) -> x509.Certificate:
    """A signer that ends in so many days (and an hour)."""
    now = datetime.now(UTC).replace(microsecond=0)
    end = now + timedelta(days=days, hours=1)
    validity = Validity(min(now + timedelta(days=start), end), end)
    root = issue.issue_root(issue.name("Root", "Test"), new_key("p384", 1), validity)
    name = x509.Name.from_rfc4514_string(subject)
    return issue.issue_signer(name, new_key(kind).public_key(), root, new_key("p384", 1), validity)


@pytest.mark.parametrize(
    ("days", "warning"),
    [(-2, "expired on"), (0, "in 0 days"), (89, "in 89 days; replace it in time"), (90, ""), (900, "")],
)
def test_a_certificate_that_ends_within_90_days_is_warned_of(days: int, warning: str, desk: Path) -> None:
    (desk / "cert").write_bytes(certificate(days).public_bytes(Encoding.PEM))
    done = keys_command(desk, "show", "cert")
    assert warning in done.err
    assert bool(done.err) == bool(warning)


def test_a_ca_near_its_end_and_a_key_open_to_others_are_warned_of_when_used(desk: Path) -> None:
    keys_command(desk, "ca", "ca", "--name", "Short", "--days", "60", "--passphrase-file", "ca.pass")
    assert "CN=Short expires on" in keys_command(desk, "show", "ca").err
    (desk / "ca" / "ca.key").chmod(0o644)
    done = keys_command(desk, "crl", "--ca", "ca", "--passphrase-file", "ca.pass", "-o", "crl")
    assert "other users can read" in done.err
    assert "CN=Short expires on" in done.err


@pytest.mark.parametrize(("days", "warning"), [(1, "write a new one"), (30, "")])
def test_a_crl_that_ends_within_a_week_is_warned_of(days: int, warning: str, pki: Path) -> None:
    keys_command(pki, "crl", "--ca", "ca", "--days", days, "--passphrase-file", "ca.pass", "-o", "crl")
    done = keys_command(pki, "show", "crl")
    assert "number       1" in done.out
    assert bool(done.err) == bool(warning)
    assert warning in done.err


def test_a_stale_crl_and_a_weak_key_are_warned_of(desk: Path) -> None:
    past = datetime(2024, 1, 1, tzinfo=UTC)
    root = issue.issue_root(
        issue.name("Root", "Test"), new_key("p384", 1), Validity(past, datetime(2100, 1, 1, tzinfo=UTC))
    )
    crl = issue.issue_crl(
        root, new_key("p384", 1), [issue.Revoked(255, past, "superseded")], Validity(past, past + timedelta(1))
    )
    (desk / "crl").write_bytes(crl.public_bytes(Encoding.DER))
    done = keys_command(desk, "show", "crl")
    assert "past its next update" in done.err
    assert "ff  since 2024-01-01  superseded" in done.out
    (desk / "weak").write_bytes(certificate(900, kind="rsa-1024").public_bytes(Encoding.PEM))
    assert "1024 bits" in keys_command(desk, "show", "weak").err


def test_the_folder_of_a_ca_shows_all_that_it_issued(pki: Path) -> None:
    shown = keys_command(pki, "show", "ca").out
    assert "meant for    partner" in shown
    assert "1 issued, 0 revoked" in shown
    keys_command(pki, "revoke", "--ca", "ca", "cert.pem", "--reason", "superseded")
    shown = keys_command(pki, "show", "ca").out
    assert "1 issued, 1 revoked" in shown
    assert f"code-signing  {NAME}  revoked on" in shown
    assert "with 1 more CAs below it" in keys_command(pki, "show", "root").out


def test_a_key_a_request_and_a_certificate_show_the_same_fingerprint(pki: Path) -> None:
    prints = {
        line.split()[-1]
        for name in ("key.pem", "csr", "cert.pem")
        for line in keys_command(pki, "show", name, "--passphrase-file", "key.pass").out.splitlines()
        if line.startswith("  key sha256")
    }
    assert len(prints) == 1
    assert len(prints.pop()) == 64


def every_kind() -> dict[str, tuple[bytes, str]]:
    key, cert = new_key("p256"), certificate(900)
    plain = {"encryption_algorithm": NoEncryption()}
    asked = x509.CertificateSigningRequestBuilder().subject_name(cert.subject).sign(key, issue.digest_for(key))
    store = pkcs12.serialize_key_and_certificates(b"me", key, cert, None, NoEncryption())
    public = key.public_key()
    return {
        "certificate": (cert.public_bytes(Encoding.DER), "is for       code signing"),
        "request": (asked.public_bytes(Encoding.DER), "signature    verifies"),
        "key": (key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, **plain), "private key, not encrypted"),
        "traditional": (key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, **plain), "not encrypted"),
        "public": (public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), "public key"),
        "public DER": (public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo), "public key"),
        "store": (store, "private key (PKCS #12)"),
        "other": (b"-----BEGIN DH PARAMETERS-----\nAAAA\n-----END DH PARAMETERS-----\n", "not something"),
        "several": (cert.public_bytes(Encoding.PEM) + asked.public_bytes(Encoding.PEM), "request for a certificate"),
    }


KINDS = every_kind()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_file_is_shown(kind: str, desk: Path) -> None:
    data, expected = KINDS[kind]
    (desk / "file").write_bytes(data)
    (desk / "file").chmod(0o600)
    done = keys_command(desk, "show", "file")
    assert expected in done.out
    assert done.err == ""


def test_an_encrypted_pkcs12_file_needs_its_passphrase(desk: Path) -> None:
    secret = BestAvailableEncryption(SECRETS["key.pass"].encode())
    data = pkcs12.serialize_key_and_certificates(b"me", new_key("p256"), certificate(900), None, secret)
    (desk / "store").write_bytes(data)
    (desk / "store").chmod(0o600)
    keys_command(desk, "show", "store", code=3)
    shown = keys_command(desk, "show", "store", "--passphrase-file", "key.pass").out
    assert "private key (PKCS #12)" in shown
    assert "CN=Test" in shown


def test_an_encrypted_key_is_not_asked_for_unless_a_passphrase_is_given(pki: Path) -> None:
    assert "private key, encrypted (" in keys_command(pki, "show", "key.pem").out
    assert "ECDSA" in keys_command(pki, "show", "key.pem", "--passphrase-file", "key.pass").out
    keys_command(pki, "show", "key.pem", "--passphrase-file", "ca.pass", code=3)


def test_a_private_key_is_never_printed(desk: Path) -> None:
    keys_command(desk, "new", "key.pem", "--unencrypted")
    pem = (desk / "key.pem").read_text().splitlines()
    shown = keys_command(desk, "show", "key.pem").out
    assert not any(line in shown for line in pem)
    (desk / "key.pem").chmod(0o644)
    assert "other users can read" in keys_command(desk, "show", "key.pem").err


def test_names_from_files_cannot_write_to_the_terminal(desk: Path) -> None:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a\x1b[2Jb\nok")])
    asked = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(name)
        .sign(new_key("p256"), issue.digest_for(new_key("p256")))
    )
    (desk / "csr").write_bytes(asked.public_bytes(Encoding.PEM))
    shown = keys_command(desk, "show", "csr").out
    assert "\x1b" not in shown
    assert "\\x1b" in shown
    assert "\nok" not in shown


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"\x30\x03\x02\x01\x05", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_file_with_nothing_known_is_undecided(data: bytes, desk: Path) -> None:
    (desk / "file").write_bytes(data)
    keys_command(desk, "show", "file", code=3)
    keys_command(desk, "show", "absent", code=3)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_bytes_are_described_or_our_error(tmp_path: Path, data: st.DataObject) -> None:
    seed = data.draw(st.sampled_from([value for value, _ in KINDS.values()]))
    start = data.draw(st.integers(0, len(seed)))
    changed = seed[:start] + data.draw(st.binary(max_size=4)) + seed[start + data.draw(st.integers(0, 4)) :]
    (tmp_path / "file").write_bytes(changed)
    try:
        described = describe_file(tmp_path / "file", lambda: b"secret", datetime.now(UTC))
    except ModsealError:
        return
    assert described.lines


def test_a_failed_command_changes_nothing(pki: Path) -> None:
    before = snapshot(pki)
    keys_command(pki, "issue", "--ca", "ca", "--csr", "cert.pem", "--passphrase-file", "ca.pass", "-o", "x", code=3)
    keys_command(pki, "issue", "--ca", "none", "--csr", "csr", "--passphrase-file", "ca.pass", "-o", "x", code=3)
    keys_command(pki, "revoke", "--ca", "ca", "root/ca.pem", code=1)
    keys_command(pki, "ca", "sub", "--name", "Sub", "--parent", "ca", "--unencrypted",
                 "--parent-passphrase-file", "ca.pass", code=1)  # fmt: skip
    assert snapshot(pki) == before


def test_no_option_takes_a_passphrase_which_the_process_list_would_show() -> None:
    options = [option for command in keys.keys.commands.values() for option in command.params]
    secret = [option for option in options if "pass" in (option.name or "")]
    assert {option.name for option in secret} == {"passphrase_file", "parent_passphrase_file"}
    assert set(keys.keys.commands) == {"new", "csr", "ca", "issue", "revoke", "crl", "show", "example"}


def test_the_days_are_those_of_the_help(desk: Path) -> None:
    shown = run("keys", "ca", "--help", cwd=desk).out
    assert f"{keys_ca.ROOT_DAYS} for a root" in " ".join(shown.split())
