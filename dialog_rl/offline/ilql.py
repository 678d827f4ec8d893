"""ILQL on logged episodes: heads trained over a policy that stands still, and the policy that decodes by them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dialog_rl.errors import TrainingError
from dialog_rl.lm.model import SpeakingModel
from dialog_rl.lm.policy import Policy
from dialog_rl.rl.batch import EpisodeBatch
from dialog_rl.rl.ilql import ILQLConfig, ILQLHeads, ILQLLearner, ILQLLosses, Transitions, choices
from dialog_rl.scoring import ScoredEpisode

_CHOSEN_AT_ONCE = 1024
"""Tokens whose whole distribution is held at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OfflineConfig:
    epochs: int = 6
    batch: int = 16
    """Episodes a step."""
    beta: float = 8.0
    """How much an advantage of 1 makes a token likelier, in nats."""
    seed: int = 0
    ilql: ILQLConfig = ILQLConfig()


def learn(
    model: SpeakingModel, scored: Sequence[ScoredEpisode], config: OfflineConfig
) -> Iterator[tuple[ILQLHeads, ILQLLosses]]:
    """Step after step: the heads as they are, and the losses before the step. Raises TrainingError.

    The policy stands still, so each episode goes through it once; 8 D bytes are kept of every token that it said.
    """
    policy = model.policy
    kept = [one for one in scored if one.episode.tokenizer == model.renderer.fingerprint and _fits(one, policy)]
    if not kept:
        raise TrainingError(f"nothing to learn from: none of {len(scored)} episodes is in this model's tokens")
    heads = ILQLHeads(policy.value_head.in_features, seed=config.seed).to(policy.device)
    learner = ILQLLearner(heads, config.ilql)
    g = torch.Generator().manual_seed(config.seed)
    blocks = torch.randperm(len(kept), generator=g).split(config.batch)
    seen: dict[int, Transitions] = {}
    for epoch in range(config.epochs):
        for n in torch.randperm(len(blocks), generator=g).tolist():
            if epoch == 0:
                batch = EpisodeBatch.from_scored([], model.renderer.pad_id, replayed=[kept[i] for i in blocks[n]])
                seen[n] = transitions(policy, batch)
            yield heads, learner.update(Transitions(*(part.to(policy.device) for part in seen[n])))


def _fits(one: ScoredEpisode, policy: Policy) -> bool:
    tokens = sum(len(s.observation_ids) + len(s.action_ids) for s in one.episode.steps)
    acted = any(s.action_ids for s in one.episode.steps)
    return one.episode.stop.trainable and acted and tokens <= policy.max_positions


@torch.no_grad()
def transitions(policy: Policy, batch: EpisodeBatch) -> Transitions:
    """Every action token of a batch, with what the policy saw before it. On the CPU."""
    batch = batch.to(policy.device)
    hidden_BTD = policy.hidden(batch.ids_BT)
    rows_N, columns_N = batch.action_mask_BT.nonzero(as_tuple=True)
    hidden_ND, ids_N = hidden_BTD[rows_N, columns_N - 1], batch.ids_BT[rows_N, columns_N]
    returns_N, following_N = _step_by_step(
        batch.rewards_BT[rows_N, columns_N], rows_N, batch.step_index_BT[rows_N, columns_N], batch.truncated_B
    )
    cut_E = batch.truncated_B.nonzero()[:, 0]
    parts = zip(hidden_ND.split(_CHOSEN_AT_ONCE), ids_N.split(_CHOSEN_AT_ONCE), strict=True)
    output_VD = _output(policy).weight.float()
    choice_ND = torch.cat([choices(hidden, ids, output_VD) for hidden, ids in parts])
    ends_ED = hidden_BTD[cut_E, batch.lengths_B[cut_E] - 1]
    return Transitions(*(t.cpu() for t in (hidden_ND, choice_ND, returns_N, following_N, ends_ED)))


def _step_by_step(rewards_N: Tensor, rows_N: Tensor, steps_N: Tensor, truncated_B: Tensor) -> tuple[Tensor, Tensor]:
    """What each token's step earned, and where the next one begins; see Transitions."""
    count = len(rewards_N)
    first_N = torch.ones(count, dtype=torch.bool, device=rows_N.device)
    first_N[1:] = (rows_N[1:] != rows_N[:-1]) | (steps_N[1:] != steps_N[:-1])
    starts_S = first_N.nonzero()[:, 0]
    step_N = first_N.long().cumsum(0) - 1
    lengths_S = torch.diff(starts_S, append=starts_S.new_tensor([count]))
    earned_S = torch.zeros(len(starts_S), device=rewards_N.device).index_add_(0, step_N, rewards_N)
    row_S = rows_N[starts_S]
    last_S = torch.ones_like(row_S, dtype=torch.bool)
    last_S[:-1] = row_S[1:] != row_S[:-1]
    ends_B = count + truncated_B.long().cumsum(0) - 1
    after_S = torch.where(last_S, torch.where(truncated_B, ends_B, -1)[row_S], starts_S + lengths_S)
    return earned_S[step_N], after_S[step_N]


def _output(policy: Policy) -> nn.Linear:
    output = policy.model.get_output_embeddings()
    if not isinstance(output, nn.Linear):
        raise TrainingError(f"ILQL needs a linear output layer, not {type(output).__name__}")
    return output


@torch.no_grad()
def decode_by(policy: Policy, heads: ILQLHeads, *, beta: float) -> None:
    """Let the policy speak by advantage from here on: its output matrix becomes W (I + β K), and its own."""
    output = _output(policy)
    weight_VD = output.weight + beta * (output.weight.float() @ heads.kernel_DD).to(output.weight.dtype)
    policy.model.config.tie_word_embeddings = False
    output.weight = nn.Parameter(weight_VD)
