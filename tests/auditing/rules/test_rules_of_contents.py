"""The rules about what is in a bundle, whether hosts take it, and how it was made."""

from __future__ import annotations

import gzip
import re
from dataclasses import replace
from typing import Any

import pytest

from builders.bundles import KINDS, Bundle, accepted, codes, header, judge, make, tar_of
from builders.pki import signer
from builders.policies import trusting
from builders.rules import found
from modseal.format.level import Level
from modseal.format.manifest import Digest, Kind, VibFields, View
from modseal.policy.shape import PATH_LISTS
from modseal.trust.policy import Policy

kinds = pytest.mark.parametrize("kind", KINDS)
COMMUNITY: dict[str, Any] = {"claimed_level": Level.COMMUNITY}
ALLOWED = "opt/acme/agent"


def module(kind: Kind, *paths: str, mode: int = 0o644, **changes: Any) -> Bundle:
    """A community module with these files, all with one mode."""
    files = dict.fromkeys(paths, b"#!/bin/sh\n")
    return make(kind, files=files, modes=dict.fromkeys(paths, mode), **{**COMMUNITY, **changes})


# startup-script.


@kinds
@pytest.mark.parametrize(
    "path", ["etc/init.d/agent", "etc/rc.local.d/9.sh", "var/spool/cron/root", "bin/agent", "usr/sbin/agent"]
)
def test_a_community_module_that_starts_by_itself_is_told(kind: Kind, path: str) -> None:
    (finding,) = found("startup-script", module(kind, ALLOWED, path))
    assert finding.evidence == {"files": 1, "first": path}


@kinds
def test_files_elsewhere_and_modules_of_a_higher_level_are_not(kind: Kind) -> None:
    assert found("startup-script", module(kind, ALLOWED, "opt/etc/init.d/agent", "binary/agent")) == []
    assert found("startup-script", module(kind, "etc/init.d/agent", claimed_level=Level.PARTNER)) == []


def test_a_folder_starts_nothing() -> None:
    assert found("startup-script", make("seal", files={"bin/empty": None}, **COMMUNITY)) == []


def test_many_files_are_one_finding_that_names_a_few() -> None:
    (finding,) = found("startup-script", module("vib", *(f"bin/{number}" for number in range(7))))
    assert finding.evidence == {"files": 7, "first": "bin/0"}
    assert finding.detail.endswith("bin/0, bin/1, bin/2, bin/3, bin/4 and 2 more")


# setuid-file.


@kinds
@pytest.mark.parametrize("mode", [0o4755, 0o2755, 0o6755])
def test_a_file_with_the_rights_of_its_owner_is_told(kind: Kind, mode: int) -> None:
    bundle = module(kind, ALLOWED, mode=mode, claimed_level=Level.PARTNER)
    accepted(bundle, trusting())
    (finding,) = found("setuid-file", bundle)
    assert finding.evidence == {"files": 1, "first": ALLOWED}
    assert found("setuid-file", module(kind, ALLOWED, mode=0o755)) == []


def test_a_folder_with_a_set_group_id_bit_is_not() -> None:
    bundle = make("seal", files={"opt/shared": None}, modes={"opt/shared": 0o2775})
    accepted(bundle, trusting())
    assert found("setuid-file", bundle) == []


def test_what_a_check_has_refused_is_not_told_again() -> None:
    bundle = module("vib", ALLOWED, mode=0o4755)
    assert codes(judge(bundle, trusting())) == ["unsafe-mode"]
    assert found("setuid-file", bundle) == []


# sticky-file.


def test_a_file_that_a_host_keeps_is_told() -> None:
    bundle = module("vib", ALLOWED, mode=0o1644)
    accepted(bundle, trusting())
    (finding,) = found("sticky-file", bundle)
    assert finding.evidence == {"files": 1, "first": ALLOWED}
    assert found("sticky-file", module("vib", ALLOWED)) == []
    folder = make("vib", files={"opt/tmp": None, ALLOWED: b""}, modes={"opt/tmp": 0o1777})
    assert found("sticky-file", folder) == []


def test_the_bit_means_nothing_in_a_seal() -> None:
    assert found("sticky-file", module("seal", ALLOWED, mode=0o1644)) == []


# path-outside-allowed.


def test_a_community_vib_with_files_elsewhere_is_told() -> None:
    (finding,) = found("path-outside-allowed", module("vib", ALLOWED, "etc/cron.d/backup"))
    assert finding.evidence == {"files": 1, "first": "etc/cron.d/backup", "list": "esxi-8"}
    assert found("path-outside-allowed", module("vib", ALLOWED, "usr/lib/vmware/x")) == []


def test_other_levels_and_seals_are_not() -> None:
    assert found("path-outside-allowed", module("vib", "etc/cron.d/x", claimed_level=Level.PARTNER)) == []
    assert found("path-outside-allowed", module("seal", "etc/cron.d/x")) == []


@pytest.mark.parametrize("allowed", [PATH_LISTS["esxi-5"], ("etc/cron.d/",)], ids=["list", "own"])
def test_where_the_policy_has_paths_its_check_is_enough(allowed: tuple[str, ...]) -> None:
    bundle, policy = module("vib", "etc/cron.d/x", "etc/other"), trusting(community_paths=allowed)
    assert codes(judge(bundle, policy)) == ["path-not-allowed"]
    assert found("path-outside-allowed", bundle, policy) == []


# gunzip-sha256-missing, checksum-order.


def with_digests(*wanted: tuple[str, View]) -> Bundle:
    good = make("vib")
    payload = good.manifest.payloads[0]
    return good.with_manifest(
        payloads=(replace(payload, digests=tuple(d for d in payload.digests if (d.algorithm, d.view) in wanted)),)
    )


def test_a_vib_that_esxi_8_refuses_is_told() -> None:
    old = with_digests(("sha256", View.RAW), ("sha1", View.UNPACKED))
    accepted(old, trusting())
    (finding,) = found("gunzip-sha256-missing", old)
    assert finding.evidence == {"payload": "payload1"}
    assert finding.severity.value == "medium"
    assert found("gunzip-sha256-missing", make("vib")) == []


@pytest.mark.parametrize("kind", ["tgz", "vgz", "vzstd"])
def test_what_modseal_packs_has_it(kind: str) -> None:
    assert found("gunzip-sha256-missing", make("vib", payload_type=kind)) == []
    assert found("checksum-order", make("vib", payload_type=kind)) == []


def test_a_payload_that_nobody_can_unpack_and_a_seal_do_not_need_it() -> None:
    payload = make("vib").manifest.payloads[0]
    boot = replace(payload, type="boot", digests=(Digest("sha256", View.RAW, bytes(32)),))
    assert found("gunzip-sha256-missing", make("vib").with_manifest(payloads=(boot,))) == []
    assert found("gunzip-sha256-missing", make("seal")) == []


@pytest.mark.parametrize("kind", ["vgz", "vzstd"])
def test_checksums_in_another_order_are_told(kind: str) -> None:
    good = make("vib", payload_type=kind)
    unpacked, raw = re.findall(
        r"<checksum checksum-type=.sha-256.(?: [^>]*)?>\w+</checksum>", good.manifest_bytes.decode()
    )
    swapped = good.edit_text(unpacked + raw, raw + unpacked)
    accepted(swapped, trusting())
    (finding,) = found("checksum-order", swapped)
    assert finding.evidence == {"payload": "payload1"}


def test_a_vib_with_one_sha256_has_no_order() -> None:
    assert found("checksum-order", with_digests(("sha256", View.RAW), ("sha1", View.UNPACKED))) == []


# not-removable-live.


def test_a_community_vib_that_needs_a_reboot_to_go_is_told() -> None:
    assert len(found("not-removable-live", module("vib", ALLOWED))) == 1
    assert found("not-removable-live", module("vib", ALLOWED, vib=VibFields(live_remove_allowed=True))) == []
    assert found("not-removable-live", make("vib")) == []
    assert found("not-removable-live", module("seal", ALLOWED)) == []


# fling-leftover.


@kinds
@pytest.mark.parametrize(("summary", "times"), [("[Fling] Agent", 1), ("[Fling] [Fling] Agent", 2)])
def test_what_vibauthor_wrote_into_the_summary_is_told(kind: Kind, summary: str, times: int) -> None:
    (finding,) = found("fling-leftover", make(kind, summary=summary))
    assert finding.evidence == {"times": times}


@kinds
@pytest.mark.parametrize("summary", ["", "Agent", "Agent [Fling] ", "[Fling]Agent", "USB NIC Driver Fling"])
def test_other_summaries_are_not(kind: Kind, summary: str) -> None:
    assert found("fling-leftover", make(kind, summary=summary)) == []


# not-reproducible.


def with_header(**fields: str) -> Bundle:
    good = make("vib")
    return good.with_member("payload1", header=header("payload1", len(good["payload1"].data), **fields))


@pytest.mark.parametrize("fields", [{"mtime": "1711632897"}, {"uid": "1000"}, {"gid": "5"}])
def test_a_header_of_the_archive_with_a_time_or_an_owner_is_told(fields: dict[str, str]) -> None:
    bundle = with_header(**fields)
    accepted(bundle, trusting())
    (finding,) = found("not-reproducible", bundle)
    assert "archive's header of 'payload1'" in finding.detail


@pytest.mark.parametrize("fields", [{}, {"mode": "0o0"}, {"uid": "-1", "gid": "-1"}, {"mode": "100644"}])
def test_other_headers_are_not(fields: dict[str, str]) -> None:
    assert found("not-reproducible", with_header(**fields)) == []


@pytest.mark.parametrize(("name", "time"), [("", 1), ("stage.vtar", 0), ("stage.vtar", 1)])
def test_a_gzip_header_with_a_time_or_a_name_is_told(name: str, time: int) -> None:
    tar = tar_of(make("vib"))
    packed = bytearray(gzip.compress(tar, mtime=time))
    if name:
        packed[3] |= 0x08
        packed[10:10] = name.encode() + b"\0"
    bundle = make("vib").with_payload(bytes(packed), tar)
    accepted(bundle, trusting())
    (finding,) = found("not-reproducible", bundle)
    assert "gzip header of 'payload1'" in finding.detail


@kinds
def test_what_modseal_packs_is_reproducible(kind: Kind) -> None:
    assert found("not-reproducible", make(kind)) == []


def test_all_places_are_one_finding() -> None:
    good = make("vib")
    members = tuple(replace(one, header=header(one.name, len(one.data), mtime="1")) for one in good.members)
    (finding,) = found("not-reproducible", good.with_members(*members))
    assert finding.evidence == {"places": 3}


# All of them.


def test_rules_of_contents_ask_for_no_trust() -> None:
    """An auditor wants to know what is in a bundle that nobody signed, too."""
    bundle = module("vib", "bin/x", summary="[Fling] x").unsigned()
    policy: Policy = trusting(signer())
    for rule in ("startup-script", "path-outside-allowed", "fling-leftover", "not-removable-live"):
        assert len(found(rule, bundle, policy)) == 1, rule
