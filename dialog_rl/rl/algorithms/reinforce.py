"""Monte-Carlo policy gradient. Source: Williams 1992, doi:10.1007/BF00992696."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor

from dialog_rl.errors import ConfigError
from dialog_rl.rl import advantages as estimators
from dialog_rl.rl import losses
from dialog_rl.rl.actor_critic import Evaluation
from dialog_rl.rl.algorithm import Loss, Needs
from dialog_rl.rl.batch import EpisodeBatch
from dialog_rl.rl.experience import Experience, Targets


class Baseline(StrEnum):
    NONE = "none"
    MEAN = "mean"
    """The mean return over the batch's action tokens."""
    CRITIC = "critic"
    """A learned value of each prefix."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReinforceConfig:
    baseline: Baseline = Baseline.MEAN
    gamma: float = 1.0
    """Discount per action token."""
    value_coef: float = 0.5
    """Of the critic's squared error, if there is one."""

    def __post_init__(self) -> None:
        if not 0 <= self.gamma <= 1 or self.value_coef < 0:
            raise ConfigError(f"gamma {self.gamma} must be within 0 and 1, value_coef {self.value_coef} at least 0")


@dataclass(frozen=True, slots=True)
class Reinforce:
    config: ReinforceConfig = ReinforceConfig()
    name: str = "reinforce"

    @property
    def needs(self) -> Needs:
        return Needs(values=self.config.baseline is Baseline.CRITIC, single_epoch=True)

    def advantages(self, batch: EpisodeBatch, old: Evaluation, reference_logprobs_BT: Tensor | None) -> Targets:
        mask_BT, zero_BT = batch.fresh_mask_BT, torch.zeros_like(old.values_BT)
        to_go_BT, _ = estimators.gae(
            batch.rewards_BT, zero_BT, mask_BT, zero_BT[:, 0], gamma=self.config.gamma, lam=1.0
        )  # fmt: skip
        match self.config.baseline:
            case Baseline.NONE:
                above_BT = to_go_BT
            case Baseline.MEAN:
                above_BT = to_go_BT - losses.masked_mean(to_go_BT, mask_BT)
            case Baseline.CRITIC:
                above_BT = to_go_BT - old.values_BT
        return Targets(advantages_BT=torch.where(mask_BT, above_BT, zero_BT), returns_BT=to_go_BT)

    def loss(self, new: Evaluation, rows: Experience) -> Loss:
        value_BT = None
        if self.config.baseline is Baseline.CRITIC:
            value_BT = self.config.value_coef * losses.value_loss(new.values_BT, rows.targets.returns_BT)
        return Loss(policy_BT=-new.logprobs_BT * rows.targets.advantages_BT, value_BT=value_BT)
