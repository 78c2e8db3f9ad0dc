"""The page of a footprint: the boxes are as large as what they show, and nothing of a bundle becomes HTML."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from browser.hostile import TEXTS
from modseal.format.level import Level
from modseal.profile.footprint import ModuleSize
from modseal.report.footprint_html import render
from modseal.report.footprint_html.treemap import Box, squarified

_SIZES = st.lists(st.integers(0, 10**9), min_size=1, max_size=40).map(lambda sizes: sorted(sizes, reverse=True))


@given(_SIZES, st.builds(Box, st.just(3.0), st.just(5.0), st.floats(1, 97), st.floats(1, 95)))
def test_boxes_have_the_areas_of_their_sizes_and_lie_side_by_side(sizes: list[int], within: Box) -> None:
    boxes = squarified(sizes, within)
    total = sum(sizes)
    assert len(boxes) == len(sizes)
    for size, box in zip(sizes, boxes, strict=True):
        assert box.area == pytest.approx(size * within.area / total if total else 0, abs=1e-6)
        assert box.x >= within.x - 1e-6
        assert box.y >= within.y - 1e-6
        assert box.x + box.width <= within.x + within.width + 1e-6
        assert box.y + box.height <= within.y + within.height + 1e-6
    for one, other in combinations(boxes, 2):
        wide = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
        high = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
        assert wide <= 1e-6 or high <= 1e-6


def test_boxes_are_as_square_as_the_page_lets_them() -> None:
    boxes = squarified([6, 6, 4, 3, 2, 2, 1], Box(0, 0, 6, 4))
    assert max(max(one.width / one.height, one.height / one.width) for one in boxes) < 2.8


def module(number: int, text: str = "acme", installed: int | None = 5000) -> ModuleSize:
    return ModuleSize(text, f"{text}{number}", "1.0", Level.PARTNER, 1000, installed, "a.seal", str(number))


@pytest.mark.parametrize("text", TEXTS)
def test_no_text_of_a_bundle_becomes_html(text: str) -> None:
    page = render([module(0, text), module(1, text)]).decode("utf-8")
    assert "<script" not in page
    assert "<img" not in page
    assert "style=" not in page
    body = page.replace("<!DOCTYPE html>", "")
    body = re.sub(r"<(meta[^>]*)>", r"<\1/>", body)
    ET.fromstring(re.sub(r"<style>.*?</style>", "", body, flags=re.DOTALL))


def test_the_page_allows_its_style_and_nothing_else() -> None:
    page = render([module(0)]).decode()
    [policy] = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy.startswith("default-src &#x27;none&#x27;; style-src &#x27;sha256-")
    assert "script-src" not in policy
    assert not re.search(r"https?://|url\((?!#)", page)


def test_what_could_not_be_measured_is_said() -> None:
    assert "could not be unpacked" in render([module(0, installed=None)]).decode()
    assert "could not be unpacked" not in render([module(0)]).decode()


def test_the_same_modules_give_the_same_bytes() -> None:
    assert render([module(0), module(1)]) == render([module(0), module(1)])


def test_nothing_at_all_is_a_page() -> None:
    assert b"0 modules" in render([])
