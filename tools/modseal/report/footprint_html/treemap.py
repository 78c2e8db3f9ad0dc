"""Boxes whose areas are sizes, as square as they can be (Bruls, Huizing and van Wijk, Squarified Treemaps, 2000)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Box(NamedTuple):
    """A rectangle, in percent of the drawing."""

    x: float
    y: float
    width: float
    height: float

    @property
    def area(self) -> float:
        """Its area."""
        return self.width * self.height


def squarified(sizes: Sequence[int], within: Box) -> list[Box]:
    """A box for each size, the largest size first; nothing has a box of no area. They fill `within`."""
    total = sum(sizes)
    if not total:
        return [Box(within.x, within.y, 0, 0) for _ in sizes]
    areas = [size * within.area / total for size in sizes]
    boxes: list[Box] = []
    left = within
    start = 0
    while start < len(areas):
        short = min(left.width, left.height)
        end = start + 1
        while end < len(areas) and _worst(areas[start : end + 1], short) <= _worst(areas[start:end], short):
            end += 1
        row, left = _row(areas[start:end], left)
        boxes += row
        start = end
    return boxes


def _worst(row: Sequence[float], side: float) -> float:
    """The largest ratio of two sides in a row along a side."""
    depth = sum(row) / side if side else 0
    if not depth or not row[-1]:
        return float("inf")
    return max(max(depth * depth / area, area / (depth * depth)) for area in (row[0], row[-1]))


def _row(row: Sequence[float], within: Box) -> tuple[list[Box], Box]:
    """Boxes along the shorter side, and what is left of the rest."""
    short = min(within.width, within.height)
    depth = sum(row) / short if short else 0
    boxes, at = [], 0.0
    for area in row:
        length = area / depth if depth else 0
        if within.width >= within.height:
            boxes.append(Box(within.x, within.y + at, depth, length))
        else:
            boxes.append(Box(within.x + at, within.y, length, depth))
        at += length
    if within.width >= within.height:
        return boxes, Box(within.x + depth, within.y, max(within.width - depth, 0), within.height)
    return boxes, Box(within.x, within.y + depth, within.width, max(within.height - depth, 0))
