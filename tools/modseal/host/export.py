"""What is exported for the kernel's own enforcement: the files of proved modules, and the texts that list them.

Every module of the active generation is proved again, under today's policy, before anything is listed. One that is not
accepted ends the export: a list without it would look like the whole. The texts are made from values alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from modseal import limits
from modseal.errors import RefusedError, UndecidedError, error_of
from modseal.format.manifest import Entry, FileType
from modseal.host import plan
from modseal.host.documents import invalid
from modseal.host.installed import Installed, is_accepted, prove
from modseal.host.keep import hidden_failures
from modseal.host.store import Store, object_name
from modseal.values import dataclass

POLICY_NAME = "modseal"
_PART = 1 << 16
"""Each of the three numbers of a policy's version has 16 bits (Documentation/admin-guide/LSM/ipe.rst)."""
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class TrustedFile:
    """A regular file of a proved module: the absolute path that it is merged at, size in bytes, SHA-256, in hex."""

    path: str
    size: int
    sha256: str


def proved_modules(store: Store, at: datetime) -> tuple[Installed, ...]:
    """The modules of the active generation, all of them accepted at a time.

    Raises `RefusedError` or `UndecidedError` with the code of the first that is not, and what `prove` raises.
    """
    store.require_clock(at)
    generation = store.generation(store.state.generation)
    modules = tuple(prove(store, one, store.policy, at) for one in generation.modules)
    for failure in (*plan.generation_failures(modules, store.state.level), *hidden_failures(store, modules)):
        raise error_of(failure)
    if not all(is_accepted(one) for one in modules):
        raise UndecidedError("internal-error", "a module is not accepted, and has no failure")
    return modules


def files(modules: Iterable[Installed]) -> list[Entry]:
    """The regular files of modules, in the order of their paths."""
    found = (entry for module in modules for entry in module.entries if entry.type is FileType.FILE)
    return sorted(found, key=lambda entry: entry.path.encode())


def listed(entry: Entry) -> TrustedFile:
    """A file as the lists have it."""
    return TrustedFile(f"/{entry.path}", entry.size or 0, (entry.sha256 or b"").hex())


def content(store: Store, entry: Entry) -> Iterator[bytes]:
    """The bytes of a file from the store. Raises `UndecidedError` (host-invalid), if need be after the last."""
    name = object_name((entry.sha256 or b"").hex(), entry.mode or 0)
    digest = hashlib.sha256()
    with store.open(name, entry.size or 0) as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
            yield piece
    if digest.digest() != entry.sha256:
        raise invalid(f"{store.path}/{name} was changed", path=entry.path)


def fapolicyd(entries: Iterable[TrustedFile]) -> str:
    """A trust file of fapolicyd: path, size, SHA-256 (fapolicyd.trust(5)).

    Raises `RefusedError` (unsafe-path), for a path with a space too: fapolicyd 1.1 reads no line after one.
    """
    lines = []
    for one in entries:
        _require_one_line(one.path)
        if " " in one.path:
            detail = f"{one.path!r} has a space, and fapolicyd 1.1 reads no line of its trust file after one"
            raise RefusedError("unsafe-path", detail, path=one.path)
        lines.append(f"{one.path} {one.size} {one.sha256}\n")
    return "".join(lines)


def digest_lines(digests: Iterable[tuple[bytes, str]]) -> str:
    """Digests as `fsverity digest` prints them. Raises `RefusedError` (unsafe-path)."""
    lines = []
    for digest, path in digests:
        _require_one_line(path)
        lines.append(f"sha256:{digest.hex()} {path}\n")
    return "".join(lines)


def _require_one_line(path: str) -> None:
    if not path.isprintable():
        raise RefusedError("unsafe-path", f"{path!r} cannot stand in a list of one path a line", path=ascii(path))


def attributes(values: Iterable[tuple[str, bytes]]) -> str:
    """`security.ima` of files as `setfattr --restore` reads it, relative to `/`."""
    blocks = []
    for path, value in values:
        _require_one_line(path)
        name = path.lstrip("/").replace("\\", "\\134")
        blocks.append(f"# file: {name}\nsecurity.ima=0x{value.hex()}\n\n")
    return "".join(blocks)


IMA_POLICY = "".join(
    f"appraise func={hook} appraise_type=imasig\n"
    for hook in ("BPRM_CHECK", "MMAP_CHECK mask=MAY_EXEC", "MODULE_CHECK", "FIRMWARE_CHECK", "POLICY_CHECK")
)
"""Only what has a signature runs (Documentation/ABI/testing/ima_policy)."""


def ipe_version(number: int) -> str:
    """The version of an IPE policy for a number that only grows. Raises `RefusedError` (limit-exceeded)."""
    if number >= _PART**3:
        raise RefusedError("limit-exceeded", f"a policy version ends at {_PART**3 - 1}", number=number)
    return f"{number // _PART**2}.{number // _PART % _PART}.{number % _PART}"


def ipe_policy(number: int, roots: Sequence[bytes]) -> str:
    """An IPE policy that lets run what is in the images of these dm-verity root hashes, and nothing else.

    Raises `RefusedError` (limit-exceeded) where the kernel would not take it for its size.
    """
    rules = [f"op=EXECUTE dmverity_roothash=sha256:{root.hex()} action=ALLOW" for root in dict.fromkeys(roots)]
    denied = [f"DEFAULT op={operation} action=DENY" for operation in ("EXECUTE", "FIRMWARE", "KMODULE")]
    head = f"policy_name={POLICY_NAME} policy_version={ipe_version(number)}"
    text = "\n".join([head, "DEFAULT action=ALLOW", *denied, *rules, ""])
    if len(text) > limits.IPE_POLICY_SIZE:
        detail = (
            f"the IPE policy has {len(text)} bytes for {len(rules)} images; the kernel takes {limits.IPE_POLICY_SIZE}"
        )
        raise RefusedError("limit-exceeded", detail, size=len(text), images=len(rules), limit=limits.IPE_POLICY_SIZE)
    return text
