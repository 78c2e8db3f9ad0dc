"""The kernel of tests/vm comes from apt, with the digest of apt's lists, or not at all."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from builders.kernel_package import UnfetchedError, fetch

NAME = "linux-image-6.12.9+deb12-cloud-amd64"
DATA = b"the package"


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An apt that knows one package, and a dpkg that unpacks it. What it downloads is in `apt/served`."""
    folder = tmp_path / "apt"
    folder.mkdir()
    stanza = f"Package: {NAME}\nVersion: 6.12.9-1\nSHA256: {hashlib.sha256(DATA).hexdigest()}"
    names = f"{NAME}\nlinux-image-6.12.9+deb12-cloud-amd64-unsigned\nlinux-image-6.12.10+deb12-cloud-amd64"
    scripts = {
        "apt-cache": f"case $1 in pkgnames) echo '{names}';; show) [ $2 = {NAME} ] && echo '{stanza}';; esac",
        "apt-get": f"cp {folder}/served {NAME}_6.12.9-1_amd64.deb",
        "dpkg": "mkdir -p $3/boot && cp $2 $3/boot/vmlinuz-6.12.9",
    }
    for name, text in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    (folder / "served").write_bytes(DATA)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def test_it_is_fetched_once_and_kept(apt: Path, tmp_path: Path) -> None:
    kernel = fetch(tmp_path / "kept")
    assert kernel.read_bytes() == DATA
    (apt / "apt-get").write_text("#!/bin/sh\nexit 100\n")
    assert fetch(tmp_path / "kept") == kernel


def test_another_package_than_that_of_the_lists_is_not_unpacked(apt: Path, tmp_path: Path) -> None:
    (apt / "served").write_bytes(DATA + b"!")
    with pytest.raises(UnfetchedError, match="what apt downloaded is not"):
        fetch(tmp_path / "kept")
    assert not list((tmp_path / "kept").glob("*/boot"))


def test_a_kept_package_that_was_changed_is_fetched_again(apt: Path, tmp_path: Path) -> None:
    fetch(tmp_path / "kept")
    (package,) = (tmp_path / "kept").glob("*.deb")
    package.write_bytes(b"changed")
    fetch(tmp_path / "kept")
    assert package.read_bytes() == DATA


def test_without_a_network_it_says_why(apt: Path, tmp_path: Path) -> None:
    (apt / "apt-get").write_text("#!/bin/sh\necho 'no network' >&2\nexit 100\n")
    with pytest.raises(UnfetchedError, match="no network"):
        fetch(tmp_path / "kept")
    (apt / "apt-cache").write_text("#!/bin/sh\n")
    with pytest.raises(UnfetchedError, match="apt-get update"):
        fetch(tmp_path / "kept")
