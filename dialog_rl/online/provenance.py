"""Did the version that is named really say this? Its log-probabilities are computed again and compared with the log."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from dialog_rl.episode import Episode
from dialog_rl.lm.policy import Policy
from dialog_rl.rl.batch import EpisodeBatch, micro_batches
from dialog_rl.rl.evaluation import evaluate_all
from dialog_rl.scoring import ScoredEpisode

TOKEN_BUDGET = 4096

OpenPolicy = Callable[[str], Policy]
"""The policy of a version, in fp32."""


def differences(episodes: Sequence[Episode], open_policy: OpenPolicy, pad_id: int) -> dict[str, float]:
    """Of each episode, by id, the largest difference in nats at a token; NaN if a log-probability is not finite.

    Each step is asked of its own version, so this finds what is wrong with the log, the tokens or the weights; how far
    the present policy is from the one that spoke is another question.
    """
    # an episode without a sampled token has nothing to be asked about, and no row in a batch
    asked = [e for e in episodes if any(step.action_ids for step in e.steps)]
    found = {episode.episode_id: 0.0 for episode in episodes}
    for version in dict.fromkeys(v for episode in asked for v in episode.policy_versions):
        of_version = [e for e in asked if version in e.policy_versions]
        batch = EpisodeBatch.from_scored([_unscored(e) for e in of_version], pad_id)
        worst_B = _worst(batch, of_version, version, open_policy(version))
        for episode, worst in zip(of_version, worst_B.tolist(), strict=True):
            before = found[episode.episode_id]
            found[episode.episode_id] = worst if not worst <= before else before
    return found


def _worst(batch: EpisodeBatch, episodes: Sequence[Episode], version: str, policy: Policy) -> Tensor:
    """Of each row, over the steps of one version."""
    own_BT = torch.zeros_like(batch.action_mask_BT)
    for row, episode in enumerate(episodes):
        mine = torch.tensor([*(step.policy_version == version for step in episode.steps), False])
        own_BT[row] = mine[batch.step_index_BT[row]]
    lengths = batch.lengths_B.tolist()
    blocks = micro_batches(lengths, range(len(lengths)), TOKEN_BUDGET)
    now_BT = evaluate_all(policy, batch, blocks).logprobs_BT
    difference_BT = (now_BT - batch.sampler_logprobs_BT).abs()
    return torch.where(own_BT, difference_BT, torch.zeros_like(difference_BT)).max(1).values


def _unscored(episode: Episode) -> ScoredEpisode:
    steps = sum(1 for _ in episode.steps)
    return ScoredEpisode(episode=episode, components={}, reward=0.0, step_rewards=(0.0,) * steps)
