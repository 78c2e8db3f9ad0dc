"""The expiry scenarios of tuf-conformance, by their names, on depot files (see `test_rollback`)."""

from __future__ import annotations

from pathlib import Path

from builders import recalls
from builders import signed_depots as depots
from builders.pki import signer
from depot.client import Client

DAY, NOW = depots.DAY, depots.NOW
OLD, NEW = signer("p256", 1), signer("p256", 2)
PAST = NOW - DAY / 2


def test_root_expired(tmp_path: Path) -> None:
    """An expired index that changes the signers is not taken; on the way to a current one its expiry means nothing."""
    client = Client(tmp_path)
    client.accepts(depots.index(by=[OLD]))
    changes = depots.index(
        version=2, by=[OLD, NEW], root=depots.root_of(NEW), previous_root=depots.root_of(OLD), expires=PAST
    )
    client.refuses(changes, "depot-expired")
    assert client.seen == 1
    client.accepts(depots.index(version=3, by=[NEW], rotations=[changes]), rotations=[changes])
    assert client.seen == 3


def test_timestamp_expired(tmp_path: Path) -> None:
    """A newer index that has expired is not taken."""
    client = Client(tmp_path)
    client.accepts(depots.index())
    client.refuses(depots.index(version=2, expires=PAST), "depot-expired")
    assert client.seen == 1


def test_snapshot_expired(tmp_path: Path) -> None:
    """Freeze: the newest index that was seen is refused too once it has expired."""
    client = Client(tmp_path)
    only = depots.index(expires=NOW + DAY)
    client.accepts(only)
    client.accepts(only, at=NOW + DAY / 2)
    detail = client.refuses(only, "depot-expired", at=NOW + DAY)
    assert detail == "version 1 expired on 2026-01-02T00:00:00Z"


def test_targets_expired(tmp_path: Path) -> None:
    """A current index with an expired recall is taken, and no bundle is accepted while the recall is not current."""
    client = Client(tmp_path)
    client.accepts(depots.index())
    old = recalls.make(recalls.entry("other"), expires=PAST)
    checked = client.check(depots.index(version=2, recalls=[old]), recalls=[old])
    assert {str(result.verdict) for result in checked.results} == {"undecided"}
    assert checked.results[0].examination
    assert checked.results[0].examination.primary
    assert checked.results[0].examination.primary.code == "recall-expired"
    assert client.seen == 2


def test_expired_local_root(tmp_path: Path) -> None:
    """What was seen has expired, and a newer index with other signers has not."""
    client = Client(tmp_path)
    client.accepts(depots.index(by=[OLD], expires=NOW + 7 * DAY))
    newer = depots.index(
        version=2, by=[OLD, NEW], root=depots.root_of(NEW), previous_root=depots.root_of(OLD), expires=NOW + 21 * DAY
    )
    client.accepts(newer, at=NOW + 18 * DAY)
    assert client.seen == 2


def test_expired_local_timestamp(tmp_path: Path) -> None:
    """What was seen has expired, and a newer index has not."""
    client = Client(tmp_path)
    client.accepts(depots.index(expires=NOW + 7 * DAY))
    client.accepts(depots.index(version=2, expires=NOW + 21 * DAY), at=NOW + 18 * DAY)
    assert client.seen == 2
