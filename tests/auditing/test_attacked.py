"""Attacks on the audit itself: to be passed over, mixed up with another, believed from a cache, or set aside unseen."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from builders import bundles, depots, pki, policies, zips
from builders.audits import audit_of, folder_of
from builders.pki import NOW
from modseal.auditing import depots as audit_depots
from modseal.auditing import recheck, report_file, run, target
from modseal.auditing.cache import FILE, Cache, context_of
from modseal.auditing.engine import Processes
from modseal.auditing.finding import State
from modseal.auditing.run import Audit
from modseal.cli.audit_output import FORMATS, pieces
from modseal.files import identity
from modseal.policy.sources import load
from modseal.trust.policy import Policy

EVIL = bundles.make("vib").data[:-1]
"""A bundle that no policy accepts."""


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    return load(str(policies.write(tmp_path)))


@pytest.fixture
def cached(tmp_path: Path, policy: Policy, monkeypatch: pytest.MonkeyPatch):
    """An audit with the cache in `tmp_path/cache`, for which every file has settled."""
    monkeypatch.setattr(identity, "_SETTLED", 0)

    def audit(*paths: Path, at: datetime = NOW) -> Audit:
        assert policy.origin
        with Cache.opened(tmp_path / "cache", context_of(policy.origin), at, pytest.fail) as cache:
            result = audit_of(paths, policy, at, cache=cache)
        audit_depots.close()
        return result

    return audit


def rules(audit: Audit) -> list[str]:
    return sorted(finding.rule for finding in audit.findings())


def known_of(audit: Audit) -> list[str]:
    return [finding.fingerprint for finding in audit.findings()]


# Passed over.


@pytest.fixture
def ambiguous(tmp_path: Path) -> Path:
    """A folder where `d.zip!/a.vib` is a good bundle in the archive d.zip, and a bad one in the folder `d.zip!`."""
    folder = tmp_path / "ambiguous"
    (folder / "d.zip!").mkdir(parents=True)
    (folder / "d.zip").write_bytes(zips.write({"a.vib": bundles.make("vib").data}))
    (folder / "d.zip!" / "a.vib").write_bytes(EVIL)
    return folder


def test_a_file_with_the_name_of_another_in_an_archive_is_not_taken_for_it(policy, tmp_path, ambiguous):
    (other,) = folder_of(tmp_path / "other", 1)
    assert audit_of([ambiguous, other], policy).summary.verdicts == {"accepted": 2, "rejected": 1}


def test_findings_go_to_the_bundle_with_their_digest_where_two_have_one_name(policy, ambiguous):
    pairs = list(audit_of([ambiguous], policy).results_with_findings())
    assert [result["verdict"] for result, _ in pairs] == ["accepted", "rejected"]
    for result, findings in pairs:
        assert {finding.sha256 for finding in findings} <= {result["sha256"]}
    assert any(finding.kind == "check" for finding in pairs[1][1])


def test_a_path_over_a_link_is_where_the_link_leads(policy, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b" / "c").mkdir(parents=True)
    (tmp_path / "a" / "link").symlink_to(tmp_path / "b" / "c")
    (tmp_path / "a" / "x.vib").write_bytes(bundles.make("vib").data)
    (tmp_path / "b" / "x.vib").write_bytes(EVIL)
    audit = audit_of([tmp_path / "a" / "x.vib", f"{tmp_path}/a/link/../x.vib"], policy)
    assert audit.summary.verdicts == {"accepted": 1, "rejected": 1}


def test_one_folder_under_several_names_is_audited_once(policy, tmp_path, monkeypatch):
    folder_of(tmp_path / "all", 2)
    depots.make().unpack(tmp_path / "all" / "depot")
    monkeypatch.chdir(tmp_path / "all")
    once = audit_of(["."], policy).summary
    several = audit_of(
        [".", "./", tmp_path / "all", f"{tmp_path}/all/", "../all", "depot/", "000.seal"], policy
    ).summary
    assert (several.bundles, several.depots) == (once.bundles, once.depots) == (3, 1)


def test_a_file_beside_the_bundles_of_an_archive_is_counted_as_left_out(policy, tmp_path):
    """A zip archive within a zip archive is not looked into, and that is said."""
    inner = zips.write({"evil.vib": EVIL})
    (tmp_path / "d.zip").write_bytes(zips.write({"a.vib": bundles.make("vib").data, "inner.zip": inner}))
    summary = audit_of([tmp_path / "d.zip"], policy).summary
    assert (summary.bundles, summary.left_out) == (1, 1)


def test_what_a_depot_with_a_link_for_an_index_does_not_show_is_a_finding(policy, tmp_path):
    folder = depots.make().unpack(tmp_path / "depot")
    (folder / "index.xml").rename(tmp_path / "index.xml")
    (folder / "index.xml").symlink_to(tmp_path / "index.xml")
    (folder / "a*").mkdir()
    (folder / "a*" / "evil.vib").write_bytes(EVIL)
    assert {"unsafe-link", "unsafe-path"} <= set(rules(audit_of([folder], policy)))


def test_a_bundle_in_a_thousand_folders_is_found(policy, tmp_path, monkeypatch):
    try:
        monkeypatch.chdir(tmp_path)
        for name in ("deep", *["d"] * 1200):
            os.mkdir(name)
            os.chdir(name)
        Path("evil.vib").write_bytes(EVIL)
        monkeypatch.undo()
        assert audit_of([tmp_path / "deep"], policy).summary.verdicts == {"rejected": 1}
    finally:
        monkeypatch.undo()
        subprocess.run(["rm", "-rf", tmp_path / "deep"], check=True)  # shutil and pytest call themselves for each


def test_names_that_are_no_text_are_in_every_report(cached, tmp_path):
    (tmp_path / "d").mkdir()
    for name, data in ((b"\xff.seal", bundles.make("seal").data), (b"\xfe.zip", depots.make().data)):
        Path(os.fsdecode(os.fsencode(tmp_path / "d") + b"/" + name)).write_bytes(data)
    for _ in range(2):
        audit = cached(tmp_path / "d")
        assert audit.summary.verdicts == {"accepted": 2}
        for form in FORMATS:
            assert b"".join(pieces(audit, form))


# Mixed up, in depots.


def test_a_depot_whose_bundles_are_known_has_its_vendors_compared_all_the_same(cached, tmp_path):
    extra = bundles.make("vib", name="extra").data
    depot = depots.make(vendor="Evil", code="EVL").with_file("vib20/extra/extra.vib", extra)
    first = rules(cached(depot.write(tmp_path / "depot.zip")))
    assert {"index-vendor-mismatch", "bundle-unlisted"} <= set(first)
    assert rules(cached(tmp_path / "depot.zip")) == first


def test_a_folder_in_a_depot_with_the_separator_at_its_end_belongs_to_the_depot(policy, tmp_path):
    plain, odd = (depots.make(vendor="Evil", code="EVL", folder=folder) for folder in ("vib20", "vib20!"))
    found = rules(audit_of([odd.write(tmp_path / "odd.zip")], policy))
    assert "index-vendor-mismatch" in found
    assert found == rules(audit_of([plain.write(tmp_path / "plain.zip")], policy))


def test_metadata_split_otherwise_into_documents_is_other_metadata(cached, tmp_path):
    """An index that goes on as if the next documents followed: read once as damage, then as lies about a bundle."""
    lying = depots.make().edit_all("<packedSize>", "<packedSize>1").edit_all("<packed-size>", "<packed-size>1")
    files = lying.contents
    joined = files["index.xml"] + b"".join(
        name.encode() + b"\0" + files[name] for name in ("metadata.zip", "vendor-index.xml")
    )
    (tmp_path / "first.zip").write_bytes(zips.write({**files, "index.xml": joined}))
    assert "metadata-mismatch" not in rules(cached(tmp_path / "first.zip"))
    assert "metadata-mismatch" in rules(cached(lying.write(tmp_path / "second.zip")))


def test_metadata_of_many_depots_does_not_pile_up(policy, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "_METADATA_HELD", 1)
    (tmp_path / "all").mkdir()
    for number in range(12):
        depots.make(bundles.make("vib", name=f"m{number}")).write(tmp_path / "all" / f"{number:02}.zip")
    held: list[int] = []
    real = run._Flow.to_examine

    def weighing(self):
        for one in real(self):
            held.append(self._metadata)
            yield one

    monkeypatch.setattr(run._Flow, "to_examine", weighing)
    audit = audit_of([tmp_path / "all"], policy, engine=Processes(policy, NOW, 2))
    assert audit.summary.plain()["verdicts"]["accepted"] == audit.summary.depots == 12
    one = max(depots.metadata(depots.make(bundles.make("vib", name=f"m{number}"))).size for number in range(12))
    assert 0 < max(held) <= one


# Believed from a cache.


def test_a_file_system_in_the_place_of_another_has_no_verdicts_of_that_one(cached, tmp_path, monkeypatch):
    """Two images, mounted one after the other, have one device number; inode and times are their maker's to choose."""
    (path,) = folder_of(tmp_path / "depot", 1)
    forged = identity.identity_of(path.stat())._replace(device=path.stat().st_dev + 1, mtime=1, ctime=1)
    for module in (identity, target):
        monkeypatch.setattr(module, "identity_of", lambda _status, part="": forged._replace(part=part))
    assert cached(path).summary.verdicts == {"accepted": 1}
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    assert cached(path).summary.verdicts == {"rejected": 1}


DAMAGE = (
    "result = 'x'",
    "result = x'0a0a'",
    "result = replace(result, 'accepted', 'rejected')",
    "row = x'ff'",
    "row = replace(row, 'accepted', 'rejected')",
    "findings = '[[]]'",
    "findings = '5'",
    "after = 'x'",
    "before = before + 1",
)


@pytest.mark.parametrize("change", DAMAGE)
def test_damage_within_a_kept_result_has_the_bundle_examined_again(cached, tmp_path, change):
    (path,) = folder_of(tmp_path / "depot", 1)
    first = cached(path)
    with closing(sqlite3.connect(tmp_path / "cache" / FILE)) as connection:
        connection.execute(f"UPDATE results SET {change}")
        connection.commit()
    second = cached(path)
    assert list(second.results()) == list(first.results())
    assert list(second.findings()) == list(first.findings())
    assert second.summary.plain() == first.summary.plain()


def test_inodes_of_64_bits_are_kept(cached, tmp_path, monkeypatch):
    (path,) = folder_of(tmp_path / "depot", 1)
    real = identity.identity_of
    for module in (identity, target):
        monkeypatch.setattr(module, "identity_of", lambda status, part="": real(status, part)._replace(inode=2**64 - 5))
    cached(path)
    with closing(sqlite3.connect(tmp_path / "cache" / FILE)) as connection:
        assert connection.execute("SELECT inode FROM files").fetchall() == [(-5,)]
    assert cached(path).summary.verdicts == {"accepted": 1}


@pytest.mark.parametrize("data", [EVIL, b"garbage", b"", b"!<arch>\n", bundles.make("seal").data[:-300]])
def test_what_is_kept_of_a_file_names_no_file(cached, tmp_path, data):
    first, other = tmp_path / "first-name.seal", tmp_path / "other-name.vib"
    for path in (first, other):
        path.write_bytes(data)
    cached(first)
    audit = cached(other)
    assert "first-name" not in json.dumps([list(audit.results()), [finding.plain() for finding in audit.findings()]])


def test_a_report_with_results_of_an_earlier_time_is_reproduced(cached, policy, tmp_path):
    """Evidence says when somebody looked; what is kept in a cache was looked at before."""
    ends = NOW + timedelta(days=10)
    path = tmp_path / "expired.seal"
    path.write_bytes(bundles.make("seal", pki.leaf(end=ends)).data)
    cached(path, at=ends + timedelta(days=1))
    later = cached(path, at=ends + timedelta(days=2))
    assert later.summary.verdicts == {"rejected": 1}
    (tmp_path / "report.json").write_bytes(b"".join(pieces(later, "json")))
    report = report_file.load(tmp_path / "report.json")
    assert recheck.compare(report, audit_of([path], policy, report.at)).deviations == []


# Set aside.


@pytest.mark.parametrize(
    "damaged",
    [
        pytest.param(lambda data: zips.write({"a.vib": data}) + b"PK", id="the archive"),
        pytest.param(lambda data: zips.archive([zips.Part("a.vib", data, both={"crc": 1})]), id="a bundle in it"),
    ],
)
def test_a_baseline_does_not_know_what_nobody_could_read(policy, tmp_path, damaged):
    """Its name and its damage may be the same tomorrow, and its bytes others."""
    path = tmp_path / "depot.zip"
    path.write_bytes(damaged(bundles.make("vib").data))
    known = known_of(audit_of([path], policy))
    path.write_bytes(damaged(EVIL))
    audit = audit_of([path], policy, known=known)
    assert audit.worst or audit.doubt
    assert {finding.state for finding in audit.findings()} == {State.NEW}
