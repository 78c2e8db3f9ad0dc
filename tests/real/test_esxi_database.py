"""A genuine host's database, where somebody has one: every descriptor is read, and judged as `openssl cms` judges it.

`make esxi-db DB=copy/var/db/esximg` names the folder; nothing of it is kept.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from modseal.depot import esxi_database
from modseal.depot.esxi_database import Database, Documents
from modseal.format import descriptor
from modseal.trust.signature import verify_member

FOLDER = os.environ.get("MODSEAL_ESXI_DB", "")
pytestmark = [
    pytest.mark.skipif(not FOLDER, reason="MODSEAL_ESXI_DB names no database of a host"),
    pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not on this machine"),
    pytest.mark.slow,
]
BLOCK = re.compile(rb"-----BEGIN (PKCS7|CMS)-----.*?-----END \1-----\n?", re.DOTALL)


@pytest.fixture(scope="module")
def database() -> Database:
    return esxi_database.in_folder(Path(FOLDER))


def openssl_verifies(signature: bytes, content: bytes, folder: Path) -> bool:
    """Whether each block verifies over the content, whoever signed: openssl reads the first block of a file alone."""
    (folder / "content").write_bytes(content)
    blocks = [match.group() for match in BLOCK.finditer(signature)]
    for block in blocks:
        (folder / "block").write_bytes(block)
        command = ["openssl", "cms", "-verify", "-binary", "-inform", "PEM", "-in", "block", "-content", "content"]
        done = subprocess.run([*command, "-noverify", "-out", os.devnull], cwd=folder, capture_output=True, check=False)
        if done.returncode:
            return False
    return bool(blocks)


def modseal_verifies(signature: bytes, content: bytes) -> bool:
    found = verify_member(signature, content, kind="vib")
    return bool(found.signers) and not found.failures


def variants(vib: Documents) -> list[bytes]:
    """The descriptor that was signed, the one that the host shows, and a changed one."""
    return [*{vib.descriptor: None, vib.shown: None, vib.descriptor.replace(b"VM", b"VN", 1): None}]


def test_every_descriptor_is_read_whole(database: Database) -> None:
    assert database.vibs
    assert not database.failures
    for vib in database.vibs:
        for data in {vib.descriptor, vib.shown}:
            manifest = descriptor.decode(data)
            assert manifest.vib is not None
            assert manifest.vib.unknown == (), vib.path


def test_every_signature_is_judged_as_openssl_judges_it(
    database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    compared = verified = 0
    for vib in database.vibs:
        for content in variants(vib):
            ours = modseal_verifies(vib.signature or b"", content)
            assert ours == openssl_verifies(vib.signature or b"", content, tmp_path), vib.path
            compared += 1
            verified += ours
    with capsys.disabled():
        sys.stdout.write(f"{len(database.vibs)} VIBs, {compared} signatures compared with openssl, {verified} verify\n")
    assert verified


def test_the_profile_has_the_vibs_of_the_database(database: Database) -> None:
    [profile] = database.profiles
    assert profile.vibs.keys() == {descriptor.decode(vib.descriptor).id for vib in database.vibs}
