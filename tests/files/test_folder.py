"""The lock of a folder, for who changes what is in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from modseal.errors import InputError
from modseal.files import folder


def test_who_finds_a_folder_locked_is_told_so(tmp_path: Path) -> None:
    with folder.locked(tmp_path, "busy"), pytest.raises(InputError, match="busy"), folder.locked(tmp_path, "busy"):
        pass
    with folder.locked(tmp_path, "busy"):
        pass


def test_a_lock_ends_although_a_child_has_a_copy_of_its_descriptor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread can be starting a program just then: the child has all descriptors until that runs."""
    opened, copies = os.open, []

    def open_and_copy(path: str, flags: int) -> int:
        descriptor = opened(path, flags)
        copies.append(os.dup(descriptor))
        return descriptor

    with monkeypatch.context() as changed:
        changed.setattr(folder.os, "open", open_and_copy)
        with folder.locked(tmp_path, "busy"):
            pass
        with folder.locked(tmp_path, "busy"):
            pass
    for each in copies:
        os.close(each)
