"""`sign --tsa` and `modseal timestamp`, against a real authority on the loopback interface."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from builders.bundles import make
from builders.pki import NOW, Identity, leaf, root, signer
from builders.policies import write
from builders.transcript import SOURCE, Transcript, run
from builders.tsa import OPENSSL, OpensslTsa, serving, stamped, token, tsa, tsa_root
from modseal.bundle.open import open_bundle
from modseal.format import cms

pytestmark = pytest.mark.skipif(not OPENSSL, reason="no openssl")
TIME = '[time]\nanchors = ["tsa.pem"]\nrequire-timestamp = true\n'


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A folder with an unsigned bundle, a signer, and a policy that requires a timestamp."""
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "a.seal").write_bytes(make().unsigned().data)
    (folder / "signer.pem").write_bytes(signer().pem)
    (folder / "signer.key").write_bytes(signer().key_pem)
    (folder / "signer.key").chmod(0o600)
    (folder / "tsa.pem").write_bytes(tsa_root().pem)
    (folder / "other.pem").write_bytes(tsa_root(1).pem)
    write(folder, more=TIME)
    return folder


@pytest.fixture
def server(tmp_path: Path) -> Iterator[OpensslTsa]:
    with serving(OpensslTsa(tmp_path / "tsa", tsa())) as running:
        yield running


def sign(work: Path, *more: object) -> Transcript:
    return run("sign", "a.seal", "--key", "signer.key", "--cert", "signer.pem", *more, cwd=work)


def verdict(work: Path, bundle: str = "a.seal") -> tuple[str, list[str]]:
    """The verdict, and the codes of what failed, from the JSON report."""
    done = run("verify", bundle, "--policy", "policy.toml", "--format", "json", cwd=work)
    (result,) = json.loads(done.out)["results"]
    return result["verdict"], [check["code"] for check in result["checks"] if check["status"] == "failed"]


def timestamps(path: Path) -> list[int]:
    with open_bundle(path) as bundle:
        blocks = map(cms.decode, cms.split_blocks(bundle.signature))
        return [len(info.timestamps) for block in blocks for info in block.signers]


def test_signing_with_a_timestamp_satisfies_a_policy_that_requires_one(work: Path, server: OpensslTsa) -> None:
    assert sign(work, "--tsa", server.url, "--tsa-anchor", "tsa.pem").code == 0
    assert verdict(work) == ("accepted", [])


def test_signing_first_and_the_timestamp_later_comes_to_the_same(work: Path, server: OpensslTsa) -> None:
    assert sign(work, "--timestamp-later").code == 0
    assert verdict(work) == ("rejected", ["untrusted-time"])
    done = run("timestamp", "a.seal", "--tsa", server.url, "--tsa-anchor", "tsa.pem", "-o", "b.seal", cwd=work)
    sha256 = hashlib.sha256((work / "b.seal").read_bytes()).hexdigest()
    assert done.out.splitlines() == [
        f"b.seal: 1 timestamp added, sha256 {sha256}",
        "the file has changed: publish this SHA-256; the one from before no longer holds",
    ]
    assert verdict(work, "b.seal") == ("accepted", [])
    assert timestamps(work / "a.seal") == [0]


def test_a_timestamp_is_only_added_where_there_is_none(work: Path, server: OpensslTsa) -> None:
    sign(work, "--tsa", server.url)
    (work / "rsa.pem").write_bytes(signer("rsa").pem)
    (work / "rsa.key").write_bytes(signer("rsa").key_pem)
    (work / "rsa.key").chmod(0o600)
    run("sign", "a.seal", "--key", "rsa.key", "--cert", "rsa.pem", cwd=work)
    before = (work / "a.seal").read_bytes()
    with open_bundle(work / "a.seal") as bundle:
        first = cms.split_blocks(bundle.signature)[0]
    assert timestamps(work / "a.seal") == [1, 0]
    assert run("timestamp", "a.seal", "--tsa", server.url, cwd=work).code == 0
    assert timestamps(work / "a.seal") == [1, 1]
    with open_bundle(work / "a.seal") as bundle:
        assert cms.split_blocks(bundle.signature)[0] == first
    assert server.requests == 2
    done = run("timestamp", "a.seal", "--tsa", server.url, cwd=work)
    assert done.code == 2
    assert "no signature can use a timestamp" in done.err
    assert before != (work / "a.seal").read_bytes()


def test_the_next_authority_is_asked_where_the_first_fails(work: Path, server: OpensslTsa) -> None:
    assert sign(work, "--tsa", "http://127.0.0.1:1/", "--tsa", server.url).code == 0
    assert timestamps(work / "a.seal") == [1]


def test_nothing_is_signed_where_no_authority_gives_a_usable_timestamp(
    work: Path, server: OpensslTsa, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modseal.signing.tsa.Authorities._attempts", lambda self: iter(self.urls))
    done = sign(work, "--tsa", server.url, "--tsa-anchor", "other.pem")
    assert done.code == 3
    assert "no timestamp authority gave a usable timestamp" in done.err
    assert "modseal: next: Name the root certificate of the timestamp authority's CA with --tsa-anchor." in done.err


@pytest.mark.parametrize(
    "options",
    [
        ("--tsa", "ftp://tsa.example/"),
        ("--tsa-anchor", "tsa.pem"),
        ("--tsa", "http://tsa.example/", "--timestamp-later"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(work: Path, options: tuple[str, ...]) -> None:
    assert sign(work, *options).code == 2


def test_an_unsigned_bundle_gets_no_timestamp(work: Path, server: OpensslTsa) -> None:
    done = run("timestamp", "a.seal", "--tsa", server.url, cwd=work)
    assert (done.code, server.requests) == (2, 0)
    assert "not signed" in done.err


def test_a_signature_whose_certificate_has_ended_gets_none(work: Path, server: OpensslTsa) -> None:
    put(work, leaf("Ended", end=NOW))
    done = run("timestamp", "a.seal", "--tsa", server.url, cwd=work)
    assert (done.code, server.requests) == (2, 0)
    assert "cannot help it" in done.err


def test_a_damaged_bundle_gets_none(work: Path, server: OpensslTsa) -> None:
    put(work, signer())
    data = (work / "a.seal").read_bytes()
    (work / "a.seal").write_bytes(data[:-8] + bytes(8))
    assert (run("timestamp", "a.seal", "--tsa", server.url, cwd=work).code, server.requests) == (1, 0)


def put(work: Path, by: Identity) -> None:
    """A bundle that this identity has signed, without a timestamp."""
    good = make()
    (work / "a.seal").write_bytes(good.with_block(stamped(good.manifest_bytes, by)).data)


@pytest.mark.skipif(not shutil.which("unshare"), reason="no unshare")
def test_verification_of_a_timestamp_needs_no_network(work: Path) -> None:
    good = make()
    block = stamped(good.manifest_bytes, signer(), lambda signature: token(signature, NOW))
    (work / "a.seal").write_bytes(good.with_block(block).data)
    isolated = ["unshare", "-rn"]
    if subprocess.run([*isolated, "true"], capture_output=True).returncode:
        pytest.skip("this machine does not permit unshare -rn")
    script = "from modseal.cli.main import main; main()"
    verify = ["verify", "a.seal", "--policy", "policy.toml", "--at", "2026-01-02"]
    command = [*isolated, sys.executable, "-c", script, *verify]
    done = subprocess.run(command, cwd=work, env={"PYTHONPATH": str(SOURCE)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_example_root_is_none_of_timestamps(work: Path, server: OpensslTsa) -> None:
    """The module's own root does not make its authority's tokens good (SIG-10)."""
    (work / "tsa.pem").write_bytes(root().pem)
    sign(work, "--tsa", server.url)
    assert verdict(work) == ("rejected", ["bad-timestamp"])
