"""The rules for names, paths, modes and links: one place, for the packer and for the verifier.

Each rule returns None or the `Failure`; the caller decides whether to raise it (readers,
packer) or recorded (examine).
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Iterable, Iterator

from modseal import limits
from modseal.errors import Failure, FormatError
from modseal.format.characters import WHITE_SPACE, is_printable
from modseal.format.manifest import MANIFEST_MEMBER, SIGNATURE_MEMBER, Constraint, Entry, FileType, Manifest
from modseal.format.shape import quote
from modseal.values import regex

MEMBER_NAME = regex(rf"(?!\.\.?$)[A-Za-z0-9._-]{{1,{limits.MEMBER_NAME_LENGTH}}}", re.ASCII)
MODULE_NAME = regex(rf"[A-Za-z0-9][A-Za-z0-9._+-]{{0,{limits.NAME_LENGTH - 1}}}", re.ASCII)
VERSION = regex(rf"[A-Za-z0-9][A-Za-z0-9._+~:-]{{0,{limits.NAME_LENGTH - 1}}}", re.ASCII)
MEMBER_NAME_FORM = f"1 to {limits.MEMBER_NAME_LENGTH} of A-Z a-z 0-9 . _ -, and neither . nor .."
MODULE_NAME_FORM = f"1 to {limits.NAME_LENGTH} of A-Z a-z 0-9 . _ + -, the first a letter or digit"
VERSION_FORM = f"1 to {limits.NAME_LENGTH} of A-Z a-z 0-9 . _ + ~ : -, the first a letter or digit"
RESERVED_MEMBERS = frozenset({*MANIFEST_MEMBER.values(), SIGNATURE_MEMBER})
KEY_NAME = regex("key-sha256:[0-9a-f]{64}")
KEY_NAME_FORM = "key-sha256: and 64 lower-case hexadecimal digits"
RELATIONS = ("<<", "<=", "=", ">=", ">>")

_USUAL_NAME = "[A-Za-z0-9_+-][A-Za-z0-9._+-]*"
_USUAL_PATH = regex(rf"(?:{_USUAL_NAME}/){{0,{limits.PATH_DEPTH - 1}}}{_USUAL_NAME}")
"""Paths that break no rule of `check_path` but for their length: most are like that."""

_USUAL_FOLDERS = 4096
"""Of a tree with more folders, the entries are compared one after another, which needs less memory."""

PERMISSIONS = 0o777
FOLDER_MODE = 0o755
"""Mode of a folder that no module declares and that something lies in."""

SPECIAL_BITS = 0o7000
_OTHER_BITS = ~(PERMISSIONS | SPECIAL_BITS)
STICKY = 0o1000

_NOT_IN_TEXT = regex(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
"""What a free text must not have: controls but tab and newline, line separators, bidi controls,
surrogates, and the two code points that XML forbids. A fixed list, so that it does not depend on
the Unicode version of the Python that reads it."""


def key_name(public_key: bytes) -> str:
    """A public key by its digest: SHA-256 over the DER of its SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7).

    The prefix tells it from the fingerprint of a certificate, which is `sha256:`.
    """
    return f"key-sha256:{hashlib.sha256(public_key).hexdigest()}"


def check_path(path: str) -> Failure | None:
    """A path is relative, normal, printable UTF-8 in NFC, and within the limits (XML-08, TAR-08)."""
    if len(path) <= limits.PATH_LENGTH and _USUAL_PATH.fullmatch(path):
        return None
    try:
        encoded = path.encode("utf-8")
    except UnicodeEncodeError:
        return _unsafe(path, "is not UTF-8")
    if not path or path != path.strip(WHITE_SPACE):
        return _unsafe(path, "is empty or starts or ends with white space")
    if len(encoded) > limits.PATH_LENGTH:
        return _unsafe(path, f"is longer than {limits.PATH_LENGTH} bytes")
    if not is_printable(path) or "\\" in path:
        return _unsafe(path, "has a control, invisible or backslash character")
    if not path.isascii() and _nfc(path) != path:
        return _unsafe(path, "is not in Unicode normal form C")
    if "*" in path or "?" in path:
        return _unsafe(path, "has a '*' or '?', as if it were a pattern")
    framed = f"/{path}/"
    if "//" in framed or "/./" in framed or "/../" in framed or " /" in framed:
        return _unsafe(path, "is absolute, or has an empty, '.' or '..' component, or one that ends with a space")
    if path.count("/") >= limits.PATH_DEPTH:
        return _unsafe(path, f"has more than {limits.PATH_DEPTH} components")
    return None


def _unsafe(path: str, why: str) -> Failure:
    return Failure("unsafe-path", f"the path {quote(path, limits.PATH_LENGTH)} {why}", {"path": shown(path)})


def check_link(path: str, target: str) -> Failure | None:
    """A link's target is relative and stays inside the module, judged by its text alone (TAR-01).

    That is sound because `..` stands only at the start, where it climbs real directories (nothing lies
    below a link, see `check_tree`): in `l/..` it would climb from wherever the link `l` leads.
    """
    evidence = {"path": shown(path), "target": shown(target)}
    try:
        length = len(target.encode("utf-8"))
    except UnicodeEncodeError:
        return Failure("unsafe-link", f"the target of {path!r} is not UTF-8", evidence)
    if length > limits.LINK_LENGTH:
        why = f"has {length} bytes, and may have {limits.LINK_LENGTH}: what a tar header has room for"
        return Failure("unsafe-link", f"the target of {path!r} {why}", evidence)
    if not target or not is_printable(target) or "\\" in target:
        why = "not printable, or has a backslash" if target else "empty"
        return Failure("unsafe-link", f"the target of {path!r} is {why}", evidence)
    if target.startswith("/"):
        return Failure("unsafe-link", f"{path!r} links to the absolute path {target!r}", evidence)
    parts = [part for part in target.split("/") if part not in ("", ".")]
    up = next((index for index, part in enumerate(parts) if part != ".."), len(parts))
    if up > path.count("/"):
        return Failure("unsafe-link", f"{path!r} links to {target!r}, outside the module", evidence)
    if ".." in parts[up:]:
        return Failure("unsafe-link", f"{path!r} links to {target!r}, with a '..' after a name", evidence)
    return None


def link_leads_to(path: str, target: str) -> str:
    """The path that a link at `path` leads to by its text, the module's root as `""`.

    Only what `check_link` finds sound stays inside; of the rest the result starts with `..` or `/`.
    """
    led = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    return "" if led == "." else led


def check_entry(entry: Entry) -> list[Failure]:
    """All that is wrong with one entry by itself: path, type, mode and link."""
    failure = check_path(entry.path)
    found = [failure] if failure else []
    if entry.mode is not None and entry.mode & _OTHER_BITS:
        detail = f"{quote(entry.path, limits.PATH_LENGTH)} has mode {entry.mode:o}"
        found.append(Failure("unsafe-mode", detail, {"path": shown(entry.path)}))
    if entry.type is FileType.SYMLINK and not failure:
        link = check_link(entry.path, entry.target or "")
        found += [link] if link else []
    return found


def check_tree(entries: Iterable[Entry]) -> Iterator[Failure]:
    """All that is wrong with the entries together: collisions, and a path below a non-directory.

    Names collide when they are the same after Unicode NFC and case folding (TAR-07), because some
    hosts cannot tell those apart. A path below a link would be written somewhere else (TAR-01).
    """
    entries = tuple(entries)
    if _is_usual_tree(entries):
        return
    folded = [fold(entry.path) for entry in entries]
    holders: dict[str, Entry] = {}
    for path, entry in zip(folded, entries, strict=True):
        first = holders.setdefault(path, entry)
        if first is not entry:
            yield _clash(f"{entry.path!r} collides with {first.path!r}", entry.path, first.path)
    holders.clear()  # what comes now needs as much memory again
    yield from _check_parents(sorted(zip(folded, entries, strict=True), key=lambda one: sort_key(one[0])))


def _is_usual_tree(entries: tuple[Entry, ...]) -> bool:
    """Whether the paths are ASCII, no two of them or of the folders above them differ by case alone, and none is twice.

    Where none lies below a file or link either, nothing is wrong: told without comparing each entry with the next.
    """
    paths = [entry.path for entry in entries]
    folders: set[str] = set()
    for path in paths:
        if len(path) > limits.PATH_LENGTH or len(folders) > _USUAL_FOLDERS:
            return False
        while "/" in path:
            path = path.rpartition("/")[0]  # noqa: PLW2901 - climbs
            if path in folders:
                break
            folders.add(path)
    names = folders.union(paths)
    return (
        "".join(paths).isascii()
        and len(set(paths)) == len(paths)
        and len(set(map(str.lower, names))) == len(names)
        and not any(entry.path in folders and entry.type is not FileType.DIRECTORY for entry in entries)
    )


def _check_parents(entries: Iterable[tuple[str, Entry]]) -> Iterator[Failure]:
    """Each directory above an entry, declared or not, has one spelling, and is neither a file nor a link.

    Sorted by their folded paths, which stand beside them, all that lies in one directory stands together, so it is
    enough to compare neighbours. A table of all parents would take a gigabyte for 50,000 deep paths.
    """
    above: list[tuple[str, Entry]] = []
    before = before_folded = ""
    directory: str | None = None
    for path, entry in entries:
        parent = entry.path.rpartition("/")[0]
        if parent != directory:  # what stands beside its neighbour lies in the same directories, in the same spelling
            parts, other = entry.path.split("/"), before.split("/")
            count = _other_spelling(parts, path.split("/"), other, before_folded.split("/"))
            if count:
                here, there = "/".join(parts[:count]), "/".join(other[:count])
                yield _clash(f"{entry.path!r} lies in {here!r}, which collides with {there!r}", entry.path, there)
            directory = parent
        while above and not path.startswith(above[-1][0]):
            above.pop()
        if above and above[-1][1].type is not FileType.DIRECTORY:
            holder = above[-1][1].path
            yield _clash(f"{entry.path!r} lies below {holder!r}, which is not a directory", entry.path, holder)
        above.append((f"{path}/", entry))
        before, before_folded = entry.path, path


def _other_spelling(parts: list[str], folded: list[str], other: list[str], other_folded: list[str]) -> int:
    """How many components the nearest directory to the root has that both paths lie in, spelt in two ways; or 0."""
    for index in range(min(len(parts) - 1, len(other))):
        if folded[index] != other_folded[index]:
            break
        if parts[index] != other[index]:
            return index + 1
    return 0


def _clash(detail: str, path: str, other: str) -> Failure:
    return Failure("unsafe-path", detail, {"path": shown(path), "other": shown(other)})


def check_module(manifest: Manifest) -> Iterator[Failure]:
    """All that is wrong with a manifest by the rules that both encodings share."""
    yield from check_identity(manifest.vendor, manifest.name, manifest.version)
    for label, text in (("summary", manifest.summary), ("description", manifest.description)):
        yield from check_text(label, text)
    for label, constraints in manifest.relationships.by_label():
        if constraints:
            yield from _check_count(label, len(constraints), limits.ITEMS)
            for constraint in constraints:
                yield from check_constraint(label, constraint)
    yield from _check_count("payloads", len(manifest.payloads), limits.PAYLOADS)
    yield from _check_count("attachments", len(manifest.attachments), limits.ATTACHMENTS)
    yield from check_members(
        [*(payload.name for payload in manifest.payloads), *(attachment.name for attachment in manifest.attachments)]
    )
    yield from _check_count("files", len(manifest.files), limits.FILES)
    for entry in manifest.files:
        yield from check_entry(entry)
    yield from check_tree(manifest.files)


def check_identity(vendor: str, name: str, version: str) -> list[Failure]:
    """A vendor is a short printable text without slashes, as it is part of file names; name and version are plain."""
    found = check_line("vendor", vendor)
    if "/" in vendor or "\\" in vendor:
        found.append(_bad(f"the vendor {quote(vendor)} has a slash", vendor))
    if not MODULE_NAME.fullmatch(name):
        found.append(_bad(f"the name {quote(name)} is not {MODULE_NAME_FORM}", name))
    if not VERSION.fullmatch(version):
        found.append(_bad(f"the version {quote(version)} is not {VERSION_FORM}", version))
    return found


def check_text(label: str, text: str, most: int = limits.TEXT_LENGTH) -> list[Failure]:
    """A free text: at most `most` characters, none of them a control but newline and tab."""
    if len(text) > most:
        return [_bad(f"the {label} has {len(text)} characters, and must have at most {most}", text)]
    if not (text.isascii() and text.isprintable()) and _NOT_IN_TEXT.search(text):
        return [_bad(f"the {label} {quote(text)} has a control or invisible character", text)]
    return []


def check_line(label: str, text: str, most: int = limits.NAME_LENGTH) -> list[Failure]:
    """A short free text on one line, not empty and without spaces around it."""
    if not text or text != text.strip(WHITE_SPACE) or "\n" in text or "\t" in text:
        return [_bad(f"the {label} {quote(text)} is empty, has spaces around it, or is not one line", text)]
    return check_text(label, text, most)


def check_constraint(label: str, constraint: Constraint) -> Iterator[Failure]:
    """A constraint is a name, with a relation and a version or neither; what is provided is `=` its version."""
    name, relation, version = constraint.name, constraint.relation, constraint.version
    relations = ("=",) if label == "provides" else RELATIONS
    if not MODULE_NAME.fullmatch(name):
        yield _bad(f"{label} names {quote(name)}, which is not {MODULE_NAME_FORM}", name)
    if (relation is None) != (version is None):
        yield _bad(f"{label} of {quote(name)} has a relation or a version without the other", name)
    if relation is not None and relation not in relations:
        yield _bad(f"{label} of {quote(name)} has a relation that is not {' '.join(relations)}", name)
    if version is not None and not VERSION.fullmatch(version):
        yield _bad(f"{label} of {quote(name)} has a version that is not {VERSION_FORM}", version)


def check_members(names: Iterable[str]) -> list[Failure]:
    """Names of payloads and attachments are member names, not reserved, and each is used once.

    Names that differ by case alone count as one (TAR-07): some hosts make files of them.
    """
    found: list[Failure] = []
    seen: dict[str, str] = {}
    for name in names:
        folded = fold(name)
        first = seen.get(folded)
        if not MEMBER_NAME.fullmatch(name):
            found.append(_bad(f"the member name {quote(name)} is not {MEMBER_NAME_FORM}", name))
        elif folded in RESERVED_MEMBERS:
            found.append(_bad(f"the member name {name!r} is reserved", name))
        elif first == name:
            found.append(_bad(f"two members are named {name!r}", name))
        elif first is not None:
            found.append(_bad(f"the member names {first!r} and {name!r} differ by case alone", name))
        seen.setdefault(folded, name)
    return found


def check_expected_signers(keys: tuple[str, ...]) -> list[Failure]:
    """Public keys by `key_name`, each once, in ascending order: so that one list has one encoding."""
    found = _check_count("expected signers", len(keys), limits.EXPECTED_SIGNERS)
    for key in keys:
        if not KEY_NAME.fullmatch(key):
            found.append(_bad(f"the expected signer {quote(key)} is not {KEY_NAME_FORM}", key))
    if list(keys) != sorted(set(keys)):
        found.append(_bad("the expected signers are not in ascending order, each once", keys[0]))
    return found


def check_contents(digests: Iterable[tuple[str, str]]) -> Iterator[Failure]:
    """One id has one content, for an id is what people and relations name: pairs of an id and a SHA-256 in hex."""
    seen: dict[str, str] = {}
    for id_, sha256 in digests:
        other = seen.setdefault(id_, sha256)
        if other != sha256:
            detail = f"two bundles are {quote(id_, 200)}, with the SHA-256 {other} and {sha256}"
            yield Failure("bundle-conflict", detail, {"id": shown(id_), "sha256": sha256, "other": other})


def _check_count(label: str, count: int, most: int) -> list[Failure]:
    if count <= most:
        return []
    return [Failure("bad-manifest", f"there are {count} {label}, and may be at most {most}", {"count": count})]


def _bad(detail: str, value: str) -> Failure:
    return Failure("bad-manifest", detail, {"value": shown(value)})


def shown(text: str) -> str:
    """A text as evidence: printable ASCII, with escapes for the rest, and cut when it is very long."""
    return ascii(text[: limits.PATH_LENGTH])[1:-1]


def fold(path: str) -> str:
    """The form in which colliding paths are equal."""
    if path.isascii():
        return path.lower()
    return _nfc(_nfc(path).casefold())


def _nfc(path: str) -> str:
    import unicodedata  # most paths are ASCII

    return unicodedata.normalize("NFC", path)


def parents(path: str) -> Iterator[str]:
    """The directories above a path, nearest first."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def sort_key(path: str) -> bytes:
    """The order of entries in a module: by the bytes of their components, so a directory comes before what it holds."""
    return path.encode("utf-8").replace(b"/", b"\0")


def require(failure: Failure | None) -> None:
    """Raise a failure as the reader's exception."""
    if failure:
        raise FormatError(failure.code, failure.detail, **failure.evidence)
