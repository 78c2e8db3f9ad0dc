"""Inspecting: as much as can be read, never an exception, never a proof."""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builders import cms
from builders.bundles import KINDS, Bundle, Member, make
from builders.pki import signer
from modseal.bundle.inspect import Inspection, inspect
from modseal.errors import InputError
from modseal.format import rules
from modseal.format.manifest import Kind
from modseal.report import inspection, inspections

kinds = pytest.mark.parametrize("kind", KINDS)


def look(folder: Path, bundle: Bundle | bytes) -> Inspection:
    (folder / "b").write_bytes(bundle if isinstance(bundle, bytes) else bundle.data)
    return inspect(folder / "b")


@kinds
def test_a_good_bundle_is_shown_whole(kind: Kind, tmp_path: Path) -> None:
    found = look(tmp_path, make(kind, signer(), signer("rsa")))
    assert found.problems == ()
    assert found.kind == kind
    assert found.manifest is not None
    assert [entry.path for entry in found.entries] == ["opt/acme", "opt/acme/agent", "opt/acme/conf"]
    assert [block.certificates[0].fingerprint for block in found.blocks] == [
        signer().fingerprint,
        signer("rsa").fingerprint,
    ]


@kinds
@pytest.mark.parametrize(
    ("which", "code"),
    [
        ("cut", "truncated"),
        ("manifest", "bad-manifest"),
        ("signature", "malformed-signature"),
        ("payload", "missing-member"),
        ("empty", "not-a-bundle"),
        ("certificate", "malformed-certificate"),
    ],
)
def test_each_unreadable_part_is_a_problem_and_the_rest_is_shown(
    kind: Kind, which: str, code: str, tmp_path: Path
) -> None:
    good = make(kind)
    bundle: Bundle | bytes = {
        "cut": good.data[:-1],
        "manifest": good.with_manifest_bytes(b"x"),
        "signature": good.with_signature(b"x"),
        "payload": good.without(good.members[2].name),
        "empty": b"",
        "certificate": good.signed(signer(), certificates=[cms.sequence()]),
    }[which]
    found = look(tmp_path, bundle)
    assert [problem.code for problem in found.problems] == [code]
    for render in (inspection.render_text, inspection.render_json):
        told = render(found)
        assert code in told
        assert "UNPROVED" in told or '"unproved": true' in told


@kinds
def test_text_and_json_mark_everything_as_unproved(kind: Kind, tmp_path: Path) -> None:
    found = look(tmp_path, make(kind))
    assert "UNPROVED" in inspection.render_text(found).splitlines()[0]
    assert list(json.loads(inspection.render_json(found)))[:2] == ["schema", "unproved"]


@kinds
def test_the_digests_are_lines_that_deny_the_bundle_once_they_are_in_a_policy(kind: Kind, tmp_path: Path) -> None:
    bundle = make(kind)
    listed = tomllib.loads(inspections.digests([look(tmp_path, bundle)]))["deny"]["digests"]
    assert [text.removeprefix("sha256:") for text in listed] == [
        hashlib.sha256(data).hexdigest() for data in (bundle.manifest_bytes, bundle.members[2].data)
    ]
    assert json.loads(inspection.render_json(look(tmp_path, bundle)))["payload_sha256"] == {
        bundle.members[2].name: hashlib.sha256(bundle.members[2].data).hexdigest()
    }


@kinds
def test_each_certificate_is_shown_with_its_key_as_a_policy_denies_it(kind: Kind, tmp_path: Path) -> None:
    key = rules.key_name(signer().parsed.key_der)
    found = look(tmp_path, make(kind))
    assert f"                 {key}" in inspection.render_text(found).splitlines()
    assert json.loads(inspection.render_json(found))["signatures"][0]["certificates"][0]["key"] == key


def test_hostile_text_cannot_draw(tmp_path: Path) -> None:
    bundle = make("seal", summary="fine", description="line one\nclaimed level  certified")
    told = inspection.render_text(look(tmp_path, bundle))
    assert not [line for line in told.splitlines() if line.strip().startswith("claimed level  certified")]


def test_an_extra_member_is_listed(tmp_path: Path) -> None:
    told = inspection.render_text(look(tmp_path, make("vib").insert(3, Member("extra", b"12345"))))
    assert "member         extra 5" in told


def test_only_a_file_that_cannot_be_read_raises(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        inspect(tmp_path / "absent")


@given(st.integers(0, 3000), st.binary(min_size=1, max_size=6), st.sampled_from(KINDS))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_damage_is_shown_without_an_exception(tmp_path: Path, position: int, new: bytes, kind: Kind) -> None:
    data = make(kind, files={"opt/a": b"x"}).data
    found = look(tmp_path, data[:position] + new + data[position + len(new) :])
    assert inspection.render_text(found).splitlines()[0].endswith(inspection.NOTICE)
    assert json.loads(inspection.render_json(found))["unproved"] is True
