"""A comparison of algorithms as a table, as a figure and as a document."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dialog_rl.evaluation import algorithms
from dialog_rl.evaluation.algorithms import Row, Trained
from dialog_rl.evaluation.curves import new_figure, smoothed
from dialog_rl.evaluation.statistics import Interval
from dialog_rl.text import columns, one_line, pad

AGAINST = "reinforce"
"""What the others' margins are measured from, if it was trained."""
HEADERS = (
    "algorithm", "seeds", "held-out success", "gain", "area under the curve", "rules broken", "wall time", "CPU time",
    "memory",
)  # fmt: skip


def markdown(rows: Sequence[Row], margins: Mapping[str, Interval], what: str) -> str:
    """The table and the margins, with what was compared above them."""
    lines = [what, "", "| " + " | ".join(HEADERS) + " |", "|" + "---|" * len(HEADERS)]
    lines += ["| " + " | ".join(cells(row)) + " |" for row in rows]
    return "\n".join([*lines, "", *said(margins), ""])


def plain(rows: Sequence[Row], margins: Mapping[str, Interval], what: str) -> str:
    """The same for a terminal."""
    written = [list(HEADERS), *map(cells, rows)]
    widths = [max(columns(line[k]) for line in written) for k in range(len(HEADERS))]
    lines = ["  ".join(pad(cell, width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in written]
    return "\n".join([what, "", *lines, "", *said(margins)])


def document(
    runs: Sequence[Trained], rows: Sequence[Row], margins: Mapping[str, Interval], start: Sequence[bool]
) -> dict[str, Any]:
    return {
        "algorithms": [asdict(row) for row in rows],
        "margins": {name: asdict(margin) for name, margin in margins.items()},
        "start": sum(start) / len(start) if start else None,
        "runs": [{**asdict(one), "held_out": [int(hit) for hit in one.held_out]} for one in runs],
    }


def margins_of(runs: Sequence[Trained]) -> dict[str, Interval]:
    """Of every algorithm over the plain one, or over the first where that was not trained."""
    found = algorithms.by_algorithm(runs)
    against = AGAINST if AGAINST in found else next(iter(found), "")
    return {
        f"{name} over {against}": algorithms.margin(found[name], found[against]) for name in found if name != against
    }


def said(margins: Mapping[str, Interval]) -> list[str]:
    return [f"{name}: {_points(margin)}" for name, margin in margins.items()]


def cells(row: Row) -> list[str]:
    return [
        one_line(row.algorithm, 40), str(row.seeds), _percent(row.held_out), _points(row.gain), _percent(row.area),
        _percent(row.violations), _seconds(row.wall_seconds), _seconds(row.cpu_seconds),
        f"{row.peak_memory / 2**20:,.0f} MiB",
    ]  # fmt: skip


def draw(runs: Sequence[Trained], rows: Sequence[Row], path: Path, *, title: str, start: float) -> None:
    """Learning curves with their spread over seeds, and held-out success. Raises ConfigError without matplotlib."""
    figure = new_figure(5.0)
    learning, held_out = figure.subplots(1, 2, width_ratios=[2.2, 1])
    for number, (name, of_one) in enumerate(algorithms.by_algorithm(runs).items()):
        colour, points = f"C{number % 10}", algorithms.curve(of_one)
        dialogues = [at for at, _ in points]
        learning.plot(dialogues, smoothed([100 * i.value for _, i in points]), color=colour, label=name)
        if len(of_one) > 1:
            low, high = ([100 * min(1.0, max(0.0, end)) for end in ends] for ends in zip(
                *((i.low, i.high) for _, i in points), strict=True
            ))  # fmt: skip
            learning.fill_between(dialogues, smoothed(low), smoothed(high), color=colour, alpha=0.12, lw=0)
    for number, row in enumerate(rows):
        s = row.held_out
        bars = [[100 * (s.value - s.low)], [100 * (s.high - s.value)]]
        held_out.errorbar([number], [100 * s.value], yerr=bars, fmt="o", color=f"C{number % 10}", capsize=4)
    held_out.axhline(100 * start, color="grey", ls=":", lw=1)
    held_out.annotate("start", (-0.4, 100 * start), fontsize=8, color="grey", va="bottom")
    held_out.set_xticks(range(len(rows)), [row.algorithm for row in rows], rotation=35, ha="right", fontsize=8)
    learning.set(ylabel="success while learning, %", xlabel="dialogues learned from", ylim=(0, None), title=title)
    held_out.set(ylabel="success with held-out customers, %", ylim=(0, None))
    for axes in (learning, held_out):
        axes.grid(alpha=0.25)
    learning.legend(loc="best", fontsize=8)
    figure.savefig(path, dpi=120, metadata={"Software": None})


def _percent(i: Interval) -> str:
    return f"{100 * i.value:.1f} %{_range(max(0.0, i.low), min(1.0, i.high)) if math.isfinite(i.high) else ''}"


def _points(i: Interval) -> str:
    return f"{100 * i.value:+.1f} points ({100 * i.low:+.1f} to {100 * i.high:+.1f})"


def _range(low: float, high: float) -> str:
    return f" ({100 * low:.1f}–{100 * high:.1f})"


def _seconds(i: Interval) -> str:
    return f"{i.value:,.0f} s"
