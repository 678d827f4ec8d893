"""Curves as PNG: success over dialogues, with the held-out figures before and after, and violations of constraints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dialog_rl.errors import ConfigError
from dialog_rl.evaluation.statistics import Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A held-out figure at one moment of a run."""

    dialogues: int
    success: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    name: str
    updates: Sequence[Mapping[str, Any]]
    """The run's record, one mapping an update, as `metrics.jsonl` holds it."""
    marks: Sequence[Mark] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Violations:
    """How often one run broke a constraint, or would have, over the dialogues it learned from."""

    name: str
    dialogues: Sequence[int]
    rates: Sequence[float]
    """Share of violating episodes among those of each update."""
    target: float | None = None
    """The largest share that was wanted; None where the run was not held to any."""


def draw(curves: Sequence[Curve], path: Path, *, title: str, ceiling: float | None = None) -> None:
    """Write the figure. `ceiling` is the expert's success. Raises ConfigError where matplotlib is not installed."""
    figure = new_figure(6.5)
    success, broken = figure.subplots(2, 1, sharex=True, height_ratios=[2.2, 1])
    for number, curve in enumerate(curves):
        colour = f"C{number % 10}"
        dialogues = [update["dialogues"] for update in curve.updates]
        success.plot(dialogues, [100 * u["success"] for u in curve.updates], color=colour, alpha=0.45, lw=1)
        success.plot(dialogues, smoothed([100 * u["success"] for u in curve.updates]), color=colour, label=curve.name)
        broken.plot(dialogues, smoothed([100 * u["violations"] for u in curve.updates]), color=colour, label=curve.name)
        for mark in curve.marks:
            s = mark.success
            bars = [[100 * (s.value - s.low)], [100 * (s.high - s.value)]]
            success.errorbar([mark.dialogues], [100 * s.value], yerr=bars, fmt="o", color=colour, capsize=4)
    if ceiling is not None:
        success.axhline(100 * ceiling, color="grey", ls=":", lw=1)
        success.annotate("expert", (0, 100 * ceiling), fontsize=8, color="grey", va="bottom")
    success.set(ylabel="success, %", ylim=(0, 103), title=title)
    broken.set(ylabel="rules broken, %", xlabel="dialogues learned from", ylim=(0, None))
    for axes in (success, broken):
        axes.grid(alpha=0.25)
    success.legend(loc="lower right", fontsize=8)
    figure.savefig(path, dpi=120, metadata={"Software": None})


def draw_violations(curves: Sequence[Violations], path: Path, *, title: str) -> None:
    """Write the figure: a line a run, and a dotted one at each target. Raises ConfigError without matplotlib."""
    figure = new_figure(4.5)
    axes = figure.subplots()
    for number, curve in enumerate(curves):
        colour = f"C{number % 10}"
        rates = [100 * rate for rate in curve.rates]
        axes.plot(curve.dialogues, rates, color=colour, alpha=0.35, lw=1)
        axes.plot(curve.dialogues, smoothed(rates), color=colour, label=curve.name)
        if curve.target is not None:
            axes.axhline(100 * curve.target, color=colour, ls=":", lw=1)
            axes.annotate("target", (0, 100 * curve.target), fontsize=8, color=colour, va="bottom")
    axes.set(ylabel="violating dialogues, %", xlabel="dialogues learned from", ylim=(0, 103), title=title)
    axes.grid(alpha=0.25)
    axes.legend(loc="upper left", fontsize=8)
    figure.savefig(path, dpi=120, metadata={"Software": None})


def new_figure(height: float) -> Any:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise ConfigError("plots need matplotlib: pip install 'dialog_rl[plots]'") from None
    figure = Figure(figsize=(9, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def smoothed(values: Sequence[float], weight: float = 0.7) -> list[float]:
    """Exponential moving average, corrected for its beginning."""
    smoothed: list[float] = []
    total = norm = 0.0
    for value in values:
        total, norm = weight * total + value, weight * norm + 1
        smoothed.append(total / norm)
    return smoothed
