"""`verify`, `inspect` and `extract` of several bundles: a line each, and the worst decides the exit status."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path

import pytest

from builders import policies
from builders.bundles import make
from builders.transcript import Transcript, run
from modseal.format.level import Level

POLICY = ("--policy", "policy.toml")
UNSIGNED = "rejected: unsigned: the signature member is empty; next: Ask the vendor for the signed bundle."
GONE = "undecided: io-error: No such file or directory; next: Check the path: there is nothing with this name."
NO_BUNDLE = (
    "rejected: not-a-bundle: the file does not start with the ar magic; "
    "next: Check that this is the right file, and complete."
)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A policy, two good bundles, one that is not signed, and one that is not a bundle."""
    policies.write(tmp_path)
    good = make("seal")
    for name, data in (("a.seal", good.data), ("b.seal", good.data), ("bare.seal", good.unsigned().data)):
        (tmp_path / name).write_bytes(data)
    (tmp_path / "text.seal").write_text("hello")
    return tmp_path


def verify(place: Path, *arguments: str, leaves: tuple[str, ...] = ()) -> Transcript:
    return run("verify", *arguments, *POLICY, cwd=place, leaves=leaves)


# verify.


def test_one_bundle_is_shown_in_full_and_several_have_a_line_each(place: Path) -> None:
    assert len(verify(place, "a.seal").out.splitlines()) > 3
    done = verify(place, "a.seal", "bare.seal", "nothere", "text.seal")
    assert done.code == 1
    first, *rest = done.out.splitlines()
    assert first == "a.seal: accepted: Acme acme-agent 1.2.3-4, partner"
    assert rest == [
        f"bare.seal: {UNSIGNED}",
        f"nothere: {GONE}",
        f"text.seal: {NO_BUNDLE}",
    ]


def test_verbose_shows_every_step_of_each(place: Path) -> None:
    done = verify(place, "a.seal", "b.seal", "-v")
    assert done.out.count("\n  9 restrictions ") == 2


def test_quiet_prints_only_what_is_not_accepted(place: Path) -> None:
    done = verify(place, "a.seal", "-q")
    assert (done.code, done.out, done.err) == (0, "", "")
    done = verify(place, "a.seal", "bare.seal", "--quiet")
    assert (done.code, done.out) == (
        1,
        f"bare.seal: {UNSIGNED}\n",
    )


@pytest.mark.parametrize("other", [("-v",), ("--format", "json")])
def test_quiet_goes_with_nothing_that_prints_more(place: Path, other: tuple[str, ...]) -> None:
    assert verify(place, "a.seal", "-q", *other).code == 2


def test_an_accepted_module_that_nobody_signed_is_marked(place: Path) -> None:
    (place / "open.toml").write_text(
        'schema = "modseal/policy@1"\nminimum-level = "community"\nallow-unsigned-community = true\n'
    )
    (place / "c.seal").write_bytes(make("seal", claimed_level=Level.COMMUNITY).unsigned().data)
    done = run("verify", "c.seal", "c.seal", "--policy", "open.toml", cwd=place)
    assert (done.code, done.out.splitlines()[0]) == (0, "c.seal: accepted: Acme acme-agent 1.2.3-4, unproved, unsigned")


@pytest.mark.parametrize("form", ["text", "json", "sarif"])
def test_a_result_goes_to_a_file_whatever_the_verdict_is(place: Path, form: str) -> None:
    for bundle, code in (("a.seal", 0), ("bare.seal", 1)):
        shown = verify(place, bundle, "--format", form, "--at", "2026-01-01")
        done = verify(place, bundle, "--format", form, "--at", "2026-01-01", "-o", "result", leaves=("result",))
        assert (done.code, done.out, done.err) == (code, "", "")
        assert (place / "result").read_text() == shown.out
        (place / "result").unlink()


def test_a_result_does_not_replace_what_is_read(place: Path) -> None:
    for target in ("a.seal", "policy.toml"):
        done = verify(place, "a.seal", "-o", target)
        assert done.code == 2
        assert "is read by this command" in done.err


# inspect.


def test_inspect_has_a_line_for_each_of_several(place: Path) -> None:
    done = run("inspect", "a.seal", "bare.seal", cwd=place)
    assert done.code == 0
    first, second = done.out.splitlines()
    assert first.startswith("a.seal: UNPROVED: Acme acme-agent 1.2.3-4, claims partner, .seal, ")
    assert first.endswith(", 1 signature")
    assert second.endswith(", 0 signatures")


@pytest.mark.parametrize(
    ("bundles", "code"),
    [(("a.seal", "nothere"), 3), (("nothere", "text.seal"), 1), (("text.seal", "nothere"), 1), (("a.seal", "."), 3)],
)
def test_the_worst_of_several_inspections_decides(place: Path, bundles: tuple[str, ...], code: int) -> None:
    done = run("inspect", *bundles, cwd=place)
    assert done.code == code
    assert [line.split(":")[0] for line in done.out.splitlines()] == list(bundles)
    document = json.loads(run("inspect", *bundles, "--format", "json", cwd=place).out)
    assert (document["schema"], document["unproved"]) == ("modseal/inspections@1", True)
    assert [one["bundle"] for one in document["results"]] == list(bundles)


def test_digests_of_several_bundles_are_one_table(place: Path) -> None:
    done = run("inspect", "a.seal", "b.seal", "--digests", cwd=place)
    assert done.code == 0
    assert len(tomllib.loads(done.out)["deny"]["digests"]) == 4


# extract.


def extract(place: Path, *arguments: str, leaves: tuple[str, ...] = ()) -> Transcript:
    return run("extract", *arguments, "-C", "out", cwd=place, prefixed=False, leaves=leaves)


def test_each_bundle_is_unpacked_into_its_own_folder(place: Path) -> None:
    done = extract(place, "a.seal", "b.seal", *POLICY)
    assert (done.code, done.err) == (0, "")
    assert [line.split(":")[0] for line in done.out.splitlines()] == ["a.seal", "b.seal"]
    assert sorted(os.listdir(place / "out")) == ["a", "b"]
    assert sorted(os.listdir(place / "out" / "a")) == sorted(os.listdir(place / "out" / "b")) != []


def test_what_is_not_accepted_leaves_nothing_and_the_others_are_there(place: Path) -> None:
    (place / "reference").mkdir()
    assert run("extract", "a.seal", "-C", "reference/a", *POLICY, cwd=place).code == 0
    made = tuple(f"out/{path.relative_to(place / 'reference')}" for path in (place / "reference").rglob("*"))
    done = extract(place, "bare.seal", "a.seal", "nothere", *POLICY, leaves=("out", *made))
    assert done.code == 1
    assert os.listdir(place / "out") == ["a"]
    assert done.out.startswith("a.seal: extracted ")
    assert done.err.splitlines() == [
        f"modseal: bare.seal: {UNSIGNED}",
        f"modseal: nothere: {GONE}",
    ]


def test_where_none_is_accepted_not_even_the_folder_is_left(place: Path) -> None:
    assert extract(place, "bare.seal", "text.seal", *POLICY).code == 1
    assert not (place / "out").exists()


@pytest.mark.parametrize(
    "bundles", [("a.seal", "a.seal"), ("a.seal", "a.vib"), ("a.seal", "deeper/a.seal"), ("a.seal", "-")]
)
def test_two_bundles_never_share_a_folder(place: Path, bundles: tuple[str, ...]) -> None:
    done = extract(place, *bundles, *POLICY)
    assert (done.code, done.out) == (2, "")
    assert not (place / "out").exists()


def test_a_folder_with_something_in_it_stops_before_anything_is_written(place: Path) -> None:
    (place / "out" / "b").mkdir(parents=True)
    (place / "out" / "b" / "mine").write_text("keep")
    done = extract(place, "a.seal", "b.seal", *POLICY)
    assert done.code == 2
    assert "not empty" in done.err
    assert os.listdir(place / "out") == ["b"]
