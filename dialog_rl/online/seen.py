"""A run as it is seen from outside: whether it lives, its figures as charts, what happened. Facts, no terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Protocol

from dialog_rl.text import duration, one_line

_WINDOWS = 30
"""Running means that a whole run has room for: over a long one they reach further back."""


class Alive(StrEnum):
    WAITING = "waiting"
    """No update yet."""
    RUNNING = "running"
    SILENT = "silent"
    """Nothing was written for long, and nothing tells whether its process is there."""
    ENDED = "ended"
    GONE = "gone"
    """Its process is not there, and it had not come to its end."""

    @property
    def over(self) -> bool:
        """Nothing more is to be expected."""
        return self in (Alive.ENDED, Alive.GONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One figure, update by update; None where there was none."""

    name: str
    values: Sequence[float | None]
    trend: Sequence[float | None] = ()
    """Its running mean; empty for a figure that is looked at now and then."""

    @property
    def last(self) -> float | None:
        """The running mean where it is now, or else the latest figure."""
        return next((value for value in reversed(self.trend or self.values) if value is not None), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    key: str
    title: str
    at: Sequence[float]
    """Where on the axis each value stands."""
    axis: str
    """What is counted there."""
    lines: tuple[Line, ...]
    percent: bool = False
    own_scales: bool = False
    """The lines have nothing to do with each other's size."""
    floor: float | None = None
    """The lowest value that there can be."""
    ceiling: float | None = None

    @property
    def empty(self) -> bool:
        return all(value is None for line in self.lines for value in line.values)

    def told(self, value: float | None) -> str:
        return figure(value, percent=self.percent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something that happened, or is so."""

    text: str
    bad: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Notes:
    key: str
    title: str
    notes: tuple[Note, ...]
    """What matters most, or happened last, comes first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    name: str
    alive: Alive
    told: str
    """How it is, in a few words."""
    update: int
    of: int | None
    """Updates that it is to make; None if that is not known."""
    charts: tuple[Chart, ...]
    notes: tuple[Notes, ...]

    @property
    def progress(self) -> str:
        of = f" of {self.of:,}" if self.of else ""
        return f"update {self.update:,}{of}" if self.update else "no update yet"

    def document(self) -> dict[str, Any]:
        """Plain JSON values: of every figure the latest and the running mean, not its whole course."""
        return {
            "run": self.name,
            "alive": str(self.alive),
            "told": self.told,
            "update": self.update,
            "of": self.of,
            "figures": {
                chart.key: {
                    line.name: {"latest": _latest(line.values), "mean": _latest(line.trend)} for line in chart.lines
                }
                for chart in self.charts
            },
            "notes": {notes.key: [asdict(note) for note in notes.notes] for notes in self.notes},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """One that was made."""

    record: Mapping[str, Any]
    told: str
    """On one line."""


class Watched(Protocol):
    """Something that is looked at again and again."""

    def look(self) -> Seen:
        """How it stands. The same object as before where nothing has changed."""
        ...

    def news(self) -> Iterator[Update]:
        """The updates that the looks since the last call have brought."""
        ...


def line(name: str, values: Sequence[float | None]) -> Line:
    return Line(name=name, values=values, trend=trend(values))


def trend(values: Sequence[float | None]) -> list[float | None]:
    """The running mean: each update counts for less the longer ago it is, corrected for the beginning."""
    weight = 1 - 1 / max(3.3, len(values) / _WINDOWS)
    smoothed: list[float | None] = []
    total = norm = 0.0
    for value in values:
        if value is not None:
            total, norm = weight * total + value, weight * norm + 1
        smoothed.append(total / norm if norm else None)
    return smoothed


def column(records: Sequence[Mapping[str, Any]], *path: str) -> list[float | None]:
    """One figure of every record; None where it is missing, or no finite number."""
    return [_figure(record, path) for record in records]


def _figure(record: Any, path: Sequence[str]) -> float | None:
    for key in path:
        record = record.get(key) if isinstance(record, Mapping) else None
    if isinstance(record, bool) or not isinstance(record, int | float):
        return None
    try:
        return float(record) if math.isfinite(record) else None
    except OverflowError:
        return None


def figure(value: float | None, *, percent: bool = False) -> str:
    """In few characters."""
    if value is None:
        return "–"
    if percent:
        return f"{100 * value:.0f} %"
    size = abs(value)
    if size >= 1e5 or 0 < size < 1e-4:
        return f"{value:.0e}"
    if size >= 10:
        return f"{value:.0f}" if size >= 100 else f"{value:.1f}"
    return f"{value:.3g}" if size >= 0.1 else f"{value:.2g}"


def words(value: Any, limit: int = 200) -> str:
    """Foreign text on one line."""
    return one_line(value, limit) if isinstance(value, str) else ""


def ago(seconds: float) -> str:
    return f"{duration(max(0.0, seconds))} ago"


def _latest(values: Sequence[float | None]) -> float | None:
    return next((value for value in reversed(values) if value is not None), None)
