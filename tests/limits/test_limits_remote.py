"""Limits of what is fetched from servers: just under is taken, just over is said to be too much."""

from __future__ import annotations

import pytest

from builders.web import Answer, listing, reply, site
from limits.cover import bounds
from modseal import limits
from modseal.auditing.discover import discover
from modseal.auditing.target import Unreadable
from modseal.errors import InputError
from modseal.files import fetch
from modseal.files.address import read

pytest.importorskip("fsspec", reason="the extra `remote` is not installed")
pytest.importorskip("aiohttp", reason="the extra `remote` is not installed")


@bounds("REMOTE_SIZE")
def test_a_bundle_from_a_server_has_at_most_so_many_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """16 GiB are no test; the limit that is set here is read where the real one is."""
    monkeypatch.setattr(limits, "REMOTE_SIZE", 100_000)
    without_size = {"Content_Length": None, "Connection": "close"}
    answers: dict[str, Answer] = {
        "/at": bytes(100_000),
        "/over": bytes(100_001),
        "/over-unannounced": lambda handler: reply(handler, 200, bytes(100_001), **without_size),
    }
    with site(answers) as server:
        with fetch.fetched(read(f"{server.url}/at")) as source:
            assert source.size == 100_000
        for name in ("over", "over-unannounced"):
            with pytest.raises(InputError, match="more than 100000 bytes"), fetch.fetched(read(f"{server.url}/{name}")):
                pass


@bounds("REMOTE_LISTING")
def test_a_listing_has_at_most_so_many_bytes() -> None:
    page = listing("a.seal")
    room = limits.REMOTE_LISTING - len(page)

    with site({"/at/": page + bytes(room), "/over/": page + bytes(room + 1)}) as server:
        assert [one.name for one in discover([f"{server.url}/at/"])] == [f"{server.url}/at/a.seal"]
        [found] = discover([f"{server.url}/over/"])
    assert isinstance(found, Unreadable)
    assert f"more than {limits.REMOTE_LISTING} bytes" in found.failure.detail


@bounds("REMOTE_DEPTH")
def test_folders_on_a_server_are_so_deep_at_most() -> None:
    answers = {f"/{'d/' * depth}": listing("a.seal", "d/") for depth in range(limits.REMOTE_DEPTH + 5)}
    with site(answers) as server:
        *found, last = discover([f"{server.url}/"])
        assert len(server.asked) == limits.REMOTE_DEPTH
    assert isinstance(last, Unreadable)
    assert (last.failure.code, last.name) == ("limit-exceeded", f"{server.url}/{'d/' * limits.REMOTE_DEPTH}")
    assert [one.name for one in found] == [f"{server.url}/{'d/' * depth}a.seal" for depth in range(limits.REMOTE_DEPTH)]


@bounds("REMOTE_ENTRIES")
def test_the_folders_of_one_address_have_so_many_entries_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """A million entries are no test; the limit that is set here is read where the real one is."""
    answers = {"/": listing("a/", "b/", "c/"), **{f"/{name}/": listing("1.seal", "2.seal") for name in "abc"}}
    for limit, targets, more in ((9, 6, False), (8, 5, True), (4, 2, True)):
        monkeypatch.setattr(limits, "REMOTE_ENTRIES", limit)
        with site(answers) as server:
            found = list(discover([f"{server.url}/"]))
        assert len([one for one in found if one.name.endswith(".seal")]) == targets
        assert [type(one) is Unreadable for one in found[targets:]] == [True] * more
