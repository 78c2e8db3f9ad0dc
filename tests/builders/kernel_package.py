"""Debian's own signed kernel with IPE, fetched with apt and kept: the kernel that tests/vm boots."""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_NAME = re.compile(r"linux-image-6\.12\.[0-9]+\S*-cloud-amd64")


class UnfetchedError(Exception):
    """Why there is no kernel."""


class _Package(NamedTuple):
    """A package as apt's signed lists have it."""

    name: str
    version: str
    sha256: str


def fetch(folder: Path) -> Path:
    """The kernel of an unpacked package below a folder, which is kept for the next time: `boot/vmlinuz-*`.

    apt proves its lists by Debian's keys, and the package is compared with the digest of these lists each time.
    Raises `UnfetchedError`.
    """
    known = sorted(_known(), key=lambda one: [int(number) for number in re.findall("[0-9]+", one.version)])
    if not known:
        raise UnfetchedError(
            "apt knows no linux-image-6.12*-cloud-amd64 (apt-get update; it is in Debian 13 and in 12's security)"
        )
    folder.mkdir(parents=True, exist_ok=True)
    kept = next((one for one in reversed(known) if _file(folder, one)), None)
    package = kept or known[-1]
    if not kept:
        _run(
            "apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", f"{package.name}={package.version}", at=folder
        )
    file = _file(folder, package)
    if not file:
        raise UnfetchedError(
            f"what apt downloaded is not {package.name} {package.version} with SHA-256 {package.sha256}"
        )
    unpacked = folder / package.sha256[:16]
    if not unpacked.exists():
        _run("dpkg", "-x", file.name, f"{unpacked.name}.part", at=folder)
        (folder / f"{unpacked.name}.part").rename(unpacked)
    (kernel,) = unpacked.glob("boot/vmlinuz-*")
    return kernel


def _known() -> Iterator[_Package]:
    for name in filter(_NAME.fullmatch, _run("apt-cache", "pkgnames", "linux-image-6.12.").splitlines()):
        for stanza in _run("apt-cache", "show", name).split("\n\n"):
            fields = dict(line.split(": ", 1) for line in stanza.splitlines() if re.match("[A-Z][A-Za-z0-9-]*: ", line))
            if "SHA256" in fields:
                yield _Package(name, fields["Version"], fields["SHA256"])


def _file(folder: Path, package: _Package) -> Path | None:
    for file in folder.glob(f"{package.name}_*.deb"):
        if hashlib.sha256(file.read_bytes()).hexdigest() == package.sha256:
            return file
    return None


def _run(*command: str, at: Path | None = None) -> str:
    try:
        done = subprocess.run(command, cwd=at, capture_output=True, text=True, check=False, timeout=600)
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        raise UnfetchedError(str(error)) from None
    if done.returncode:
        if command[:2] == ("apt-cache", "show"):  # a name that other packages name alone
            return ""
        raise UnfetchedError(f"{command[0]}: {done.stderr.strip()[-300:]}")
    return done.stdout
