"""Algorithms compared at equal data: what several seeds of each say together, and how sure that is.

A difference between two algorithms varies with the seed that they were trained with and with the customers that they
were measured on; an interval that leaves either out is too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dialog_rl.evaluation.statistics import Interval, Z

_T = (math.nan, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
"""Student's 97.5 % points for 1 to 10 degrees of freedom."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """One run of one algorithm."""

    algorithm: str
    seed: int
    curve: Sequence[float]
    """Success of each update's dialogues, in order."""
    dialogues: Sequence[int]
    """Learned from after each of them."""
    held_out: Sequence[bool]
    """Success with each held-out customer, the same customers in every run."""
    wall_seconds: float
    cpu_seconds: float
    peak_memory: int
    """Bytes."""
    version: str = ""
    violations: float = math.nan
    """Share of the held-out conversations in which a rule was broken."""

    @property
    def area(self) -> float:
        """Under the learning curve, as a share of all: mean success over the dialogues learned from."""
        widths = [b - a for a, b in zip((0, *self.dialogues), self.dialogues, strict=False)]
        return sum(w * s for w, s in zip(widths, self.curve, strict=True)) / max(1, sum(widths))


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One algorithm over its seeds."""

    algorithm: str
    seeds: int
    held_out: Interval
    """Success with held-out customers."""
    gain: Interval
    """Of that over the version that was started from."""
    area: Interval
    violations: Interval
    wall_seconds: Interval
    cpu_seconds: Interval
    peak_memory: float
    """Bytes, the mean."""


def over_seeds(values: Sequence[float]) -> Interval:
    """The mean of one value a seed with Student's interval; of a single seed nothing is known but the value."""
    n, mean = len(values), _mean(values)
    half = t_point(n - 1) * _deviation(values) / math.sqrt(n) if n > 1 else math.inf
    return Interval(value=mean, low=mean - half, high=mean + half)


def over_seeds_and_customers(rows: Sequence[Sequence[float]]) -> Interval:
    """The mean of one row a seed, one value a customer, with an interval for other seeds and other customers.

    Both spreads are added in squares. What varies from run to run with the same customer is in both, so the interval is
    rather too wide than too narrow. With a single seed it speaks of other customers only.
    """
    of_seeds = [_mean(row) for row in rows]
    of_customers = [_mean(column) for column in zip(*rows, strict=True)]
    mean = _mean(of_seeds)
    customers = Z * _deviation(of_customers) / math.sqrt(len(of_customers))
    seeds = t_point(len(rows) - 1) * _deviation(of_seeds) / math.sqrt(len(rows)) if len(rows) > 1 else 0.0
    half = math.hypot(seeds, customers)
    return Interval(value=mean, low=mean - half, high=mean + half)


def margin(first: Sequence[Trained], second: Sequence[Trained]) -> Interval:
    """How much more often the first algorithm's versions succeed, seed by seed and customer by customer."""
    others = {one.seed: one for one in second}
    return over_seeds_and_customers(
        [_difference(one.held_out, others[one.seed].held_out) for one in first if one.seed in others]
    )


def table(runs: Sequence[Trained], start: Sequence[bool]) -> tuple[Row, ...]:
    """A row an algorithm, in the order in which they are first named. `start`: what they all began from."""
    rows: list[Row] = []
    for name, of_one in by_algorithm(runs).items():
        shares = over_seeds_and_customers([[float(hit) for hit in one.held_out] for one in of_one])
        rows.append(
            Row(
                algorithm=name,
                seeds=len(of_one),
                held_out=Interval(value=shares.value, low=max(0.0, shares.low), high=min(1.0, shares.high)),
                gain=over_seeds_and_customers([_difference(one.held_out, start) for one in of_one]),
                area=over_seeds([one.area for one in of_one]),
                violations=over_seeds([one.violations for one in of_one]),
                wall_seconds=over_seeds([one.wall_seconds for one in of_one]),
                cpu_seconds=over_seeds([one.cpu_seconds for one in of_one]),
                peak_memory=_mean([one.peak_memory for one in of_one]),
            )
        )
    return tuple(rows)


def curve(runs: Sequence[Trained]) -> list[tuple[int, Interval]]:
    """Success while learning, over the seeds of one algorithm; an update that some seed did not make is left out."""
    updates = min(len(one.curve) for one in runs)
    return [(runs[0].dialogues[k], over_seeds([one.curve[k] for one in runs])) for k in range(updates)]


def by_algorithm(runs: Sequence[Trained]) -> Mapping[str, Sequence[Trained]]:
    found: dict[str, list[Trained]] = {}
    for one in runs:
        found.setdefault(one.algorithm, []).append(one)
    return found


def t_point(freedom: int) -> float:
    """Student's 97.5 % point; beyond the table the first terms of its expansion about the normal one."""
    if freedom < len(_T):
        return _T[freedom]
    return Z + (Z**3 + Z) / (4 * freedom) + (5 * Z**5 + 16 * Z**3 + 3 * Z) / (96 * freedom**2)


def _difference(first: Sequence[bool], second: Sequence[bool]) -> list[float]:
    return [float(a) - float(b) for a, b in zip(first, second, strict=True)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _deviation(values: Sequence[float]) -> float:
    """Standard deviation, unbiased variance; 0 of fewer than two."""
    mean = _mean(values)
    return math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1)) if len(values) > 1 else 0.0
