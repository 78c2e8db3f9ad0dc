"""The last fence: a fault of ours costs one bundle its verdict, and what is said of it has no byte of the bundle."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest

from builders import policies
from builders.audits import audit_of
from builders.bundles import make
from builders.pki import NOW
from builders.transcript import Transcript, run
from modseal.auditing.cache import Cache
from modseal.bundle.fence import fenced
from modseal.bundle.inspect import inspect
from modseal.errors import FormatError, InternalError
from modseal.policy.sources import load
from modseal.trust import examine
from modseal.trust.examination import Verdict

SECRET = "xyzzy"
"""Part of what the fault says: it may be a byte of the bundle, so nobody may see it."""
NO_TRACEBACK = {"MODSEAL_TRACEBACK": ""}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Good bundles, of which the second meets a fault of ours; the last is refused."""
    policies.write(tmp_path)
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.seal").write_bytes(make("seal", name=f"module-{name}").data)
    return tmp_path


@pytest.fixture(params=[AssertionError, KeyError, MemoryError, type("PanicException", (BaseException,), {})])
def fault(request: pytest.FixtureRequest) -> Iterator[None]:
    """While the second bundle's signature is verified, something happens that nobody expected."""
    good: Callable[..., object] = examine.verify_member

    def faulty(member: bytes, content: bytes, *more: object, **named: object) -> object:
        if b"module-b" in content:
            raise request.param(SECRET)
        return good(member, content, *more, **named)

    with mock.patch.object(examine, "verify_member", faulty):
        yield


def audit(place: Path, *options: str) -> Transcript:
    names = ("a.seal", "b.seal", "c.seal")
    common = ("--policy", "policy.toml", "--no-cache", "--jobs", "2")
    return run("audit", *names, *common, *options, cwd=place, env=NO_TRACEBACK)


@pytest.mark.usefixtures("fault")
def test_ERR_02_verify_goes_on_with_the_others_and_says_what_a_report_needs(place: Path) -> None:
    names = ("a.seal", "b.seal", "c.seal", "--policy", "policy.toml")
    done = run("verify", *names, "--format", "json", cwd=place, env=NO_TRACEBACK)
    results = json.loads(done.out)["results"]
    assert (done.code, [one["verdict"] for one in results]) == (3, ["accepted", "undecided", "accepted"])
    failure = results[1]["error"]
    assert failure["code"] == "internal-error"
    assert set(failure["evidence"]) == {"exception", "place", "modseal", "cryptography", "openssl"}
    assert failure["evidence"]["place"].split(":")[0].endswith("test_fence")
    assert SECRET not in done.out + done.err
    text = run("verify", *names, cwd=place, env=NO_TRACEBACK)
    assert (text.code, SECRET in text.out + text.err) == (3, False)
    assert "a bug in modseal" in text.out
    assert "Report the bug with" in text.out
    (place / "c.seal").write_bytes(b"damaged")
    assert run("verify", *names, cwd=place, env=NO_TRACEBACK).code == 1
    assert "internal-error" in run("verify", *names, "--format", "sarif", cwd=place, env=NO_TRACEBACK).out


@pytest.mark.usefixtures("fault")
@pytest.mark.parametrize("form", ["text", "json", "sarif", "html", "csv", "junit"])
def test_ERR_02_every_report_of_an_audit_has_it_as_undecided(place: Path, form: str) -> None:
    done = audit(place, "--format", form)
    assert (done.code, "internal-error" in done.out, SECRET in done.out + done.err) == (3, True, False)
    if form == "json":
        assert [one["verdict"] for one in json.loads(done.out)["results"]] == ["accepted", "undecided", "accepted"]
    if form == "csv":
        rows = list(csv.DictReader(io.StringIO(done.out)))
        assert {row["bundle"]: row["verdict"] for row in rows if row["verdict"]}["b.seal"] == "undecided"


@pytest.mark.usefixtures("fault")
def test_the_other_commands_end_as_undecided_and_leave_nothing(place: Path) -> None:
    policy = ("--policy", "policy.toml")
    for command in (("extract", "b.seal", "-C", "out", *policy), ("sbom", "b.seal", *policy)):
        done = run(*command, cwd=place, env=NO_TRACEBACK, prefixed=False)
        assert (done.code, SECRET in done.out + done.err) == (3, False)
        assert "a bug in modseal" in done.out + done.err
    with (
        mock.patch("modseal.bundle.inspect.cms.split_blocks", side_effect=AssertionError(SECRET)),
        pytest.raises(InternalError),
    ):
        inspect(place / "b.seal")


def test_who_looks_for_the_fault_gets_the_traceback(place: Path) -> None:
    with (
        mock.patch.object(examine, "verify_member", side_effect=AssertionError(SECRET)),
        pytest.raises(AssertionError),
    ):
        run("verify", "a.seal", "--policy", "policy.toml", cwd=place)


def test_ERR_02_no_cache_keeps_what_a_fault_kept_from_being_examined(place: Path) -> None:
    policy = load(str(place / "policy.toml"))
    complaints: list[str] = []
    with Cache.opened(place / "cache", "x", NOW, complaints.append) as cache:
        assert cache
        cache.begin("k")
        with mock.patch("modseal.auditing.look.examine", side_effect=AssertionError):
            found = audit_of([place / "a.seal"], policy, cache=cache)
        assert found.summary.verdicts == {Verdict.UNDECIDED: 1}
        assert audit_of([place / "a.seal"], policy, cache=cache).summary.verdicts == {Verdict.ACCEPTED: 1}
    assert complaints == []


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), OSError(5, "x"), FormatError("unsigned", "x")])
def test_what_is_no_fault_passes(error: BaseException) -> None:
    with pytest.raises(type(error)), fenced("x"):
        raise error


def test_the_place_is_the_innermost_one() -> None:
    with pytest.raises(InternalError) as caught, fenced("x"):
        json.loads("[" * 100_000)
    assert caught.value.failure.evidence["exception"] == "RecursionError"
    assert str(caught.value.failure.evidence["place"]).startswith("json.decoder:")


def test_a_depot_that_meets_a_fault_is_undecided(place: Path) -> None:
    with mock.patch("modseal.auditing.discover.looks_like_depot", side_effect=AssertionError(SECRET)):
        found = audit_of([place], load(str(place / "policy.toml")))
    assert [(finding.rule, finding.undecided) for finding in found.findings()] == [("internal-error", True)]
