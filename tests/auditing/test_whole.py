"""An audit of just what was found before is replayed whole, and of anything else it is not."""

from __future__ import annotations

import gzip
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from builders import bundles, depots, pki, policies
from builders.audits import folder_of
from builders.pki import NOW
from modseal import limits
from modseal.auditing import request
from modseal.auditing.cache import FILE
from modseal.auditing.engine import Serial
from modseal.auditing.finding import Severity
from modseal.auditing.inventory import Inventory
from modseal.auditing.request import Request, perform
from modseal.auditing.run import Audit, Outcome, run
from modseal.auditing.spool import Spool
from modseal.auditing.target import FileTarget
from modseal.files import identity
from modseal.format.times import time_text
from modseal.policy.sources import load
from modseal.report import audit_json, audit_text
from modseal.trust.policy import Allowance

ENDS = NOW + timedelta(days=200)


@pytest.fixture
def depot(tmp_path: Path) -> Path:
    """Two good bundles, one that is damaged, and a file that is none."""
    folder_of(tmp_path / "depot", 2)
    (tmp_path / "depot" / "bad.seal").write_bytes(bundles.make("seal", name="bad").data[:-1])
    (tmp_path / "depot" / "notes.txt").write_text("nothing")
    return tmp_path / "depot"


@pytest.fixture
def asked(tmp_path: Path, depot: Path, monkeypatch: pytest.MonkeyPatch) -> Request:
    """An audit of the depot, in this process and with a cache; what was written a moment ago counts as settled."""
    monkeypatch.setattr(identity, "_SETTLED", 0)
    policy = load(str(policies.write(tmp_path)))
    return Request((str(depot),), policy, NOW, jobs=1, deadline=0, cache=tmp_path / "cache")


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Has an entry for each audit that was not replayed."""
    runs: list[str] = []

    def noting(*what: object) -> Audit:
        runs.append("ran")
        return run(*what)  # type: ignore[arg-type]

    monkeypatch.setattr(request, "run", noting)
    return runs


def told(audit: Audit) -> tuple[bytes, ...]:
    return b"".join(audit_json.render(audit)), b"".join(audit_text.render(audit, verbose=True))


def test_what_did_not_change_is_replayed_and_every_report_is_the_same(asked: Request, ran: list[str]) -> None:
    first, second, third = (perform(asked) for _ in range(3))
    assert ran == ["ran"]
    assert told(first) == told(second) == told(third)
    assert (first.worst, first.complete) == (second.worst, second.complete) == (Severity.HIGH, True)


def test_what_was_in_doubt_is_in_doubt_again(asked: Request, ran: list[str], depot: Path) -> None:
    (depot / "agent.seal.gz").write_bytes(gzip.compress(bundles.make("seal").data))
    strict = replace(asked, strict_coverage=True)
    assert perform(strict).doubt
    assert perform(strict).doubt
    assert ran == ["ran"]


LATER = (NOW - timedelta(days=30), NOW + timedelta(days=1), datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC))


@pytest.mark.parametrize("at", LATER)
def test_a_report_of_what_was_kept_is_that_of_its_own_time(asked: Request, ran: list[str], depot: Path, at) -> None:
    """To the byte: of no file that is known, of none but one, and of all of them."""
    expired = pki.leaf("Expired", end=NOW - timedelta(days=60))
    (depot / "expired.seal").write_bytes(bundles.make("seal", expired, name="old").data)
    perform(asked)
    anew = told(perform(replace(asked, at=at, cache=None)))
    assert told(perform(replace(asked, at=at))) == anew
    assert len(ran) == 2, "it was replayed"
    for changed in sorted(depot.iterdir()):
        flip(changed)  # which changes it, and back
        flip(changed)
        assert told(perform(replace(asked, at=at))) == anew
        break
    assert len(ran) == 3, "each file was known by itself"


def test_a_year_of_three_digits_is_told_as_every_other(asked: Request, ran: list[str]) -> None:
    perform(replace(asked, at=datetime(900, 1, 1, tzinfo=UTC)))
    later = replace(asked, at=datetime(901, 2, 3, tzinfo=UTC))
    assert told(perform(later)) == told(perform(replace(later, cache=None)))
    assert len(ran) == 2, "it was replayed"


def test_what_is_set_aside_is_told_as_of_its_own_time(asked: Request, ran: list[str], depot: Path) -> None:
    expired = pki.leaf("Expired", end=NOW - timedelta(days=60))
    (depot / "expired.seal").write_bytes(bundles.make("seal", expired, name="old").data)
    some = replace(asked, ignore=("no-timestamp",))
    perform(some)
    later = replace(some, at=LATER[1])
    assert told(perform(later)) == told(perform(replace(later, cache=None)))
    assert len(ran) == 2


def test_a_bundle_that_says_just_the_time_of_the_audit_is_not_kept(asked: Request, tmp_path: Path) -> None:
    signed = datetime(2025, 6, 1, 12, tzinfo=UTC)
    [result, *_] = perform(replace(asked, at=signed)).results()
    assert result["signers"][0]["claimed_time"] == time_text(signed)
    assert wholes(tmp_path) == 0
    assert told(perform(asked)) == told(perform(replace(asked, cache=None)))
    assert wholes(tmp_path) == 1


def test_no_text_of_a_bundle_is_taken_for_a_mark(asked: Request, depot: Path, ran: list[str]) -> None:
    strange = pki.leaf("a\x01b\x02c", end=NOW - timedelta(days=60))
    (depot / "d\x01e\x02f.seal").write_bytes(bundles.make("seal", strange).data)
    first = told(perform(asked))
    assert told(perform(asked)) == first == told(perform(replace(asked, cache=None)))
    assert len(ran) == 2
    assert b"d\\u0001e\\u0002f.seal" in first[0]
    assert b"CN=a\\u0001b\\u0002c," in first[0]


def test_a_policy_of_another_name_is_named_by_that(asked: Request, tmp_path: Path) -> None:
    """Its bytes are the same: the reason that it trusts nobody has its name."""
    nobody = 'schema = "modseal/policy@1"\nminimum-level = "community"\nallow-unsigned-community = true\n'
    for name in ("one.toml", "two.toml"):
        (tmp_path / name).write_text(nobody)
        other = replace(asked, policy=load(str(tmp_path / name)))
        assert told(perform(other)) == told(perform(replace(other, cache=None)))


def stop(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_replay_that_is_interrupted_says_so_and_is_gone_on_with(asked: Request, ran: list[str]) -> None:
    whole = perform(asked)
    stopped = perform(asked, progress=stop)
    assert (stopped.complete, stopped.outcome(Severity.HIGH)) == (False, Outcome.INTERRUPTED)
    assert b"interrupted" in told(stopped)[1]
    assert told(perform(replace(asked, resume=True, at=LATER[1]))) == told(whole)
    assert ran == ["ran"]


def test_of_a_replay_that_is_interrupted_early_there_is_nothing(asked: Request, monkeypatch) -> None:
    """Numbers and lines of a half would not fit together."""
    perform(asked)
    monkeypatch.setattr(Spool, "extend", stop)
    stopped = perform(asked)
    assert (stopped.complete, stopped.summary.bundles, list(stopped.results())) == (False, 0, [])


def test_an_audit_that_is_interrupted_while_it_is_kept_leaves_the_cache_sound(
    asked: Request, ran: list[str], monkeypatch, tmp_path: Path
) -> None:
    said: list[str] = []
    monkeypatch.setattr(Spool, "blocks", stop)
    assert not perform(asked, said.append).complete
    monkeypatch.undo()
    monkeypatch.setattr(identity, "_SETTLED", 0)
    assert (wholes(tmp_path), said) == (0, [])
    assert perform(asked, said.append).complete
    assert (wholes(tmp_path), said) == (1, [])


def test_an_allowance_ends_on_its_day(asked: Request, ran: list[str]) -> None:
    allowance = Allowance("no-timestamp", "agreed", expires=NOW.date(), modules=("*",))
    allowing = replace(asked, policy=replace(asked.policy, allowances=(allowance,)))
    tomorrow = NOW + timedelta(days=1)
    set_aside = [perform(replace(allowing, at=at)).summary.set_aside["allowed"] for at in (NOW, NOW, tomorrow)]
    assert set_aside == [2, 2, 0]
    assert ran == ["ran", "ran"]


def test_whoever_watches_is_told_of_every_bundle(asked: Request, ran: list[str]) -> None:
    perform(asked)
    seen: list[int] = []
    perform(asked, progress=lambda summary: seen.append(summary.bundles))
    assert (len(seen), len(ran)) == (3, 1)


def flip(path: Path) -> None:
    """Change one byte, with the old size and time."""
    status, data = path.stat(), bytearray(path.read_bytes())
    data[-20] ^= 1
    time.sleep(0.02)  # the kernel counts ctime in steps of a few milliseconds
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def as_another_file(path: Path) -> None:
    shutil.copy2(path, path.with_name("new"))
    path.with_name("new").replace(path)


CHANGES: dict[str, Callable[[Path], object]] = {
    "a byte": lambda depot: flip(depot / "000.seal"),
    "one more bundle": lambda depot: (depot / "002.seal").write_bytes(bundles.make("seal", name="m2").data),
    "one bundle less": lambda depot: (depot / "000.seal").unlink(),
    "another name": lambda depot: (depot / "000.seal").rename(depot / "0.seal"),
    "the same bytes in another file": lambda depot: as_another_file(depot / "000.seal"),
    "a link in its place": lambda depot: (
        (depot / "000.seal").rename(depot.parent / "away.seal"),
        (depot / "000.seal").symlink_to(depot / "001.vib"),
    ),
    "what was left out hides something": lambda depot: (depot / "notes.txt").write_bytes(
        gzip.compress(bundles.make("seal").data)
    ),
    "a folder that cannot be followed": lambda depot: (depot / "there").symlink_to(depot),
    "a depot": lambda depot: depots.make().write(depot / "all.zip"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_whatever_changed_is_seen(asked: Request, ran: list[str], depot: Path, what: str) -> None:
    perform(asked)
    CHANGES[what](depot)
    assert told(perform(asked)) == told(perform(replace(asked, cache=None)))
    assert len(ran) == 3
    audit = perform(asked)
    assert len(ran) == (4 if what == "a depot" else 3), "kept whole again, but for what is more than its identity"
    assert audit.summary.plain() == perform(replace(asked, cache=None)).summary.plain()


def test_what_counts_is_decided_anew(asked: Request, ran: list[str], tmp_path: Path) -> None:
    baseline = tmp_path / "baseline.json"
    baseline.write_bytes(told(perform(asked))[0])
    others = (
        replace(asked, ignore=("no-timestamp",)),
        replace(asked, select=("no-timestamp",)),
        replace(asked, baseline=baseline),
        replace(asked, strict_coverage=True),
        replace(asked, paths=(*asked.paths, str(tmp_path / "none"))),
        replace(asked, policy=load(str(policies.write(tmp_path, minimum="certified", name="other.toml")))),
    )
    for number, other in enumerate(others, 2):
        assert told(perform(other)) == told(perform(replace(other, cache=None)))
        assert len(ran) == 2 * number - 1
    assert told(perform(asked)) == told(perform(replace(asked, cache=None)))


@pytest.mark.parametrize(
    ("at", "runs", "accepted"),
    [(ENDS - timedelta(days=120), 1, 3), (ENDS, 2, 3), (ENDS + timedelta(seconds=1), 2, 2), (NOW, 1, 3)],
)
def test_it_holds_for_as_long_as_every_result(asked: Request, ran, depot: Path, at, runs: int, accepted: int) -> None:
    (depot / "short.seal").write_bytes(bundles.make("seal", pki.leaf(end=ENDS)).data)
    perform(asked)
    assert perform(replace(asked, at=at)).summary.verdicts["accepted"] == accepted
    assert len(ran) == runs


def wholes(tmp_path: Path) -> int:
    with closing(sqlite3.connect(tmp_path / "cache" / FILE)) as connection:
        count: int = connection.execute("SELECT count(*) FROM wholes").fetchone()[0]
        pages = connection.execute("SELECT DISTINCT whole FROM pages").fetchall()
        assert pages == connection.execute("SELECT number FROM wholes ORDER BY number").fetchall()
    return count


def test_with_one_file_that_could_change_unseen_nothing_is_kept_whole(asked: Request, depot: Path, tmp_path) -> None:
    with (depot / "001.vib").open("r+b"):
        perform(asked)
    assert wholes(tmp_path) == 0
    perform(asked)
    assert wholes(tmp_path) == 1


def test_nor_where_a_file_is_still_fresh(asked: Request, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(identity, "_SETTLED", 3_600_000_000_000)
    perform(asked)
    assert wholes(tmp_path) == 0


def test_nor_with_one_result_that_must_not_be_kept(asked: Request, depot: Path, tmp_path: Path) -> None:
    (depot / "short.seal").write_bytes(bundles.make("seal", pki.leaf(end=NOW)).data)
    perform(asked)
    assert wholes(tmp_path) == 0


def test_nor_an_audit_that_was_stopped(asked: Request, tmp_path: Path) -> None:
    def stop(_summary: object) -> None:
        raise KeyboardInterrupt

    assert not perform(asked, progress=stop).complete
    assert wholes(tmp_path) == 0


def test_what_is_to_be_examined_again_is_not_replayed(asked: Request, ran: list[str], tmp_path: Path) -> None:
    perform(asked)
    perform(replace(asked, cached=False))
    assert len(ran) == 2
    assert wholes(tmp_path) == 1


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE pages SET page = substr(page, 2) WHERE spool = 'result_spool'",
        "DELETE FROM pages WHERE spool = 'finding_spool'",
        "UPDATE pages SET spool = 'late_spool' WHERE spool = 'finding_spool'",
        "UPDATE wholes SET head = replace(head, 'rejected', 'accepted')",
        "UPDATE wholes SET before = before + 1",
        "UPDATE wholes SET head = CAST(head AS BLOB)",
    ],
)
def test_damage_is_noticed(asked: Request, ran: list[str], tmp_path: Path, damage: str) -> None:
    first = perform(asked)
    with closing(sqlite3.connect(tmp_path / "cache" / FILE)) as connection:
        assert connection.execute(damage).rowcount
        connection.commit()
    assert told(perform(asked)) == told(first)
    assert len(ran) == 2


def test_the_oldest_are_forgotten_where_they_have_too_many_bundles(asked, depot: Path, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(limits, "CACHED_RESULTS", 4)
    for paths in ((str(depot),), (str(depot / "000.seal"),), (str(depot / "001.vib"),)):
        perform(replace(asked, paths=paths))
    assert wholes(tmp_path) == 2


def test_an_identity_of_another_file_system_means_nothing(depot: Path) -> None:
    path = depot / "000.seal"
    status = path.stat()
    inventory = Inventory(status.st_dev + 1)
    inventory.add(FileTarget(str(path)), identity.identity_of(status))
    assert not inventory.recognisable


def test_a_cluster_that_is_to_examine_is_asked(asked: Request, ran: list[str], monkeypatch) -> None:
    perform(asked)
    monkeypatch.setattr(request, "_engine", lambda *_what: Serial(asked.policy, NOW))
    perform(replace(asked, dask="tcp://127.0.0.1:8786"))
    assert len(ran) == 2
