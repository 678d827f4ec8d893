"""ILQL on logged episodes: heads trained over a policy that stands still, and the policy that decodes by them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from dialog_rl.errors import TrainingError
from dialog_rl.lm.model import SpeakingModel
from dialog_rl.lm.policy import Policy
from dialog_rl.rl.batch import EpisodeBatch
from dialog_rl.rl.ilql import ILQLConfig, ILQLHeads, ILQLLearner, ILQLLosses, Transitions
from dialog_rl.scoring import ScoredEpisode


@dataclass(frozen=True, slots=True, kw_only=True)
class OfflineConfig:
    epochs: int = 4
    batch: int = 16
    """Episodes a step."""
    beta: float = 2.0
    """How much an advantage of 1 makes a token likelier, in nats."""
    seed: int = 0
    ilql: ILQLConfig = ILQLConfig()


def learn(
    model: SpeakingModel, scored: Sequence[ScoredEpisode], config: OfflineConfig
) -> Iterator[tuple[ILQLHeads, ILQLLosses]]:
    """Step after step: the heads as they are, and the losses before the step. Raises TrainingError."""
    policy = model.policy
    kept = [one for one in scored if one.episode.tokenizer == model.renderer.fingerprint and _fits(one, policy)]
    if not kept:
        raise TrainingError(f"nothing to learn from: none of {len(scored)} episodes is in this model's tokens")
    heads = ILQLHeads(policy.value_head.in_features, policy.vocab_size, seed=config.seed).to(policy.device)
    learner = ILQLLearner(heads, config.ilql)
    g = torch.Generator().manual_seed(config.seed)
    for _ in range(config.epochs):
        for block in torch.randperm(len(kept), generator=g).split(config.batch):
            batch = EpisodeBatch.from_scored([], model.renderer.pad_id, replayed=[kept[n] for n in block.tolist()])
            yield heads, learner.update(transitions(policy, heads, batch))


def _fits(one: ScoredEpisode, policy: Policy) -> bool:
    tokens = sum(len(s.observation_ids) + len(s.action_ids) for s in one.episode.steps)
    acted = any(s.action_ids for s in one.episode.steps)
    return one.episode.stop.trainable and acted and tokens <= policy.max_positions


@torch.no_grad()
def transitions(policy: Policy, heads: ILQLHeads, batch: EpisodeBatch) -> Transitions:
    """Every action token of a batch, with what the policy saw before it."""
    batch = batch.to(policy.device)
    hidden_BTD = policy.hidden(batch.ids_BT)
    rows_N, columns_N = batch.action_mask_BT.nonzero(as_tuple=True)
    last_N = torch.ones_like(rows_N, dtype=torch.bool)
    last_N[:-1] = rows_N[1:] != rows_N[:-1]
    ends_BD = hidden_BTD[torch.arange(len(batch), device=policy.device), batch.lengths_B - 1]
    end_values_B = torch.where(batch.truncated_B, heads.values(ends_BD), 0.0)
    return Transitions(
        hidden_ND=hidden_BTD[rows_N, columns_N - 1],
        ids_N=batch.ids_BT[rows_N, columns_N],
        rewards_N=batch.rewards_BT[rows_N, columns_N],
        last_N=last_N,
        end_values_N=torch.where(last_N, end_values_B[rows_N], 0.0),
    )


@torch.no_grad()
def decode_by(policy: Policy, heads: ILQLHeads, *, beta: float) -> None:
    """Let the policy speak by advantage from here on: its output matrix becomes W + β Q, and its own."""
    output = policy.model.get_output_embeddings()
    if not isinstance(output, nn.Linear):
        raise TrainingError(f"ILQL needs a linear output layer, not {type(output).__name__}")
    weight_VD = output.weight + beta * heads.q.weight.to(output.weight.dtype)
    policy.model.config.tie_word_embeddings = False
    output.weight = nn.Parameter(weight_VD.clone())
