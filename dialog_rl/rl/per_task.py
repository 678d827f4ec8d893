"""Several packs in one batch, each judged by its own measure."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dialog_rl.rl.actor_critic import Evaluation
from dialog_rl.rl.advantages import masked_moments
from dialog_rl.rl.algorithm import Algorithm, Loss, Needs
from dialog_rl.rl.batch import EpisodeBatch
from dialog_rl.rl.experience import Experience, Targets

STD_FLOOR = 0.01
"""Advantages of a pack that spread less are not blown up to 1."""


@dataclass(frozen=True, slots=True)
class PerTask:
    """An algorithm whose advantages are computed within each pack and brought to one spread.

    Without it a pack whose rewards are larger, or spread more, has most of the gradient, and the mean of an easy pack
    is the baseline of a hard one. The value head is fitted to returns as they are.
    """

    algorithm: Algorithm

    @property
    def name(self) -> str:
        return self.algorithm.name

    @property
    def needs(self) -> Needs:
        return self.algorithm.needs

    def advantages(self, batch: EpisodeBatch, old: Evaluation, reference_logprobs_BT: Tensor | None) -> Targets:
        advantages_BT, returns_BT = torch.zeros_like(old.values_BT), torch.zeros_like(old.values_BT)
        for task in batch.task_B[~batch.replayed_B].unique().tolist():
            alone = replace(batch, replayed_B=batch.replayed_B | (batch.task_B != task))
            mask_BT = alone.fresh_mask_BT
            found = self.algorithm.advantages(alone, old, reference_logprobs_BT)
            _, std = masked_moments(found.advantages_BT, mask_BT)
            advantages_BT = torch.where(mask_BT, found.advantages_BT / std.clamp(min=STD_FLOOR), advantages_BT)
            returns_BT = torch.where(mask_BT, found.returns_BT, returns_BT)
        return Targets(advantages_BT=advantages_BT, returns_BT=returns_BT)

    def loss(self, new: Evaluation, rows: Experience) -> Loss:
        return self.algorithm.loss(new, rows)
