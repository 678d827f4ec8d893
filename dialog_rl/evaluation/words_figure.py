"""How far learnt action values are from the right ones, over the sentences tried, as a PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from dialog_rl.evaluation.curves import new_figure

Curve = Sequence[tuple[int, float, float]]
"""Sentences so far, the largest error of Q, what the greedy sentence earns."""


def draw_words(curves: Mapping[str, Curve], path: Path, *, best: float, title: str) -> None:
    """Write the figure. Raises ConfigError without matplotlib."""
    figure = new_figure(6.0)
    errors, earned = figure.subplots(2, 1, sharex=True)
    for name, curve in curves.items():
        sentences = [point[0] for point in curve]
        errors.plot(sentences, [max(point[1], 1e-7) for point in curve], label=name)
        earned.plot(sentences, [point[2] for point in curve], label=name)
    errors.set(yscale="log", ylabel="largest error of Q", title=title)
    earned.axhline(best, color="grey", ls=":", lw=1)
    earned.set(ylabel="greedy sentence earns", xlabel="sentences tried")
    for axes in (errors, earned):
        axes.grid(alpha=0.25)
    errors.legend(fontsize=8)
    figure.savefig(path, dpi=120, metadata={"Software": None})
