"""Which modules of a generation a host takes: decided anew from whole bundles, under the policy of its root."""

from __future__ import annotations

from pathlib import Path

import pytest

from builders import hosts, policies
from builders.pki import NOW
from modseal.boot import prove
from modseal.boot.documents import ImageGeneration, ImageRecord
from modseal.format.level import Level
from modseal.policy.sources import load
from modseal.trust.policy import Policy


@pytest.fixture
def host(tmp_path: Path) -> hosts.Host:
    return hosts.host(tmp_path)


def policy(folder: Path, **changes: object) -> Policy:
    (folder / "other").mkdir(exist_ok=True)
    return load(str(policies.write(folder / "other", **changes)))


def outcome(
    host: hosts.Host, rules: Policy, *bundles: Path, level: Level = Level.COMMUNITY
) -> tuple[list[str], list[str]]:
    records = tuple(ImageRecord(one.name, "x.erofs", "0" * 64, 1) for one in bundles)
    found, refused = prove.accepted_bundles(host.root.parent, ImageGeneration(1, records), rules, level, NOW)
    return [module.name for _, module in found], [one.failure.code for one in refused]


def test_what_the_policy_accepts_is_taken(host: hosts.Host, tmp_path: Path) -> None:
    assert outcome(host, policy(tmp_path), host.bundle("a"), host.bundle("b", kind="vib", level=Level.PARTNER)) == (
        ["a", "b"],
        [],
    )


def test_a_tampered_bundle_is_refused_and_the_others_are_taken(host: hosts.Host, tmp_path: Path) -> None:
    bad = host.bundle("bad")
    data = bytearray(bad.read_bytes())
    data[-20] ^= 1
    bad.write_bytes(data)
    names, codes = outcome(host, policy(tmp_path), bad, host.bundle("good"))
    assert (names, len(codes)) == (["good"], 1)


def test_a_bundle_that_is_not_there_is_refused(host: hosts.Host, tmp_path: Path) -> None:
    assert outcome(host, policy(tmp_path), tmp_path / "absent.seal") == ([], ["io-error"])


def test_a_module_below_its_floor_is_refused(host: hosts.Host, tmp_path: Path) -> None:
    rules = policy(tmp_path, more='[versions]\nold = "2.0"\n')
    assert outcome(host, rules, host.bundle("old", "1.0")) == ([], ["version-below-floor"])


def test_a_module_below_the_host_s_level_is_refused(host: hosts.Host, tmp_path: Path) -> None:
    assert outcome(host, policy(tmp_path), host.bundle("a"), level=Level.ACCEPTED) == ([], ["level-below-host"])


def test_modules_that_cannot_live_together_are_all_refused(host: hosts.Host, tmp_path: Path) -> None:
    files = {"opt/same/file": b"x"}
    names, codes = outcome(host, policy(tmp_path), host.bundle("a", files=files), host.bundle("b", files=files))
    assert (names, codes) == ([], ["path-owned"])
