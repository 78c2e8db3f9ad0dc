"""Attack catalogue, section 1: signature and trust logic. Each test is named by the id of its row.

Left out until their commands exist: SIG-08 (recorded state of a host; the policy's floor is here), SIG-09
(depots, CRL replay).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from builders import cms, pki, policies, transcript
from builders.bundles import KINDS, Bundle, Member, accepted, codes, judge, make, refused, snapshot
from builders.pki import NOW, leaf, new_key, root, signer
from builders.policies import LEVELS, anchor, trusting
from builders.reencode import PEM_FORMS, REENCODERS
from modseal.bundle.extract import extract
from modseal.cli.main import cli
from modseal.format import payload as payload_module
from modseal.format.level import Level
from modseal.format.manifest import Digest, Kind, Payload, View
from modseal.format.source import BLOCK, FileSource, Span
from modseal.report import policy_text
from modseal.trust.deny import Deny
from modseal.trust.examination import Status, Verdict

kinds = pytest.mark.parametrize("kind", KINDS)


@kinds
@pytest.mark.parametrize("minimum", LEVELS)
def test_SIG_01_an_emptied_signature_proves_no_claimed_level(kind: Kind, minimum: Level, tmp_path: Path) -> None:
    stripped = make(kind, claimed_level=Level.CERTIFIED).unsigned()
    policy = trusting(minimum=minimum, allow_unsigned_community=True)
    found = refused(stripped, policy, "unsigned", tmp_path)
    assert "level-not-granted" in codes(found), "the claim must be reported as false"
    assert found.proven_level is None


@kinds
def test_SIG_01_an_unsigned_community_module_is_accepted_only_where_the_policy_says_so(
    kind: Kind, tmp_path: Path
) -> None:
    community = make(kind, claimed_level=Level.COMMUNITY).unsigned()
    assert accepted(community, trusting(allow_unsigned_community=True)).proven_level is None
    refused(community, trusting(), "unsigned", tmp_path)
    refused(community, trusting(minimum=Level.PARTNER, allow_unsigned_community=True), "level-below-minimum", tmp_path)


@kinds
def test_SIG_02_a_signature_moved_from_another_bundle_is_refused(kind: Kind, tmp_path: Path) -> None:
    other = make(kind, files={"opt/other/tool": b"another module" * 40}, name="other")
    moved = (
        make(kind)
        .with_signature(other.signature)
        .with_member(other.manifest.payloads[0].name, data=other.members[2].data)
    )
    found = refused(moved, trusting(), "content-digest-mismatch", tmp_path)
    assert {"payload-size-mismatch", "payload-digest-mismatch"} <= set(codes(found))
    assert not found.manifest_signed


@pytest.mark.parametrize("minimum", LEVELS)
@pytest.mark.parametrize("grant", LEVELS)
@pytest.mark.parametrize("claim", LEVELS)
def test_SIG_03_a_claim_counts_only_up_to_the_grant(claim: Level, grant: Level, minimum: Level) -> None:
    found = judge(make("seal", claimed_level=claim), trusting(anchor(root(), grant), minimum=minimum))
    assert found.manifest is not None
    assert found.manifest.claimed_level is claim
    assert found.proven_level is (claim if claim <= grant else None)
    expected = "level-not-granted" if claim > grant else "level-below-minimum" if claim < minimum else None
    assert (found.primary.code if found.primary else None) == expected
    assert found.verdict is (Verdict.REJECTED if expected else Verdict.ACCEPTED)


def test_SIG_04_no_command_has_a_flag_that_turns_verification_off() -> None:
    for name in ("verify", "extract", "sign", "pack", "inspect"):
        command = cli.get_command(None, name)  # type: ignore[arg-type]  # the group needs no context
        assert command is not None
        flags = {option for parameter in command.params for option in parameter.opts}
        assert not {
            flag for flag in flags if any(word in flag for word in ("force", "no-", "skip", "insecure", "ignore"))
        }
        assert ("--unverified" in flags) == (name == "extract")


@kinds
def test_SIG_04_unverified_extraction_still_refuses_damage(kind: Kind, tmp_path: Path) -> None:
    broken = make(kind)
    name = broken.members[2].name
    (tmp_path / "bundle").write_bytes(broken.with_member(name, data=broken[name].data[:-1] + b"!").data)
    before = snapshot(tmp_path)
    assert extract(tmp_path / "bundle", tmp_path / "out", None, NOW).verdict is Verdict.REJECTED
    assert snapshot(tmp_path) == before


@kinds
def test_SIG_05_a_stripped_stronger_signature_is_missed_where_the_policy_names_its_signer(
    kind: Kind, tmp_path: Path
) -> None:
    old, new = signer(), leaf("Newer signer", issuer=root(1), key=new_key("rsa"))
    policy = trusting(anchor(root(), name="old"), anchor(root(1), name="new"), required_signers=("new",))
    accepted(make(kind, old, new), policy)
    refused(make(kind, old), policy, "required-signer-missing", tmp_path)
    refused(make(kind, old), trusting(root(), root(1), minimum_signers=2), "too-few-signers", tmp_path)


class _Tally:
    """Stands in for a hash object: how many bytes came, and the last of them. Hashing itself is hashlib's affair."""

    def __init__(self, *_: object, **__: object) -> None:
        self.size, self.last = 0, b""

    def update(self, data: bytes) -> None:
        self.size += len(data)
        self.last = data[-1:]

    def digest(self) -> bytes:
        return f"{self.size} {self.last.hex()}".encode()


class _Huge:
    """Zeros, as many as one likes, and another last byte."""

    _ZEROS = bytes(BLOCK)

    def __init__(self, size: int, last: bytes) -> None:
        self.size, self._last = size, last

    def read(self, offset: int, length: int) -> bytes:
        at_end = offset + length == self.size
        return self._ZEROS[: length - at_end] + self._last if at_end else self._ZEROS[:length]


@pytest.mark.parametrize("size", [2**31 - 1, 2**31, 2**32, 2**32 + 1])
def test_SIG_06_the_last_byte_of_a_huge_payload_is_hashed(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(payload_module._NEW, "sha256", _Tally)
    digest = Digest("sha256", View.RAW, f"{size} 00".encode())
    payload = Payload("base", "opaque", size, None, digests=(digest,))
    for last in (b"\0", b"\1"):
        measured = payload_module.measure(payload, _Huge(size, last))
        assert measured.digests["sha256", View.RAW] == f"{size} {last.hex()}".encode()


@pytest.mark.parametrize("size", [2**31 - 1, 2**31, 2**32, 2**32 + 1])
def test_SIG_06_a_huge_file_is_read_to_its_last_byte(size: int, tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("w+b") as file:
        os.pwrite(file.fileno(), b"\x01", size - 1)
        source = FileSource(file.fileno())
        assert source.size == size
        assert Span(source, 60, size - 60).read(size - 62, 2) == b"\0\1"


@kinds
def test_SIG_07_a_payload_of_another_genuinely_signed_bundle_is_refused(kind: Kind, tmp_path: Path) -> None:
    one, other = (make(kind, files={"opt/acme/agent": content}) for content in (b"agent 1", b"agent 2"))
    accepted(one, trusting())
    accepted(other, trusting())
    name = one.members[2].name
    mixed = one.with_member(name, data=other[name].data)
    same_size = len(one[name].data) == len(other[name].data)
    refused(mixed, trusting(), "payload-digest-mismatch" if same_size else "payload-size-mismatch", tmp_path)


@kinds
def test_SIG_07_swapped_payloads_of_one_bundle_are_refused(kind: Kind, tmp_path: Path) -> None:
    bundle = make(kind, attachments={"a.json": b"{}", "b.json": b"[]"}) if kind == "seal" else make(kind)
    if kind == "vib":
        bundle = _two_payloads(bundle)
    *head, one, two = bundle.members
    accepted(bundle, trusting())
    renamed = bundle.with_members(*head, replace(one, data=two.data), replace(two, data=one.data))
    code = "attachment-mismatch" if kind == "seal" else "payload-size-mismatch"
    refused(renamed, trusting(), code, tmp_path)
    refused(bundle.with_members(*head, two, one), trusting(), "member-order", tmp_path)


def _two_payloads(bundle: Bundle) -> Bundle:
    other = make("vib", files={"opt/second/tool": b"second" * 9})
    second = replace(other.manifest.payloads[0], name="payload2")
    return bundle.insert(3, Member("payload2", other.members[2].data)).with_manifest(
        payloads=(*bundle.manifest.payloads, second), files=(*bundle.manifest.files, *other.manifest.files)
    )


@kinds
@pytest.mark.parametrize(
    ("version", "is_old"), [("1.2.2", True), ("1.2.3-3", True), ("1.2.3-4", False), ("1.2.10", False)]
)
def test_SIG_08_a_version_below_the_floor_is_refused(kind: Kind, version: str, is_old: bool, tmp_path: Path) -> None:
    policy = trusting(floors={"acme-agent": "1.2.3-4"})
    bundle = make(kind, version=version)
    if is_old:
        refused(bundle, policy, "version-below-floor", tmp_path)
    else:
        accepted(bundle, policy)


@kinds
@pytest.mark.parametrize(
    ("purposes", "usage"),
    [
        ((ExtendedKeyUsageOID.TIME_STAMPING,), {"digital_signature"}),
        ((ExtendedKeyUsageOID.SERVER_AUTH,), {"digital_signature"}),
        (None, {"crl_sign"}),
    ],
)
def test_SIG_10_a_key_for_another_role_signs_no_module(
    kind: Kind, purposes: object, usage: frozenset[str], tmp_path: Path
) -> None:
    other = leaf("Other role", purposes=purposes, usage=usage)
    refused(make(kind, other), trusting(), "wrong-purpose", tmp_path)


@kinds
@pytest.mark.parametrize(
    "change",
    [
        {"digest_algorithm": cms.algorithm(cms.DIGESTS["sha512"])},
        {"digest_algorithms": [cms.algorithm(cms.DIGESTS["sha512"])]},
        {"signature_algorithm": cms.algorithm(cms.RSA_ENCRYPTION, cms.NULL)},
        {"signature_algorithm": cms.algorithm("1.2.840.10045.4.3.4")},
        {"digest_algorithm": cms.algorithm(cms.DIGESTS["sha256"], cms.octets(b"odd"))},
        {"signature_algorithm": cms.algorithm(cms.ECDSA_SHA256, cms.NULL)},
    ],
)
def test_SIG_11_algorithms_that_disagree_are_refused(kind: Kind, change: dict[str, object], tmp_path: Path) -> None:
    bundle = make(kind).signed(signer(), **{"digest": "sha256", **change})
    expected = (
        "content-digest-mismatch"
        if change == {"digest_algorithm": cms.algorithm(cms.DIGESTS["sha512"])}
        else "algorithm-mismatch"
    )
    refused(bundle, trusting(), expected, tmp_path)


@kinds
def test_SIG_11_zero_signature_values_are_refused(kind: Kind, tmp_path: Path) -> None:
    zeros = cms.sequence(b"\x02\x01\x00", b"\x02\x01\x00")
    refused(make(kind).signed(signer(), signature=lambda _: zeros), trusting(), "bad-signature", tmp_path)


@kinds
def test_SIG_11_a_forged_padding_under_a_small_exponent_is_refused(kind: Kind, tmp_path: Path) -> None:
    """Bleichenbacher 2006: a cube root whose cube starts like a padded digest, with free bytes after it."""
    weak = leaf("Small exponent", key=new_key("rsa-e3"))

    def forge(data: bytes) -> bytes:
        prefix = bytes.fromhex("3031300d060960864801650304020105000420") + hashlib.sha256(data).digest()
        start = b"\x00\x01" + b"\xff" * 8 + b"\x00" + prefix
        target = int.from_bytes(start + b"\xff" * (256 - len(start)))
        guess = 1 << (target.bit_length() // 3 + 1)
        while (better := (2 * guess + target // guess**2) // 3) < guess:
            guess = better
        assert (guess**3).to_bytes(256).startswith(start)
        return guess.to_bytes(256)

    accepted(make(kind, weak), trusting())
    refused(make(kind).signed(weak, sign=forge), trusting(), "bad-signature", tmp_path)


def _stranger() -> pki.Identity:
    return leaf("Stranger", issuer=root(7), key=new_key("p256", 50))


@kinds
def test_SIG_12_a_good_signer_among_unknown_ones_suffices(kind: Kind) -> None:
    found = accepted(make(kind, _stranger(), signer()), trusting())
    assert [one.certificate.subject for one in found.signers if one.certificate.fingerprint in dict(found.trusted)] == [
        signer().parsed.subject
    ]


@kinds
@pytest.mark.parametrize("position", [0, 1])
def test_SIG_12_a_bad_block_beside_a_good_one_is_a_refusal(kind: Kind, position: int, tmp_path: Path) -> None:
    good = make(kind)
    bad = cms.pem(
        cms.block(good.manifest_bytes, _stranger(), signature=lambda value: value[:-1] + bytes([value[-1] ^ 1]))
    )
    blocks = [good.signature, bad][:: 1 if position else -1]
    refused(good.with_signature(b"".join(blocks)), trusting(), "bad-signature", tmp_path)


@kinds
def test_SIG_12_unknown_signers_alone_are_refused_and_named(kind: Kind, tmp_path: Path) -> None:
    found = refused(make(kind, _stranger()), trusting(), "no-path", tmp_path)
    assert found.primary is not None
    assert "Stranger" in found.primary.detail


@kinds
def test_SIG_12_one_signer_in_two_blocks_counts_once(kind: Kind, tmp_path: Path) -> None:
    policy = trusting(minimum_signers=2)
    refused(make(kind, signer(), signer()), policy, "too-few-signers", tmp_path)
    accepted(make(kind, signer(), signer("p256", 1)), policy)


@kinds
def test_SIG_12_two_certificates_for_one_key_count_once(kind: Kind, tmp_path: Path) -> None:
    twin = leaf("Twin", key=signer().key)
    refused(make(kind, signer(), twin), trusting(minimum_signers=2), "too-few-signers", tmp_path)


@kinds
def test_SIG_13_inspect_marks_everything_as_unproved(kind: Kind, tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(make(kind).data)
    text = transcript.run("inspect", "b", cwd=tmp_path)
    assert text.code == 0
    assert "UNPROVED" in text.out.splitlines()[0]
    plain = json.loads(transcript.run("inspect", "b", "--format", "json", cwd=tmp_path).out)
    assert plain["unproved"] is True


@kinds
def test_SIG_13_a_rejected_bundle_s_fields_are_marked_unproved(kind: Kind, tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(make(kind).unsigned().data)
    policies.write(tmp_path)
    told = transcript.run("verify", "b", "--policy", "policy.toml", cwd=tmp_path)
    assert told.code == 1
    assert [line for line in told.out.splitlines() if "acme-agent" in line and "unproved" in line]
    plain = json.loads(transcript.run("verify", "b", "--policy", "policy.toml", "--format", "json", cwd=tmp_path).out)
    assert plain["results"][0]["module"]["proved"] is False


@kinds
@pytest.mark.parametrize("index", [2, 3])
def test_SIG_14_an_undeclared_member_is_refused(kind: Kind, index: int, tmp_path: Path) -> None:
    refused(make(kind).insert(index, Member("extra", b"hidden")), trusting(), "unknown-member", tmp_path)


@kinds
def test_SIG_14_appended_bytes_are_refused(kind: Kind, tmp_path: Path) -> None:
    refused(replace(make(kind), tail=b"\0appended"), trusting(), "trailing-bytes", tmp_path)


@pytest.mark.parametrize("field", ["vendor", "name", "version"])
@kinds
def test_SIG_15_identity_is_in_the_signed_data(kind: Kind, field: str, tmp_path: Path) -> None:
    good = make(kind)
    changed = replace(good, signers=()).with_manifest(**{field: "another"})
    refused(changed, trusting(), "content-digest-mismatch", tmp_path)


@pytest.mark.parametrize(
    ("change", "code"), [({"mode": 0o4755}, "file-mismatch"), ({"path": "opt/acme/zgent"}, "file-missing")]
)
def test_SIG_15_place_and_mode_of_a_file_are_in_the_signed_data(
    change: dict[str, object], code: str, tmp_path: Path
) -> None:
    good = make("seal")
    *others, last = good.manifest.files
    changed = replace(last, **change)  # type: ignore[arg-type]
    refused(good.with_manifest(files=(*others, changed)), trusting(), code, tmp_path)


def test_SIG_15_the_payload_that_a_file_comes_from_is_in_the_signed_data(tmp_path: Path) -> None:
    one, two = make("seal"), make("seal", files={"opt/z": b"z"})
    second = replace(two.manifest.payloads[0], name="other")
    files = (*one.manifest.files, replace(two.manifest.files[0], payload="other"))
    both = one.insert(3, Member("other", two.members[2].data)).with_manifest(
        payloads=(*one.manifest.payloads, second), files=files
    )
    accepted(both, trusting())
    moved = (*files[:-1], replace(files[-1], payload="base"))
    refused(both.with_manifest(files=moved), trusting(), "file-mismatch", tmp_path)


class _Swapping:
    """A file descriptor's bytes that change after each part has been read once."""

    def __init__(self, good: bytes, evil: bytes) -> None:
        assert len(good) == len(evil)
        self._good, self._evil, self._read = good, evil, set[int]()
        self.size = len(good)

    def read(self, offset: int, length: int) -> bytes:
        span = range(offset, offset + length)
        source = self._evil if self._read.intersection(span) else self._good
        self._read.update(span)
        return source[offset : offset + length]


@kinds
def test_SIG_16_bytes_that_change_after_they_were_read_are_never_used(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = make(kind, payload_type="tar+gzip" if kind == "seal" else "tgz")
    evil = bytes(byte ^ 0x5A if offset > 200 else byte for offset, byte in enumerate(good.data))
    (tmp_path / "b").write_bytes(good.data)
    monkeypatch.setattr("modseal.bundle.open.FileSource", lambda _: _Swapping(good.data, evil))
    result = extract(tmp_path / "b", tmp_path / "out", trusting(), NOW)
    if result.verdict is Verdict.ACCEPTED:
        assert _agent(tmp_path / "out") == b"\x7fELF agent"


def _agent(folder: Path) -> bytes:
    (found,) = folder.rglob("opt/acme/agent")
    return found.read_bytes()


@kinds
def test_SIG_16_a_file_swapped_while_it_is_extracted_gives_the_good_tree_or_none(kind: Kind, tmp_path: Path) -> None:
    good = make(kind, files={"opt/acme/agent": b"good" * 5000})
    evil = make(kind, _stranger(), files={"opt/acme/agent": b"evil" * 5000})
    path = tmp_path / "b"

    def swaps() -> Iterator[bytes]:
        while True:
            yield good.data
            yield evil.data

    contents = swaps()
    for number in range(40):
        (tmp_path / "next").write_bytes(next(contents))
        (tmp_path / "next").replace(path)
        with _swap_on_read(path, next(contents)):
            result = extract(path, tmp_path / f"out{number}", trusting(), NOW)
        if result.verdict is Verdict.ACCEPTED:
            assert _agent(tmp_path / f"out{number}") == b"good" * 5000
        else:
            assert not (tmp_path / f"out{number}").exists()


class _swap_on_read:  # noqa: N801 - a context manager
    """Replaces the file at a path the moment it is first read."""

    def __init__(self, path: Path, data: bytes) -> None:
        self._path, self._data, self._real = path, data, os.pread

    def __enter__(self) -> None:
        def pread(*arguments: int) -> bytes:
            os.pread = self._real
            new = self._path.with_name("new")
            new.write_bytes(self._data)
            new.replace(self._path)
            return self._real(*arguments)

        os.pread = pread

    def __exit__(self, *_: object) -> None:
        os.pread = self._real


def test_SIG_18_the_weakest_accepted_state_is_one_line() -> None:
    open_policy = policy_text.weakest(trusting(allow_unsigned_community=True))
    assert "unsigned community module" in open_policy
    assert "from anybody" in open_policy
    narrow = anchor(root(), Level.CERTIFIED, name="narrow", vendors=("Acme",))
    line = policy_text.weakest(trusting(narrow, anchor(root(1), Level.PARTNER, name="wide"), minimum=Level.PARTNER))
    assert "wide" in line
    assert "any vendor" in line
    assert "\n" not in line
    assert "accepts nothing" in policy_text.weakest(trusting(anchor(root(), Level.COMMUNITY), minimum=Level.PARTNER))


def test_SIG_18_scopes_of_one_anchor_do_not_lend_themselves_to_another(tmp_path: Path) -> None:
    policy = trusting(anchor(root(), name="a", vendors=("Other",)), anchor(root(1), name="b", vendors=("Acme",)))
    refused(make("seal"), policy, "vendor-out-of-scope", tmp_path)
    refused(make("seal"), trusting(anchor(root(), name="a", names=("other-*",))), "name-out-of-scope", tmp_path)


@pytest.mark.parametrize("locale", ["C", "C.UTF-8", "de_DE.UTF-8", "tr_TR.UTF-8"])
def test_SIG_19_the_verdict_does_not_depend_on_the_locale(locale: str, tmp_path: Path) -> None:
    (tmp_path / "good").write_bytes(make("seal").data)
    (tmp_path / "bad").write_bytes(make("seal").unsigned().data)
    policies.write(tmp_path)
    env = {"LC_ALL": locale, "LANG": locale, "LANGUAGE": locale}
    arguments = ("verify", "good", "bad", "--policy", "policy.toml", "--at", "2026-01-01", "--format", "json")
    plain = transcript.run(*arguments, cwd=tmp_path)
    told = transcript.run_process(*arguments, cwd=tmp_path, env=env)
    assert (told.code, told.out) == (1, plain.out)


@kinds
@pytest.mark.parametrize(
    "change",
    [
        {"digest": "sha3_256"},
        {"signature_algorithm": cms.algorithm("1.3.101.113")},
        {"signature_algorithm": cms.algorithm(cms.UNKNOWN)},
    ],
)
def test_SIG_20_an_unsupported_algorithm_is_neither_a_pass_nor_a_bad_signature(
    kind: Kind, change: dict[str, object], tmp_path: Path
) -> None:
    unknown = make(kind).signed(signer(), **change)
    refused(unknown, trusting(), "unsupported-algorithm", tmp_path, verdict=Verdict.UNDECIDED)
    both = make(kind).with_signature(make(kind).signature + unknown.signature)
    found = accepted(both, trusting())
    assert [check.status for check in found.checks if check.code == "unsupported-algorithm"] == [Status.NOT_APPLICABLE]


# SIG-21, SIG-22: what is denied comes back in another encoding. tests/trust/test_deny.py has all encodings.


@kinds
def test_SIG_21_a_denied_signer_cannot_come_back_with_a_mirrored_certificate(kind: Kind, tmp_path: Path) -> None:
    mirrored = REENCODERS["mirrored certificates"](make(kind))
    accepted(mirrored, trusting())
    deny = Deny(signers=frozenset({signer().fingerprint}))
    refused(mirrored, trusting(deny=deny), "denied", tmp_path)


@kinds
def test_SIG_21_a_denied_key_cannot_come_back_in_a_new_certificate(kind: Kind, tmp_path: Path) -> None:
    renewed = make(kind, leaf("Renewed", key=signer().key))
    accepted(renewed, trusting())
    refused(renewed, trusting(deny=Deny(certificates=(signer().parsed,))), "denied", tmp_path)


@kinds
@pytest.mark.parametrize("name", ["76 columns", "label CMS", "mirrored signers", "blocks twice"])
def test_SIG_22_a_denied_bundle_cannot_come_back_as_another_file(kind: Kind, name: str, tmp_path: Path) -> None:
    bundle = make(kind)
    deny = Deny(digests=frozenset({hashlib.sha256(bundle.manifest_bytes).hexdigest()}))
    changed = REENCODERS[name](bundle)
    own_form = kind == "vib" or name not in PEM_FORMS
    refused(changed, trusting(deny=deny), "denied" if own_form else "malformed-signature", tmp_path)
