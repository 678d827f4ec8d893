"""One episode token by token, as an update would see it: values by a version's value head, advantages by GAE."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

import torch

from dialog_rl.browsing.closely import StepClosely, Token
from dialog_rl.episode import Episode
from dialog_rl.lm.model import SpeakingModel
from dialog_rl.rl.advantages import gae
from dialog_rl.rl.algorithm import bootstrap
from dialog_rl.rl.batch import EpisodeBatch, micro_batches
from dialog_rl.rl.evaluation import evaluate_all
from dialog_rl.scoring import ScoredEpisode

TOKEN_BUDGET = 8192
"""Positions of one forward pass."""

Steps = tuple[tuple[StepClosely, ...], ...]
Worth = Sequence[tuple[float, float]]
"""Of every action token, in order: the value before it, and its advantage."""


def piece_of(model: SpeakingModel) -> Callable[[int], str]:
    """A token as the model's tokenizer writes it; what has no text by its number."""
    decode = model.renderer.tokenizer.decode
    piece = getattr(model.renderer.tokenizer, "piece", None)
    return lambda token: (piece(token) if piece else decode([token])) or f"<{token}>"


def steps_closely(
    episode: Episode,
    piece: Callable[[int], str] = str,
    scored: ScoredEpisode | None = None,
    worth: Worth = (),
) -> Steps:
    """The steps of each turn. `worth`: as by `worth_of`, or nothing."""
    paid = iter(_paid(episode, scored))
    each = iter(worth)
    return tuple(
        tuple(
            StepClosely(
                text=step.message.text,
                tokens=tuple(
                    Token(text=piece(token), logprob=logprob, value=value, advantage=advantage)
                    for token, logprob, (value, advantage) in zip(
                        step.action_ids, step.logprobs, _next(each, len(step.action_ids)), strict=True
                    )
                ),
                reward=next(paid),
            )
            for step in turn.steps
        )
        for turn in episode.turns
    )


@torch.no_grad()
def worth_of(scored: ScoredEpisode, model: SpeakingModel, *, gamma: float, lam: float) -> Worth:
    """In units of reward, and not whitened, for that takes a batch; gamma and lam are per action token.

    Raises TrainingError for an episode that broke off, or in which nothing was sampled.
    """
    at_one = replace(scored, episode=replace(scored.episode, temperature=1.0))  # values know no temperature
    batch = EpisodeBatch.from_scored([at_one], model.renderer.pad_id).to(model.policy.device)
    blocks = micro_batches(batch.lengths_B.tolist(), range(len(batch)), TOKEN_BUDGET)
    found = evaluate_all(model.policy.eval(), batch, list(blocks))
    mask_BT = batch.action_mask_BT
    end_B = bootstrap(batch, found)
    advantages_BT, _ = gae(batch.rewards_BT, found.values_BT, mask_BT, end_B, gamma=gamma, lam=lam)
    return list(zip(found.values_BT[mask_BT].tolist(), advantages_BT[mask_BT].tolist(), strict=True))


def _paid(episode: Episode, scored: ScoredEpisode | None) -> list[float | None]:
    count = sum(1 for _ in episode.steps)
    if scored is None or not count:
        return [None] * count
    rewards: list[float | None] = [*(scored.step_rewards or (0.0,) * count)]
    rewards[-1] = (rewards[-1] or 0.0) + scored.reward
    return rewards


def _next(worth: Iterator[tuple[float, float]], count: int) -> Sequence[tuple[float | None, float | None]]:
    return list(islice(worth, count)) or [(None, None)] * count
