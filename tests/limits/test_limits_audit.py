"""The limits of audits: of one bundle's findings, and of what a cache keeps."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from builders import bundles, pki, policies
from builders.audits import audit_of, folder_of
from builders.pki import NOW
from builders.rules import record
from limits.cover import bounds
from modseal import limits
from modseal.auditing.cache import FILE, Cache, context_of
from modseal.auditing.finding import Finding, Kind
from modseal.format.level import Level
from modseal.policy.sources import load


def with_misplaced_files(count: int) -> bytes:
    """A community module with so many files outside the allowed paths: each is a check that fails."""
    files = {f"etc/{number:05}": b"" for number in range(count)}
    return bundles.make("vib", files=files, claimed_level=Level.COMMUNITY).data


@bounds("FINDINGS")
@pytest.mark.parametrize(("count", "findings"), [(-1, -1), (0, 0), (1, 1), (700, 1)])
def test_so_many_checks_of_one_bundle_become_findings_and_one_more_says_how_many_there_are(tmp_path, count, findings):
    path = tmp_path / "a.vib"
    path.write_bytes(with_misplaced_files(limits.FINDINGS + count))
    audit = audit_of([path], policies.trusting(community_paths=("opt",)))
    found: list[Finding] = [finding for finding in audit.findings() if finding.kind is Kind.CHECK]
    assert len(found) == limits.FINDINGS + findings
    assert (found[-1].detail == f"and {count} more checks of this bundle that did not pass; its result has each") == (
        count > 0
    )


def test_that_one_is_in_a_record_as_it_is_whatever_its_check_says_of_the_time(monkeypatch):
    """The finding for all that remain has the evidence of the first of them, and no time in its sentence."""
    monkeypatch.setattr(limits, "FINDINGS", 0)
    expired = pki.leaf(end=NOW - timedelta(days=1))
    told = [one.detail for one in record(bundles.make("seal", expired)).findings if one.kind is Kind.CHECK]
    assert told == ["and 1 more checks of this bundle that did not pass; its result has each"]


@bounds("DIRECTORIES")
@pytest.mark.parametrize(("most", "undecided"), [(5, False), (4, False), (3, True)])
def test_so_many_directories_of_all_bundles_are_compared(tmp_path, monkeypatch, most, undecided):
    monkeypatch.setattr(limits, "DIRECTORIES", most)
    for name in ("one", "two"):
        files = {f"opt/{name}/f": b"", f"opt/{name}/sub/f": b""} if name == "one" else {f"opt/{name}/f": b""}
        (tmp_path / f"{name}.seal").write_bytes(bundles.make(name=name, files=files).data)
    found = [one for one in audit_of([tmp_path], policies.trusting()).findings() if one.rule == "path-of-another-kind"]
    assert [one.undecided for one in found] == [True] * undecided


def count(folder: Path, table: str) -> int:
    with closing(sqlite3.connect(folder / "cache" / FILE)) as connection:
        number: int = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        return number


def audits(tmp_path: Path, times: int = 1, minimum: str = "community") -> None:
    """Audits of the depot with a cache, each a run of its own."""
    policy = load(str(policies.write(tmp_path, minimum=minimum)))
    assert policy.origin
    for number in range(times):
        at = NOW + timedelta(seconds=number)
        with Cache.opened(tmp_path / "cache", context_of(policy.origin), at, pytest.fail) as cache:
            assert cache
            cache.begin("key")
            audit_of([tmp_path / "depot"], policy, at, cache=cache)


@bounds("CACHED_RESULTS")
@pytest.mark.parametrize(("bundles_", "left"), [(2, 2), (3, 3), (4, 3)])
def test_a_cache_keeps_so_many_results(tmp_path, monkeypatch, bundles_, left):
    monkeypatch.setattr(limits, "CACHED_RESULTS", 3)
    folder_of(tmp_path / "depot", bundles_)
    audits(tmp_path)
    assert count(tmp_path, "results") == left


@bounds("CACHED_CONTEXTS")
@pytest.mark.parametrize(("contexts", "left"), [(1, 1), (2, 2), (3, 2)])
def test_a_cache_keeps_the_results_of_so_many_policies(tmp_path, monkeypatch, contexts, left):
    monkeypatch.setattr(limits, "CACHED_CONTEXTS", 2)
    folder_of(tmp_path / "depot", 1)
    for minimum in ("community", "partner", "accepted")[:contexts]:
        audits(tmp_path, minimum=minimum)
    assert count(tmp_path, "results") == left


@bounds("CACHED_RUNS")
@pytest.mark.parametrize(("times", "left"), [(1, 1), (3, 3), (4, 3)])
def test_a_cache_remembers_so_many_runs(tmp_path, monkeypatch, times, left):
    monkeypatch.setattr(limits, "CACHED_RUNS", 3)
    folder_of(tmp_path / "depot", 1)
    audits(tmp_path, times)
    assert count(tmp_path, "runs") == left
