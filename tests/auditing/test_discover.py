"""What an audit finds below its paths, in which order, and what it says of the rest."""

from __future__ import annotations

import os
from contextlib import chdir
from pathlib import Path

import pytest

from builders import bundles
from builders.audits import folder_of
from modseal.auditing.discover import discover
from modseal.auditing.target import FileTarget, LeftOut, Unreadable


def found(*paths: Path) -> list[tuple[str, str]]:
    """Kind and last part of the name of all that is discovered."""
    return [(type(one).__name__, os.path.basename(one.name)) for one in discover(map(str, paths))]


def test_bundles_are_found_in_the_order_of_their_names_whatever_order_the_folder_has(tmp_path):
    for name in ("b.seal", "a.vib", "c.SEAL", "B.vib"):
        (tmp_path / name).write_bytes(b"")
    assert [name for _, name in found(tmp_path)] == ["B.vib", "a.vib", "b.seal", "c.SEAL"]


def test_folders_are_searched_to_their_depth(tmp_path):
    (tmp_path / "one").mkdir()
    folder_of(tmp_path / "one" / "two", 1)
    assert found(tmp_path) == [("FileTarget", "000.seal")]


def test_a_bundle_without_the_usual_suffix_is_found_by_its_first_bytes(tmp_path):
    (tmp_path / "renamed.bin").write_bytes(bundles.make("vib").data)
    (tmp_path / "library.a").write_bytes(b"!<arch>\n" + b"other.o/".ljust(60))
    (tmp_path / "readme.txt").write_text("no bundle")
    assert found(tmp_path) == [
        ("LeftOut", "library.a"),
        ("LeftOut", "readme.txt"),
        ("FileTarget", "renamed.bin"),
    ]


def test_a_named_file_is_examined_whatever_it_is(tmp_path):
    (tmp_path / "readme.txt").write_text("no bundle")
    assert found(tmp_path / "readme.txt") == [("FileTarget", "readme.txt")]


def test_a_file_is_found_through_a_link_and_a_linked_folder_is_left_out_and_said(tmp_path):
    folder_of(tmp_path / "real", 1)
    (tmp_path / "circle").symlink_to(tmp_path)
    (tmp_path / "link.seal").symlink_to(tmp_path / "real" / "000.seal")
    kinds = found(tmp_path)
    assert kinds == [("LeftOut", "circle"), ("FileTarget", "link.seal"), ("FileTarget", "000.seal")]


def test_a_link_to_nothing_is_something_that_could_not_be_examined(tmp_path):
    (tmp_path / "gone.seal").symlink_to(tmp_path / "nowhere")
    assert found(tmp_path) == [("Unreadable", "gone.seal")]


def test_a_path_that_is_not_there_is_said(tmp_path):
    (one,) = discover([str(tmp_path / "missing")])
    assert isinstance(one, Unreadable)
    assert one.failure.code == "io-error"
    assert "No such file" in one.failure.detail


def test_a_path_that_cannot_be_one_is_said():
    (one,) = discover(["a\0b"])
    assert isinstance(one, Unreadable)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_without_permission_is_said(tmp_path):
    (tmp_path / "closed").mkdir(mode=0)
    assert found(tmp_path) == [("Unreadable", "closed")]


def test_pipes_and_devices_are_left_out_unless_they_are_called_like_a_bundle(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    os.mkfifo(tmp_path / "pipe.seal")
    assert found(tmp_path) == [("LeftOut", "pipe"), ("FileTarget", "pipe.seal")]


def test_nothing_is_opened_but_files_of_other_names(tmp_path):
    """What the second run of an audit costs: no read at all of what is called a bundle."""
    (tmp_path / "a.seal").write_bytes(b"!")
    (tmp_path / "a.seal").chmod(0)
    target, *rest = discover([str(tmp_path)])
    assert isinstance(target, FileTarget)
    assert (target.size, rest) == (1, [])


def test_what_is_left_out_says_why(tmp_path):
    (tmp_path / "x").write_text("")
    (one,) = discover([str(tmp_path)])
    assert isinstance(one, LeftOut)
    assert one.why == "no bundle"


def test_what_is_named_twice_is_found_once(tmp_path):
    (path,) = folder_of(tmp_path / "depot", 1)
    twice = [path, tmp_path / "depot", path.parent / "." / path.name, Path(os.path.relpath(path))]
    assert found(*twice) == [("FileTarget", "000.seal")]


def test_a_relative_path_means_another_place_in_another_folder(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "depot").mkdir(parents=True)
        (tmp_path / name / "depot" / "a.seal").touch()
        with chdir(tmp_path / name):
            found = list(discover(["depot/a.seal", str(tmp_path / name / "depot" / "a.seal")]))
        assert [one.name for one in found] == ["depot/a.seal"]
