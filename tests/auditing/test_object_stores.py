"""Bundles in S3, through s3fs, from a real server (moto's)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from builders import s3
from builders.bundles import make
from builders.pki import NOW
from builders.policies import trusting
from modseal.auditing.discover import discover
from modseal.auditing.engine import Serial
from modseal.auditing.record import Record
from modseal.auditing.remote import RemoteTarget
from modseal.auditing.target import LeftOut, Unreadable
from modseal.files import fetch
from modseal.files.address import read
from modseal.trust.examination import Verdict

for package in ("s3fs", "moto", "flask", "flask_cors"):
    pytest.importorskip(package, reason=f"{package} is not installed")

pytestmark = pytest.mark.xdist_group("s3")

GOOD = make().data
LARGE = GOOD + bytes(fetch.IN_MEMORY)
OBJECTS = {
    "depot/b.seal": GOOD,
    "depot/a/x.vib": make("vib").data,
    "depot/a/": b"",
    "depot/a.seal": b"broken",
    "depot/a-/y.seal": GOOD,
    "depot/what? caf\xe9": GOOD,
    "depot/what?versionId=1": GOOD,
    "depot/readme": b"read me",
    "depot//odd.seal": GOOD,
    "depot/c/../d.seal": GOOD,
    "large.seal": LARGE,
}


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    with s3.store() as url, pytest.MonkeyPatch.context() as patch:
        for name, value in {**s3.CREDENTIALS, "AWS_ENDPOINT_URL": url}.items():
            patch.setenv(name, value)
        s3.fill(url, "releases", OBJECTS)
        yield "s3://releases"


def record_of(url: str) -> Record:
    [record] = Serial(trusting(), NOW).records(discover([url]))  # type: ignore[arg-type]
    return record


def test_a_prefix_is_walked_like_a_folder(bucket: str) -> None:
    found = [(type(one), one.name.removeprefix(f"{bucket}/depot/")) for one in discover([f"{bucket}/depot"])]
    assert found == [
        (Unreadable, ""),  # what is behind two slashes in a row
        (RemoteTarget, "a/x.vib"),
        (RemoteTarget, "a-/y.seal"),
        (RemoteTarget, "a.seal"),
        (RemoteTarget, "b.seal"),
        (Unreadable, "c/.."),
        (LeftOut, "readme"),
        (RemoteTarget, "what? caf\xe9"),
        (Unreadable, "what?versionId=1"),  # to s3fs, a version of another object
    ]


def test_each_object_has_its_verdict(bucket: str) -> None:
    targets = [one for one in discover([f"{bucket}/depot/"]) if isinstance(one, RemoteTarget)]
    verdicts = {record.row.bundle: record.row.verdict for record in Serial(trusting(), NOW).records(targets)}
    assert {name for name, verdict in verdicts.items() if verdict is not Verdict.ACCEPTED} == {f"{bucket}/depot/a.seal"}
    assert len(verdicts) == 5


def test_a_whole_bucket_can_be_named(bucket: str) -> None:
    assert [one.name for one in discover([bucket])][-1] == f"{bucket}/large.seal"


def test_a_large_object_arrives_whole(bucket: str) -> None:
    [target] = discover([f"{bucket}/large.seal"])
    assert isinstance(target, RemoteTarget)
    assert target.size == len(LARGE)
    with target.open() as opened:
        assert opened.source.read(0, opened.source.size) == LARGE


@pytest.mark.parametrize("name", ["releases/none.seal", "releases/none/", "nowhere/x.seal"])
def test_what_is_not_there_is_unreadable(bucket: str, name: str) -> None:
    [found] = discover([f"s3://{name}"])
    assert isinstance(found, Unreadable)
    assert found.failure.detail == f"s3://{name}: not found"


def test_an_object_that_went_away_meanwhile_is_undecided(bucket: str) -> None:
    [record] = Serial(trusting(), NOW).records([RemoteTarget(read(f"{bucket}/gone.seal"), 5)])
    assert record.row.verdict is Verdict.UNDECIDED
    assert record.findings[0].detail == f"{bucket}/gone.seal: not found"


def test_another_server_in_the_environment_is_another_store(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was connected before is not asked in the place of the server that is named now, nor the other way round."""
    (there,) = discover([f"{bucket}/large.seal"])
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        (elsewhere,) = discover([f"{bucket}/large.seal"])
    (again,) = discover([f"{bucket}/large.seal"])
    assert isinstance(there, RemoteTarget)
    assert isinstance(elsewhere, Unreadable)
    assert again == there


def test_without_credentials_nothing_is_decided(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    [found] = discover([f"{bucket}/large.seal"])
    assert isinstance(found, Unreadable)
    assert found.failure.detail.endswith("there are no credentials in the environment")
