"""Drawing in a terminal's characters: each holds two by four dots of Braille, in one style."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

_BRAILLE = 0x2800
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Bits of a character: rows from above, in each the left dot and the right one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """From figures to dots."""

    low: float
    high: float

    def at(self, value: float, dots: int) -> int:
        """Which of so many dots, from 0 at the lowest figure."""
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return min(dots - 1, max(0, round(share * (dots - 1))))


def scale_of(values: Sequence[float], *, floor: float | None = None, ceiling: float | None = None) -> Scale:
    """Room for all values and a little more, as far as there can be any."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 0.5
    low, high = low - margin, high + margin
    return Scale(low=low if floor is None else max(low, floor), high=high if ceiling is None else min(high, ceiling))


class Canvas:
    """Styles are names; of two in one character the one drawn last wins."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self._dots = [[0] * columns for _ in range(rows)]
        self._styles = [[""] * columns for _ in range(rows)]

    @property
    def width(self) -> int:
        return 2 * self.columns

    @property
    def height(self) -> int:
        return 4 * self.rows

    def dot(self, x: int, y: int, style: str) -> None:
        """x from the left, y from below, in dots; what lies outside is not drawn."""
        column, row = x // 2, self.rows - 1 - y // 4
        if 0 <= column < self.columns and 0 <= row < self.rows:
            self._dots[row][column] |= _DOTS[3 - y % 4][x % 2]
            self._styles[row][column] = style

    def line(self, points: Sequence[tuple[int, int]], style: str) -> None:
        """From point to point."""
        for (x0, y0), (x1, y1) in zip(points, points[1:], strict=False):
            steps = max(abs(x1 - x0), abs(y1 - y0), 1)
            for step in range(steps + 1):
                self.dot(round(x0 + (x1 - x0) * step / steps), round(y0 + (y1 - y0) * step / steps), style)
        if len(points) == 1:
            self.dot(*points[0], style)

    def text(self, row: int) -> Iterator[tuple[str, str]]:
        """A row from above, as pieces of one style each."""
        cells = [
            (chr(_BRAILLE + dots), style) if dots else (" ", "")
            for dots, style in zip(self._dots[row], self._styles[row], strict=True)
        ]
        for style, group in groupby(cells, key=lambda cell: cell[1]):
            yield "".join(char for char, _ in group), style


def thinned(points: Sequence[tuple[int, int]], *, mean: bool) -> list[tuple[int, int]]:
    """Points in order of x with one y for each x, the mean of them; or with each (x, y) once."""
    if not mean:
        return list(dict.fromkeys(points))
    return [
        (x, round(sum(ys) / len(ys)))
        for x, ys in ((x, [y for _, y in group]) for x, group in groupby(points, key=lambda point: point[0]))
    ]
