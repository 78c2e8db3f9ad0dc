"""Bundles on web servers: found and judged like files, fetched once, and no server can do harm."""

from __future__ import annotations

import itertools
import json
import pickle
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from builders.audits import folder_of
from builders.bundles import make
from builders.pki import NOW
from builders.policies import trusting, write
from builders.transcript import run
from builders.web import listing, redirect, reply, site
from modseal import limits
from modseal.auditing.discover import Found, discover
from modseal.auditing.engine import Serial
from modseal.auditing.record import Record
from modseal.auditing.remote import RemoteTarget
from modseal.auditing.target import LeftOut, Unreadable
from modseal.errors import UsageError
from modseal.files import address, fetch
from modseal.files.address import is_address, name_of, read
from modseal.trust.examination import Verdict

fsspec = pytest.importorskip("fsspec", reason="the extra `remote` is not installed")
pytest.importorskip("aiohttp", reason="the extra `remote` is not installed")

SECRET = "hunter2-0123456789"


@pytest.fixture
def bundle() -> bytes:
    return make().data


@pytest.fixture
def memory() -> Iterator[Any]:
    system = fsspec.filesystem("memory")
    system.store.clear()
    yield system
    system.store.clear()


def record_of(path: str) -> Record:
    [record] = Serial(trusting(), NOW).records(discover([path]))  # type: ignore[arg-type]
    return record


def detail_of(url: str) -> str:
    """Why a bundle could not be fetched."""
    record = record_of(url)
    assert record.row.verdict is Verdict.UNDECIDED
    [finding] = record.findings
    assert finding.rule == "io-error"
    return finding.detail.removeprefix(f"{record.row.bundle}: ")


def names(found: list[Found], base: str) -> list[tuple[str, str]]:
    return [(type(one).__name__.removesuffix("Target"), one.name.removeprefix(base)) for one in found]


def tree(folder: Path) -> Path:
    """Bundles and others, in folders."""
    folder_of(folder, 2)
    folder_of(folder / "sub folder", 1)
    (folder / "sub folder" / "UPPER.VIB").write_bytes(make("vib").data)
    (folder / "sub folder" / "caf\xe9 #1%.seal").write_bytes(make().data)
    (folder / "readme.txt").write_text("read me")
    (folder / "no-suffix").write_bytes(make().data)
    (folder / "empty").mkdir()
    return folder


# What is found.


def test_a_bundle_on_a_web_server_has_the_record_of_the_same_file(tmp_path: Path) -> None:
    [path] = folder_of(tmp_path, 1)
    with site(tmp_path) as server:
        remote = record_of(f"{server.url}/000.seal")
    local = record_of(str(path))
    assert remote.row._replace(bundle="") == local.row._replace(bundle="")
    assert remote.values == local.values
    assert [finding.rule for finding in remote.findings] == [finding.rule for finding in local.findings]
    assert remote.row.verdict is Verdict.ACCEPTED
    assert remote.identity is None


def test_a_folder_on_a_web_server_is_walked_like_one_on_a_disk(tmp_path: Path) -> None:
    folder = tree(tmp_path / "depot")
    with site(folder) as server:
        remote = names(list(discover([f"{server.url}/"])), f"{server.url}/")
    local = names(list(discover([str(folder)])), f"{folder}/")
    quoted = [(kind.replace("File", "Remote"), _quoted(name)) for kind, name in local]
    assert remote == quoted
    assert [kind for kind, _ in remote].count("Remote") == 6


def _quoted(name: str) -> str:
    return name.replace("%", "%25").replace(" ", "%20").replace("\xe9", "%C3%A9").replace("#", "%23")


def test_a_folder_in_an_object_store_is_walked_like_one_on_a_disk(tmp_path: Path, memory: Any) -> None:
    folder = tree(tmp_path / "depot")
    memory.put(str(folder), "/bucket", recursive=True)
    found = list(discover(["memory://bucket"]))
    local = names(list(discover([str(folder)])), f"{folder}/")
    assert names(found, "memory://bucket/") == [(kind.replace("File", "Remote"), name) for kind, name in local]
    records = list(Serial(trusting(), NOW).records(one for one in found if isinstance(one, RemoteTarget)))
    assert {record.row.verdict for record in records} == {Verdict.ACCEPTED}


def test_an_object_that_is_named_is_examined_whatever_it_is(memory: Any) -> None:
    memory.pipe("/bucket/readme.txt", b"read me")
    [finding, *_] = record_of("memory://bucket/readme.txt").findings
    assert finding.rule == "not-a-bundle"


def test_an_object_or_folder_that_is_not_there_is_unreadable(memory: Any) -> None:
    [found] = discover(["memory://bucket/none"])
    assert isinstance(found, Unreadable)
    assert found.failure.detail == "memory://bucket/none: not found"


def test_links_that_lead_elsewhere_are_no_entries(bundle: bytes) -> None:
    page = listing("../", "/", "?C=N;O=D", "//127.0.0.2/depot/x", "http://u:p@127.0.0.1/depot/x.seal", "%2e%2e/",
                   "../depot2/x.seal", "mailto:a@b","http://[", ".", "#top", "a.seal?x", "b.seal",
                   "b.seal")  # fmt: skip
    page += b"<A class=x HREF='c.seal'>c</A> <a\nhref=d&#46;seal >d</a> <a href=\"/depot/e.seal#f\">e</a><!--"
    with site({"/depot/": page}) as server:
        found = names(list(discover([f"{server.url}/depot/"])), f"{server.url}/depot/")
        assert server.asked == ["/depot/"]
    assert found == [("Remote", f"{name}.seal") for name in "bcde"]


def test_a_link_past_a_folder_is_found_once(bundle: bytes) -> None:
    answers = {"/": listing("a/b/x.seal", "c/y.seal", "c/", "c/d/z.seal"), "/c/": listing("y.seal")}
    with site(answers) as server:
        assert names(list(discover([f"{server.url}/"])), server.url) == [
            ("Remote", "/a/b/x.seal"),
            ("Remote", "/c/y.seal"),
        ]


def test_a_page_that_lists_nothing_leaves_the_audit_undecided() -> None:
    empty = b'<html><title>Index of /empty</title><a href="../">..</a></html>'
    with site({"/": b"<html>Welcome!</html>", "/empty/": empty}) as server:
        [found] = discover([f"{server.url}/"])
        assert isinstance(found, Unreadable)
        assert found.failure.detail.endswith("is it a listing?")
        assert list(discover([f"{server.url}/empty/"])) == []


def test_a_folder_that_may_not_be_listed_leaves_the_audit_undecided() -> None:
    with site({"/": lambda handler: reply(handler, 403)}) as server:
        [found] = discover([f"{server.url}/"])
    assert isinstance(found, Unreadable)
    assert found.failure.detail == f"{server.url}/: HTTP status 403"


def test_a_file_of_another_name_that_cannot_be_read_leaves_the_audit_undecided() -> None:
    with site({"/": listing("what", "text"), "/text": b"text"}) as server:
        first, second = discover([f"{server.url}/"])
    assert isinstance(first, LeftOut)
    assert isinstance(second, Unreadable)


def test_paths_and_addresses_are_audited_together_in_their_order(tmp_path: Path, bundle: bytes) -> None:
    [path] = folder_of(tmp_path, 1)
    with site({"/a.seal": bundle, "/b.seal": bundle}) as server:
        found = list(discover([f"{server.url}/b.seal", str(path), f"{server.url}/a.seal", f"{server.url}/a.seal"]))
    assert [one.name for one in found] == [f"{server.url}/b.seal", str(path), f"{server.url}/a.seal"]


def test_addresses_that_differ_in_what_is_not_shown_are_two() -> None:
    found = list(discover([f"http://h/a.seal?{query}" for query in ("id=1", "id=2", "id=1")]))
    assert [one.address.url for one in found if isinstance(one, RemoteTarget)] == [
        "http://h/a.seal?id=1",
        "http://h/a.seal?id=2",
    ]
    assert [one.name for one in found] == ["http://h/a.seal?...", "http://h/a.seal?... (2)"]


def test_a_zip_archive_is_said_to_be_no_place_that_is_looked_into() -> None:
    archive = b"PK\3\4" + bytes(100)
    with site({"/": listing("depot.zip"), "/depot.zip": archive}) as server:
        [found] = discover([f"{server.url}/"])
        assert isinstance(found, Unreadable)
        assert (
            detail_of(f"{server.url}/depot.zip") == "zip archives are not looked into on a server; audit a copy of it"
        )


# What a server can do.


def test_a_bundle_is_fetched_once_whatever_the_server_would_send_next(bundle: bytes) -> None:
    turns = itertools.chain([bundle], itertools.repeat(b"other bytes"))
    with site({"/a.seal": lambda handler: reply(handler, 200, next(turns))}) as server:
        assert record_of(f"{server.url}/a.seal").row.verdict is Verdict.ACCEPTED
        assert server.asked == ["/a.seal"]
        assert record_of(f"{server.url}/a.seal").row.verdict is Verdict.REJECTED


@pytest.mark.parametrize("size", [0, 1, fetch.IN_MEMORY, fetch.IN_MEMORY + 1, 2 * fetch.IN_MEMORY])
def test_all_bytes_arrive_in_memory_or_in_a_file(size: int) -> None:
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    with site({"/x": data}) as server, fetch.fetched(read(f"{server.url}/x")) as source:
        assert source.size == size
        assert source.read(0, size) == data
        assert type(source).__name__ == ("BytesSource" if size <= fetch.IN_MEMORY else "FileSource")


def test_a_file_that_is_not_there() -> None:
    with site({}) as server:
        assert detail_of(f"{server.url}/a.seal") == "not found"


def test_an_answer_that_is_shorter_than_announced(bundle: bytes) -> None:
    def short(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        reply(handler, 200, bundle, Content_Length=len(bundle) + 1)

    with site({"/a.seal": short}) as server:
        assert detail_of(f"{server.url}/a.seal") == "the answer ended early"


def test_an_answer_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "REMOTE_SIZE", 3 * limits.MIB)
    sent = []

    def endless(handler: BaseHTTPRequestHandler) -> None:
        reply(handler, 200, Content_Length=None, Transfer_Encoding="chunked")
        while True:
            handler.wfile.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")
            sent.append(0x10000)

    with site({"/a.seal": endless}) as server:
        assert detail_of(f"{server.url}/a.seal") == f"more than {3 * limits.MIB} bytes, which is the limit"
    assert sum(sent) < 100 * limits.MIB


def test_an_answer_that_announces_too_much_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "REMOTE_SIZE", 1000)

    def large(handler: BaseHTTPRequestHandler) -> None:
        reply(handler, 200, b"x", Content_Length=1001)
        hang.wait(60)

    hang = threading.Event()
    with site({"/a.seal": large}) as server:
        assert "more than 1000 bytes" in detail_of(f"{server.url}/a.seal")
        hang.set()


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx"])
def test_a_server_that_falls_silent_is_given_up(monkeypatch: pytest.MonkeyPatch, start: bytes) -> None:
    def slow(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(start)
        hang.wait(60)

    hang = threading.Event()
    with site({"/a.seal": slow}) as server:
        monkeypatch.setattr(fetch, "TIMEOUT", 0.3)
        assert detail_of(f"{server.url}/a.seal") == "no answer, or too slow a one, for 0.3 s"
        hang.set()


def test_a_server_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte comes soon enough, and all of them never would."""
    stop = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        reply(handler, 200, Content_Length=10**6)
        while not stop.wait(0.02):
            handler.wfile.write(b"x")

    with site({"/a.seal": drip}) as server:
        monkeypatch.setattr(fetch, "TIMEOUT", 0.5)
        assert "too slow" in detail_of(f"{server.url}/a.seal")
        stop.set()


def test_redirects_are_followed_and_the_name_stays(bundle: bytes) -> None:
    with site({"/b.seal": bundle}) as store, site({"/a.seal": redirect(f"{store.url}/b.seal")}) as server:
        record = record_of(f"{server.url}/a.seal")
    assert (record.row.bundle, record.row.verdict) == (f"{server.url}/a.seal", Verdict.ACCEPTED)


@pytest.mark.parametrize("to", ["/a.seal", "file:///etc/passwd", "ftp://127.0.0.1/x"])
def test_redirects_in_circles_and_to_other_schemes_are_not_followed(to: str) -> None:
    with site({"/a.seal": redirect(to)}) as server:
        assert detail_of(f"{server.url}/a.seal") in (
            "too many redirects",
            "no proper answer (NonHttpUrlRedirectClientError)",
        )
        assert len(server.asked) < 20


def test_a_compressed_answer_is_refused() -> None:
    with site({"/a.seal": lambda handler: reply(handler, 200, b"x", Content_Encoding="gzip")}) as server:
        assert detail_of(f"{server.url}/a.seal").startswith("the server compresses")


@pytest.mark.parametrize("answer", [b"\0\1\2garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"])
def test_what_is_no_http_is_refused(answer: bytes) -> None:
    def garbage(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        handler.wfile.write(answer)

    with site({"/a.seal": garbage}) as server:
        assert detail_of(f"{server.url}/a.seal")


def test_nobody_listens(bundle: bytes) -> None:
    with site({}) as server:
        pass
    assert detail_of(f"{server.url}/a.seal").startswith("Connect call failed")


def test_a_full_disk_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fetch, "_write", full)
    with site({"/a.seal": bytes(fetch.IN_MEMORY + 1)}) as server:
        assert detail_of(f"{server.url}/a.seal") == "the temporary file: No space left on device"


# Addresses.


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("file:///etc/a.seal", "by its path"),
        ("local:///etc/a.seal", "by its path"),
        ("FILE:///etc/a.seal", "by its path"),
        ("zip://a.seal::http://h/x.zip", "not supported"),
        ("zip::http://h/x.zip", "addresses within addresses"),
        ("simplecache::s3://bucket/x", "addresses within addresses"),
        ("filecache::file:///etc/a.seal", "addresses within addresses"),
        ("ssh://host/x", "not supported"),
        ("github://owner:repo@main/x", "not supported"),
        ("http://", "not an address"),
        ("http:///x", "not an address"),
        ("http://[::1/x", "not an address"),
        ("http://h:99999/x", "not an address"),
        ("http://h:0/x", "not an address"),
        (f"https://me:{SECRET}@h/x", "~/.netrc"),
        (f"https://{SECRET}@h/x", "~/.netrc"),
        (f"s3://key:{SECRET}@bucket/x", "from the environment"),
        (f"s3://bucket/x?token={SECRET}", "from the environment"),
        ("s3://", "the bucket is missing"),
    ],
)
def test_an_address_that_cannot_be_used_is_a_usage_error(text: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=reason) as caught:
        read(text)
    assert SECRET not in str(caught.value)
    done = run("audit", text, "--no-cache", cwd=tmp_path)
    assert done.code == 2
    assert SECRET not in done.err + done.out


@pytest.mark.parametrize("path", ["a.seal", "./http://x", "a::b", "/s3://x", "c:/x", "://x", "1http://x", ""])
def test_a_path_is_no_address(path: str) -> None:
    assert not is_address(path)
    assert name_of(path) == path


def test_a_path_that_looks_like_an_address_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder_of(tmp_path / "http:", 1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fetch, "_file_system", None)
    assert record_of("./http://000.seal").row.verdict is Verdict.ACCEPTED


@pytest.mark.parametrize(
    ("scheme", "package", "advice"),
    [("http", "fsspec", "[remote]"), ("https", "aiohttp", "[remote]"), ("s3", "s3fs", "[remote] s3fs"),
     ("gs", "gcsfs", "[remote] gcsfs")],
)  # fmt: skip
def test_a_missing_package_is_named(
    scheme: str, package: str, advice: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(address, "find_spec", lambda name: None if name == package else object())
    done = run("audit", f"{scheme}://host/x", "--no-cache", cwd=tmp_path)
    assert done.code == 2
    assert f"needs {package}: pip install modseal{advice}" in done.err


# Secrets.


def broken(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True
    reply(handler, 200, b"x", Content_Length=5)


@pytest.mark.parametrize("output_format", ["text", "json", "html", "csv"])
def test_a_secret_in_an_address_is_in_no_report(tmp_path: Path, bundle: bytes, output_format: str) -> None:
    query = f"?X-Amz-Signature={SECRET}&x=1"
    answers = {
        f"/{query}": listing("a.seal", "b.seal", "c.seal", "d", "e.seal", "f.seal", "g/"),
        f"/a.seal{query}": bundle,
        f"/b.seal{query}": broken,
        f"/c.seal{query}": lambda handler: reply(handler, 500),
        f"/d{query}": lambda handler: reply(handler, 403),
        f"/e.seal{query}": redirect(f"ftp://127.0.0.1/{SECRET}"),
        f"/g/{query}": lambda handler: reply(handler, 401),
    }
    policy = write(tmp_path)
    with site(answers) as server:
        done = run("audit", f"{server.url}/{query}", "--policy", policy, "--at", f"{NOW:%Y-%m-%dT%H:%M:%SZ}",
                   "--no-cache", "-j", 1, "--format", output_format, cwd=tmp_path)  # fmt: skip
    assert SECRET not in done.out + done.err
    assert f"{server.url}/a.seal?..." in done.out
    assert done.code == 3
    if output_format == "json":
        report = json.loads(done.out)
        assert report["paths"] == [f"{server.url}/?..."]
        assert [row["verdict"] for row in report["results"]].count("accepted") == 1
        assert len(report["results"]) == 7


def test_a_target_keeps_its_secret_to_itself_and_can_be_sent() -> None:
    target = RemoteTarget(read(f"https://host/a.seal?token={SECRET}"), 7)
    assert SECRET not in f"{target!r} {target} {target.name}"
    assert pickle.loads(pickle.dumps(target)) == target
    assert pickle.loads(pickle.dumps(target)).address.url.endswith(SECRET)
