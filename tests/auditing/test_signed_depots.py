"""Signed depots in an audit: what was added, withheld, swapped, has expired or is recalled is a finding each."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from builders import bundles, policies, recalls, zips
from builders import signed_depots as depots
from builders.audits import audit_of
from builders.pki import NOW, ca, leaf, signer
from builders.signed_depots import SEAL, VIB, contents, entry, index
from builders.transcript import run
from modseal.auditing import depots as audit_depots
from modseal.auditing.cache import Cache, context_of
from modseal.auditing.finding import Finding
from modseal.auditing.run import Audit
from modseal.depot.index import INDEX
from modseal.format.times import time_text
from modseal.packing.signed_depot import copy
from modseal.policy.sources import load
from modseal.trust.policy import Policy

STRANGER = leaf(issuer=ca("A stranger"))
Put = Callable[[Mapping[str, bytes]], Path]


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    return load(str(policies.write(tmp_path)))


@pytest.fixture(params=["folder", "zip"])
def put(request: pytest.FixtureRequest, tmp_path: Path) -> Put:
    """Writes the files of a depot as a folder or a zip file."""

    def write(held: Mapping[str, bytes]) -> Path:
        if request.param == "folder":
            return depots.write(tmp_path / "site", held)
        path = tmp_path / "site.zip"
        path.write_bytes(zips.write(held))
        return path

    return write


def found(audit: Audit) -> list[str]:
    """The rules of all findings that count and matter."""
    return [one.rule for one in audit.findings() if str(one.severity) == "high"]


def the(audit: Audit, rule: str) -> Finding:
    [one] = [one for one in audit.findings() if one.rule == rule]
    return one


def test_a_good_signed_depot_is_a_depot_with_nothing_against_it(policy: Policy, put: Put) -> None:
    path = put(contents(index()))
    audit = audit_of([path], policy)
    assert (audit.summary.depots, audit.summary.bundles, audit.summary.left_out) == (1, 2, 0)
    assert [one["bundle"] for one in audit.results()] == [f"{path}!/{one.path}" for one in index().bundles]
    assert found(audit) == []


def test_an_added_bundle_is_found_although_its_signature_is_good(policy: Policy, put: Put) -> None:
    audit = audit_of([put(contents(index(SEAL)))], policy)
    assert found(audit) == ["depot-added"]
    assert the(audit, "depot-added").evidence["bundle"] == entry(VIB).path
    assert audit.summary.verdicts["accepted"] == 2


def test_an_added_file_of_any_kind_is_found(policy: Policy, put: Put) -> None:
    assert found(audit_of([put({**contents(index()), "run.sh": b"#!/bin/sh"})], policy)) == ["depot-added"]


def test_a_withheld_bundle_is_found(policy: Policy, put: Put) -> None:
    audit = audit_of([put(contents(index(), held=[SEAL]))], policy)
    assert found(audit) == ["depot-withheld"]


def test_a_swapped_bundle_is_found_although_its_signature_is_good(policy: Policy, put: Put) -> None:
    old = bundles.make("seal", version="0.9")
    audit = audit_of([put({**contents(index()), entry(SEAL).path: old.data})], policy)
    assert found(audit) == ["depot-swapped"]
    assert the(audit, "depot-swapped").bundle.endswith(f"!/{entry(SEAL).path}")
    assert audit.summary.verdicts["accepted"] == 2


def test_an_index_that_says_something_else_than_the_bundle_is_found(policy: Policy, put: Put) -> None:
    lying = replace(index(), bundles=tuple(replace(one, summary="Another") for one in index().bundles))
    made = depots.signed(lying, signer())
    assert found(audit_of([put(contents(made))], policy)) == ["metadata-mismatch", "metadata-mismatch"]


def test_an_expired_index_is_found(policy: Policy, put: Put) -> None:
    made = index(issued=NOW - timedelta(days=90), expires=NOW - timedelta(days=1))
    assert found(audit_of([put(contents(made))], policy)) == ["depot-expired"]


def test_an_index_that_was_changed_after_it_was_signed_is_found(policy: Policy, put: Put) -> None:
    held = contents(index())
    held[INDEX] = held[INDEX].replace(b'"version":1', b'"version":2')
    audit = audit_of([put(held)], policy)
    assert found(audit)[0] == "depot-unproved"
    assert the(audit, "depot-unproved").evidence["code"] == "unsigned"


def test_an_index_of_a_stranger_is_found(policy: Policy, put: Put) -> None:
    audit = audit_of([put(contents(index(by=[STRANGER])))], policy)
    assert found(audit) == ["depot-unproved"]
    assert not the(audit, "depot-unproved").undecided


def test_a_bundle_that_the_depot_itself_recalls_is_found(policy: Policy, put: Put) -> None:
    withdrawn = recalls.make()
    audit = audit_of([put(contents(index(recalls=[withdrawn]), recalls=[withdrawn]))], policy)
    assert found(audit) == ["depot-recalled"]
    assert entry(SEAL).path == the(audit, "depot-recalled").evidence["bundle"]


def test_a_recall_that_does_not_count_leaves_it_open(policy: Policy, put: Put) -> None:
    withdrawn = recalls.make(by=[STRANGER])
    audit = audit_of([put(contents(index(recalls=[withdrawn]), recalls=[withdrawn]))], policy)
    assert found(audit) == ["depot-unproved"]
    assert the(audit, "depot-unproved").undecided


@pytest.mark.parametrize("data", [b'{"schema":"modseal/depot@1"}\n', b'"modseal/depot@1" and no JSON'])
def test_an_index_that_cannot_be_read_hides_nothing(policy: Policy, put: Put, data: bytes) -> None:
    held = {**contents(index()), INDEX: data, "inner.zip": zips.write({"a.seal": SEAL.data})}
    audit = audit_of([put(held)], policy)
    assert "index-invalid" in found(audit)
    assert audit.summary.bundles == 2
    assert audit.summary.left_out > 0
    assert any(one.rule == "left-out" and one.bundle.endswith("inner.zip") for one in audit.findings())


def test_a_file_of_that_name_that_is_something_else_makes_no_depot(policy: Policy, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / INDEX).write_text(json.dumps({"depots": ["north"]}))
    (tmp_path / "site" / "a.seal").write_bytes(SEAL.data)
    audit = audit_of([tmp_path / "site"], policy)
    assert (audit.summary.depots, audit.summary.bundles) == (0, 1)


FORMS = ["text", "json", "sarif", "html", "csv", "junit", "gitlab"]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_report_has_the_findings(tmp_path: Path, form: str) -> None:
    policy = policies.write(tmp_path)
    old = bundles.make("seal", version="0.9")
    depots.write(tmp_path / "site", {**contents(index()), entry(SEAL).path: old.data, "run.sh": b"#!/bin/sh"})
    done = run("audit", "site", "--policy", policy.name, "--at", time_text(NOW), "--format", form, cwd=tmp_path)
    assert done.code == 1, done.err
    assert "depot-swapped" in done.out
    assert "depot-added" in done.out


def test_the_cache_knows_a_bundle_only_beside_the_index_that_it_was_seen_with(policy: Policy, tmp_path: Path) -> None:
    lying = replace(index(), bundles=tuple(replace(one, summary="Another") for one in index().bundles))
    with Cache.opened(tmp_path / "cache", context_of(policy.origin), NOW, pytest.fail) as cache:
        for made, expected in (
            (index(), []),
            (depots.signed(lying, signer()), ["metadata-mismatch"] * 2),
            (index(), []),
        ):
            path = depots.write(tmp_path / "site", contents(made))
            assert found(audit_of([path], policy, cache=cache)) == expected
            audit_depots.close()  # as the end of a process does
            shutil.rmtree(path)


def test_what_lies_beside_a_layout_is_found_though_it_is_called_like_what_is_listed(
    tmp_path: Path, policy: Policy
) -> None:
    held = contents(index())
    copy(depots.files(held), index(), tmp_path / "site", "oci")
    path = depots.write(tmp_path / "site", {INDEX: held[INDEX], entry(SEAL).path: bundles.make(name="evil").data})
    audit = audit_of([path], policy)
    assert found(audit) == ["depot-added", "depot-added"]
