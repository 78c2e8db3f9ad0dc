"""Whether an image is exactly what its modules' signed manifests say: comparisons of values, nothing is read here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from modseal.codes import CODES, CodeName
from modseal.errors import Failure
from modseal.format import rules
from modseal.format.manifest import Entry, FileType
from modseal.host.scan import KERNEL_LABELS, Found
from modseal.trust.examination import Verdict


class HostDifference(NamedTuple):
    """One thing that is not as it was installed, and the module that it belongs to, if to any."""

    module: str | None
    failure: Failure


def verdict_of(findings: Sequence[HostDifference]) -> Verdict:
    """Accepted where nothing was found; undecided where nothing is wrong but something cannot be judged."""
    if not findings:
        return Verdict.ACCEPTED
    undecided = all(CODES[finding.failure.code].undecided for finding in findings)
    return Verdict.UNDECIDED if undecided else Verdict.REJECTED


def differences(
    image: Mapping[str, Entry], owners: Mapping[str, str], found: Mapping[str, Found], owner: tuple[int, int]
) -> Iterator[HostDifference]:
    """All differences between an image as it should be and as it is, by path.

    `owners` has the module of each path, `owner` is the user and group that everything must belong to.
    """
    missing = [path for path in image if path not in found]
    lost = {image[path].sha256: path for path in missing if image[path].sha256}
    folded = {rules.fold(path): path for path in image} if len(found) + len(missing) > len(image) else {}
    for path in missing:
        yield _finding("installed-missing", path, owners, "is missing")
    for path, now in found.items():
        entry = image.get(path)
        if entry is None:
            yield _stranger(path, now, owners, folded, lost)
        elif now[:7] != (entry.type, entry.mode, owner, (), entry.size, entry.sha256, entry.target):
            yield from _compare(path, entry, now, owners, owner)


def _stranger(
    path: str, now: Found, owners: Mapping[str, str], folded: Mapping[str, str], lost: Mapping[bytes | None, str]
) -> HostDifference:
    """What no module brings: a twin of something that is installed, a file that was moved, or anything else."""
    twin = folded.get(rules.fold(path))
    if twin is not None:
        failure = Failure(
            "installed-twin",
            f"{rules.shown(path)!r} and {rules.shown(twin)!r}, which is installed, can be taken for one another",
            {"path": rules.shown(path), "other": rules.shown(twin)},
        )
        return HostDifference(owners.get(twin), failure)
    moved = lost.get(now.sha256) if now.sha256 else None
    if moved is not None:
        detail = (
            f"{rules.shown(path)!r} is not a module's, and has the content of {rules.shown(moved)!r}, which is missing"
        )
        return HostDifference(
            owners.get(moved),
            Failure("installed-extra", detail, {"path": rules.shown(path), "other": rules.shown(moved)}),
        )
    return _finding("installed-extra", path, owners, "is not a module's")


def _compare(
    path: str, entry: Entry, now: Found, owners: Mapping[str, str], owner: tuple[int, int]
) -> Iterator[HostDifference]:
    if now.type is not entry.type:
        kind = now.type or "something that no module can bring"
        yield _finding("installed-type", path, owners, f"is a {kind}" if now.type else f"is {kind}")
        return
    if now.trouble:
        yield _finding("io-error", path, owners, f"cannot be read: {now.trouble}")
    elif now.type is FileType.FILE and now.size != entry.size:
        yield _finding("installed-changed", path, owners, f"has {now.size} bytes, {entry.size} are signed")
    elif now.type is FileType.FILE and now.sha256 != entry.sha256:
        yield _finding("installed-changed", path, owners, "has another content than the signed one")
    if now.type is FileType.SYMLINK:
        if now.target != entry.target:
            yield _finding("installed-link", path, owners, f"leads to {rules.shown(now.target or '')!r}")
    elif now.mode != entry.mode:
        yield _finding("installed-mode", path, owners, f"has mode {now.mode:04o}, {entry.mode or 0:04o} is signed")
    if now.owner != owner:
        user, group = now.owner
        yield _finding("installed-owner", path, owners, f"belongs to user {user} and group {group}")
    if now.attributes and not KERNEL_LABELS.issuperset(now.attributes):
        names = ", ".join(sorted(set(now.attributes) - KERNEL_LABELS))
        yield _finding("installed-attribute", path, owners, f"has the attribute {rules.shown(names)}")


def _finding(code: CodeName, path: str, owners: Mapping[str, str], what: str) -> HostDifference:
    detail = f"{rules.shown(path)!r} {what}"
    return HostDifference(owners.get(path), Failure(code, detail, {"path": rules.shown(path)}))
