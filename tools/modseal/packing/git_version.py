"""The version of a module from the tags of its git repository: what `git describe` says of the last commit."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from modseal.errors import UsageError
from modseal.format import rules
from modseal.format.shape import quote

OPTION = "--version-from-git"
"""The option that asks for it, as messages name it."""
TAGS = ("v[0-9]*", "[0-9]*")
"""What a tag with a version looks like, for git; so that tags of other parts of a repository are not taken."""

_DESCRIBED = re.compile(r"v?(?P<version>.*?)(?P<after>-[0-9]+-g[0-9a-f]+)(?P<dirty>-dirty)?")
_SECONDS = 60
"""`git describe` looks through the history and at every file; a large repository takes seconds."""


def describe(folder: Path) -> str:
    """The tag of the last commit without its `v`; after the tag, `-COMMITS-gCOMMIT` follows, as git writes it.

    Raises `UsageError` where there is no version: no git, no repository, no tag, or files that are changed and not
    committed, so that no commit is what is packed.
    """
    said = _git(folder, "describe", "--tags", "--long", "--dirty", *(f"--match={pattern}" for pattern in TAGS))
    if said.returncode:
        raise UsageError(f"{OPTION}: {_reason(folder, said.stderr)}")
    found = _DESCRIBED.fullmatch(said.stdout.strip())
    if not found:
        raise UsageError(f"{OPTION}: git describes {folder} as {quote(said.stdout.strip())}: no version")
    if found["dirty"]:
        raise UsageError(
            f"{OPTION}: files of {folder}'s repository are changed and not committed, so that no tag is the "
            "version of what is packed (`git status` shows them); commit them, or say --version"
        )
    version = found["version"] + ("" if found["after"].startswith("-0-g") else found["after"])
    if not rules.VERSION.fullmatch(version):
        raise UsageError(f"{OPTION}: the tag says {quote(version)}, and a version must be {rules.VERSION_FORM}")
    return version


def require_known(folder: Path, packed: Iterable[bytes]) -> None:
    """Check that git knows what is packed, each path as `Input.disk` has it. What git ignores is what builds make.

    `git describe` says nothing of files that were never added. Raises `UsageError`.
    """
    top = os.path.realpath(_git(folder, "rev-parse", "--show-toplevel").stdout.rstrip("\n"))
    listed = _git(Path(top), "ls-files", "--others", "--exclude-standard", "-z")
    if listed.returncode:
        raise UsageError(f"{OPTION}: git cannot say which files it knows: {quote(listed.stderr.strip())}")
    unknown = {os.path.join(top, path) for path in listed.stdout.split("\0") if path}
    nested = tuple(path for path in unknown if path.endswith("/"))  # another repository within, as one folder
    found = sorted(path for path in map(os.fsdecode, packed) if path in unknown or path.startswith(nested))
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise UsageError(
            f"{OPTION}: {quote(os.path.relpath(found[0], os.path.realpath(folder)))}{more} is packed, and git does not "
            "know it, so that no tag is the version of what is packed; commit it, take it out of there, or say "
            "--version"
        )


def _reason(folder: Path, error: str) -> str:
    """Why git does not describe a folder, in words with a way out."""
    if "not a git repository" in error:
        return f"{folder} is in no git repository; say --version"
    if "dubious ownership" in error:
        return (
            f"the repository of {folder} is another user's, and git does not read it (see safe.directory in git-config)"
        )
    if _git(folder, "rev-parse", "--verify", "--quiet", "HEAD").returncode:
        return f"the repository of {folder} has no commit yet; say --version"
    if _git(folder, "rev-parse", "--is-shallow-repository").stdout.strip() == "true":
        return (
            f"the repository of {folder} is a shallow clone without a tag like v1.2.3; "
            "get its history with `git fetch --tags --unshallow`"
        )
    return (
        f"no tag like v1.2.3 or 1.2.3 leads to the last commit of {folder}; make one with `git tag`, or say --version"
    )


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A git command in a folder. The repository's settings start no program (fsmonitor), and words are English."""
    command = ["git", "-C", str(folder), "-c", "core.fsmonitor=false", *arguments]
    environment = {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"}
    try:
        return subprocess.run(  # noqa: S603 - git with words of our own; a folder's name is one argument
            command,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",  # so that a path is the one on disk
            timeout=_SECONDS,
            check=False,
        )
    except FileNotFoundError:
        raise UsageError(f"{OPTION}: git is not installed; say --version") from None
    except subprocess.TimeoutExpired:
        raise UsageError(f"{OPTION}: git took more than {_SECONDS} seconds; say --version") from None
