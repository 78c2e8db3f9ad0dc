"""Writes what a host's kernel enforces: a folder of lists, signatures and images, there whole or not at all."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from modseal.errors import InputError, UsageError
from modseal.files.staging import StagingFolder
from modseal.files.tree import Tree
from modseal.format import rules, verity
from modseal.format.manifest import Entry, FileType
from modseal.host import export
from modseal.host.image import RELEASE_FOLDER, layout
from modseal.host.installed import Installed
from modseal.host.store import Store, open_store
from modseal.packing import kernel_signature
from modseal.signing.signer import Signer

Format = Literal["ipe", "ima", "fsverity", "fapolicyd"]

_SECONDS = 600
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: of which generation, how many modules and files, and whether it is signed."""

    generation: int
    modules: int
    files: int
    signed: bool


def write(
    root: Path, kind: Format, out: Path, at: datetime, signer: Signer | None = None, base: tuple[bytes, ...] = ()
) -> Exported:
    """Export the active generation below a root, proved at a time. `base` are root hashes of the system's own images.

    Raises `RefusedError` and `UndecidedError` where a module is not accepted, `UsageError`, `InputError`.
    """
    if signer:
        kernel_signature.require_key(signer)
    with open_store(root) as store:
        modules = export.proved_modules(store, at)
        try:
            with StagingFolder(out) as staging:
                if kind == "ipe":
                    _ipe(store, modules, staging.tree, signer, base)
                else:
                    for name, data in _WRITERS[kind](store, modules, signer):
                        staging.tree.write(name, data, 0o644)
                staging.commit()
        except OSError as error:
            raise InputError.of(out, error, to_write=True) from error
        return Exported(store.state.generation.number, len(modules), len(export.files(modules)), signer is not None)


def _fapolicyd(store: Store, modules: tuple[Installed, ...], signer: Signer | None) -> Iterator[tuple[str, bytes]]:  # noqa: ARG001
    yield "modseal.trust", export.fapolicyd(map(export.listed, export.files(modules))).encode()


def _fsverity(store: Store, modules: tuple[Installed, ...], signer: Signer | None) -> Iterator[tuple[str, bytes]]:
    digests: list[tuple[bytes, str]] = []
    for entry in export.files(modules):
        leaves = verity.Leaves()
        for piece in export.content(store, entry):
            leaves.update(piece)
        digests.append((verity.fsverity_digest(leaves), f"/{entry.path}"))
    yield "digests.txt", export.digest_lines(digests).encode()
    if signer:
        for digest in sorted({digest for digest, _ in digests}):
            yield (
                f"signatures/{digest.hex()}.p7s",
                kernel_signature.pkcs7(verity.fsverity_signed(digest), signer, attached=False),
            )


def _ima(store: Store, modules: tuple[Installed, ...], signer: Signer | None) -> Iterator[tuple[str, bytes]]:
    entries = export.files(modules)
    yield "ima.policy", export.IMA_POLICY.encode()
    yield "digests.txt", export.digest_lines((entry.sha256 or b"", f"/{entry.path}") for entry in entries).encode()
    if signer:
        values = (
            (f"/{entry.path}", kernel_signature.ima(b"".join(export.content(store, entry)), signer))
            for entry in entries
        )
        yield "security.ima", export.attributes(values).encode()


_WRITERS = {"fapolicyd": _fapolicyd, "fsverity": _fsverity, "ima": _ima}


def _ipe(
    store: Store, modules: tuple[Installed, ...], tree: Tree, signer: Signer | None, base: tuple[bytes, ...]
) -> None:
    roots = []
    lines = []
    for module in modules:
        name = f"images/{module.name}-{module.version}.erofs"
        uuid = bytes.fromhex(module.record.manifest)[:16]
        with tempfile.TemporaryDirectory(prefix="modseal-") as folder:
            image = Path(folder) / "image"
            _make_erofs(store, module.entries, Path(folder), image, uuid)
            with image.open("rb") as file:
                root, hashes = verity.dm_verity(iter(lambda: file.read(_PIECE), b""), uuid)
                offset = file.tell()
                file.seek(0)
                with os.fdopen(tree.create(name), "wb") as target:
                    target.writelines(iter(lambda: file.read(_PIECE), b""))
                    target.write(hashes)
                    target.flush()
                    os.fchmod(target.fileno(), 0o644)
        roots.append(root)
        lines.append(f"{root.hex()} {offset} {name}\n")
    policy = export.ipe_policy(store.state.event.number, [*base, *roots]).encode()
    tree.write("roothashes.txt", "".join(lines).encode(), 0o644)
    tree.write("modseal.pol", policy, 0o644)
    if signer:
        tree.write("modseal.pol.p7b", kernel_signature.pkcs7(policy, signer, attached=True), 0o644)


def _make_erofs(store: Store, entries: tuple[Entry, ...], folder: Path, image: Path, uuid: bytes) -> None:
    """An image of a module that depends on its files alone: no times, no owners, and a UUID of its manifest."""
    (folder / "tree").mkdir()
    descriptor = os.open(folder / "tree", os.O_RDONLY | os.O_DIRECTORY)
    try:
        tree = Tree(descriptor)
        paths = {path: entry for path, entry in layout([entries]).items() if not f"{path}/".startswith(RELEASE_FOLDER)}
        for path in sorted(paths, key=rules.sort_key):
            _place(store, tree, paths[path])
        for path in sorted(paths, key=lambda one: one.count("/"), reverse=True):
            if paths[path].type is FileType.DIRECTORY:
                tree.set_mode(path, paths[path].mode or 0)
        tree.close()
    finally:
        os.close(descriptor)
    text = uuid.hex()
    dashed = "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
    command = ["mkfs.erofs", "-T0", "--all-root", "-x-1", "-U", dashed, str(image), str(folder / "tree")]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)  # noqa: S603 - paths of our own
    except FileNotFoundError:
        raise UsageError("mkfs.erofs is not installed; it is in the package erofs-utils") from None
    except subprocess.TimeoutExpired:
        raise InputError(f"mkfs.erofs took more than {_SECONDS} seconds").because("erofs-failed") from None
    if done.returncode:
        raise InputError(f"mkfs.erofs failed: {done.stderr.strip()[-200:]}").because("erofs-failed")
    with image.open("r+b") as file:
        file.truncate(-(-image.stat().st_size // verity.BLOCK) * verity.BLOCK)


def _place(store: Store, tree: Tree, entry: Entry) -> None:
    if entry.type is FileType.DIRECTORY:
        tree.folder(entry.path)
    elif entry.type is FileType.SYMLINK:
        tree.link(entry.path, entry.target or "")
    else:
        with os.fdopen(tree.create(entry.path), "wb") as file:
            file.writelines(export.content(store, entry))
            file.flush()
            os.fchmod(file.fileno(), entry.mode or 0)
