"""Whether the value head knows how conversations will end: what it expects before each turn, against what came."""

from __future__ import annotations

import statistics as plain
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from dialog_rl.evaluation.gaming import total
from dialog_rl.evaluation.statistics import Interval, mean_interval
from dialog_rl.hacks import preference, succeeded
from dialog_rl.lm.model import SpeakingModel
from dialog_rl.rl.batch import EpisodeBatch, micro_batches
from dialog_rl.rl.evaluation import evaluate_all
from dialog_rl.scoring import ScoredEpisode

BINS = 10
TOKEN_BUDGET = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Turns before which alike was expected."""

    predicted: float
    earned: Interval
    """From there on, not discounted; bootstrap over turns."""
    turns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    name: str
    turns: int
    expected: float
    """Mean over all turns."""
    earned: float
    gap: float
    """Mean distance of a bin's expectation from what it earned, weighted by its turns."""
    explained: float
    """1 - Var(earned - expected) / Var(earned): 1 knows all, 0 nothing beyond the mean."""
    prefers_success: float | None
    """How often a success was expected to earn more than a failure, before the first turn, ties half."""
    bins: tuple[Bin, ...]


def calibrate(name: str, model: SpeakingModel, scored: Sequence[ScoredEpisode]) -> Calibration | None:
    """Of the episodes that this model's family spoke, to their ends. None where there are too few turns to bin.

    An episode that was cut off has earned less than it would have, so it is left out.
    """
    own = [
        one
        for one in scored
        if one.episode.tokenizer == model.renderer.fingerprint and one.episode.stop.terminated
        and any(step.action_ids for step in one.episode.steps)
    ]  # fmt: skip
    points = [
        [(value, left) for value, left in zip(values, earned(one), strict=True) if value is not None]
        for values, one in zip(_expected(model, own), own, strict=True)
    ]
    flat = [point for episode in points for point in episode]
    if len(flat) < 2 * BINS:
        return None
    opened = [(episode[0][0], succeeded(one.episode)) for episode, one in zip(points, own, strict=True) if episode]
    return calibration(
        name, flat, preference([v for v, good in opened if good], [v for v, good in opened if good is False])
    )


def calibration(name: str, points: Sequence[tuple[float, float]], prefers_success: float | None = None) -> Calibration:
    """From pairs of what was expected and what came."""
    ordered = sorted(points)
    edges = [round(n * len(ordered) / BINS) for n in range(BINS + 1)]
    parts = [ordered[a:b] for a, b in zip(edges, edges[1:], strict=False) if b > a]
    bins = tuple(
        Bin(
            predicted=plain.fmean(v for v, _ in part),
            earned=mean_interval([g for _, g in part]),
            turns=len(part),
        )
        for part in parts
    )
    spread = plain.pvariance([g for _, g in ordered])
    return Calibration(
        name=name, turns=len(ordered), expected=plain.fmean(v for v, _ in ordered),
        earned=plain.fmean(g for _, g in ordered),
        gap=sum(b.turns * abs(b.predicted - b.earned.value) for b in bins) / len(ordered),
        explained=1 - plain.pvariance([g - v for v, g in ordered]) / spread if spread else float("nan"),
        prefers_success=prefers_success, bins=bins,
    )  # fmt: skip


def earned(one: ScoredEpisode) -> list[float]:
    """What each turn that the agent acted in, and all after it, earned."""
    left, found = total(one), list[float]()
    rewards = iter(one.step_rewards or (0.0,) * sum(1 for _ in one.episode.steps))
    for turn in one.episode.turns:
        if turn.steps:
            found.append(left)
        left -= sum(next(rewards) for _ in turn.steps)
    return found


@torch.no_grad()
def _expected(model: SpeakingModel, scored: Sequence[ScoredEpisode]) -> Iterator[list[float | None]]:
    """The value before each turn that the agent acted in: at its first action token, None where it has none."""
    if not scored:
        return
    at_one = [replace(one, episode=replace(one.episode, temperature=1.0)) for one in scored]  # values know none
    batch = EpisodeBatch.from_scored(at_one, model.renderer.pad_id).to(model.policy.device)
    blocks = micro_batches(batch.lengths_B.tolist(), range(len(batch)), TOKEN_BUDGET)
    values_BT = evaluate_all(model.policy.eval(), batch, list(blocks)).values_BT
    for one, values_T, step_T in zip(scored, values_BT.tolist(), batch.step_index_BT.tolist(), strict=True):
        first = {step: position for position, step in reversed(list(enumerate(step_T)))}
        starts: list[int] = []
        number = 0
        for turn in one.episode.turns:
            if turn.steps:
                starts.append(number)
            number += len(turn.steps)
        yield [values_T[first[step]] if step in first else None for step in starts]
