"""Integrity alone: steps 0, 7 and 8 without a policy, and what a bundle is asked to measure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from builders.bundles import KINDS, Bundle, Member, codes, judge, make
from builders.pki import NOW, signer
from builders.policies import trusting
from modseal import limits
from modseal.bundle.open import OpenBundle
from modseal.format.ar import Member as Place
from modseal.format.manifest import Kind, Payload, VibFields
from modseal.format.payload import Measured
from modseal.format.source import BytesSource
from modseal.trust.deny import Deny
from modseal.trust.examination import Examination, Verdict
from modseal.trust.examine import examine
from modseal.trust.integrity import examine_integrity

kinds = pytest.mark.parametrize("kind", KINDS)


class Asked(OpenBundle):
    """A bundle that remembers what it was asked to measure, and how."""

    def __init__(self, data: bytes) -> None:
        super().__init__(BytesSource(data), "x")
        self.asked: list[tuple[str, int | None, bool, bool]] = []
        self.answer: Callable[[Measured], Measured] = lambda measured: measured

    def measure(
        self, payload: Payload, member: Place, *, up_to: int | None, to_sink: bool, raw: bool = False, **more: Any
    ) -> Measured:
        self.asked.append((payload.name, up_to, to_sink, raw))
        return self.answer(super().measure(payload, member, up_to=up_to, to_sink=to_sink, raw=raw, **more))


def integrity(bundle: Bundle) -> Examination:
    return examine_integrity(OpenBundle(BytesSource(bundle.data), "x"), NOW)


def row(found: Examination, check: str) -> tuple[str, str | None]:
    (one,) = [each for each in found.checks if each.id == check]
    return str(one.status), one.code


@kinds
def test_a_good_bundle_is_examined_in_three_steps(kind: Kind) -> None:
    found = integrity(make(kind))
    assert [check.id for check in found.checks] == [
        "container.archive",
        "container.members",
        "payloads.content",
        "files.entries",
    ]
    assert (found.at, found.manifest, found.manifest_signed) == (NOW, make(kind).manifest, False)
    assert [one.certificate for one in found.signers] == [signer().parsed]
    assert found.trusted == ()


@kinds
def test_signers_are_named_by_the_forms_that_this_kind_of_bundle_has(kind: Kind) -> None:
    """In a `.vib` a block may also have the label CMS, as OpenSSL writes it."""
    good = make(kind)
    bundle = good.with_signature(good.signature.replace(b" PKCS7-", b" CMS-"))
    named = [one.certificate for one in integrity(bundle).signers]
    assert named == [one.certificate for one in judge(bundle, trusting()).signers]
    assert bool(named) is (kind == "vib")


@kinds
def test_a_manifest_that_cannot_be_read_is_the_first_steps_failure(kind: Kind) -> None:
    found = integrity(make(kind).with_manifest_bytes(b"nonsense"))
    assert [(check.step, check.id) for check in found.checks] == [
        (0, "container.archive"),
        (1, "signature.manifest"),
        (7, "payloads.examined"),
        (8, "files.examined"),
    ]
    assert (found.manifest, found.manifest_signed, found.proven_level, found.at) == (None, False, None, NOW)
    assert [one.certificate for one in found.signers] == [signer().parsed]
    assert found.verdict is Verdict.REJECTED


@kinds
def test_a_container_that_cannot_be_read_leaves_its_payloads_and_files_unexamined(kind: Kind) -> None:
    found = examine_integrity(OpenBundle(BytesSource(make(kind).data[:-1]), "x"), NOW)
    assert [(check.step, str(check.status)) for check in found.checks] == [
        (0, "failed"),
        (7, "inconclusive"),
        (8, "inconclusive"),
    ]
    assert (found.at, found.signers) == (NOW, ())


@kinds
def test_integrity_has_files_written_where_the_opener_wants_them(kind: Kind) -> None:
    bundle = Asked(make(kind).data)
    examine_integrity(bundle, NOW)
    assert [(up_to, to_sink, raw) for _, up_to, to_sink, raw in bundle.asked] == [(None, True, False)]


@kinds
@pytest.mark.parametrize("digests", [frozenset(), frozenset({"0" * 64})])
def test_a_payload_is_hashed_as_a_whole_where_something_is_denied_by_digest(
    kind: Kind, digests: frozenset[str]
) -> None:
    bundle = Asked(make(kind).data)
    examine(bundle, replace(trusting(), deny=Deny(digests=digests)), NOW)
    assert [raw for *_, raw in bundle.asked] == [bool(digests)]


def test_a_payload_that_was_not_hashed_as_a_whole_is_not_denied_by_its_digest() -> None:
    bundle = Asked(make("seal").data)
    bundle.answer = lambda measured: replace(measured, digests={})
    found = examine(bundle, replace(trusting(), deny=Deny(digests=frozenset({"0" * 64}))), NOW)
    assert "denied" not in codes(found)


def several(count: int) -> Bundle:
    """An unsigned bundle with the same payload under several names."""
    good = make("seal")
    payload, member = good.manifest.payloads[0], good.members[2]
    names = [payload.name, *(f"more-{number}" for number in range(1, count))]
    bundle = good.with_manifest(payloads=tuple(replace(payload, name=name) for name in names))
    for number, name in enumerate(names[1:], 3):
        bundle = bundle.insert(number, replace(member, name=name))
    return bundle.unsigned()


def test_what_nobody_trusted_signed_is_unpacked_up_to_a_limit_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "UNTRUSTED_UNPACKED", 1000)
    bundle = Asked(several(4).data)
    bundle.answer = lambda measured: replace(measured, unpacked_size=600)
    examine(bundle, trusting(), NOW)
    assert [up_to for _, up_to, *_ in bundle.asked] == [1000, 400, 0, 0]


def test_a_payload_that_was_not_unpacked_to_its_end_leaves_nothing_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "UNTRUSTED_UNPACKED", 1000)
    bundle = Asked(several(2).data)
    bundle.answer = lambda measured: replace(measured, unpacked_size=None)
    examine(bundle, trusting(), NOW)
    assert [up_to for _, up_to, *_ in bundle.asked] == [1000, 0]


def partial(bundle: Bundle) -> Examination:
    """What is said of a bundle whose payloads are kept elsewhere, as on a host."""
    return examine(OpenBundle(BytesSource(bundle.data), "x", partial=True), trusting(), NOW)


@kinds
def test_what_is_kept_elsewhere_is_undecided_and_a_stranger_beside_it_is_refused(kind: Kind) -> None:
    good = make(kind)
    absent = good.without(good.members[2].name)
    found = partial(absent)
    assert (found.verdict, codes(found)) == (Verdict.UNDECIDED, ["payload-absent"])
    assert row(found, "container.members") == ("passed", None)
    crowded = partial(absent.insert(2, Member("stranger", b"x")))
    assert row(crowded, "container.members") == ("failed", "unknown-member")
    whole = partial(good)
    assert whole.verdict is Verdict.ACCEPTED


@kinds
def test_a_missing_payload_hides_the_files_that_only_it_had(kind: Kind) -> None:
    """One cause is one failure: the missing member, and not each of its files as well."""
    found = integrity(make(kind).without(make(kind).members[2].name))
    assert "file-missing" not in codes(found)
    assert {"missing-member", "payload-missing"} <= set(codes(found))


@kinds
def test_a_declared_file_that_no_payload_has_is_missing(kind: Kind) -> None:
    good = make(kind)
    gone = replace(good.manifest.files[-1], path="opt/acme/gone")
    bundle = good.with_manifest(files=(*good.manifest.files, gone))
    for found in (integrity(bundle), judge(bundle, trusting())):
        assert (found.verdict, codes(found)) == (Verdict.REJECTED, ["file-missing"])


@kinds
def test_other_failures_of_files_are_told_beside_a_missing_payload(kind: Kind) -> None:
    bundle = make(kind, files={"opt/acme/a": b"a"})
    two = bundle.with_manifest(
        payloads=(*bundle.manifest.payloads, replace(bundle.manifest.payloads[0], name="gone")), files=()
    )
    found = integrity(two.unsigned())
    assert "payload-missing" in codes(found)
    assert ("file-undeclared" in codes(found)) is (kind == "seal"), codes(found)


def test_the_report_says_what_binds_files_that_no_list_declares() -> None:
    def said(bundle: Bundle) -> str:
        return next(check.detail for check in integrity(bundle).checks if check.id == "files.entries")

    assert said(make("seal")).startswith("exactly the ")
    assert said(make("vib")).startswith("exactly the ")
    without = make("vib", files={}, vib=VibFields(lists_files=False))
    assert said(without).startswith("the descriptor has no list of files; the ")
    assert said(make("vib", files={}, vib=VibFields(lists_files=True))).startswith("the list of files is empty; the ")
