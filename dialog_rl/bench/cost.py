"""What an iteration costs as the work grows: seconds and memory over dialogues, turns and the model's size."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dialog_rl.bench import iteration
from dialog_rl.bench.footprint import cost_of
from dialog_rl.bench.measure import machine
from dialog_rl.bench.workload import Workload
from dialog_rl.lm.policy import ModelShape, Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """What is varied, one at a time; the others stay as `work` and `shape` have them."""

    dialogues: Sequence[int] = (4, 8, 16)
    turns: Sequence[int] = (2, 4, 8)
    hidden: Sequence[int] = (96, 192, 288)
    work: Workload = Workload(dialogues=8, turns=4)
    shape: ModelShape = ModelShape()


FULL = Range(
    dialogues=(8, 16, 32, 64, 128, 256, 512), turns=(2, 4, 8, 16, 32), hidden=(96, 192, 384, 576),
    work=Workload(dialogues=32), shape=ModelShape(max_positions=2048),
)  # fmt: skip


def bench_cost(
    *, sizes: Range | None = None, repeats: int = 1, progress: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """An iteration of PPO at each point, in a process of its own; of repeats the quickest counts."""
    sizes = sizes or Range()
    cases = {
        "dialogues": [(n, replace(sizes.work, dialogues=n), sizes.shape) for n in sizes.dialogues],
        "turns": [(n, replace(sizes.work, turns=n), sizes.shape) for n in sizes.turns],
        "parameters": [(_weights(s), sizes.work, s) for s in (_wide(sizes.shape, h) for h in sizes.hidden)],
    }
    curves: dict[str, dict[str, Any]] = {}
    for name, points in cases.items():
        found = []
        for size, work, shape in points:
            cost = min(_iteration(work, shape) for _ in range(repeats))
            found.append({name: size, "seconds": cost.seconds, "bytes": cost.bytes})
            progress(f"{name} {size:,}: {cost.seconds:.2f} s, {cost.bytes / 1e6:.0f} MB")
        xs, ys = [p[name] for p in found], [p["seconds"] for p in found]
        curves[name] = {"points": found, "exponent": exponent(xs, ys)}
    return {"bench": "cost", "work": str(sizes.work), "curves": curves, "machine": machine()}


def _iteration(work: Workload, shape: ModelShape) -> Any:
    policy = Policy.fresh(shape, seed=0)
    return cost_of(lambda: iteration.ours(policy, replace(work, vocab_size=shape.vocab_size), bf16=False))


def _wide(shape: ModelShape, hidden: int) -> ModelShape:
    """Heads stay as wide as they are, and so does the ratio of the layers' parts."""
    return replace(
        shape, hidden=hidden, heads=max(1, hidden * shape.heads // shape.hidden),
        intermediate=hidden * shape.intermediate // shape.hidden,
    )  # fmt: skip


def _weights(shape: ModelShape) -> int:
    layer = 4 * shape.hidden**2 + 3 * shape.hidden * shape.intermediate + 2 * shape.hidden
    return shape.vocab_size * shape.hidden + shape.layers * layer + shape.hidden


def exponent(xs: Sequence[float], ys: Sequence[float]) -> float:
    """The slope of log y over log x by least squares: 1 where y grows as x does."""
    logs = [(math.log(x), math.log(y)) for x, y in zip(xs, ys, strict=True)]
    mean_x, mean_y = (sum(column) / len(logs) for column in zip(*logs, strict=True))
    spread = sum((x - mean_x) ** 2 for x, _ in logs)
    return sum((x - mean_x) * (y - mean_y) for x, y in logs) / spread


def lines(result: Mapping[str, Any]) -> list[str]:
    rows = [f"cost of an iteration: {result['work']} where nothing else is said"]
    for name, curve in result["curves"].items():
        rows.append(f"  {name}: seconds grow as its power {curve['exponent']:.2f}")
        rows += [f"  {p[name]:12,d} {p['seconds']:10.2f} s {p['bytes'] / 1e6:10.0f} MB" for p in curve["points"]]
    return rows


def draw(result: Mapping[str, Any], path: Path) -> None:
    """Seconds and megabytes over each of the three, on one picture."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter

    figure = Figure(figsize=(12, 4), layout="constrained")
    for place, (name, curve) in zip(figure.subplots(1, len(result["curves"])), result["curves"].items(), strict=True):
        xs = [p[name] for p in curve["points"]]
        ys = [p["seconds"] for p in curve["points"]]
        place.loglog(xs, ys, "o-", color="tab:blue")
        place.set_title(f"seconds grow as the power {curve['exponent']:.2f}")
        place.set_xlabel(name)
        place.set_ylabel("seconds", color="tab:blue")
        place.set_xticks(xs, [f"{x / 1e6:.1f} M" if x >= 1e5 else f"{x:,}" for x in xs])
        beside = place.twinx()
        beside.plot(xs, [p["bytes"] / 1e6 for p in curve["points"]], "s--", color="tab:orange")
        beside.set_ylim(bottom=0)
        beside.set_ylabel("MB", color="tab:orange")
        place.xaxis.set_minor_formatter(NullFormatter())
        place.set_yticks(ys, [f"{y:.2g}" for y in ys])
        place.yaxis.set_minor_formatter(NullFormatter())
    figure.savefig(path)
