"""Is the candidate not worse? Judged pair by pair, ending as soon as it is known: tests that may be looked at any time.

A pair is one customer met by both agents with the same seed; its difference d, in [-1, 1], is what the candidate did
better. Evidence against "the mean difference is at most -margin" is the wealth of a gambler who bets on every pair at
odds that are fair if that is true: starting from 1, it ever exceeds 1 / alpha with a chance of at most alpha, however
often one looks (Ville's inequality). So a test stops at the first look that shows enough, for or against.
Source: Waudby-Smith and Ramdas 2023, "Estimating means of bounded random variables by betting", JRSS B 86(1),
arXiv:2010.09686: wealth spread over a grid of bets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

BETS = (0.12, 0.25, 0.45, 0.8)
"""Shares of the largest bet that cannot ruin. Chosen by simulation for margins from 0.05 to 0.1 and pairs that differ
in 2 to 30 of 100; a bet made before the first pair keeps the wealth fair also when packs take turns (see `judge`)."""


class Verdict(StrEnum):
    OPEN = "open"
    PASSED = "passed"
    FAILED = "failed"
    """The candidate is worse by more than the margin."""
    UNDECIDED = "undecided"
    """Neither was shown, and the pairs are used up or cannot show it any more: which is not to pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What must be shown, fixed before the first pair is played."""

    margin: float
    """By how much the mean difference may be below 0; with 0 the candidate must be shown to be better."""
    alpha: float
    """Largest chance that a candidate which is worse by the margin or more passes."""
    alpha_harm: float = 0.05
    """Largest chance that one which is not is failed before the pairs are used up."""
    pairs: int = 400
    """At most."""
    block: int = 1
    """Pairs between two looks. Where packs take turns, a multiple of their number."""

    def __post_init__(self) -> None:
        if not (0 <= self.margin < 1 and 0 < self.alpha < 1 and 0 < self.alpha_harm < 1 and 1 <= self.block):
            raise ValueError(f"{self}: the margin must be in [0, 1), each alpha in (0, 1), a block at least a pair")
        if self.pairs < self.block:
            raise ValueError(f"{self.pairs} pairs are fewer than a block of {self.block}: there would be no look")

    @property
    def needed(self) -> float:
        """The evidence at which the candidate passes."""
        return 1 / self.alpha


_LARGEST = 700.0
"""Log of the largest e-value that is told: a float holds no e-value much beyond it, and nobody needs one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    verdict: Verdict
    pairs: int
    """Looked at when it was decided, or so far."""
    evidence: float
    """e-value against "worse by the margin or more" at that look."""
    harm: float
    """e-value against "not worse by more than the margin"."""


def e_values(differences: Sequence[float] | np.ndarray, margin: float) -> np.ndarray:
    """Evidence against "the mean difference is at most -margin", after each difference; 1 would be none at all.

    A margin of 0 asks for superiority. For evidence of harm turn both signs. Raises ValueError for a difference
    outside [-1, 1].
    """
    d_N = np.asarray(differences, dtype=float)
    if d_N.size and not np.all(np.abs(d_N) <= 1):
        raise ValueError(f"a difference of {d_N[~(np.abs(d_N) <= 1)][0]}: it must be in [-1, 1]")
    return _mixed(_log_wealth(d_N, margin))


def _bets(margin: float) -> np.ndarray:
    return np.asarray(BETS) / (1 - margin)


def _log_wealth(d_N: np.ndarray, margin: float) -> np.ndarray:
    """One row for each bet."""
    return np.cumsum(np.log1p(_bets(margin)[:, None] * (d_N + margin)), axis=1)


def _mixed(log_wealth_KN: np.ndarray) -> np.ndarray:
    log_N = np.logaddexp.reduce(log_wealth_KN, axis=0) - np.log(len(BETS))
    return np.exp(np.minimum(log_N, _LARGEST))


def judge(differences: Sequence[float] | np.ndarray, rule: Rule) -> Judgement:
    """The judgement at the first look that decides, whatever came after it.

    Looks are after whole blocks. Within a block the differences may have different means, in the same order in every
    block: the product of fixed bets is then at most what their common mean would give (by the inequality of the
    arithmetic and geometric means), so the wealth stays fair from block to block.
    """
    d_N = np.asarray(differences, dtype=float)[: rule.pairs]
    evidence_N, harm_N, hope_N = e_values(d_N, rule.margin), e_values(-d_N, -rule.margin), _hope(d_N, rule)
    looks = range(rule.block, len(d_N) + 1, rule.block)
    for seen in looks:
        verdict = Verdict.OPEN
        if evidence_N[seen - 1] >= rule.needed:
            verdict = Verdict.PASSED
        elif harm_N[seen - 1] >= 1 / rule.alpha_harm:
            verdict = Verdict.FAILED
        elif seen + rule.block > rule.pairs or hope_N[seen - 1] < rule.needed:
            verdict = Verdict.UNDECIDED
        if verdict is not Verdict.OPEN:
            return _judgement(verdict, seen, evidence_N, harm_N)
    return _judgement(Verdict.OPEN, looks[-1] if looks else 0, evidence_N, harm_N)


def _hope(d_N: np.ndarray, rule: Rule) -> np.ndarray:
    """The evidence there would be at the end if every pair from here on were won by the margin, or as it was so far.

    Where that is not enough, playing on is a waste. Giving up never lets anything pass. A test of superiority, whose
    margin is 0, does not give up.
    """
    if rule.margin == 0:
        return np.full(len(d_N), np.inf)
    seen_N = np.arange(1, len(d_N) + 1)
    hoped_N = np.maximum(rule.margin, np.cumsum(d_N) / seen_N)
    more_KN = np.log1p(_bets(rule.margin)[:, None] * (hoped_N + rule.margin)) * (rule.pairs - seen_N)
    return _mixed(_log_wealth(d_N, rule.margin) + more_KN)


def _judgement(verdict: Verdict, seen: int, evidence_N: np.ndarray, harm_N: np.ndarray) -> Judgement:
    evidence, harm = (float(values[seen - 1]) if seen else 1.0 for values in (evidence_N, harm_N))
    return Judgement(verdict=verdict, pairs=seen, evidence=evidence, harm=harm)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorBudget:
    """How a run's chance of ever promoting something bad is shared out among its gates, however many there will be.

    Gate k may err by alpha h / ((k + h - 1)(k + h)), which sums to alpha: half of it is spent by gate h. Early gates
    get more, because a candidate hardly differs from the anchor then; what has been learnt later needs less.
    """

    alpha: float = 0.05
    half: int = 4

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1 or self.half < 1:
            raise ValueError(f"{self}: alpha must be in (0, 1) and half at least 1")

    def level(self, gate: int) -> float:
        """For one gate, counted from 1."""
        if gate < 1:
            raise ValueError(f"gate {gate}: gates are counted from 1")
        return self.alpha * self.half / ((gate + self.half - 1) * (gate + self.half))

    def spent(self, gates: int) -> float:
        """By the first so many gates together."""
        return self.alpha * gates / (gates + self.half)
