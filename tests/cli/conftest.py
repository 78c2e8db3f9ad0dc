"""Fixtures of the command line's tests: the example keys, and a folder with a packed and a signed module."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from builders.transcript import run
from modseal.signing import material

SPEC = """\
schema = "modseal/module@1"
vendor = "Acme"
name = "acme-agent"
version = "1.2.3-4"
level = "partner"
summary = "An agent"

[[payload]]
name = "base"
root = "files"
"""


@pytest.fixture(scope="session")
def example_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `modseal keys example` writes; made once, because it makes RSA keys."""
    folder = tmp_path_factory.mktemp("keys")
    assert run("keys", "example", "keys", cwd=folder).code == 0
    return folder / "keys"


@pytest.fixture(scope="session", autouse=True)
def keys_are_checked_once() -> Iterator[None]:
    """OpenSSL tries whether the primes of an RSA key are some: for a sixth of a second, at every command."""
    with mock.patch.object(material, "load_pem_private_key", functools.cache(material.load_pem_private_key)):
        yield


@pytest.fixture(scope="session")
def packed_desk(tmp_path_factory: pytest.TempPathFactory, example_keys: Path) -> Path:
    """What each `desk` is a copy of."""
    folder = tmp_path_factory.mktemp("desk")
    files = folder / "module" / "files" / "opt" / "acme"
    files.mkdir(parents=True)
    (files / "agent").write_bytes(b"\x7fELF agent")
    (files / "agent").chmod(0o755)
    (files / "conf").write_text("level = 1\n")
    (files / "conf").chmod(0o644)
    (folder / "module" / "module.toml").write_text(SPEC)
    shutil.copytree(example_keys, folder / "keys")
    for kind in ("vib", "seal"):
        if kind == "seal":  # a .vib cannot have links
            (files / "current").symlink_to("conf")
        packed = run("pack", "module", "-o", f"a.{kind}", "--format", kind, cwd=folder)
        assert packed.code == 0, packed.err
    return folder


@pytest.fixture(scope="session")
def signed_desk(tmp_path_factory: pytest.TempPathFactory, packed_desk: Path) -> Path:
    """What each folder that is `signed` is a copy of."""
    folder = tmp_path_factory.mktemp("signed")
    _copy(packed_desk, folder)
    for kind in ("seal", "vib"):
        assert run("sign", f"a.{kind}", *key_options("partner"), cwd=folder).code == 0
    return folder


@pytest.fixture
def desk(tmp_path: Path, packed_desk: Path) -> Path:
    """A vendor's folder: `module/`, `keys/`, and the unsigned `a.seal` and `a.vib`."""
    return _copy(packed_desk, tmp_path)


@pytest.fixture
def signed(tmp_path: Path, signed_desk: Path) -> Path:
    """The vendor's folder once both bundles are signed by the partner signer."""
    return _copy(signed_desk, tmp_path)


def _copy(folder: Path, to: Path) -> Path:
    return shutil.copytree(folder, to, symlinks=True, dirs_exist_ok=True)


def key_options(who: str) -> tuple[str, ...]:
    """`--key` and `--cert` of one of the example signers."""
    return ("--key", f"keys/{who}/signer.key", "--cert", f"keys/{who}/signer.pem")
