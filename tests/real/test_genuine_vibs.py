"""Genuine VIBs: their own descriptors and signatures, around payloads of ours.

The payloads are not here, so steps 7 and 8 must fail; who signed them and how far that is trusted must be
exactly what is known of each.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from builders.bundles import Bundle, Member, judge, make
from builders.pki import NOW
from modseal.format.level import Level
from modseal.format.manifest import View
from modseal.policy.sources import load
from modseal.trust.examination import Examination, Status, Verdict

GENUINE = Path(__file__).parents[2] / ".." / "shared" / "real" / "vib"
pytestmark = pytest.mark.skipif(not GENUINE.is_dir(), reason="the genuine VIBs are not on this machine")

SIGNED = {
    "VMware_bootbank_net-r8169_6.011.00-2vmw.510.0.0.799733": Level.CERTIFIED,
    "INT_bootbank_i40en_1.7.11-1OEM.650.0.0.4598673": Level.CERTIFIED,
    "VMW_bootbank_vmkusb-nic-fling_2.1-6vmw.670.2.48.39203948": Level.ACCEPTED,
    "VMW_bootbank_vmkusb-nic-fling_1.12-2vmw.802.0.0.67561870": Level.CERTIFIED,
    "VMW_bootbank_vmkusb-nic-fling_1.15-1vmw.900.0.84947163": Level.CERTIFIED,
    "vmw_bootbank_if-re_1.101.01-5vmw.800.1.0.20613240": Level.CERTIFIED,
}
UNSIGNED = "LIFANG_bootbank_hardware-watchdog_0.1-0.1.263547"
TAMPERED = "BCM_bootbank_lsi-mr3_7.732.03.00-1MOD.800.1.0.20613240"
ALL = (*SIGNED, UNSIGNED, TAMPERED)
PAYLOADS = {
    UNSIGNED: "hwd",
    "INT_bootbank_i40en_1.7.11-1OEM.650.0.0.4598673": "i40en",
    "VMware_bootbank_net-r8169_6.011.00-2vmw.510.0.0.799733": "net-r816",
    "vmw_bootbank_if-re_1.101.01-5vmw.800.1.0.20613240": "ifre",
    TAMPERED: "payload1",
}


def rebuilt(vib: str) -> Bundle:
    """A VIB with the genuine descriptor and signature, and a payload of ours in the place of the genuine one."""
    folder = GENUINE / vib
    return Bundle(
        "vib",
        (
            Member("descriptor.xml", (folder / "descriptor.xml").read_bytes()),
            Member("sig.pkcs7", (folder / "sig.pkcs7").read_bytes()),
            Member(
                PAYLOADS.get(vib, "vmkusb-n"),
                make("vib", payload_type="vzstd" if "900." in vib else "vgz").members[2].data,
            ),
        ),
    )


def examined(vib: str, policy: str = "vmware") -> Examination:
    return judge(rebuilt(vib), load(policy), NOW)


def statuses(examination: Examination, *steps: int) -> set[Status]:
    return {check.status for check in examination.checks if check.step in steps}


def failed_codes(examination: Examination, step: int) -> set[str | None]:
    return {check.code for check in examination.checks if check.step == step and check.status is Status.FAILED}


@pytest.mark.parametrize("vib", SIGNED)
def test_a_genuine_signature_proves_its_level(vib: str) -> None:
    found = examined(vib)
    assert found.manifest is not None
    assert found.manifest_signed
    assert found.manifest.id == vib
    assert found.manifest.claimed_level is SIGNED[vib]
    assert found.proven_level is SIGNED[vib]
    assert statuses(found, 0) == {Status.PASSED}
    assert statuses(found, *range(1, 7)) == {Status.PASSED}


@pytest.mark.parametrize("vib", SIGNED)
def test_a_payload_that_is_not_the_signed_one_is_listed_in_every_respect(vib: str) -> None:
    found = examined(vib)
    assert found.verdict is Verdict.REJECTED
    assert failed_codes(found, 7) >= {"payload-size-mismatch", "payload-digest-mismatch"}
    assert failed_codes(found, 8) >= {"file-undeclared"}
    assert found.primary is not None
    assert found.primary.step == 7
    digests = [check for check in found.checks if check.code == "payload-digest-mismatch"]
    assert found.manifest is not None
    # Of a payload that unpacks to more than is declared, the tar is never read to its end: the size says why.
    unread = {View.UNPACKED} if "unpacked-size-mismatch" in failed_codes(found, 7) else set()
    assert len(digests) == sum(digest.view not in unread for digest in found.manifest.payloads[0].digests)
    assert all(check.evidence["actual"] for check in digests)


def test_both_blocks_of_a_dual_signed_vib_are_verified_and_trusted() -> None:
    found = examined("VMW_bootbank_vmkusb-nic-fling_2.1-6vmw.670.2.48.39203948")
    assert [signer.block for signer in found.signers] == [1, 2]
    assert len(found.trusted) == 2
    assert all("Accepted" in anchor for _, anchor in found.trusted)


def test_the_unsigned_community_vib_is_rejected_as_unsigned() -> None:
    found = examined(UNSIGNED)
    assert found.primary is not None
    assert (found.verdict, found.primary.code) == (Verdict.REJECTED, "unsigned")
    assert (found.proven_level, found.manifest_signed) == (None, False)


def test_the_tampered_vib_fails_many_separate_checks() -> None:
    found = examined(TAMPERED)
    assert found.verdict is Verdict.REJECTED
    assert found.proven_level is None
    assert not found.signers
    failures = {check.code for check in found.checks if check.status is Status.FAILED}
    assert failures >= {
        "unknown-member",
        "missing-member",
        "content-digest-mismatch",
        "level-not-granted",
        "payload-undeclared",
        "payload-size-mismatch",
        "payload-digest-mismatch",
    }
    assert len({check.step for check in found.checks if check.status is Status.FAILED}) >= 3


def test_the_genuine_block_of_the_tampered_vib_verifies_over_no_genuine_descriptor() -> None:
    stolen = rebuilt(TAMPERED)["sig.pkcs7"].data
    for vib in ALL:
        found = judge(rebuilt(vib).with_signature(stolen), load("vmware"), NOW)
        assert not found.signers, vib
        assert "content-digest-mismatch" in {check.code for check in found.checks}


@pytest.mark.parametrize("vib", ALL)
def test_strict_accepts_no_genuine_vib_because_it_trusts_nobody(vib: str) -> None:
    found = examined(vib, "strict")
    assert found.verdict is Verdict.REJECTED
    assert found.proven_level is None
    assert found.trusted == ()


@pytest.mark.parametrize("vib", SIGNED)
def test_one_changed_byte_of_a_genuine_descriptor_ends_all_trust(vib: str) -> None:
    good = rebuilt(vib)
    data = good.manifest_bytes
    changed = data.replace(b"<stateless-ready>true", b"<stateless-ready>false")
    assert changed != data
    found = judge(good.with_member("descriptor.xml", data=changed), load("vmware"), NOW)
    assert (found.signers, found.proven_level) == ((), None)
    assert failed_codes(found, 1) == {"content-digest-mismatch"}
