"""The one function behind `modseal audit`, the API and a service: what is asked for decides, and nothing is printed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from builders import policies
from builders.audits import folder_of
from builders.bundles import snapshot
from builders.pki import NOW
from modseal.auditing import cache, request
from modseal.auditing.finding import Severity
from modseal.auditing.request import Request, count, perform
from modseal.auditing.run import Outcome, Summary
from modseal.errors import UsageError
from modseal.policy.sources import load


@pytest.fixture
def asked(tmp_path: Path) -> Request:
    """An audit of three good bundles in this process, with a cache of its own."""
    policies.write(tmp_path)
    folder_of(tmp_path / "depot", 3)
    policy = load(str(tmp_path / "policy.toml"))
    return Request((str(tmp_path / "depot"),), policy, NOW, jobs=1, deadline=0, cache=tmp_path / "cache")


def test_what_it_comes_to_depends_on_the_severity_that_fails(asked: Request) -> None:
    audit = perform(asked)
    assert audit.outcome(Severity.MEDIUM) is Outcome.PASSED
    assert audit.outcome(Severity.LOW) is Outcome.FAILED


def test_an_audit_of_nothing_is_undecided(asked: Request, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert perform(replace(asked, paths=(str(tmp_path / "empty"),))).outcome(Severity.HIGH) is Outcome.UNDECIDED


def test_without_a_cache_folder_nothing_is_written(asked: Request, tmp_path: Path) -> None:
    before = snapshot(tmp_path)
    perform(replace(asked, cache=None))
    assert snapshot(tmp_path) == before


def test_an_audit_that_was_stopped_has_what_it_found_and_is_gone_on_with_as_of_its_time(asked: Request) -> None:
    def stop(summary: Summary) -> None:
        if summary.bundles == 2:
            raise KeyboardInterrupt

    stopped = perform(asked, progress=stop)
    assert (stopped.summary.bundles, stopped.outcome(Severity.INFO)) == (2, Outcome.INTERRUPTED)
    later = replace(asked, at=NOW + timedelta(days=30), resume=True)
    done = perform(later)
    assert (done.complete, done.at, done.summary.bundles) == (True, NOW, 3)
    with pytest.raises(UsageError, match="no audit of these paths"):
        perform(later)


def test_a_rule_that_does_not_exist_leaves_no_audit_to_go_on_with(asked: Request) -> None:
    with pytest.raises(UsageError, match="there is no such rule"):
        perform(replace(asked, select=("no-such-rule",)))
    with pytest.raises(UsageError, match="no audit of these paths"):
        perform(replace(asked, resume=True))


def test_rules_are_chosen_once(asked: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []
    real = request.choose
    monkeypatch.setattr(request, "choose", lambda *args, **options: calls.append(args) or real(*args, **options))
    perform(asked)
    assert len(calls) == 1


def test_a_bundle_is_no_output(asked: Request, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is one of the bundles"):
        perform(replace(asked, outputs=(tmp_path / "depot" / "000.seal",)))


def test_trouble_with_the_cache_is_told_and_stops_nothing(asked: Request, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    told: list[str] = []
    assert perform(asked, told.append).complete
    assert [text for text in told if "no cache" in text]
    assert cache.FILE not in [path.name for path in folder.iterdir() if path.stat().st_size]


def test_what_will_be_examined_is_counted_before(asked: Request) -> None:
    assert count(asked.paths) == perform(asked).summary.bundles == 3
