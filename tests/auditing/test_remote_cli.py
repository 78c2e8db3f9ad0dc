"""`modseal audit` of addresses as a program: in several processes, over TLS; and no network without addresses."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from builders.audits import folder_of
from builders.bundles import make
from builders.pki import NOW
from builders.policies import write
from builders.transcript import SOURCE, Transcript, run_process
from builders.web import redirect, site

AT = f"{NOW:%Y-%m-%dT%H:%M:%SZ}"
TRACED = """
import sys
def hook(event, arguments):
    if event.startswith(("socket.", "urllib.", "http.", "ftplib.", "smtplib.", "ssl.")):
        print("NETWORK", event, arguments, file=sys.stderr)
sys.addaudithook(hook)
from modseal.cli.main import run
code = run(sys.argv[1:])
print("MODULES", *sys.modules, file=sys.stderr)
sys.exit(code)
"""


def traced(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", TRACED, *arguments],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


def audit(*paths: str, cwd: Path, **env: str) -> Transcript:
    return run_process("audit", *paths, "--policy", "policy.toml", "--at", AT, "--no-cache", "--format", "json",
                       cwd=cwd, env=env)  # fmt: skip


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_an_audit_of_paths_opens_no_socket_and_loads_nothing_that_could(tmp_path: Path, jobs: str) -> None:
    write(tmp_path)
    folder_of(tmp_path / "depot", 2)
    done = traced("audit", "depot", "--policy", "policy.toml", "--at", AT, "--no-cache", "-j", jobs, cwd=tmp_path)
    modules = done.stderr.rpartition("MODULES ")[2].split()
    assert "modseal.auditing.discover" in modules
    assert "NETWORK" not in done.stderr
    packages = {name.partition(".")[0] for name in modules}
    assert not packages & {"fsspec", "aiohttp", "s3fs", "distributed", "dask", "ssl"}
    assert not {"modseal.auditing.remote", "modseal.files.fetch", "modseal.auditing.cluster", "urllib.request"} & {
        *modules
    }


def test_verify_knows_no_addresses(tmp_path: Path) -> None:
    write(tmp_path)
    done = traced("verify", "http://127.0.0.1:1/a.seal", "--policy", "policy.toml", cwd=tmp_path)
    assert done.returncode == 3
    assert "http://127.0.0.1:1/a.seal: an address, and not a file" in done.stderr
    assert "NETWORK" not in done.stderr
    assert not [name for name in done.stderr.split() if name.startswith(("modseal.auditing", "fsspec", "aiohttp"))]


def test_several_processes_give_the_report_of_one(tmp_path: Path) -> None:
    pytest.importorskip("fsspec", reason="the extra `remote` is not installed")
    pytest.importorskip("aiohttp", reason="the extra `remote` is not installed")
    write(tmp_path)
    folder_of(tmp_path / "depot", 70)  # three batches
    with site(tmp_path / "depot") as server:
        reports = [audit(f"{server.url}/", "-j", jobs, cwd=tmp_path) for jobs in ("1", "2")]
    local = audit("depot/", cwd=tmp_path)
    assert reports[0] == reports[1]
    assert (reports[0].code, reports[0].err) == (local.code, "")
    results = [json.loads(each.replace(f"{server.url}/", "depot/"))["results"] for each in (reports[0].out, local.out)]
    assert results[0] == results[1]
    assert json.loads(local.out)["summary"]["verdicts"]["accepted"] == 70


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    """A server's TLS, and its certificate in `server.pem`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    start = NOW - timedelta(days=3650)  # TLS looks at the clock
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(NOW + timedelta(days=36500))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (tmp_path / "server.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "server.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    return context


def test_over_tls_only_from_a_trusted_server_and_never_on_to_plain_http(tmp_path: Path, tls: ssl.SSLContext) -> None:
    pytest.importorskip("fsspec", reason="the extra `remote` is not installed")
    pytest.importorskip("aiohttp", reason="the extra `remote` is not installed")
    write(tmp_path)
    with site({"/a.seal": make().data}) as plain:
        answers = {"/a.seal": make().data, "/b.seal": redirect("/a.seal"), "/c.seal": redirect(f"{plain.url}/a.seal")}
        with site(answers, tls) as server:
            urls = [f"{server.url}/{name}.seal" for name in "abc"]
            trusted = audit(*urls, "-j", "1", cwd=tmp_path, SSL_CERT_FILE=str(tmp_path / "server.pem"))
            untrusted = audit(urls[0], "-j", "1", cwd=tmp_path)
        assert plain.asked == []
    report = json.loads(trusted.out)
    assert [result["verdict"] for result in report["results"]] == ["accepted", "accepted", "undecided"]
    assert "from https to http" in trusted.out
    assert "no trusted TLS connection" in untrusted.out
    assert (trusted.code, untrusted.code, trusted.err, untrusted.err) == (3, 3, "", "")
