"""PPO for batches that mix conversations with people and with simulated customers.

Two things are kept apart. A critic that expects what simulated customers pay knows nothing of what people think, so
rated steps are compared with people's usual judgement instead. And a few rated replies would drown among thousands of
simulated tokens, so each kind has a fixed part of the gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from dialog_rl.rl.actor_critic import Evaluation
from dialog_rl.rl.algorithm import Loss, Needs
from dialog_rl.rl.algorithms.ppo import PPO
from dialog_rl.rl.algorithms.ppo_config import PPOConfig
from dialog_rl.rl.batch import EpisodeBatch
from dialog_rl.rl.experience import Experience, Targets

MOST = 10.0
"""Limit of the factor that makes up for few tokens: a single rating must not be a whole update."""


@dataclass(slots=True)
class Mixture:
    """PPO on the simulated rows of a batch; on the first rows, the rated ones, the advantages it was told."""

    config: PPOConfig
    live_share: float
    name: str = "ppo-mixture"
    needs: Needs = Needs(values=True)
    told: Sequence[Sequence[float]] = field(default_factory=list[list[float]])
    """Of each rated row, in the batch's order, the advantage of each Step."""

    def advantages(self, batch: EpisodeBatch, old: Evaluation, reference_logprobs_BT: Tensor | None) -> Targets:
        live_B = torch.arange(len(batch), device=batch.ids_BT.device) < len(self.told)
        live_BT = batch.fresh_mask_BT & live_B[:, None]
        simulated = replace(batch, replayed_B=batch.replayed_B | live_B)
        if bool(simulated.fresh_mask_BT.any()):
            of_simulated = PPO(self.config).advantages(simulated, old, reference_logprobs_BT)
            advantages_BT, returns_BT = of_simulated.advantages_BT, of_simulated.returns_BT
        else:
            advantages_BT, returns_BT = torch.zeros_like(old.values_BT), torch.zeros_like(old.values_BT)
        scaled_BT = self._told_BT(batch) * self._factor(live_BT, simulated.fresh_mask_BT)
        return Targets(
            advantages_BT=torch.where(live_BT, scaled_BT.to(advantages_BT.dtype), advantages_BT),
            # its own old value: the critic learns nothing from people's ratings
            returns_BT=torch.where(live_BT, old.values_BT, returns_BT),
        )

    def loss(self, new: Evaluation, rows: Experience) -> Loss:
        return PPO(self.config).loss(new, rows)

    def _told_BT(self, batch: EpisodeBatch) -> Tensor:
        told_BT = torch.zeros(batch.ids_BT.shape, device=batch.ids_BT.device)
        for row, values in enumerate(self.told):
            of_step = torch.tensor([*values, 0.0], device=told_BT.device)  # index -1, off action tokens, means the 0
            told_BT[row] = of_step[batch.step_index_BT[row]]
        return told_BT

    def _factor(self, live_BT: Tensor, simulated_BT: Tensor) -> float:
        """What live advantages are multiplied by, so that they weigh `live_share` of all tokens."""
        live, simulated = int(live_BT.sum()), int(simulated_BT.sum())
        if not live or not simulated:
            return 1.0
        return min(MOST, self.live_share / (1 - self.live_share) * simulated / live)
