"""The cache: what has not changed is not examined again, and whatever has changed is."""

from __future__ import annotations

import mmap
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from builders import bundles, pki, policies
from builders.audits import audit_of, folder_of
from builders.pki import NOW
from modseal import limits
from modseal.auditing import cache as cache_module
from modseal.auditing import look, run
from modseal.auditing.cache import FILE, Cache, context_of
from modseal.auditing.run import Audit
from modseal.files import identity
from modseal.policy.sources import load
from modseal.trust.policy import Policy


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    return load(str(policies.write(tmp_path)))


@pytest.fixture
def examined(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the bundles that were really examined, in order."""
    names: list[str] = []
    real = look.examine

    def noting(bundle, *rest):
        names.append(os.path.basename(bundle.name))
        return real(bundle, *rest)

    monkeypatch.setattr(look, "examine", noting)
    return names


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that were written a moment ago count as settled: a test cannot wait for each, nor set a ctime."""
    monkeypatch.setattr(identity, "_SETTLED", 0)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def cached(tmp_path: Path, policy: Policy, said: list[str]):
    """An audit with the cache in `tmp_path/cache`; `since_now` is `--no-cache`."""

    def audit(*paths: Path, at=NOW, policy: Policy = policy, since_now: bool = False) -> Audit:
        assert policy.origin
        with Cache.opened(tmp_path / "cache", context_of(policy.origin), at, said.append) as cache:
            if cache:
                cache.begin("key")
                cache.since = cache.run if since_now else 0
            return audit_of(paths, policy, at, cache=cache)

    return audit


def plain(audit: Audit) -> tuple[object, ...]:
    return (audit.summary.plain(), list(audit.results()), list(audit.findings()))


def rewrite(path: Path, change) -> None:
    """Change a file's bytes in place, with the old size and mtime."""
    status = path.stat()
    data = bytearray(path.read_bytes())
    change(data)
    time.sleep(0.02)  # the kernel counts ctime in steps of a few milliseconds
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size


def test_a_second_audit_examines_nothing_and_says_the_same(tmp_path, cached, examined, settled):
    depot = tmp_path / "depot"
    folder_of(depot, 4)
    (depot / "bad.seal").write_bytes(bundles.make("seal").data[:-1])
    first = cached(depot)
    assert len(examined) == 5
    examined.clear()
    second = cached(depot)
    assert examined == []
    assert plain(second) == plain(first)
    assert second.worst == first.worst


def test_one_flipped_byte_is_found_though_size_and_time_are_the_old_ones(tmp_path, cached, examined, settled):
    paths = folder_of(tmp_path / "depot", 3)
    cached(tmp_path / "depot")
    examined.clear()

    def flip(data: bytearray) -> None:
        data[-20] ^= 1

    rewrite(paths[1], flip)
    audit = cached(tmp_path / "depot")
    assert examined == ["001.vib"]
    assert audit.summary.verdicts["rejected"] == 1


def test_a_file_that_another_took_the_place_of_is_examined(tmp_path, cached, examined, settled):
    paths = folder_of(tmp_path / "depot", 2)
    cached(tmp_path / "depot")
    examined.clear()
    paths[0].unlink()
    paths[0].write_bytes(bundles.make("seal", name="other").data)
    cached(tmp_path / "depot")
    assert examined == ["000.seal"]


def test_a_copy_and_a_touched_file_are_only_hashed(tmp_path, cached, examined, settled):
    (path,) = folder_of(tmp_path / "depot", 1)
    cached(path)
    examined.clear()
    copy = tmp_path / "copy.seal"
    copy.write_bytes(path.read_bytes())
    os.utime(path)
    audit = cached(path, copy)
    assert examined == []
    assert [result["bundle"] for result in audit.results()] == [str(path), str(copy)]


def test_a_file_written_a_moment_ago_is_read_again(tmp_path, cached, examined):
    """Its next change could fall into the same step of the clock and not show."""
    (path,) = folder_of(tmp_path / "depot", 1)
    cached(path)
    assert found_without_reading(tmp_path, path, cached) is False


def found_without_reading(tmp_path: Path, path: Path, cached) -> bool:
    with sqlite3.connect(tmp_path / "cache" / FILE) as connection:
        count = connection.execute("SELECT count(*) FROM files").fetchone()[0]
    connection.close()
    return bool(count)


def test_a_file_that_somebody_has_open_for_writing_is_read_again(tmp_path, cached, settled):
    (path,) = folder_of(tmp_path / "depot", 1)
    with path.open("r+b"):
        cached(path)
    assert found_without_reading(tmp_path, path, cached) is False


def test_what_is_written_through_an_old_mapping_does_not_go_unseen(tmp_path, cached, settled):
    """A page that is dirty already can be written to without any trace in the file's times."""
    (path,) = folder_of(tmp_path / "depot", 1)
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapping:
        mapping[-20] = mapping[-20]
        assert cached(path).summary.verdicts["accepted"] == 1
        before = path.stat()
        mapping[-20] ^= 1
        after = path.stat()
        assert (before.st_mtime_ns, before.st_ctime_ns) == (after.st_mtime_ns, after.st_ctime_ns), "no trap here"
        assert cached(path).summary.verdicts["rejected"] == 1


def test_no_cache_examines_all_and_still_keeps_what_it_found(tmp_path, cached, examined, settled):
    folder_of(tmp_path / "depot", 2)
    cached(tmp_path / "depot")
    examined.clear()
    cached(tmp_path / "depot", since_now=True)
    assert len(examined) == 2
    cached(tmp_path / "depot")
    assert len(examined) == 2


def test_another_policy_examines_again(tmp_path, cached, examined, settled, policy):
    folder_of(tmp_path / "depot", 1)
    cached(tmp_path / "depot")
    examined.clear()
    stricter = load(str(policies.write(tmp_path, name="other.toml", minimum="certified")))
    audit = cached(tmp_path / "depot", policy=stricter)
    assert examined == ["000.seal"]
    assert audit.summary.verdicts["rejected"] == 1


def test_another_file_that_the_policy_names_makes_another_context(tmp_path, policy):
    (tmp_path / "other").mkdir()
    other = load(str(policies.write(tmp_path / "other", pki.root(1))))
    assert policy.origin
    assert other.origin
    assert policy.origin.text == other.origin.text
    assert context_of(policy.origin) != context_of(other.origin)


def test_an_edited_engine_makes_another_context(policy, monkeypatch, tmp_path):
    assert policy.origin
    before = context_of(policy.origin)
    monkeypatch.setattr(cache_module, "engine_digest", lambda: "another")
    assert context_of(policy.origin) != before


def test_a_verdict_is_not_kept_past_the_end_of_the_signers_certificate(tmp_path, cached, examined, settled):
    ends = NOW + timedelta(days=200)
    short = pki.leaf(end=ends)
    folder_of(tmp_path / "depot", 1)
    path = tmp_path / "depot" / "short.seal"
    path.write_bytes(bundles.make("seal", short).data)
    assert cached(path).summary.verdicts["accepted"] == 1
    examined.clear()
    assert cached(path, at=ends - timedelta(days=120)).summary.verdicts["accepted"] == 1
    assert examined == [], "nothing changed in between"
    assert cached(path, at=ends + timedelta(seconds=1)).summary.verdicts["rejected"] == 1
    assert cached(path, at=NOW).summary.verdicts["accepted"] == 1


def test_exactly_at_a_moment_nothing_is_kept(tmp_path, cached, examined, settled):
    ends = NOW + timedelta(days=200)
    path = tmp_path / "short.seal"
    path.write_bytes(bundles.make("seal", pki.leaf(end=ends)).data)
    for _ in range(2):
        cached(path, at=ends)
    assert len(examined) == 2


@pytest.mark.parametrize("damage", [b"", b"not a database", None])
def test_a_damaged_cache_costs_only_its_use(tmp_path, cached, examined, settled, said, damage):
    folder_of(tmp_path / "depot", 2)
    cached(tmp_path / "depot")
    path = tmp_path / "cache" / FILE
    for beside in path.parent.glob(f"{FILE}-*"):
        beside.unlink()
    if damage is None:
        data = bytearray(path.read_bytes())
        for offset in range(4096, len(data), 512):
            data[offset] ^= 0xFF
        path.write_bytes(data)
    else:
        path.write_bytes(damage)
    examined.clear()
    audit = cached(tmp_path / "depot")
    assert audit.summary.verdicts["accepted"] == 2
    assert len(examined) == 2


def test_a_result_that_cannot_be_read_is_examined_again(tmp_path, cached, examined, settled):
    folder_of(tmp_path / "depot", 1)
    cached(tmp_path / "depot")
    connection = sqlite3.connect(tmp_path / "cache" / FILE)
    connection.execute("UPDATE results SET row = '[1, 2]'")
    connection.commit()
    connection.close()
    examined.clear()
    assert cached(tmp_path / "depot").summary.verdicts["accepted"] == 1
    assert examined == ["000.seal"]


@pytest.mark.parametrize("mode", [0o777, 0o775])
def test_a_cache_that_others_can_write_to_is_not_used(tmp_path, cached, examined, settled, said, mode):
    folder_of(tmp_path / "depot", 1)
    cached(tmp_path / "depot")
    (tmp_path / "cache").chmod(mode)
    cached(tmp_path / "depot")
    assert len(examined) == 2
    assert said == [
        f"no cache, everything is examined: {tmp_path / 'cache'} is not this user's own, or others may write to it"
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a folder away")
def test_a_cache_of_another_user_is_not_used(tmp_path, cached, examined, settled, said):
    folder_of(tmp_path / "depot", 1)
    cached(tmp_path / "depot")
    os.chown(tmp_path / "cache", 12345, 12345)
    cached(tmp_path / "depot")
    assert len(examined) == 2


def test_a_link_in_the_place_of_the_cache_is_not_followed(tmp_path, cached, said):
    folder_of(tmp_path / "depot", 1)
    (tmp_path / "cache").mkdir(mode=0o700)
    (tmp_path / "cache" / FILE).symlink_to(tmp_path / "elsewhere")
    cached(tmp_path / "depot")
    assert len(said) == 1
    assert not (tmp_path / "elsewhere").exists()


def test_the_cache_is_for_this_user_alone(tmp_path, cached):
    folder_of(tmp_path / "depot", 1)
    cached(tmp_path / "depot")
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "cache" / FILE).stat().st_mode & 0o777 == 0o600


def test_a_bundle_that_changes_while_it_is_read_is_not_recognised_later(tmp_path, cached, settled, monkeypatch):
    (path,) = folder_of(tmp_path / "depot", 1)
    real = look.examine

    def touching(bundle, *rest):
        time.sleep(0.02)
        os.utime(path)
        return real(bundle, *rest)

    monkeypatch.setattr(look, "examine", touching)
    cached(path)
    assert found_without_reading(tmp_path, path, cached) is False


def test_known_results_and_new_ones_come_in_the_order_of_the_files(tmp_path, cached, examined, settled):
    folder_of(tmp_path / "depot", 6)
    first = [result["bundle"] for result in cached(tmp_path / "depot").results()]
    for number in (1, 4):
        (tmp_path / "depot" / f"{number:03}.{'vib' if number % 2 else 'seal'}").write_bytes(b"changed")
    audit = cached(tmp_path / "depot")
    assert [result["bundle"] for result in audit.results()] == first
    assert audit.summary.verdicts["accepted"] == 4


def test_much_that_is_known_does_not_pile_up_behind_one_new_bundle(tmp_path, cached, settled, monkeypatch):
    monkeypatch.setattr(run, "_PAUSE_AFTER", 4)
    paths = folder_of(tmp_path / "depot", 20)
    cached(tmp_path / "depot")
    (tmp_path / "depot" / "000.seal").write_bytes(b"changed")
    waiting: list[int] = []
    real = run._Flow.to_examine

    def counting(self) -> Iterator[object]:
        for one in real(self):
            waiting.append(len(self._waiting))
            yield one

    monkeypatch.setattr(run._Flow, "to_examine", counting)
    assert cached(tmp_path / "depot").summary.bundles == len(paths)
    assert max(waiting) <= 4 + 1


def test_results_of_policies_that_nobody_audits_with_any_more_are_forgotten(tmp_path, cached, settled, monkeypatch):
    monkeypatch.setattr(limits, "CACHED_CONTEXTS", 2)
    folder_of(tmp_path / "depot", 1)
    for minimum in ("community", "partner", "accepted"):
        cached(tmp_path / "depot", policy=load(str(policies.write(tmp_path, minimum=minimum))))
    with closing(sqlite3.connect(tmp_path / "cache" / FILE)) as connection:
        assert connection.execute("SELECT count(*) FROM results").fetchone() == (2,)
        assert connection.execute("SELECT count(*) FROM files").fetchone() == (1,)


def test_the_oldest_results_are_forgotten_where_there_are_too_many(tmp_path, cached, settled, monkeypatch):
    monkeypatch.setattr(limits, "CACHED_RESULTS", 3)
    folder_of(tmp_path / "depot", 5)
    cached(tmp_path / "depot")
    with closing(sqlite3.connect(tmp_path / "cache" / FILE)) as connection:
        assert connection.execute("SELECT count(*) FROM results").fetchone() == (3,)
        assert connection.execute("SELECT count(*) FROM files").fetchone() == (3,)


def test_two_audits_at_once_share_a_cache(tmp_path, policy, settled):
    folder_of(tmp_path / "depot", 4)
    assert policy.origin
    context = context_of(policy.origin)
    with (
        Cache.opened(tmp_path / "cache", context, NOW, pytest.fail) as one,
        Cache.opened(tmp_path / "cache", context, NOW, pytest.fail) as other,
    ):
        for cache in (one, other):
            assert cache
            cache.begin("key")
        first, second = (audit_of([tmp_path / "depot"], policy, cache=cache) for cache in (one, other))
    assert plain(first) == plain(second)


def test_another_version_of_a_library_makes_another_context(tmp_path, monkeypatch):
    library = tmp_path / "madeup" / "__init__.py"
    library.parent.mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(cache_module, "_LIBRARIES", ("madeup", "not_installed"))
    found = set()
    for content in ("version = 1", "version = 10"):
        library.write_text(content)
        found.add(cache_module.engine_digest.__wrapped__())
    assert len(found) == 2
