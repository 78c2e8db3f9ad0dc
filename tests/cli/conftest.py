"""Fixtures of the command line's tests: the example keys, and a folder with a packed and a signed module."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from builders.transcript import run

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


@pytest.fixture
def desk(tmp_path: Path, example_keys: Path) -> Path:
    """A vendor's folder: `module/`, `keys/`, and the unsigned `a.seal` and `a.vib`."""
    files = tmp_path / "module" / "files" / "opt" / "acme"
    files.mkdir(parents=True)
    (files / "agent").write_bytes(b"\x7fELF agent")
    (files / "agent").chmod(0o755)
    (files / "conf").write_text("level = 1\n")
    (files / "conf").chmod(0o644)
    (tmp_path / "module" / "module.toml").write_text(SPEC)
    shutil.copytree(example_keys, tmp_path / "keys")
    for kind in ("vib", "seal"):
        if kind == "seal":  # a .vib cannot have links
            (files / "current").symlink_to("conf")
        packed = run("pack", "module", "-o", f"a.{kind}", "--format", kind, cwd=tmp_path)
        assert packed.code == 0, packed.err
    return tmp_path


def key_options(who: str) -> tuple[str, ...]:
    """`--key` and `--cert` of one of the example signers."""
    return ("--key", f"keys/{who}/signer.key", "--cert", f"keys/{who}/signer.pem")


@pytest.fixture
def signed(desk: Path) -> Path:
    """The vendor's folder once both bundles are signed by the partner signer."""
    for kind in ("seal", "vib"):
        assert run("sign", f"a.{kind}", *key_options("partner"), cwd=desk).code == 0
    return desk
