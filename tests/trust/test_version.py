"""Comparing versions: a total order that is stable, and right for known upgrades."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modseal.format import rules
from modseal.trust.version import version_key

ASCENDING = [
    ["1.0~rc1", "1.0~rc2", "1.0", "1.0-1", "1.0-2", "1.0-10", "1.0.1", "1.1", "1.10", "2"],
    ["1.7.11-1OEM.600.0.0.1", "1.7.11-1OEM.650.0.0.4598673", "1.7.11-2OEM.600.0.0.1", "1.7.12"],
    ["v1", "v2", "0.9"],
    ["1.0a", "1.0b", "1.0.1"],
    ["6.011.00-2vmw.510.0.0.799733", "6.011.00-3vmw.510.0.0.1"],
    ["1.12-2vmw.802.0.0.67561870", "1.15-1vmw.900.0.84947163", "2.1-6vmw.670.2.48.39203948"],
]
VERSIONS = st.text(alphabet="0123456789abZ.~-+_", min_size=1, max_size=12)


@pytest.mark.parametrize("versions", ASCENDING)
def test_versions_ascend(versions: list[str]) -> None:
    for older, newer in pairwise(versions):
        assert version_key(older) < version_key(newer), (older, newer)


@pytest.mark.parametrize(
    ("one", "other"), [("1.0", "1.00"), ("1.0", "1_0"), ("1..0", "1.0"), ("01", "1"), ("1-0", "1-00")]
)
def test_versions_that_are_equal(one: str, other: str) -> None:
    assert version_key(one) == version_key(other)


def test_letters_are_below_numbers_and_an_end() -> None:
    assert version_key("1.a") < version_key("1.0")
    assert version_key("1") < version_key("1a")
    assert version_key("1~") < version_key("1")


def test_only_the_first_hyphen_separates_the_release() -> None:
    assert version_key("1.0-2-3") != version_key("1.0.2-3")


@given(VERSIONS, VERSIONS, VERSIONS)
@settings(max_examples=200)
def test_the_order_is_total(one: str, other: str, third: str) -> None:
    a, b, c = map(version_key, (one, other, third))
    assert (a < b) + (b < a) + (a == b) == 1
    assert not (a <= b <= c) or a <= c


@given(st.from_regex(rules.VERSION.pattern, fullmatch=True), st.from_regex(rules.VERSION.pattern, fullmatch=True))
@settings(max_examples=100)
def test_any_two_versions_of_manifests_can_be_compared(one: str, other: str) -> None:
    """So no code is needed for versions that cannot be (`version-unparsable` is retired)."""
    assert (version_key(one) < version_key(other)) + (version_key(other) <= version_key(one)) == 1


@given(VERSIONS)
@settings(max_examples=100)
def test_a_further_run_makes_a_version_newer(version: str) -> None:
    head, _, _ = version.partition("-")
    if head:
        assert version_key(head) < version_key(f"{head}.1")
