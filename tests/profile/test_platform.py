"""Which ESXi somebody means."""

from __future__ import annotations

import pytest

from modseal.errors import UsageError
from modseal.profile.platform import parse_platform


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("8.0", "8.0"),
        ("8.0.2", "8.0.2"),
        ("7.0U3", "7.0.3"),
        ("8.0 u2b", "8.0.2"),
        ("8.0.2-0.0.22380479", "8.0.2"),
        ("6.7.0", "6.7.0"),
    ],
)
def test_a_version_is_read_as_people_write_it(text: str, version: str) -> None:
    assert parse_platform(text) == version


@pytest.mark.parametrize("text", ["7", "hello", "", "8.*", "8.0.", "8.0U", "ESXi 8.0", "8.0.2U2", "8.0\n9.0"])
def test_what_is_no_version_is_a_mistake_of_who_typed_it(text: str) -> None:
    with pytest.raises(UsageError, match=r"is no version of ESXi, such as 8\.0\.2 or 8\.0U2"):
        parse_platform(text)


def test_the_target_cannot_run_another_one_than_it_has() -> None:
    assert parse_platform("8.0", "8.0.2-1") == "8.0"
    assert parse_platform("8.0U2", "8.0.2") == "8.0.2"
    with pytest.raises(UsageError, match=r"--platform says ESXi 8\.0\.2, and the target has esx-base 7\.0\.3"):
        parse_platform("8.0.2", "7.0.3")
