"""Small plots as SVG: lines over two logarithmic axes, one panel beside the other. For `docs/performance.md`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 360, 260
"""Of one panel, in pixels."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 32, 34, 44
_COLORS = ("#0b6e99", "#c2410c", "#4d7c0f", "#7e22ce")
_FONT = 'font-family="sans-serif" font-size="11"'


class Line(NamedTuple):
    """A named line through points, all above zero."""

    name: str
    points: Sequence[tuple[float, float]]


class Panel(NamedTuple):
    """One diagram: its title, what its axes say, and its lines."""

    title: str
    across: str
    unit: str
    lines: Sequence[Line]


def picture(panels: Sequence[Panel]) -> str:
    """The panels side by side, as one SVG on white."""
    size = f'width="{WIDTH * len(panels)}" height="{HEIGHT}"'
    inside = "".join(_panel(panel, WIDTH * index) for index, panel in enumerate(panels))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {_FONT}>'
        f'<rect width="100%" height="100%" fill="#ffffff"/>{inside}</svg>\n'
    )


def _panel(panel: Panel, left: int) -> str:
    across = _bounds([x for line in panel.lines for x, _ in line.points])
    up = _bounds([y for line in panel.lines for _, y in line.points])

    def place(x: float, y: float) -> tuple[float, float]:
        width, height = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
        return (
            _LEFT + width * (math.log10(x) - across[0]) / (across[1] - across[0]),
            _TOP + height * (1 - (math.log10(y) - up[0]) / (up[1] - up[0])),
        )

    parts = [_text(WIDTH / 2, 18, panel.title, "middle", 'font-weight="bold"')]
    for power in range(across[0], across[1] + 1):
        x, _ = place(10.0**power, 10.0 ** up[0])
        parts += [_rule(x, _TOP, x, HEIGHT - _BOTTOM), _text(x, HEIGHT - _BOTTOM + 15, _number(10.0**power), "middle")]
    for power in range(up[0], up[1] + 1):
        _, y = place(10.0 ** across[0], 10.0**power)
        parts += [_rule(_LEFT, y, WIDTH - _RIGHT, y), _text(_LEFT - 6, y + 4, _number(10.0**power), "end")]
    parts.append(_text((WIDTH + _LEFT) / 2, HEIGHT - 8, panel.across, "middle"))
    parts.append(_text(6, _TOP - 10, panel.unit, "start"))
    for index, line in enumerate(panel.lines):
        color, places = _COLORS[index % len(_COLORS)], [place(x, y) for x, y in line.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>' for x, y in places]
        key = _TOP + 14 + 15 * index
        parts.append(f'<rect x="{_LEFT + 8}" y="{key - 8}" width="12" height="4" fill="{color}"/>')
        parts.append(_text(_LEFT + 25, key - 2, line.name, "start"))
    return f'<g transform="translate({left},0)">{"".join(parts)}</g>'


def _bounds(values: Sequence[float]) -> tuple[int, int]:
    """The powers of ten around some values: at least one decade."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return low, max(high, low + 1)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def _rule(x: float, y: float, to_x: float, to_y: float) -> str:
    return f'<path d="M{x:.1f} {y:.1f}L{to_x:.1f} {to_y:.1f}" stroke="#d4d4d8"/>'


def _text(x: float, y: float, text: str, anchor: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {more}>{escape(text)}</text>'
