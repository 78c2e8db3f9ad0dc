"""The example PKI: complete, as labelled, all or nothing."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from modseal.ca import example
from modseal.errors import InputError, RefusedError, UsageError
from modseal.files.tree import Tree
from modseal.pki import revocation
from modseal.pki.certificate import Certificate
from modseal.pki.crl import Crl
from modseal.signing import fitness
from modseal.signing.keys import load_signer

NOW = datetime(2026, 6, 1, tzinfo=UTC)
LEVELS = ["certified", "accepted", "partner", "community"]
BAD = ["revoked", "expired", "wrong-eku"]
needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl")


@pytest.fixture(scope="module")
def pki_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("example") / "keys"
    umask = os.umask(0o077)
    try:
        example.make_example_pki(directory, now=NOW)
    finally:
        os.umask(umask)
    return directory


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_the_layout_is_complete(pki_directory: Path) -> None:
    found = {str(path.relative_to(pki_directory)) for path in pki_directory.rglob("*") if path.is_file()}
    expected = {f"{folder}/{name}" for folder in LEVELS + BAD for name in ("root.pem", "signer.pem", "signer.key")}
    assert found == expected | {"policy.toml", "README.md", "revoked/crl.pem"}


def test_modes_are_fixed_whatever_the_umask(pki_directory: Path) -> None:
    for path in (pki_directory, *pki_directory.rglob("*")):
        expected = 0o755 if path.is_dir() else 0o600 if path.suffix == ".key" else 0o644
        assert stat.S_IMODE(path.stat().st_mode) == expected, path


def test_the_kinds_of_keys(pki_directory: Path) -> None:
    for folder in LEVELS + BAD:
        key = certificate(pki_directory / folder / "signer.pem").public_key()
        if folder == "certified":
            assert isinstance(key, rsa.RSAPublicKey)
            assert key.key_size == 3072
        else:
            assert isinstance(key, ec.EllipticCurvePublicKey)


@pytest.mark.parametrize("at", [datetime(2024, 1, 2, tzinfo=UTC), NOW, datetime(2123, 12, 30, tzinfo=UTC)])
def test_the_signers_of_the_levels_may_sign_for_a_century(at: datetime, pki_directory: Path) -> None:
    for level in LEVELS:
        folder = pki_directory / level
        signer = load_signer(folder / "signer.key", folder / "signer.pem", [folder / "root.pem"])
        fitness.check_certificate(signer.certificate, signer.chain, at)
        assert signer.warnings == ()


@pytest.mark.parametrize(("folder", "reason"), [("expired", "expired"), ("wrong-eku", "wrong-purpose")])
def test_a_bad_signer_has_exactly_one_thing_wrong(folder: str, reason: str, pki_directory: Path) -> None:
    signer, root = (certificate(pki_directory / folder / name) for name in ("signer.pem", "root.pem"))
    with pytest.raises(RefusedError) as caught:
        fitness.check_certificate(signer, [root], NOW)
    assert caught.value.failure.evidence["reasons"] == reason


def test_the_revoked_signer_is_revoked_and_nothing_else(pki_directory: Path) -> None:
    signer, root = (certificate(pki_directory / "revoked" / name) for name in ("signer.pem", "root.pem"))
    fitness.check_certificate(signer, [root], NOW)
    pem = x509.load_pem_x509_crl((pki_directory / "revoked/crl.pem").read_bytes())
    crl = Crl.parse(pem.public_bytes(Encoding.DER), "crl.pem")
    path = tuple(Certificate.parse(each.public_bytes(Encoding.DER)) for each in (signer, root))
    (failure,) = revocation.judge(path, revocation.RevocationRules((crl,)), NOW)
    assert failure.code == "revoked"


@needs_openssl
@pytest.mark.parametrize("folder", LEVELS + BAD)
def test_openssl_agrees_with_every_label(folder: str, pki_directory: Path) -> None:
    at = pki_directory / folder

    def verifies(*options: object) -> bool:
        command = ["openssl", "verify", "-x509_strict", "-CAfile", at / "root.pem", *options, at / "signer.pem"]
        return subprocess.run(command, capture_output=True).returncode == 0

    assert verifies() == (folder != "expired")
    assert verifies("-no_check_time")
    assert verifies("-no_check_time", "-purpose", "sslserver") == (folder == "wrong-eku")
    if folder == "revoked":
        assert not verifies("-CRLfile", at / "crl.pem", "-crl_check")


def test_the_policy_names_every_root_and_the_crl(pki_directory: Path) -> None:
    policy = tomllib.loads((pki_directory / "policy.toml").read_text())
    assert (policy["schema"], policy["minimum-level"]) == ("modseal/policy@1", "community")
    assert policy["allow-unsigned-community"] is False
    grants = {anchor["certificate"]: anchor["grants"] for anchor in policy["anchor"]}
    assert grants == {f"{level}/root.pem": level for level in LEVELS} | {f"{bad}/root.pem": "partner" for bad in BAD}
    assert policy["revocation"] == {"crls": ["revoked/crl.pem"], "required": False}
    assert policy["anchor"][0]["name"] == "Example certified root"


def test_the_readme_warns_and_explains(pki_directory: Path) -> None:
    text = (pki_directory / "README.md").read_text()
    assert "never in production" in text
    assert "2026-06-01" in text
    assert all(f"`{folder}/`" in text for folder in LEVELS + BAD)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only two directories, without the slow RSA keys."""
    monkeypatch.setattr(example, "_ENTRIES", example._ENTRIES[2:4])


@pytest.mark.usefixtures("small")
def test_an_empty_directory_is_filled(tmp_path: Path) -> None:
    directory = tmp_path / "keys"
    directory.mkdir()
    example.make_example_pki(directory, now=NOW)
    assert (directory / "partner/signer.key").exists()


@pytest.mark.usefixtures("small")
def test_what_is_there_already_is_left_alone(tmp_path: Path) -> None:
    full, file, link = tmp_path / "full", tmp_path / "file", tmp_path / "link"
    full.mkdir()
    (full / "mine").write_text("mine")
    file.write_text("mine")
    link.symlink_to(tmp_path / "nowhere")
    before = sorted(tmp_path.rglob("*"))
    for path in (full, file, link):
        with pytest.raises(UsageError, match=r"is not empty|is not a folder"):
            example.make_example_pki(path, now=NOW)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("failing_write", range(8))
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failing_write_leaves_nothing_behind(
    failing_write: int, error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, count = Tree.write, 0

    def failing(tree: Tree, path: str, data: bytes, mode: int) -> None:
        nonlocal count
        if count == failing_write:
            raise error
        count += 1
        write(tree, path, data, mode)

    monkeypatch.setattr(Tree, "write", failing)
    with pytest.raises(InputError if isinstance(error, OSError) else KeyboardInterrupt):
        example.make_example_pki(tmp_path / "keys", now=NOW)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_parent_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        example.make_example_pki(tmp_path / "a/b", now=NOW)
