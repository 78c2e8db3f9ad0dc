"""Descriptors as base images and scripts have them, through the command line: read, shown, judged as far as can be."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha1, sha256
from pathlib import Path
from typing import Any

import pytest

from builders import policies
from builders.bundles import Bundle, Member, make, pack
from builders.transcript import run
from modseal.format.level import Level
from modseal.format.manifest import Digest, Payload, VibFields, View


def verified(bundle: Bundle, folder: Path) -> tuple[int, dict[str, Any]]:
    (folder / "b.vib").write_bytes(bundle.data)
    policy = policies.write(folder)
    done = run("verify", "b.vib", "--policy", policy, "--at", "2026-06-01", "--format", "json", cwd=folder)
    return done.code, json.loads(done.out)["results"][0]


def codes(result: dict[str, Any]) -> list[str]:
    return [
        check["code"] for check in result["checks"] if check["status"] in ("failed", "inconclusive") and check["code"]
    ]


def boot_payload(content: bytes, *views: View, packed: bytes | None = None) -> tuple[Payload, Member]:
    data = pack("vgz", content) if packed is None else packed
    digests = {
        View.RAW: Digest("sha256", View.RAW, sha256(data).digest()),
        View.UNPACKED: Digest("sha256", View.UNPACKED, sha256(content).digest()),
        View.TXT_MLE: Digest("sha256", View.TXT_MLE, bytes(32)),
    }
    declared = [digests[view] for view in views] + (
        [Digest("sha1", View.UNPACKED, sha1(content).digest())] if View.UNPACKED in views else []
    )
    payload = Payload("uc_intel", "boot", len(data), None, digests=tuple(declared), boot_order=200)
    return payload, Member("uc_intel", data)


def with_payload(payload: Payload, member: Member) -> Bundle:
    """A bundle like `cpu-microcode`: one boot payload, no files."""
    good = make("vib")
    bare = good.with_members(*good.members[:2], member)
    return bare.with_manifest(payloads=(payload,), files=(), vib=VibFields(lists_files=False))


def test_a_boot_payload_with_right_checksums_is_undecided_and_nothing_is_said_to_differ(tmp_path: Path) -> None:
    code, result = verified(with_payload(*boot_payload(b"microcode" * 99, View.UNPACKED, View.RAW)), tmp_path)
    assert (code, result["verdict"], codes(result)) == (3, "undecided", ["unsupported-payload"])


@pytest.mark.parametrize("view", [View.UNPACKED, View.RAW])
def test_a_boot_payload_with_a_wrong_checksum_is_rejected_with_what_was_found(view: View, tmp_path: Path) -> None:
    payload, member = boot_payload(b"microcode" * 99, View.UNPACKED, View.RAW)
    wrong = tuple(replace(one, value=bytes(len(one.value))) if one.view is view else one for one in payload.digests)
    code, result = verified(with_payload(replace(payload, digests=wrong), member), tmp_path)
    assert (code, codes(result)[0]) == (1, "payload-digest-mismatch")
    assert all(check["evidence"]["actual"] for check in result["checks"] if check["code"] == codes(result)[0])


def test_a_boot_payload_that_is_no_gzip_though_its_checksums_say_so_is_rejected(tmp_path: Path) -> None:
    payload, member = boot_payload(b"plain", View.UNPACKED, View.RAW, packed=b"plain text")
    code, result = verified(with_payload(payload, member), tmp_path)
    assert code == 1
    assert "bad-payload" in codes(result)
    assert "payload-digest-mismatch" not in codes(result)


def test_a_boot_payload_that_only_its_bytes_are_declared_of_is_not_unpacked(tmp_path: Path) -> None:
    payload, member = boot_payload(b"", View.RAW, packed=b"plain text")
    assert codes(verified(with_payload(payload, member), tmp_path)[1]) == ["unsupported-payload"]


def test_a_checksum_that_only_a_processor_can_compare_decides_nothing(tmp_path: Path) -> None:
    good = make("vib")
    (payload,) = good.manifest.payloads
    measured = replace(payload, digests=(*payload.digests, Digest("sha256", View.TXT_MLE, bytes(32))))
    code, result = verified(good.with_manifest(payloads=(measured,)), tmp_path)
    assert (code, result["verdict"]) == (0, "accepted")


def test_an_empty_list_of_files_and_none_have_one_verdict_and_two_reports(tmp_path: Path) -> None:
    details = []
    for lists_files in (True, False):
        odd = make("vib").with_manifest(vib=VibFields(lists_files=lists_files), files=())
        code, result = verified(odd, tmp_path)
        assert (code, result["verdict"]) == (0, "accepted")
        details += [check["detail"] for check in result["checks"] if check["id"] == "files.entries"]
    assert details[0].startswith("the list of files is empty")
    assert details[1].startswith("the descriptor has no list of files")


@pytest.mark.parametrize("change", [{"has_version": False}, {"packed_size": 371}, {"lists_files": False}])
def test_what_scripts_write_is_accepted_and_inspect_names_it(change: dict[str, Any], tmp_path: Path) -> None:
    odd = make("vib").with_manifest(vib=VibFields(**change), **({"files": ()} if "lists_files" in change else {}))
    assert verified(odd, tmp_path)[0] == 0
    assert "  quirk          " in run("inspect", "b.vib", cwd=tmp_path).out
    assert json.loads(run("inspect", "b.vib", "--format", "json", cwd=tmp_path).out)["quirks"]


def test_without_a_list_of_files_the_report_says_that_nothing_declared_them(tmp_path: Path) -> None:
    odd = make("vib").with_manifest(vib=VibFields(lists_files=False), files=())
    _, result = verified(odd, tmp_path)
    (check,) = [check for check in result["checks"] if check["id"] == "files.entries"]
    assert "has no list of files; the 3 entries of the payloads" in check["detail"]


def test_without_a_list_of_files_an_unsafe_one_is_refused_all_the_same(tmp_path: Path) -> None:
    setuid = make("vib", modes={"opt/acme/agent": 0o4755}, claimed_level=Level.COMMUNITY)
    odd = setuid.with_manifest(vib=VibFields(lists_files=False), files=())
    code, result = verified(odd, tmp_path)
    assert code == 1
    assert "unsafe-mode" in codes(result)


def unknown() -> Bundle:
    good = make("vib")
    return good.with_manifest_bytes(good.manifest_bytes.replace(b"<overlay>", b"<solution>esx</solution><overlay>"))


def test_an_unknown_element_is_undecided_with_its_name_place_and_text(tmp_path: Path) -> None:
    code, result = verified(unknown(), tmp_path)
    assert (code, result["verdict"], codes(result)) == (3, "undecided", ["unsupported-descriptor"])
    (check,) = [check for check in result["checks"] if check["code"]]
    assert "modseal does not know <solution> in <vib>, which says 'esx'" in check["detail"]
    assert check["evidence"]["line"] == 1
    assert "Update modseal" in check["next_step"]


def test_an_unknown_element_hides_nothing_from_who_looks(tmp_path: Path) -> None:
    (tmp_path / "b.vib").write_bytes(unknown().data)
    shown = run("inspect", "b.vib", cwd=tmp_path).out
    assert "acme-agent" in shown
    assert "problem        unsupported-descriptor: line 1" in shown
    assert run("extract", "b.vib", "-C", "out", "--unverified", cwd=tmp_path).code == 0
    assert (tmp_path / "out/opt/acme/agent").exists()


def test_nobody_signs_a_descriptor_that_is_not_understood(tmp_path: Path) -> None:
    (tmp_path / "b.vib").write_bytes(unknown().unsigned().data)
    run("keys", "example", "pki", cwd=tmp_path)
    key, cert = "pki/partner/signer.key", "pki/partner/signer.pem"
    done = run("sign", "b.vib", "--key", key, "--cert", cert, cwd=tmp_path)
    assert done.code == 1
    assert "does not know <solution>" in done.err
