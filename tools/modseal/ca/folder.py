"""The folder of a small CA, and the files that it hands out: all there or not there at all.

    ca.pem        its certificate
    ca.key        its private key, readable by its owner only, encrypted unless `--unencrypted` was given
    index.json    what it issued and revoked, and the number of its last CRL

`ca.authority` decides; here it is read and written. What is handed out and the index that knows of it
are written together. Should the machine stop between the two, the index knows of a certificate that no one
has, never the other way round.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modseal.ca import index as authority_index
from modseal.ca.authority import Authority
from modseal.ca.index import Index
from modseal.errors import InputError, KeyMaterialError, UsageError
from modseal.files.folder import locked
from modseal.files.output import output_file, require_output
from modseal.files.small import read_small
from modseal.files.staging import StagingFolder
from modseal.signing import material
from modseal.signing.material import Passphrase

CERTIFICATE, KEY, INDEX = "ca.pem", "ca.key", "index.json"
_PUBLIC, _PRIVATE, _FOLDER = 0o644, 0o600, 0o700


@dataclass(frozen=True, slots=True)
class OpenFolder:
    """A CA's folder, locked against changes by other processes."""

    folder: Path
    authority: Authority

    def publish(self, index: Index, output: Path | None = None, data: bytes = b"") -> None:
        """Write a new index, and a file that is handed out with it. Raises `InputError`, `UsageError`."""
        if output is None:
            self._write(index)
            return
        require_public(output, self.folder)
        try:
            with output_file(output) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())  # what can fail does so before the index is written
                self._write(index)
        except InputError:
            self.restore()
            raise

    def restore(self) -> None:
        """Write the index again as it was."""
        with suppress(InputError):
            self._write(self.authority.index)

    def _write(self, index: Index) -> None:
        with output_file(self.folder / INDEX, _PUBLIC) as file:
            file.write(authority_index.encode(index))


@contextmanager
def opened(folder: Path) -> Iterator[OpenFolder]:
    """A CA's folder, locked until the block ends; waits for others. Raises `InputError`, `KeyMaterialError`."""
    with locked(folder):  # of two changes at once, one would be forgotten
        yield OpenFolder(folder, read(folder))


def read(folder: Path) -> Authority:
    """The CA of a folder, as it is now. Raises `InputError`, `KeyMaterialError`."""
    try:
        certificate = material.read_certificate(folder / CERTIFICATE)
    except InputError as error:
        raise error.because("not-a-ca") if folder.is_dir() else error from None
    path = folder / INDEX
    data = read_small(
        path,
        authority_index.INDEX_SIZE,
        lambda why: InputError(f"{path} cannot be read: {why}", path=str(path)),
        lambda why: KeyMaterialError(f"{path} is {why}: that is not an index of a CA").because("not-a-ca"),
    ).data
    return Authority(certificate, authority_index.decode(data, str(path)))


def read_key(folder: Path, passphrase: Passphrase | None) -> tuple[Any, tuple[str, ...]]:
    """The CA's private key, and what to warn of. Raises `InputError`, `KeyMaterialError`."""
    own = read(folder).certificate
    found = material.read_key(folder / KEY, passphrase)
    if found.key.public_key() != own.public_key():
        raise KeyMaterialError(f"{folder / KEY} is not the key of {folder / CERTIFICATE}").because("other-certificate")
    return found.key, found.warnings


def create(
    folder: Path, authority: Authority, key: bytes, certificate: bytes, parent: tuple[OpenFolder, Index] | None = None
) -> None:
    """Write a new CA to a folder that is not there yet, or empty, and what its parent now knows; or nothing at all.

    `key` and `certificate` are PEM. Raises `UsageError`, `InputError`.
    """
    files = (
        (KEY, key, _PRIVATE),
        (CERTIFICATE, certificate, _PUBLIC),
        (INDEX, authority_index.encode(authority.index), _PUBLIC),
    )
    with StagingFolder(folder, mode=_FOLDER) as staged:
        for name, data, mode in files:
            staged.tree.write(name, data, mode)
        if parent:
            parent[0].publish(parent[1])
        try:
            staged.commit()
        except OSError:
            if parent:
                parent[0].restore()
            raise


def write_new_key(path: Path, data: bytes) -> None:
    """A file for a new private key, readable only by its owner. Never replaces a file.

    Raises `UsageError` where something is there already, `InputError`.
    """
    with output_file(path, _PRIVATE, new=True) as file:
        file.write(data)


def require_public(output: Path, folder: Path | None = None) -> None:
    """What is handed out goes where it can be written, and nowhere that belongs to the CA.

    Raises `UsageError`, `InputError`.
    """
    require_output(output)
    own = [folder / name for name in (CERTIFICATE, KEY, INDEX)] if folder else []
    with suppress(OSError):
        if any(path.exists() and output.exists() and path.samefile(output) for path in own):
            raise UsageError(f"{output} belongs to the CA; name another file")
