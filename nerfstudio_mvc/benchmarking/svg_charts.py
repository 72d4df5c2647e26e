"""Line and bar charts as SVG text, to stand in a page without any script or file beside it.

Colours come from the page: series n has the class ``s0``, ``s1``, ...; what the numbers mean is the caller's business.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 560, 380
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 12, 46


@dataclass(frozen=True)
class Series:
    """A named line, or a named bar in every group: points (x, y), and the class that colours it."""

    name: str
    css_class: str
    points: tuple[tuple[float, float], ...]


def line_chart(series: Sequence[Series], *, x_label: str, y_label: str) -> str:
    """Lines with a mark at each point; the points say their numbers when the mouse rests on them."""
    points = [point for line in series for point in line.points]
    if not points:
        return '<p class="none">nothing was measured</p>'
    x_axis = _Axis.around([x for x, _ in points], LEFT, WIDTH - RIGHT)
    y_axis = _Axis.around([y for _, y in points], HEIGHT - BOTTOM, TOP)
    parts = [_frame(x_axis, y_axis, x_label, y_label)]
    for line in series:
        places = [(x_axis.place(x), y_axis.place(y)) for x, y in line.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline class="line {line.css_class}" points="{path}"/>')
        parts += [
            f'<circle class="mark {line.css_class}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"><title>'
            f"{escape(line.name)}: {point[0]:.4g}, {point[1]:.5g}</title></circle>"
            for (x, y), point in zip(places, line.points, strict=True)
        ]
    return _svg(parts, WIDTH, HEIGHT)


def bar_chart(series: Sequence[Series], labels: Sequence[str], *, y_label: str) -> str:
    """Groups of bars over `labels`; the x of a series' points is the position of the label, from 0."""
    heights = [y for bars in series for _, y in bars.points if math.isfinite(y)]
    if not heights:
        return '<p class="none">nothing was measured</p>'
    group_px = max(8 * len(series) + 8, 26)
    width = max(WIDTH, LEFT + RIGHT + group_px * len(labels))
    group_px = (width - LEFT - RIGHT) / len(labels)
    y_axis = _Axis.around(heights, HEIGHT - BOTTOM, TOP, from_zero=min(heights) < 0.5 * max(heights))
    bar_px = (group_px - 6) / len(series)
    parts = [_frame(None, y_axis, "view", y_label, width)]
    for position, bars in enumerate(series):
        for index, height in bars.points:
            top = y_axis.place(min(height, y_axis.high))
            left = LEFT + group_px * index + 3 + bar_px * position
            parts.append(
                f'<rect class="bar {bars.css_class}" x="{left:.1f}" y="{top:.1f}" width="{max(bar_px - 1, 1):.1f}" '
                f'height="{HEIGHT - BOTTOM - top:.1f}"><title>{escape(labels[int(index)])}, {escape(bars.name)}: '
                f"{height:.5g}</title></rect>"
            )
    for index in range(len(labels)):
        centre = LEFT + group_px * (index + 0.5)
        parts.append(
            f'<text class="tick" x="{centre:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{index}</text>'
        )
    return _svg(parts, width, HEIGHT)


@dataclass(frozen=True)
class _Axis:
    """Values `low` to `high` over pixels `first` to `last`, a tick every `step`."""

    low: float
    high: float
    step: float
    first: float
    last: float

    @staticmethod
    def around(values: Sequence[float], first: float, last: float, *, from_zero: bool = False) -> _Axis:
        """An axis with round ends and about six ticks."""
        smallest, largest = min(values), max(values)
        smallest = min(smallest, 0.0) if from_zero else smallest
        span = largest - smallest or abs(largest) or 1.0
        power = 10.0 ** math.floor(math.log10(span / 5))
        step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= span / 6)
        low = math.floor(smallest / step + 1e-9) * step
        high = math.ceil(largest / step - 1e-9) * step
        return _Axis(low, high if high > low else low + step, step, first, last)

    def place(self, value: float) -> float:
        """Where a value is, in pixels."""
        return self.first + (value - self.low) / (self.high - self.low) * (self.last - self.first)

    def ticks(self) -> list[float]:
        """The values that get a label."""
        return [self.low + self.step * index for index in range(round((self.high - self.low) / self.step) + 1)]


def _frame(x_axis: _Axis | None, y_axis: _Axis, x_label: str, y_label: str, width: float = WIDTH) -> str:
    bottom, right = HEIGHT - BOTTOM, width - RIGHT
    parts = []
    for value in y_axis.ticks():
        y = y_axis.place(value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.6g}</text>')
    for value in x_axis.ticks() if x_axis else ():
        x = x_axis.place(value)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{bottom}"/>')
        parts.append(f'<text class="tick" x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{value:.6g}</text>')
    middle = (TOP + bottom) / 2
    parts.append(
        f'<text class="axis" x="{(LEFT + right) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x_label)}</text>'
    )
    parts.append(
        f'<text class="axis" x="14" y="{middle}" text-anchor="middle" transform="rotate(-90 14 {middle})">'
        f"{escape(y_label)}</text>"
    )
    return "".join(parts)


def _svg(parts: Sequence[str], width: float, height: float) -> str:
    return f'<svg viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" role="img">{"".join(parts)}</svg>'
