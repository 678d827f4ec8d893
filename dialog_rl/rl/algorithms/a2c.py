"""Advantage actor-critic, synchronous. Source: Mnih et al. 2016, arXiv:1602.01783."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from dialog_rl.errors import ConfigError
from dialog_rl.rl import losses
from dialog_rl.rl.actor_critic import Evaluation
from dialog_rl.rl.algorithm import Loss, Needs, bootstrap, estimate
from dialog_rl.rl.batch import EpisodeBatch
from dialog_rl.rl.choices import Level
from dialog_rl.rl.experience import Experience, Targets


@dataclass(frozen=True, slots=True, kw_only=True)
class A2CConfig:
    level: Level = Level.TOKEN
    gamma: float = 1.0
    """Discount per action token or step."""
    lam: float = 0.95
    """GAE's, per token or step; 1 is the n-step return of the original. The same as PPO's, for a fair comparison."""
    value_coef: float = 0.5
    """Mnih et al. 2016, sec. 8."""

    def __post_init__(self) -> None:
        if not (0 <= self.gamma <= 1 and 0 <= self.lam <= 1) or self.value_coef < 0:
            raise ConfigError(
                f"gamma {self.gamma} and lam {self.lam} must be within 0 and 1, value_coef {self.value_coef} at least 0"
            )


@dataclass(frozen=True, slots=True)
class A2C:
    config: A2CConfig = A2CConfig()
    name: str = "a2c"
    needs: Needs = Needs(values=True, single_epoch=True)

    def advantages(self, batch: EpisodeBatch, old: Evaluation, reference_logprobs_BT: Tensor | None) -> Targets:
        c = self.config
        advantages_BT, returns_BT = estimate(
            batch, old.values_BT, bootstrap(batch, old), level=c.level, gamma=c.gamma, lam=c.lam
        )
        return Targets(advantages_BT=advantages_BT, returns_BT=returns_BT)

    def loss(self, new: Evaluation, rows: Experience) -> Loss:
        return Loss(
            policy_BT=-new.logprobs_BT * rows.targets.advantages_BT,
            value_BT=self.config.value_coef * losses.value_loss(new.values_BT, rows.targets.returns_BT),
        )
