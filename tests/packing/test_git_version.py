"""`--version-from-git`: the version that real tags say, and why there is none."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from modseal.errors import UsageError
from modseal.packing.git_version import describe

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="no git")


def git(folder: Path, *arguments: str) -> str:
    environment = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "HOME": str(folder)}
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.test", "-c", "commit.gpgsign=false")
    command = ["git", "-C", str(folder), *identity, *arguments]
    done = subprocess.run(command, env={**os.environ, **environment}, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(folder: Path) -> str:
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", "it")
    return git(folder, "rev-parse", "--short", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    (folder / "module").mkdir(parents=True)
    (folder / "module/module.toml").write_text("")
    git(folder, "init", "-q")
    commit(folder)
    return folder


@pytest.mark.parametrize(
    ("tag", "version"),
    [("v1.2.3", "1.2.3"), ("1.2.3-4", "1.2.3-4"), ("v2.0~rc1".replace("~", "-"), "2.0-rc1"), ("v0.1+b", "0.1+b")],
)
def test_a_tag_is_the_version_without_its_v(repository: Path, tag: str, version: str) -> None:
    git(repository, "tag", tag)
    assert describe(repository) == describe(repository / "module") == version


def test_after_a_tag_commits_and_the_last_commit_follow(repository: Path) -> None:
    git(repository, "tag", "-a", "-m", "annotated", "v1.2.3")
    commit(repository)
    head = commit(repository)
    assert describe(repository) == f"1.2.3-2-g{head}"


def test_tags_of_something_else_do_not_count(repository: Path) -> None:
    git(repository, "tag", "v1.0")
    commit(repository)
    git(repository, "tag", "other-v9.9")
    git(repository, "tag", "latest")
    assert describe(repository).startswith("1.0-1-g")


def test_files_that_git_does_not_know_do_not_matter(repository: Path) -> None:
    git(repository, "tag", "v1.0")
    (repository / "module/built").write_text("new")
    assert describe(repository) == "1.0"


def change(folder: Path) -> None:
    git(folder, "tag", "v1.0")
    (folder / "module/module.toml").write_text("changed")


def strange(folder: Path) -> None:
    git(folder, "tag", "v1.0/beta")


def leave(folder: Path) -> None:
    shutil.rmtree(folder / ".git")


def start_anew(folder: Path) -> None:
    leave(folder)
    git(folder, "init", "-q")


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda _: None, "no tag like v1.2.3 or 1.2.3 leads to the last commit of .*; make one with `git tag`"),
        (change, "are changed and not committed.*commit them, or say --version"),
        (strange, "the tag says '1.0/beta', and a version must be"),
        (leave, "is in no git repository; say --version"),
        (start_anew, "has no commit yet"),
    ],
)
def test_where_there_is_no_version_the_reason_and_the_way_out_are_said(
    repository: Path, break_it: Callable[[Path], None], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(repository.parent))
    break_it(repository)
    with pytest.raises(UsageError, match=words):
        describe(repository)


def test_a_shallow_clone_without_tags_is_told_to_fetch_them(repository: Path, tmp_path: Path) -> None:
    git(repository, "tag", "v1.0")
    commit(repository)
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{repository}", "clone")
    with pytest.raises(UsageError, match="git fetch --tags --unshallow"):
        describe(tmp_path / "clone")


def test_without_git_that_is_said(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(repository))
    with pytest.raises(UsageError, match="git is not installed; say --version"):
        describe(repository)


def test_the_repository_s_settings_start_no_program(repository: Path) -> None:
    git(repository, "tag", "v1.0")
    program = repository.parent / "program"
    program.write_text(f"#!/bin/sh\ntouch {repository.parent}/started\n")
    program.chmod(0o755)
    git(repository, "config", "core.fsmonitor", str(program))
    assert describe(repository) == "1.0"
    assert not (repository.parent / "started").exists()
