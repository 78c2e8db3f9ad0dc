"""Depots in an audit: what their metadata says never decides, and is a finding where it is not so (DEP-01, DEP-02)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from builders import bundles, depots, policies
from builders.audits import audit_of
from builders.pki import NOW
from modseal import limits
from modseal.auditing import depots as audit_depots
from modseal.auditing import look
from modseal.auditing.cache import Cache, context_of
from modseal.auditing.engine import Processes
from modseal.auditing.finding import Finding
from modseal.auditing.run import Audit
from modseal.files import identity
from modseal.policy.sources import load
from modseal.trust.policy import Policy


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    return load(str(policies.write(tmp_path)))


@pytest.fixture(params=["zip", "folder"])
def put(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[depots.Depot], Path]:
    """Writes a depot as a zip file, or unpacked."""
    if request.param == "zip":
        return lambda depot: depot.write(tmp_path / "depot.zip")
    return lambda depot: depot.unpack(tmp_path / "depot")


def of_depots(audit: Audit) -> list[Finding]:
    """The findings about depots."""
    ids = {"metadata-mismatch", "bundle-unlisted", "bundle-missing", "index-vendor-mismatch", "depot-file-unlisted"}
    return [finding for finding in audit.findings() if finding.rule in ids or finding.kind == "check"]


def rules(audit: Audit) -> list[str]:
    return [finding.rule for finding in of_depots(audit)]


def test_a_good_depot_has_its_bundles_examined_and_nothing_to_say_against_it(policy, put):
    path = put(depots.make())
    audit = audit_of([path], policy)
    assert audit.summary.depots == 1
    assert audit.summary.bundles == len(depots.make().bundles)
    assert audit.summary.verdicts["accepted"] == audit.summary.bundles
    assert of_depots(audit) == []
    assert all(result["bundle"].startswith(f"{path}!/vib20/") for result in audit.results())


def test_several_processes_see_a_depot_alike(policy, put):
    path = put(depots.make())
    serial, parallel = audit_of([path], policy), audit_of([path], policy, engine=Processes(policy, NOW, 2))
    assert list(parallel.results()) == list(serial.results())
    assert list(parallel.findings()) == list(serial.findings())


def test_a_bundle_is_judged_by_its_own_manifest_whatever_the_metadata_claims(policy, put):
    depot = depots.make()
    documents = {
        name: data.replace(b"<acceptance-level>partner<", b"<acceptance-level>certified<")
        for name, data in depot.documents.items()
    }
    assert documents != depot.documents
    audit = audit_of([put(replace(depot, documents=documents))], policy)
    assert audit.summary.verdicts["accepted"] == audit.summary.bundles
    assert audit.summary.levels["certified"] == 0
    assert set(rules(audit)) == {"metadata-mismatch"}
    assert audit.worst is not None


def test_a_bundle_that_nobody_lists_is_examined_and_said(policy, put):
    depot = depots.make()
    extra = bundles.make("vib", name="extra").data
    audit = audit_of([put(replace(depot, files={**depot.files, "vib20/extra/extra.vib": extra}))], policy)
    assert rules(audit) == ["bundle-unlisted"]
    assert audit.summary.bundles == len(depot.bundles) + 1


def test_a_listed_bundle_that_is_not_there_is_said(policy, put):
    depot = depots.make()
    gone, *_ = depot.bundles
    files = {name: data for name, data in depot.files.items() if name != gone}
    audit = audit_of([put(replace(depot, files=files))], policy)
    assert "bundle-missing" in rules(audit)


def test_a_tampered_bundle_fails_its_own_checks_and_the_listed_digest(policy, put):
    depot = depots.make()
    path, *_ = depot.bundles
    data = bytearray(depot.files[path])
    data[-20] ^= 1
    audit = audit_of([put(replace(depot, files={**depot.files, path: bytes(data)}))], policy)
    assert {"payload-digest-mismatch", "metadata-mismatch"} <= set(rules(audit))
    assert audit.summary.verdicts["rejected"] == 1


def test_a_zip_that_is_not_well_formed_is_rejected_as_a_whole(policy, tmp_path):
    path = tmp_path / "depot.zip"
    path.write_bytes(depots.make().data + b"PK")
    audit = audit_of([path], policy)
    (finding,) = audit.findings()
    assert (finding.rule, finding.bundle, finding.undecided) == ("trailing-bytes", str(path), False)
    assert (audit.summary.bundles, audit.summary.depots) == (0, 1)


def test_depots_are_found_in_folders_by_what_they_are(policy, tmp_path):
    (tmp_path / "all").mkdir()
    depots.make().write(tmp_path / "all" / "zipped.bin")
    depots.make().unpack(tmp_path / "all" / "unpacked")
    audit = audit_of([tmp_path / "all"], policy)
    assert audit.summary.depots == 2


def test_a_zip_of_anything_else_is_left_out(policy, tmp_path):
    from zipfile import ZipFile

    with ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.writestr("photo.jpg", b"jpg")
    audit = audit_of([tmp_path], policy)
    assert (audit.summary.depots, audit.summary.bundles) == (0, 0)


def test_the_bundles_in_a_zip_without_an_index_are_examined(policy, tmp_path):
    from zipfile import ZipFile

    with ZipFile(tmp_path / "loose.zip", "w") as archive:
        archive.writestr("a.vib", bundles.make("vib").data)
        archive.writestr("readme.txt", b"two bundles")
        archive.writestr("b.seal", bundles.make("seal").data[:-1])
    audit = audit_of([tmp_path / "loose.zip"], policy)
    assert (audit.summary.bundles, audit.summary.verdicts["rejected"]) == (2, 1)
    assert [finding.bundle for finding in of_depots(audit)] == [f"{tmp_path / 'loose.zip'}!/b.seal"]


def test_the_findings_of_hostile_metadata_come_to_an_end(policy, tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "FINDINGS", 3)
    depot = depots.make()
    files = {f"junk/{number}": b"" for number in range(9)}
    audit = audit_of([replace(depot, files={**depot.files, **files}).write(tmp_path / "depot.zip")], policy)
    assert rules(audit) == ["depot-file-unlisted"] * 3 + ["limit-exceeded"]


@pytest.fixture
def cached(tmp_path: Path, policy: Policy, monkeypatch: pytest.MonkeyPatch):
    """An audit with a cache, and the number of bundles that it really examined."""
    monkeypatch.setattr(identity, "_SETTLED", 0)
    count = [0]
    real = look.examine

    def counting(*arguments):
        count[0] += 1
        return real(*arguments)

    monkeypatch.setattr(look, "examine", counting)

    def audit(path: Path) -> tuple[Audit, int]:
        count[0] = 0
        assert policy.origin
        with Cache.opened(tmp_path / "cache", context_of(policy.origin), NOW, pytest.fail) as cache:
            result = audit_of([path], policy, cache=cache)
        audit_depots.close()
        return result, count[0]

    return audit


def test_an_unchanged_depot_is_not_examined_again_and_its_findings_stay(put, cached):
    depot = depots.make()
    bad = replace(
        depot,
        documents={
            **depot.documents,
            "vmware.xml": depot.documents["vmware.xml"].replace(b"<packedSize>", b"<packedSize>1", 1),
        },
    )
    where = put(bad)
    first, examined = cached(where)
    assert examined == len(depot.bundles)
    assert "metadata-mismatch" in rules(first)
    second, examined = cached(where)
    assert examined == 0
    assert list(second.findings()) == list(first.findings())


def test_other_metadata_has_the_same_bundles_compared_again(put, cached):
    depot = depots.make()
    where = put(depot)
    assert of_depots(cached(where)[0]) == []
    listing = depot.documents["vmware.xml"].replace(b"<packedSize>", b"<packedSize>1", 1)
    put(replace(depot, documents={**depot.documents, "vmware.xml": listing}))
    second, _ = cached(where)
    assert "metadata-mismatch" in rules(second)
