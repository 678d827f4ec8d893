"""Plots as inline SVG, made by hand: no library, no script, and colours that the page chooses for light and dark.

Every text goes through `escaped`. Classes `c1` to `c6` are the contestants' colours, in their order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from dialog_rl.evaluation.statistics import Interval
from dialog_rl.text import columns, one_line, printable

WIDTH = 720
COLOURS = 6
_ROW = 20


def escaped(text: str) -> str:
    """Text from anywhere, as it may stand between tags and in attributes."""
    return escape(printable(text), quote=True)


def colour(number: int) -> str:
    return f"c{number % COLOURS + 1}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One line of `curves`."""

    name: str
    points: tuple[tuple[float, Interval], ...]
    """x and what was measured there; low and high equal to the value draw no band."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    name: str
    low: float
    high: float
    shown: Callable[[float], str] = "{:g}".format
    whole: bool = False
    """Only whole numbers are marked."""

    def ticks(self, most: int = 6) -> list[float]:
        """Round numbers within it."""
        span = self.high - self.low or 1.0
        step = 10 ** math.floor(math.log10(span / most))
        step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= most)
        step = max(step, 1.0) if self.whole else step
        first = math.ceil(self.low / step - 1e-9)
        return [round(n * step, 10) for n in range(first, math.floor(self.high / step + 1e-9) + 1)]

    def at(self, value: float, start: float, end: float) -> float:
        """Where a value lies between two coordinates; beyond the axis, at its end."""
        share = (min(max(value, self.low), self.high) - self.low) / ((self.high - self.low) or 1.0)
        return start + share * (end - start)


def percent(value: float) -> str:
    return f"{100 * value:g} %"


SHARE = Axis(name="", low=0.0, high=1.0, shown=percent)


def intervals(rows: Sequence[tuple[str, Sequence[Interval | None]]], names: Sequence[str], axis: Axis = SHARE) -> str:
    """A row of dots with whiskers for each label, a dot each name. None draws nothing."""
    gap = _ROW if len(names) < 3 else 12
    heights = [gap * len(names) + 10 for _ in rows]
    legend = _ROW + 6 if len(names) > 1 else 0
    bottom = legend + sum(heights)
    labels = 7.6 * max(columns(_short(label)) for label, _ in rows)
    left, right = labels + 12, WIDTH - 24.0
    parts = [_legend(names, left - 5) if legend else ""]
    for tick in axis.ticks():
        x = axis.at(tick, left, right)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{legend}" y2="{bottom}"/>')
        parts.append(_text(axis.shown(tick), x, bottom + 16, "middle", "tick"))
    top = float(legend)
    for (label, found), height in zip(rows, heights, strict=True):
        parts.append(_text(_short(label), labels, top + height / 2 + 4, "end", "label"))
        for number, interval in enumerate(found):
            if interval is not None and not math.isnan(interval.value):
                parts.append(_whisker(interval, axis, number, top + 5 + gap * (number + 0.5), left, right))
        top += height
    return _svg(bottom + 24, parts)


def curves(
    series: Sequence[Series], across: Axis, up: Axis = SHARE, *, guide: Sequence[tuple[float, float]] = ()
) -> str:
    """Lines with bands. `guide` is a dotted line through given points, such as what would be perfect."""
    left, right, top, bottom = 56.0, WIDTH - 24.0, 12.0 + (_ROW + 6 if len(series) > 1 else 0), 280.0
    parts = [_legend([one.name for one in series], left) if len(series) > 1 else ""]
    for tick in up.ticks(5):
        y = up.at(tick, bottom, top)
        parts.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_text(up.shown(tick), left - 8, y + 4, "end", "tick"))
    for tick in across.ticks(8):
        x = across.at(tick, left, right)
        parts.append(f'<line class="tickmark" x1="{x:.1f}" x2="{x:.1f}" y1="{bottom}" y2="{bottom + 4}"/>')
        parts.append(_text(across.shown(tick), x, bottom + 18, "middle", "tick"))
    parts.append(_text(across.name, right, bottom + 36, "end", "tick"))
    parts.append(_text(up.name, left - 48, top - 2, "start", "tick") if up.name and len(series) < 2 else "")
    if guide:
        parts.append(f'<path class="guide" d="{_path(guide, across, up, (left, right), (bottom, top))}"/>')
    for number, one in enumerate(series):
        parts += _line(one, number, across, up, (left, right), (bottom, top))
    return _svg(bottom + 44, parts)


def _line(
    one: Series, number: int, across: Axis, up: Axis, x: tuple[float, float], y: tuple[float, float]
) -> list[str]:
    known = [(at, found) for at, found in one.points if not math.isnan(found.value)]
    if not known:
        return []
    parts: list[str] = []
    if any(found.high > found.low for _, found in known):
        edge = [(at, found.high) for at, found in known] + [(at, found.low) for at, found in reversed(known)]
        parts.append(f'<path class="band {colour(number)}" d="{_path(edge, across, up, x, y)}Z"/>')
    middle = [(at, found.value) for at, found in known]
    parts.append(f'<path class="curve {colour(number)}" d="{_path(middle, across, up, x, y)}"/>')
    if len(known) <= 24:
        parts += [
            f'<circle class="dot {colour(number)}" r="3.5" cx="{across.at(at, *x):.1f}" cy="{up.at(v, *y):.1f}"/>'
            for at, v in middle
        ]
    return parts


def _path(
    points: Sequence[tuple[float, float]], across: Axis, up: Axis, x: tuple[float, float], y: tuple[float, float]
) -> str:
    return "M" + "L".join(f"{across.at(at, *x):.1f},{up.at(value, *y):.1f}" for at, value in points)


def _whisker(found: Interval, axis: Axis, number: int, y: float, left: float, right: float) -> str:
    low, middle, high = (axis.at(value, left, right) for value in (found.low, found.value, found.high))
    return (
        f'<line class="whisker {colour(number)}" x1="{low:.1f}" x2="{high:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<circle class="dot {colour(number)}" r="4.5" cx="{middle:.1f}" cy="{y:.1f}"/>'
    )


def _legend(names: Sequence[str], left: float) -> str:
    parts: list[str] = []
    x = left
    for number, name in enumerate(names):
        parts.append(f'<circle class="dot {colour(number)}" r="4.5" cx="{x + 5:.1f}" cy="10"/>')
        parts.append(_text(_short(name), x + 15, 14, "start", "label"))
        x += 34 + 7.2 * columns(_short(name))
    return "".join(parts)


def _short(name: str) -> str:
    return one_line(name, 32)


def _text(text: str, x: float, y: float, anchor: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escaped(text)}</text>'


def _svg(height: float, parts: Sequence[str]) -> str:
    inner = "".join(parts)
    return f'<svg viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" aria-hidden="true">{inner}</svg>'
