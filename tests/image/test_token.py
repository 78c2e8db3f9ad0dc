"""The owner's key in a PKCS#11 token: what it signs is what the same key in a file signs, to the byte.

SoftHSM is started in processes of their own: one process can have it with one configuration only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from builders import pki, softhsm
from builders.images import program
from builders.softhsm import LABEL, MODULE, PIN
from builders.transcript import run_process
from image.test_spec import GOOD
from modseal.boot import authenticode, requests
from modseal.boot.requests import RollbackRequest, Running
from modseal.image import firmware, update
from modseal.packing import kernel_signature

OWNER = pki.issue("owner", key=pki.new_key("rsa"))
URI = f"pkcs11:token={LABEL.replace(' ', '%20')};object=db?module-path={MODULE}&pin-source=file:pin"
POLICY = b"policy_name=modseal policy_version=0.0.1\nDEFAULT action=DENY\n"
SCRIPT = """
import sys
from pathlib import Path
from modseal.image import firmware
from modseal.packing import kernel_signature
from modseal.signing import keys
signer = keys.open(sys.argv[1], Path("db.pem"))
Path("signed").write_bytes(firmware.sign_executable(Path("program").read_bytes(), signer))
Path("policy.p7b").write_bytes(kernel_signature.signed(Path("policy").read_bytes(), signer, attached=True))
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a token that has the owner's key, its certificate, and what is to be signed."""
    pytest.importorskip("pkcs11", reason="no python-pkcs11")
    if not MODULE or not shutil.which("softhsm2-util"):
        pytest.skip("no softhsm2")
    folder = tmp_path_factory.mktemp("token")
    hsm = softhsm.empty(folder)
    hsm.initialize()
    files = {"key": OWNER.key_pem, "db.pem": OWNER.pem, "program": program(b"kernel"), "policy": POLICY}
    for name, data in {**files, "pin": PIN.encode()}.items():
        (folder / name).write_bytes(data)
        (folder / name).chmod(0o600)
    words = ("--import", "key", "--token", LABEL, "--label", "db", "--id", "01", "--pin", PIN)
    environment = {**os.environ, **hsm.env}
    subprocess.run(["softhsm2-util", *words], cwd=folder, env=environment, check=True, capture_output=True)
    (folder / "key").unlink()
    subprocess.run([sys.executable, "-c", SCRIPT, URI], cwd=folder, env=environment, check=True)
    return folder


def test_a_program_is_signed_as_by_the_key_in_a_file(place: Path) -> None:
    signed = (place / "signed").read_bytes()
    assert signed == firmware.sign_executable(program(b"kernel"), OWNER.signer())
    authenticode.verify(signed, OWNER.certificate)


def test_sbverify_takes_it(place: Path) -> None:
    if not shutil.which("sbverify"):
        pytest.skip("sbverify is not installed")
    done = subprocess.run(["sbverify", "--cert", "db.pem", "signed"], cwd=place, capture_output=True, text=True)
    assert "Signature verification OK" in done.stdout, done.stderr


def test_a_policy_is_signed_as_by_the_key_in_a_file_and_openssl_takes_it(place: Path) -> None:
    assert (place / "policy.p7b").read_bytes() == kernel_signature.signed(POLICY, OWNER.signer(), attached=True)
    words = ("smime", "-verify", "-inform", "DER", "-in", "policy.p7b", "-CAfile", "db.pem", "-purpose", "any")
    done = subprocess.run(["openssl", *words, "-partial_chain"], cwd=place, capture_output=True)
    assert done.stdout.replace(b"\r\n", b"\n") == POLICY, done.stderr


def test_a_rollback_is_signed_by_the_token(place: Path) -> None:
    (place / "host.toml").write_text(GOOD.replace("db.key", URI))
    words = ("image", "rollback", "host.toml", "--running", "3", "9", "--to", "2", "8", "-o", "back")
    environment = {"SOFTHSM2_CONF": str(place / "softhsm2.conf")}
    done = run_process(*words, cwd=place, env=environment)
    assert (done.code, done.out) == (0, "edge: back from version 3, generation 9 to version 2, generation 8\n"), (
        done.err
    )
    data = (place / "back").read_bytes()
    request = RollbackRequest("edge", Running(3, 9), Running(2, 8))
    assert data == update.signed(request, OWNER.signer())
    with (place / "back").open("rb") as file:
        assert requests.read(file.read, OWNER.certificate) == request
