"""Shares with intervals, and differences between agents that met the same customers. All intervals are 95 %."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

Z = 1.959963984540054
"""The normal distribution's 97.5 % point."""
RESAMPLES = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An estimate and where the truth lies with 95 % confidence."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """`hits` of `total`, with Wilson's interval: it never leaves [0, 1] and is right for shares near 0 and 1 too.

    Source: Wilson 1927; Brown, Cai and DasGupta 2001 recommend it over the normal approximation.
    """

    hits: int
    total: int

    def __post_init__(self) -> None:
        if not 0 <= self.hits <= self.total:
            raise ValueError(f"{self.hits} hits of {self.total}")

    @property
    def value(self) -> float:
        """NaN of none."""
        return self.hits / self.total if self.total else math.nan

    @property
    def low(self) -> float:
        return self._bounds()[0]

    @property
    def high(self) -> float:
        return self._bounds()[1]

    def _bounds(self) -> tuple[float, float]:
        n = self.total
        if n == 0:
            return 0.0, 1.0
        middle = (self.hits + Z * Z / 2) / (n + Z * Z)
        half = Z * math.sqrt(self.hits * (n - self.hits) / n + Z * Z / 4) / (n + Z * Z)
        return (0.0 if self.hits == 0 else middle - half), (1.0 if self.hits == n else middle + half)


def pass_hat_k(successes: int, trials: int, k: int) -> float:
    """The chance that k fresh trials of one scenario all succeed, estimated without bias from `trials` of them.

    Source: Yao et al. 2024, arXiv:2406.12045 (tau-bench), section 3.3.
    """
    if not 1 <= k <= trials:
        raise ValueError(f"pass^{k} of {trials} trials")
    return math.comb(successes, k) / math.comb(trials, k)


def mean_interval(values: Sequence[float], *, seed: int = 0) -> Interval:
    """The mean of independent values with a bootstrap percentile interval."""
    if not values:
        return Interval(value=math.nan, low=math.nan, high=math.nan)
    return _bootstrap(np.asarray(values, dtype=float), lambda sample_RN: sample_RN.mean(axis=-1), seed)


def _bootstrap(values_N: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray], seed: int) -> Interval:
    rng = np.random.default_rng(seed)
    chosen_RN = rng.integers(0, len(values_N), size=(RESAMPLES, len(values_N)))
    low, high = np.quantile(statistic(values_N[chosen_RN]), [0.025, 0.975])
    return Interval(value=float(statistic(values_N)), low=float(low), high=float(high))


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """How much better the first of two agents did on the same customers."""

    difference: Interval
    """Of the success shares, first minus second; bootstrap over customers."""
    only_first: int
    """Conversations in which the first succeeded and the second did not."""
    only_second: int
    pairs: int
    p_value: float
    """McNemar's exact two-sided test that neither is better. Each customer's first trial counts, for independence."""


def compare(first: Sequence[Sequence[bool]], second: Sequence[Sequence[bool]], *, seed: int = 0) -> Paired:
    """Both agents' successes: one row a customer, one entry a trial, in the same order.

    Raises ValueError if they did not meet the same customers equally often.
    """
    if [len(row) for row in first] != [len(row) for row in second] or not all(first):
        raise ValueError("paired samples must have the same customers and trials")
    if not first:
        nothing = Interval(value=math.nan, low=math.nan, high=math.nan)
        return Paired(difference=nothing, only_first=0, only_second=0, pairs=0, p_value=1.0)
    by_customer = [sum(a) / len(a) - sum(b) / len(b) for a, b in zip(first, second, strict=True)]
    opening = [(a[0], b[0]) for a, b in zip(first, second, strict=True)]
    only_first = sum(a and not b for a, b in opening)
    only_second = sum(b and not a for a, b in opening)
    return Paired(
        difference=mean_interval(by_customer, seed=seed),
        only_first=only_first,
        only_second=only_second,
        pairs=len(opening),
        p_value=mcnemar_exact(only_first, only_second),
    )


def mcnemar_exact(only_first: int, only_second: int) -> float:
    """Two-sided p-value: were the discordant pairs split by a fair coin?"""
    n = only_first + only_second
    tail = sum(math.comb(n, i) for i in range(min(only_first, only_second) + 1))
    return min(1.0, 2 * tail / 2**n)
