"""Depots on a web server and in S3: listed and checked there, mirrored from there; no secret of an address is shown."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from builders import depots as offline_depots
from builders import policies, recalls, s3, web
from builders import signed_depots as depots
from builders.pki import NOW
from builders.policies import trusting
from builders.transcript import run
from modseal import limits
from modseal.depot.check import Checked, check
from modseal.depot.open import open_depot
from modseal.format import recall as recall_format
from modseal.trust.examination import Verdict

pytest.importorskip("fsspec", reason="the extra `remote` is not installed")
pytest.importorskip("aiohttp", reason="the extra `remote` is not installed")

HELD = depots.contents(depots.index())
SECRET = "token=s3cr3t"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[web.Site]:
    """A depot in `acme/`, the same as a zip file, and an offline bundle unpacked in `offline/`."""
    depots.write(tmp_path / "site" / "acme", HELD)
    offline_depots.make().unpack(tmp_path / "site" / "offline")
    offline_depots.make().write(tmp_path / "site" / "offline.zip")
    with web.site(tmp_path / "site") as found:
        yield found


def checked(place: str) -> Checked:
    with open_depot(place) as files:
        return check(files, trusting(), NOW)


@pytest.mark.parametrize("end", ["acme", "acme/", "acme/depot.json", "acme?" + SECRET])
def test_a_depot_on_a_web_server_is_proved_there(site: web.Site, end: str) -> None:
    found = checked(f"{site.url}/{end}")
    assert found.verdict is Verdict.ACCEPTED
    assert "s3cr3t" not in found.depot


def test_a_recall_that_a_server_has_exchanged_is_seen(tmp_path: Path) -> None:
    """Also where it is longer than all that a recall may be: the index's size is only what the index says."""
    recall = recalls.make(recalls.entry("other"))
    held = depots.contents(depots.index(recalls=[recall]), recalls=[recall])
    path = depots.recall_entry(recall).path
    other = recall_format.encode(recalls.make(recalls.entry("nothing")))
    for data in (other, bytes(limits.RECALL_SIZE + 1)):
        depots.write(tmp_path / "site" / "acme", {**held, path: data})
        with web.site(tmp_path / "site") as site:
            assert [one.code for one in checked(f"{site.url}/acme").failures] == ["bundle-digest-mismatch"]


@pytest.mark.parametrize("announced", [True, False])
def test_a_server_that_sends_more_than_the_index_lists_is_not_heard_out(*, announced: bool) -> None:
    sent: list[int] = []

    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        size = 2 * limits.GIB
        handler.send_header(*(("Content-Length", str(size)) if announced else ("Connection", "close")))
        handler.end_headers()
        while sum(sent) < size:
            sent.append(handler.wfile.write(bytes(limits.MIB)))

    path = depots.entry(depots.SEAL).path
    answers: dict[str, web.Answer] = {f"/acme/{name}": data for name, data in HELD.items()}
    with web.site({**answers, f"/acme/{path}": endless}) as site:
        found = checked(f"{site.url}/acme")
    [failure] = [one.failure for one in found.results if one.failure]
    assert failure.code == "bundle-digest-mismatch", failure.detail
    assert found.verdict is Verdict.REJECTED
    assert sum(sent) < 64 * limits.MIB


def test_listing_it_fetches_no_bundle(site: web.Site, tmp_path: Path) -> None:
    listed = run("depot", "list", f"{site.url}/acme/?{SECRET}", cwd=tmp_path / "site")
    assert listed.code == 0
    assert "s3cr3t" not in listed.out + listed.err
    assert not [path for path in site.asked if "/bundles/" in path]
    assert all(SECRET in path for path in site.asked)


def test_a_mirror_of_it_is_a_depot(site: web.Site, tmp_path: Path) -> None:
    policies.write(tmp_path, minimum="community")
    done = run(
        "depot", "mirror", f"{site.url}/acme?{SECRET}", "-o", "copy", "--policy", "policy.toml", "--at", "2026-01-01",
        cwd=tmp_path,
    )  # fmt: skip
    assert done.code == 0, done.out
    assert "s3cr3t" not in done.out + done.err
    assert checked(str(tmp_path / "copy")).verdict is Verdict.ACCEPTED
    assert {path.relative_to(tmp_path / "copy").as_posix() for path in (tmp_path / "copy").rglob("*.*")} == set(HELD)


def test_a_bundle_that_the_server_withholds_is_not_accepted(site: web.Site, tmp_path: Path) -> None:
    (tmp_path / "site" / "acme" / depots.entry(depots.SEAL).path).unlink()
    found = checked(f"{site.url}/acme")
    assert found.verdict is Verdict.UNDECIDED  # a server that answers 404 proves nothing
    [missing] = [result for result in found.results if result.failure]
    assert missing.failure
    assert "not found" in missing.failure.detail


def test_an_error_names_no_secret(site: web.Site, tmp_path: Path) -> None:
    failed = run("depot", "list", f"{site.url}/nothing?{SECRET}", cwd=tmp_path)
    assert failed.code == 3
    assert "s3cr3t" not in failed.err
    assert "not found" in failed.err


@pytest.mark.parametrize("end", ["offline.zip", "offline/index.xml"])
def test_offline_bundles_on_a_server_are_listed_and_checked(site: web.Site, end: str) -> None:
    found = checked(f"{site.url}/{end}")
    assert found.verdict is Verdict.ACCEPTED, found.failures
    assert len(found.results) == 1


def test_a_depot_in_s3_is_proved_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("s3fs", "moto", "flask", "flask_cors"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    with s3.store() as url:
        for name, value in {**s3.CREDENTIALS, "AWS_ENDPOINT_URL": url}.items():
            monkeypatch.setenv(name, value)
        s3.fill(url, "depots", {f"acme/{path}": data for path, data in HELD.items()})
        assert checked("s3://depots/acme").verdict is Verdict.ACCEPTED
