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
        return wilson(self.value, self.total) if self.total else (0.0, 1.0)


def wilson(share: float, n: float) -> tuple[float, float]:
    """Bounds of a share seen in `n` independent tries, which need not be a whole number."""
    middle = (share * n + Z * Z / 2) / (n + Z * Z)
    half = Z * math.sqrt(n * share * (1 - share) + Z * Z / 4) / (n + Z * Z)
    return (0.0 if share == 0 else middle - half), (1.0 if share == 1 else middle + half)


def clustered(values: Sequence[float], trials: int = 1) -> Interval:
    """The mean of one value in [0, 1] a customer, each from `trials` conversations that may go alike.

    Wilson's interval for as many independent tries as the values' spread is worth: from the number of customers, if
    each customer's conversations end alike, to that of all conversations. A bootstrap would have no width at all where
    every value is 1. Source: Korn and Graubard 1998, for the effective sample size.
    """
    count = len(values)
    if not count:
        return Interval(value=math.nan, low=math.nan, high=math.nan)
    mean = sum(values) / count
    spread = sum((value - mean) ** 2 for value in values) / max(1, count - 1) / count
    worth = min(max(mean * (1 - mean) / spread, count), count * trials) if spread > 0 else count
    low, high = wilson(mean, worth)
    return Interval(value=mean, low=low, high=high)


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

    @property
    def discordant(self) -> int:
        """Customers whom only one of the two served."""
        return self.only_first + self.only_second

    @property
    def effect(self) -> float:
        """Cohen's g with its sign: how far from one half is the first's share of the customers whom only one served.

        In [-0.5, 0.5]; 0.05 is small, 0.15 medium, 0.25 large. NaN where both served the same customers. Source: Cohen
        1988, ch. 5.
        """
        return self.only_first / self.discordant - 0.5 if self.discordant else math.nan


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


POWER_Z = 0.8416212335729143
"""The normal distribution's 80 % point."""


def detectable(pairs: int, discordant: float) -> float:
    """The smallest difference of two shares that `pairs` customers show four times out of five, at the 5 % level.

    discordant: the share of customers whom only one of the two serves. Where no difference would show, the discordant
    share itself. Source: Connor 1987, on the sample size of McNemar's test.
    """
    low, high = 0.0, discordant
    if not pairs or pairs_needed(discordant, discordant) > pairs:
        return discordant
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if pairs_needed(middle, discordant) <= pairs else (middle, high)
    return high


def pairs_needed(difference: float, discordant: float) -> float:
    """How many customers show a difference four times out of five, at the 5 % level. See `detectable`."""
    if difference <= 0:
        return math.inf
    spread = max(0.0, discordant - difference * difference)
    return ((Z * math.sqrt(discordant) + POWER_Z * math.sqrt(spread)) / difference) ** 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedMeans:
    """How a figure differs between two agents on the same customers."""

    difference: Interval
    """First minus second; bootstrap over customers."""
    effect: float
    """Cohen's d of the differences: their mean over their deviation. 0.2 is small, 0.5 medium, 0.8 large."""
    p_value: float
    """Two-sided sign-flip test: were each difference's sign a fair coin's?"""
    pairs: int


def compare_means(first: Sequence[float], second: Sequence[float], *, seed: int = 0) -> PairedMeans:
    """One figure a customer of each agent, in the same order. Raises ValueError if there are not as many of both."""
    differences_N = np.asarray([a - b for a, b in zip(first, second, strict=True)], dtype=float)
    if not len(differences_N):
        nothing = Interval(value=math.nan, low=math.nan, high=math.nan)
        return PairedMeans(difference=nothing, effect=math.nan, p_value=1.0, pairs=0)
    deviation = float(differences_N.std(ddof=1)) if len(differences_N) > 1 else 0.0
    mean = float(differences_N.mean())
    signs_RN = np.random.default_rng(seed).integers(0, 2, size=(RESAMPLES, len(differences_N))) * 2 - 1
    as_far = np.abs((signs_RN * differences_N).mean(axis=1)) >= abs(mean) - 1e-12
    return PairedMeans(
        difference=mean_interval(list(differences_N), seed=seed),
        effect=mean / deviation if deviation else math.nan,
        p_value=float((as_far.sum() + 1) / (RESAMPLES + 1)),
        pairs=len(differences_N),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpaired:
    """How far two shares of different customers lie apart."""

    difference: Interval
    """First minus second, with Newcombe's interval (1998, method 10)."""
    effect: float
    """Cohen's h with its sign: 0.2 is small, 0.5 medium, 0.8 large."""
    p_value: float
    """Fisher's exact two-sided test."""


def compare_unpaired(first: Share, second: Share) -> Unpaired:
    """Two shares of customers who have nothing to do with each other."""
    if not first.total or not second.total:
        nothing = Interval(value=math.nan, low=math.nan, high=math.nan)
        return Unpaired(difference=nothing, effect=math.nan, p_value=1.0)
    d = first.value - second.value
    low = d - math.hypot(first.value - first.low, second.high - second.value)
    high = d + math.hypot(first.high - first.value, second.value - second.low)
    effect = 2 * math.asin(math.sqrt(first.value)) - 2 * math.asin(math.sqrt(second.value))
    return Unpaired(
        difference=Interval(value=d, low=low, high=high), effect=effect, p_value=fisher_exact(first, second)
    )


def fisher_exact(first: Share, second: Share) -> float:
    """Two-sided p-value: of all tables with the same margins, those that are no likelier than this one."""
    hits, total = first.hits + second.hits, first.total + second.total
    least, most = max(0, hits - second.total), min(hits, first.total)
    logs = [_log_ways(first.total, k) + _log_ways(second.total, hits - k) for k in range(least, most + 1)]
    whole = _log_ways(total, hits)
    seen = logs[first.hits - least]
    return min(1.0, sum(math.exp(log - whole) for log in logs if log <= seen + 1e-9))


def _log_ways(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
