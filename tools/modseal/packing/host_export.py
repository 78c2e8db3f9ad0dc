"""Writes what a host's kernel enforces: a folder of lists, signatures and images, there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, NamedTuple

from modseal.errors import InputError
from modseal.files.scratch import scratch_folder
from modseal.files.staging import StagingFolder
from modseal.files.tree import Tree, new_tree
from modseal.format import rules, verity
from modseal.format.manifest import Entry, FileType
from modseal.host import export
from modseal.host.image import RELEASE_FOLDER, layout
from modseal.host.installed import Installed
from modseal.host.store import Store, open_store
from modseal.packing import erofs, kernel_signature
from modseal.signing.signer import Signer

Format = Literal["ipe", "ima", "fsverity", "fapolicyd"]

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
                kernel_signature.signed(verity.fsverity_signed(digest), signer, attached=False),
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
    images = list(write_images(store, modules, tree, "images/"))
    policy = export.ipe_policy(store.state.event.number, [*base, *(one.root for one in images)]).encode()
    lines = "".join(f"{one.root.hex()} {one.size} {one.path}\n" for one in images)
    tree.write("roothashes.txt", lines.encode(), 0o644)
    tree.write("modseal.pol", policy, 0o644)
    if signer:
        tree.write("modseal.pol.p7b", kernel_signature.signed(policy, signer, attached=True), 0o644)


class ModuleImage(NamedTuple):
    """An image of a module with its hash tree: where it is, the root hash, and the bytes before the tree."""

    module: Installed
    path: str
    root: bytes
    size: int


def write_images(store: Store, modules: Iterable[Installed], tree: Tree, folder: str) -> Iterator[ModuleImage]:
    """Write an image of each proved module below a folder of the tree."""
    for module in modules:
        path = f"{folder}{module.name}-{module.version}.erofs"
        uuid = bytes.fromhex(module.record.manifest)[:16]
        with scratch_folder() as place:
            image = place / "image"
            _lay_out(store, module.entries, place / "tree")
            erofs.make(place / "tree", image, uuid)
            root, size = erofs.append_verity(image, uuid)
            with image.open("rb") as file, os.fdopen(tree.create(path), "wb") as target:
                target.writelines(iter(lambda: file.read(_PIECE), b""))
                target.flush()
                os.fchmod(target.fileno(), 0o644)
        yield ModuleImage(module, path, root, size)


def _lay_out(store: Store, entries: tuple[Entry, ...], folder: Path) -> None:
    with new_tree(folder) as tree:
        paths = {path: entry for path, entry in layout([entries]).items() if not f"{path}/".startswith(RELEASE_FOLDER)}
        for path in sorted(paths, key=rules.sort_key):
            _place(store, tree, paths[path])
        for path in sorted(paths, key=lambda one: one.count("/"), reverse=True):
            if paths[path].type is FileType.DIRECTORY:
                tree.set_mode(path, paths[path].mode or 0)


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
