"""ISO images in an audit: what is in one is examined like files in a folder, and nothing is passed over unsaid."""

from __future__ import annotations

import zipfile
from io import BytesIO
from pathlib import Path
from unittest import mock

import pytest

from builders import depots, esxi_hosts, isos, policies
from builders.audits import audit_of
from builders.bundles import make
from builders.pki import NOW
from builders.transcript import run
from modseal.auditing.engine import Processes
from modseal.auditing.run import Audit
from modseal.format import iso
from modseal.policy.sources import load
from modseal.trust.policy import Policy

pytestmark = pytest.mark.skipif(not iso.is_available(), reason="pycdlib, which the test group has, is not installed")

GOOD, OTHER = make("vib"), make("seal", name="other")


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    return load(str(policies.write(tmp_path)))


def write(folder: Path, files: dict[str, bytes], **trees: bool) -> Path:
    path = folder / "image.iso"
    path.write_bytes(isos.make(files, **trees))
    return path


def names(audit: Audit) -> list[str]:
    """Of all bundles, without the image's own."""
    return sorted(result["bundle"].partition("image.iso")[2] for result in audit.results())


def test_bundles_of_an_image_are_examined_by_name_and_by_how_they_begin(policy: Policy, tmp_path: Path) -> None:
    files = {"vibs/a.vib": GOOD.data, "vibs/b": OTHER.data, "readme.txt": b"no bundle"}
    for place in (tmp_path, write(tmp_path, files)):  # the folder that it lies in, and itself
        audit = audit_of([place], policy)
        assert names(audit) == ["!/vibs/a.vib", "!/vibs/b"]
        assert audit.summary.verdicts == {"accepted": 2}
        assert "readme.txt" not in {finding.bundle for finding in audit.findings()}


@pytest.mark.parametrize("program", ["xorriso", "genisoimage"])
def test_images_of_other_tools_are_looked_into(policy: Policy, tmp_path: Path, program: str) -> None:
    found = {"xorriso": isos.XORRISO, "genisoimage": isos.GENISOIMAGE}[program]
    if not found:
        pytest.skip(f"{program} is not on this machine")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/a.vib").write_bytes(GOOD.data)
    audit = audit_of([isos.of_folder(found, tmp_path / "tree", tmp_path / "image.iso", "-R")], policy)
    assert names(audit) == ["!/a.vib"]
    assert audit.summary.verdicts == {"accepted": 1}


def test_a_tampered_bundle_of_an_image_is_rejected(policy: Policy, tmp_path: Path) -> None:
    audit = audit_of([write(tmp_path, {"a.vib": GOOD.data[:-1] + b"!"})], policy)
    assert audit.summary.verdicts == {"rejected": 1}


def test_depots_of_an_image_are_compared_with_what_they_have(policy: Policy, tmp_path: Path) -> None:
    depot = depots.make()
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path, data in depot.contents.items():
            archive.writestr(zipfile.ZipInfo(path), data)
    files = {"depot.zip": out.getvalue()} | {f"unpacked/{path}": data for path, data in depot.contents.items()}
    audit = audit_of([write(tmp_path, files)], policy)
    assert audit.summary.depots == 2
    assert audit.summary.bundles == 2 * len(depot.bundles)
    assert audit.summary.left_out == 0
    assert {finding.rule for finding in audit.findings()} & {"metadata-mismatch", "bundle-unlisted"} == set()
    extra = files | {"unpacked/vib20/extra.vib": make("vib", name="extra").data}
    assert "bundle-unlisted" in {finding.rule for finding in audit_of([write(tmp_path, extra)], policy).findings()}


def test_the_boot_bank_of_an_image_is_a_host(policy: Policy, tmp_path: Path) -> None:
    host = esxi_hosts.make()
    files = {name.upper(): data for name, data in host.bank.items()} | {"IMGDB.TGZ": host.archive()}
    audit = audit_of([write(tmp_path, files)], policy)
    assert audit.summary.verdicts == {"accepted": 2}
    assert audit.hosts[0]["payloads_present"] == 2
    assert audit.summary.left_out == 1, "boot.cfg"
    assert all(name.startswith("!/IMGDB.TGZ!/var/db/esximg/vibs/") for name in names(audit))


def test_what_an_image_hides_is_said(policy: Policy, tmp_path: Path) -> None:
    files = {"inner.iso": isos.make({"a.vib": GOOD.data}), "a.vib.gz": b"\x1f\x8b\x08" + b"\0" * 99}
    audit = audit_of([write(tmp_path, files)], policy)
    assert sorted(finding.bundle.partition("!/")[2] for finding in audit.findings()) == ["a.vib.gz", "inner.iso"]


@pytest.mark.parametrize("cut", [0x8100, 0xB000, -3000])
def test_a_damaged_image_is_undecided(policy: Policy, tmp_path: Path, cut: int) -> None:
    path = write(tmp_path, {"a.vib": GOOD.data, "b.txt": b"x" * 9999})
    path.write_bytes(path.read_bytes()[:cut])
    audit = audit_of([path], policy)
    assert audit.doubt or audit.worst
    assert audit.summary.verdicts["accepted"] == 0 or cut == -3000
    assert "internal-error" not in {finding.rule for finding in audit.findings()}


def test_without_the_library_an_image_is_undecided_and_says_what_to_install(policy: Policy, tmp_path: Path) -> None:
    path = write(tmp_path, {"a.vib": GOOD.data})
    with mock.patch.object(iso, "is_available", return_value=False):
        audit = audit_of([path], policy)
    [finding] = audit.findings()
    assert finding.undecided
    assert "pip install modseal[iso]" in finding.detail


def test_several_processes_see_an_image_alike(policy: Policy, tmp_path: Path) -> None:
    depot = {f"unpacked/{path}": data for path, data in depots.make().contents.items()}
    path = write(tmp_path, {"a.vib": GOOD.data, "b.vib": OTHER.unsigned().data, **depot})
    serial, parallel = audit_of([path], policy), audit_of([path], policy, engine=Processes(policy, NOW, 2))
    assert list(parallel.results()) == list(serial.results())
    assert list(parallel.findings()) == list(serial.findings())


def test_an_image_through_the_command_line(tmp_path: Path) -> None:
    policies.write(tmp_path)
    write(tmp_path, {"a.vib": GOOD.data, "forced.vib": GOOD.unsigned().data})
    done = run("audit", "image.iso", "--policy", "policy.toml", "--at", "2026-06-01", "--no-cache", cwd=tmp_path)
    assert done.code == 1
    assert "accepted   1 bundle" in done.out
    assert "rejected   none       image.iso!/forced.vib" in done.out
    named = run("verify", "image.iso", "--policy", "policy.toml", cwd=tmp_path)
    assert "`modseal audit` examines the bundles in it" in named.out


PLACE = "sources/var/db/esximg"
TREES = ({}, {"rock_ridge": False, "joliet": True}, {"joliet": True, "udf": True})


def unpacked(host: esxi_hosts.Host) -> dict[str, bytes]:
    """The files of a host as somebody lays them on a disc: the root of its file system, below a folder."""
    return {
        **{f"{PLACE}/{path}": data for path, data in host.database.items()},
        **{f"sources/bootbank/{name}": data for name, data in host.bank.items()},
    }


@pytest.mark.parametrize("trees", TREES)
def test_a_database_that_lies_unpacked_in_an_image_is_a_host(
    policy: Policy, tmp_path: Path, trees: dict[str, bool]
) -> None:
    audit = audit_of([write(tmp_path, unpacked(esxi_hosts.make()), **trees)], policy)
    assert audit.summary.verdicts == {"accepted": 2}
    assert audit.hosts[0]["host"] == f"{tmp_path}/image.iso!/{PLACE}"
    assert (audit.hosts[0]["payloads_present"], audit.summary.left_out) == (2, 1), "boot.cfg"
    assert all(name.startswith(f"!/{PLACE}/vibs/") for name in names(audit))


def test_an_implant_in_an_unpacked_database_of_an_image_is_found(policy: Policy, tmp_path: Path) -> None:
    host = esxi_hosts.make(make("vib"), make("vib", name="implant").unsigned()).with_boot_file("evil.v00", b"code")
    rules = {finding.rule for finding in audit_of([write(tmp_path, unpacked(host))], policy).findings()}
    assert {"forced-vib", "boot-file-unlisted"} <= rules


def test_both_databases_of_a_host_in_an_image_are_compared(policy: Policy, tmp_path: Path) -> None:
    host, other = esxi_hosts.make(), esxi_hosts.make(make("vib", name="implant").unsigned())
    for archive, hosts in ((host.archive(), 1), (other.archive(), 2)):
        audit = audit_of([write(tmp_path, {**unpacked(host), "sources/bootbank/imgdb.tgz": archive})], policy)
        assert len(audit.hosts) == hosts
        assert ("host-databases-differ" in {finding.rule for finding in audit.findings()}) is (hosts == 2)


def test_a_bare_database_of_an_image_is_a_host_without_payloads(policy: Policy, tmp_path: Path) -> None:
    audit = audit_of([write(tmp_path, dict(esxi_hosts.make().database))], policy)
    assert audit.summary.verdicts == {"undecided": 2}
    assert audit.hosts[0]["payloads"] == 2


@pytest.mark.skipif(not isos.GENISOIMAGE, reason="genisoimage is not on this machine")
def test_a_database_whose_names_a_disc_cuts_short_accuses_nobody(policy: Policy, tmp_path: Path) -> None:
    assert isos.GENISOIMAGE
    host = esxi_hosts.make().write(tmp_path / "host")
    audit = audit_of([isos.of_folder(isos.GENISOIMAGE, host, tmp_path / "image.iso")], policy)
    assert audit.summary.verdicts == {"undecided": 1}
    [finding] = [finding for finding in audit.findings() if finding.rule == "bad-metadata"]
    assert (finding.undecided, finding.bundle) == (True, f"{tmp_path}/image.iso!/VAR/DB/ESXIMG")
