"""Installed ESXi hosts in an audit: what their database claims is held against what the signatures prove."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from builders import esxi_hosts, policies
from builders.audits import audit_of
from builders.bundles import make
from builders.esxi_hosts import Host
from builders.pki import NOW, ca, leaf
from modseal.auditing.cache import Cache, context_of
from modseal.auditing.engine import Processes
from modseal.auditing.finding import Finding
from modseal.auditing.run import Audit
from modseal.errors import InputError
from modseal.format.level import Level
from modseal.format.shape import quote
from modseal.policy.sources import load
from modseal.trust.policy import Policy

AGENT, NET = make("vib"), make("vib", name="acme-net", files={"opt/acme/net": b"net"})
HOST = esxi_hosts.make(AGENT, NET)
DOCUMENT = esxi_hosts.document(AGENT.manifest)

Put = Callable[[Host], Path]


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    return load(str(policies.write(tmp_path)))


@pytest.fixture(params=["root", "bank"])
def put(request: pytest.FixtureRequest, tmp_path: Path) -> Put:
    """Writes a host as the root of its file system, or as a boot bank with the database in its archive."""
    if request.param == "root":
        return lambda host: host.write(tmp_path / "host")
    return lambda host: host.write_bank(tmp_path / "bank")


def of_rule(audit: Audit, rule: str) -> list[Finding]:
    return [finding for finding in audit.findings() if finding.rule == rule]


def of_hosts(audit: Audit) -> set[str]:
    """The rules of hosts that found something, and the checks that did not pass."""
    ids = {
        *("forced-vib", "vib-not-in-profile", "profile-vib-missing", "descriptor-rewritten"),
        *("boot-file-unlisted", "host-level-not-proven", "host-profile-unclear"),
    }
    return {finding.rule for finding in audit.findings() if finding.rule in ids or finding.kind == "check"}


def test_a_whole_host_is_proven_from_its_original_bytes_and_every_payload(policy: Policy, put: Put) -> None:
    audit = audit_of([put(HOST)], policy)
    assert audit.summary.verdicts == {"accepted": 2}
    assert audit.summary.levels == {"partner": 2}
    assert of_hosts(audit) == set()
    [host] = audit.hosts
    assert (host["claimed_level"], host["proven_level"]) == ("partner", "partner")
    assert (host["vibs"], host["vibs_as_claimed"], host["payloads"], host["payloads_present"]) == (2, 2, 2, 2)


def test_payloads_are_not_left_out_beside_their_vibs_and_other_files_are(policy: Policy, put: Put) -> None:
    audit = audit_of([put(HOST.with_boot_file("state.tgz", gzip.compress(b"ustar" * 999)))], policy)
    assert audit.summary.left_out == 2, "boot.cfg and state.tgz"


def test_a_vib_with_nothing_missing_is_the_file_that_was_installed(policy: Policy, put: Put) -> None:
    audit = audit_of([put(HOST)], policy)
    assert [result["sha256"] for result in audit.results()] == [
        hashlib.sha256(bundle.data).hexdigest() for bundle in (AGENT, NET)
    ]


def test_the_signature_counts_over_the_original_where_the_host_wrote_the_descriptor_anew(
    policy: Policy, put: Put
) -> None:
    original = AGENT.manifest_bytes
    shown = original.replace(b"<description>An agent.</description>", b"<description>  An agent.\n</description>")
    assert shown != original
    host = HOST.with_document(DOCUMENT, shown).with_document(f"{DOCUMENT}.orig", original)
    without = HOST.with_document(DOCUMENT, shown)
    assert "content-digest-mismatch" in of_hosts(audit_of([put(without)], policy))
    assert of_hosts(audit_of([put(host)], policy)) == set()


def test_what_the_host_shows_is_held_against_what_was_signed(policy: Policy, put: Put) -> None:
    shown = AGENT.manifest_bytes.replace(b">partner<", b">certified<")
    host = HOST.with_document(DOCUMENT, shown).with_document(f"{DOCUMENT}.orig", AGENT.manifest_bytes)
    audit = audit_of([put(host)], policy)
    [finding] = of_rule(audit, "descriptor-rewritten")
    assert finding.evidence == {"field": "claimed-level", "shown": "'certified'", "signed": "'partner'"}
    assert finding.bundle.endswith(DOCUMENT)
    assert audit.summary.verdicts == {"accepted": 2}, "the signed one is what is judged"


@pytest.mark.parametrize("signature", [b"", b"\n", None])
def test_a_claim_with_an_empty_signature_was_forced_in(policy: Policy, put: Put, signature: bytes | None) -> None:
    audit = audit_of([put(HOST.with_document(f"{DOCUMENT}.sig", signature))], policy)
    [finding] = of_rule(audit, "forced-vib")
    assert finding.evidence == {"claimed": "partner", "host": "partner"}
    [level] = of_rule(audit, "host-level-not-proven")
    assert level.evidence["below"] == 1
    assert [name.endswith(DOCUMENT) for name in level.related] == [True]
    assert audit.hosts[0]["proven_level"] is None
    assert audit.hosts[0]["vibs_as_claimed"] == 1


def test_a_claim_with_the_signature_of_another_descriptor_was_forced_in(policy: Policy, put: Put) -> None:
    audit = audit_of([put(HOST.with_document(f"{DOCUMENT}.sig", NET.signature))], policy)
    [finding] = of_rule(audit, "forced-vib")
    assert "over this descriptor" in finding.detail
    assert "content-digest-mismatch" in of_hosts(audit)


def test_a_signer_whom_the_policy_does_not_know_is_not_said_to_have_been_forced_in(policy: Policy, put: Put) -> None:
    stranger = make("vib", leaf("Partner", issuer=ca("Partner root")))
    audit = audit_of([put(esxi_hosts.make(stranger))], policy)
    assert of_rule(audit, "forced-vib") == []
    assert {"no-path", "host-level-not-proven"} <= of_hosts(audit)


def test_a_community_vib_on_a_host_of_partners_was_forced_in(policy: Policy, put: Put) -> None:
    hobby = make("vib", claimed_level=Level.COMMUNITY).unsigned()
    [finding] = of_rule(audit_of([put(esxi_hosts.make(hobby, NET))], policy), "forced-vib")
    assert "below the level partner" in finding.detail


def test_a_community_vib_on_a_community_host_was_not(policy: Policy, put: Put) -> None:
    hobby = make("vib", claimed_level=Level.COMMUNITY).unsigned()
    audit = audit_of([put(esxi_hosts.make(hobby, level="community"))], policy)
    assert of_rule(audit, "forced-vib") == of_rule(audit, "host-level-not-proven") == []


@pytest.mark.parametrize("level", ["", "Partner", "gold", "partner certified"])
def test_a_host_whose_level_cannot_be_told_is_undecided(policy: Policy, put: Put, level: str) -> None:
    hobby = make("vib", claimed_level=Level.COMMUNITY).unsigned()
    audit = audit_of([put(esxi_hosts.make(hobby, level=level))], policy)
    [finding] = of_rule(audit, "host-level-not-proven")
    assert finding.undecided
    assert f"says {quote(level)}" in finding.detail if level else "says no acceptance level" in finding.detail
    assert audit.hosts[0]["claimed_level"] is None


def test_a_profile_without_the_element_says_no_level(policy: Policy, put: Put) -> None:
    host = HOST.edit_document("profiles/Test-1.0", "<acceptancelevel>partner</acceptancelevel>", "")
    [finding] = of_rule(audit_of([put(host)], policy), "host-level-not-proven")
    assert finding.undecided


@pytest.mark.parametrize("level", ["PartnerSupported", " partner "])
def test_the_levels_of_esxcli_are_understood(policy: Policy, put: Put, level: str) -> None:
    hobby = make("vib", claimed_level=Level.COMMUNITY).unsigned()
    audit = audit_of([put(esxi_hosts.make(hobby, level=level))], policy)
    assert audit.hosts[0]["claimed_level"] == "partner"
    assert {"forced-vib", "host-level-not-proven"} <= of_hosts(audit)


def test_a_vib_that_the_profile_does_not_list_is_said_and_the_reverse(policy: Policy, put: Put) -> None:
    listed = esxi_hosts.profile({AGENT.manifest: 0, make("vib", name="gone").manifest: 7})
    audit = audit_of([put(HOST.with_document("profiles/Test-1.0", listed))], policy)
    [unlisted], [missing] = of_rule(audit, "vib-not-in-profile"), of_rule(audit, "profile-vib-missing")
    assert unlisted.evidence == {"id": NET.manifest.id}
    assert missing.evidence == {"id": "Acme_bootbank_gone_1.2.3-4"}


def test_a_payload_that_was_exchanged_is_rejected(policy: Policy, put: Put) -> None:
    other = NET["payload1"].data[: len(AGENT["payload1"].data)].ljust(len(AGENT["payload1"].data), b"\0")
    audit = audit_of([put(HOST.with_boot_file("payload1.v00", other))], policy)
    assert audit.summary.verdicts == {"accepted": 1, "rejected": 1}
    assert "payload-digest-mismatch" in of_hosts(audit)


def test_a_payload_that_is_not_there_leaves_its_vib_undecided_and_its_level_proven(policy: Policy, put: Put) -> None:
    audit = audit_of([put(HOST.with_boot_file("payload1.v00", None))], policy)
    assert audit.summary.verdicts == {"accepted": 1, "undecided": 1}
    assert audit.summary.levels == {"partner": 2}
    [finding] = of_rule(audit, "payload-absent")
    assert finding.undecided
    assert audit.doubt
    assert audit.hosts[0]["payloads_present"] == 1


def test_a_vib_file_that_lacks_a_payload_is_rejected_as_ever(policy: Policy, tmp_path: Path) -> None:
    (tmp_path / "a.vib").write_bytes(AGENT.without("payload1").data)
    audit = audit_of([tmp_path / "a.vib"], policy)
    assert "missing-member" in of_hosts(audit)
    assert audit.summary.verdicts == {"rejected": 1}


def test_a_boot_file_of_no_vib_is_said(policy: Policy, put: Put) -> None:
    audit = audit_of([put(HOST.with_boot_file("Extra.V00", b"code"))], policy)
    [finding] = of_rule(audit, "boot-file-unlisted")
    assert finding.evidence == {"file": "extra.v00"}


@pytest.mark.parametrize("names", [[], ["profiles/a", "profiles/b"]])
def test_without_one_profile_what_belongs_to_the_host_is_undecided(policy: Policy, put: Put, names: list[str]) -> None:
    host = HOST.with_document("profiles/Test-1.0", None).with_document("profiles/.keep", b"")
    for name in names:
        host = host.with_document(name, HOST.database["profiles/Test-1.0"])
    [finding] = of_rule(audit_of([put(host)], policy), "host-profile-unclear")
    assert finding.undecided


@pytest.mark.parametrize("good", [True, False], ids=["beside a good one", "alone"])
@pytest.mark.parametrize("damaged", [b"", b"<imageprofile>", b"<imageprofile/>", b"\xff"])
def test_a_profile_that_cannot_be_read_is_named_and_not_passed_over(
    policy: Policy, put: Put, damaged: bytes, *, good: bool
) -> None:
    host = HOST.with_document("profiles/Other-2.0", damaged)
    audit = audit_of([put(host if good else host.with_document("profiles/Test-1.0", None))], policy)
    [finding] = of_rule(audit, "host-profile-unclear")
    assert finding.undecided
    assert f"{1 + good}, of which 1 cannot be read ('profiles/Other-2.0')" in finding.detail
    assert finding.evidence == {"profiles": 1 + good, "unread": "profiles/Other-2.0"}
    assert not of_rule(audit, "vib-not-in-profile")


def test_a_damaged_profile_or_descriptor_leaves_the_others_judged(policy: Policy, put: Put) -> None:
    host = HOST.with_document("profiles/Test-1.0", b"<imageprofile>").with_document(DOCUMENT, b"<vib")
    audit = audit_of([put(host)], policy)
    assert {"bad-metadata", "bad-manifest", "host-profile-unclear"} <= of_hosts(audit)
    assert audit.summary.bundles == 2
    assert audit.summary.levels == {"partner": 1, "none": 1}


def test_what_a_later_version_has_in_its_profile_is_passed_over(policy: Policy, put: Put) -> None:
    host = HOST.edit_document("profiles/Test-1.0", "<readonly>", "<baseimageid>7.0</baseimageid><readonly>")
    assert of_hosts(audit_of([put(host)], policy)) == set()


def test_payloads_that_a_host_keeps_by_type_are_found(policy: Policy, tmp_path: Path) -> None:
    root = HOST.with_boot_file("payload1.v00", None).write(tmp_path / "host")
    kept = root / "var/db/payloads/vgz"
    kept.mkdir(parents=True)
    (kept / "payload1.v00").write_bytes(AGENT["payload1"].data)
    assert audit_of([root], policy).summary.verdicts == {"accepted": 2}


def test_links_in_a_copy_of_a_host_lead_nowhere(policy: Policy, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(AGENT["payload1"].data)
    root = HOST.with_boot_file("payload1.v00", None).write(tmp_path / "host")
    (root / "bootbank/payload1.v00").symlink_to(outside)
    signature = root / esxi_hosts.PLACE / f"{esxi_hosts.document(NET.manifest, 1)}.sig"
    signature.unlink()
    signature.symlink_to(outside)
    audit = audit_of([root], policy)
    assert of_rule(audit, "payload-absent")
    assert of_rule(audit, "forced-vib")


@pytest.mark.parametrize("path", ["vibs/EVIL.XML", "vibs/below/evil.xml", "vibs/lone.xml.sig", "other/document.xml"])
def test_what_else_lies_in_a_database_is_not_passed_over(policy: Policy, put: Put, path: str) -> None:
    host = HOST.with_document(path, AGENT.data)  # and if it is a bundle, it is examined
    audit = audit_of([put(host)], policy)
    assert audit.summary.left_out == 2 or audit.summary.bundles == 3


def test_what_is_no_file_in_a_database_is_said(policy: Policy, tmp_path: Path) -> None:
    root = HOST.write(tmp_path / "host")
    os.mkfifo(root / esxi_hosts.PLACE / "vibs/pipe.xml")
    audit = audit_of([root], policy)
    assert [finding.bundle[-8:] for finding in of_rule(audit, "left-out")] == ["pipe.xml"]


def test_a_database_of_which_only_the_vibs_were_copied_is_one(policy: Policy, tmp_path: Path) -> None:
    root = HOST.write(tmp_path / "host")
    shutil.rmtree(root / esxi_hosts.PLACE / "profiles")
    audit = audit_of([root], policy)
    assert audit.summary.levels == {"partner": 2}
    assert of_rule(audit, "host-profile-unclear")


def test_the_folder_of_the_database_alone_is_a_host_too_and_finds_the_boot_bank(policy: Policy, tmp_path: Path) -> None:
    root = HOST.write(tmp_path / "host")
    audit = audit_of([root / esxi_hosts.PLACE], policy)
    assert audit.summary.verdicts == {"accepted": 2}
    again = audit_of([root, root / esxi_hosts.PLACE], policy)
    assert again.summary.bundles == 2, "what two paths lead to is examined once"


def test_an_archive_of_a_database_is_a_host_when_it_is_named(policy: Policy, tmp_path: Path) -> None:
    bank = HOST.write_bank(tmp_path / "bank")
    audit = audit_of([bank / "imgdb.tgz"], policy)
    assert audit.summary.verdicts == {"accepted": 2}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not gzip",
        gzip.compress(b"not a tar" * 99),
        gzip.compress(b"\0" * 257 + b"visor  \0" + b"\0" * 999),
        HOST.archive()[:-40],
        HOST.archive() + b"more",
        HOST.archive((DOCUMENT, b"again")),
        gzip.compress(gzip.decompress(HOST.archive()) * 2),
        gzip.compress(b"\0" * (70 * 1024 * 1024)),
    ],
    ids=["empty", "text", "no-tar", "visor", "cut", "trailing", "document-twice", "two-tars", "bomb"],
)
def test_an_archive_that_cannot_be_read_is_undecided_with_a_reason(policy: Policy, tmp_path: Path, data: bytes) -> None:
    bank = HOST.write_bank(tmp_path / "bank")
    (bank / "imgdb.tgz").write_bytes(data)
    audit = audit_of([bank], policy)
    assert audit.summary.verdicts == {"undecided": 1}
    [finding] = (finding for finding in audit.findings() if finding.rule != "left-out")
    assert (finding.undecided, finding.bundle) == (True, str(bank / "imgdb.tgz"))
    assert finding.rule in {"bad-payload", "malformed-archive", "duplicate-member", "trailing-bytes", "limit-exceeded"}


def test_a_sparse_file_in_an_archive_is_not_unpacked(policy: Policy, tmp_path: Path) -> None:
    header = bytearray(tarfile.TarInfo(f"{esxi_hosts.PLACE}/vibs/sparse.xml").tobuf(tarfile.GNU_FORMAT))
    header[156:157], header[483:495] = b"S", b"%011o\0" % (1 << 32)
    header[148:156] = b"%06o\0 " % (sum(header) - sum(header[148:156]) + 8 * ord(" "))
    bank = HOST.write_bank(tmp_path / "bank")
    (bank / "imgdb.tgz").write_bytes(gzip.compress(bytes(header) + gzip.decompress(HOST.archive())))
    audit = audit_of([bank], policy)
    assert audit.summary.verdicts == {"accepted": 2}
    assert audit.summary.left_out == 2, "the sparse file and boot.cfg"


def test_other_processes_and_the_cache_say_the_same(policy: Policy, put: Put, tmp_path: Path) -> None:
    path = put(HOST.with_document(f"{DOCUMENT}.sig", b"").with_boot_file("payload1.v01", None))
    serial, parallel = audit_of([path], policy), audit_of([path], policy, engine=Processes(policy, NOW, 2))
    assert list(parallel.results()) == list(serial.results())
    assert list(parallel.findings()) == list(serial.findings())
    assert policy.origin
    for _ in range(2):
        with Cache.opened(tmp_path / "cache", context_of(policy.origin), NOW, lambda _: None) as cache:
            kept = audit_of([path], policy, cache=cache)
        assert list(kept.findings()) == list(serial.findings())
    restored = put(HOST)
    with Cache.opened(tmp_path / "cache", context_of(policy.origin), NOW, lambda _: None) as cache:
        assert audit_of([restored], policy, cache=cache).summary.verdicts == {"accepted": 2}


def test_a_vib_file_beside_its_host_is_no_other_bundle(policy: Policy, put: Put) -> None:
    path = put(HOST)
    (path / "a.vib").write_bytes(AGENT.data)
    audit = audit_of([path], policy)
    assert {finding.rule for finding in audit.findings()} & {
        "same-id-other-content",
        "same-manifest-other-bytes",
    } == set()


def test_a_folder_that_was_named_as_a_host_and_is_none_is_an_error(tmp_path: Path) -> None:
    from modseal.auditing.esxi import require_container

    with pytest.raises(InputError, match="no database of an installed ESXi host"):
        require_container(str(tmp_path))
    HOST.write(tmp_path)
    assert require_container(str(tmp_path / "var/db")) == str(tmp_path / "var/db/esximg")
