"""PPO's clipped loss, advantages relative to the scenario's other episodes. Source: DeepSeekMath, arXiv:2402.03300."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from dialog_rl.errors import ConfigError
from dialog_rl.rl import advantages as estimators
from dialog_rl.rl import losses
from dialog_rl.rl.actor_critic import Evaluation
from dialog_rl.rl.algorithm import Loss, Needs, shared_by_tokens
from dialog_rl.rl.batch import EpisodeBatch
from dialog_rl.rl.experience import Experience, Targets


@dataclass(frozen=True, slots=True, kw_only=True)
class GRPOConfig:
    clip: float = 0.2
    """Of the probability ratio. Schulman et al. 2017, table 3."""
    std_floor: float | None = 0.01
    """Least standard deviation of a group's returns that they are divided by; None never divides (Dr. GRPO)."""

    def __post_init__(self) -> None:
        if self.clip <= 0 or (self.std_floor is not None and self.std_floor <= 0):
            raise ConfigError(f"clip {self.clip} and std_floor {self.std_floor} must be above 0 (or std_floor None)")


@dataclass(frozen=True, slots=True)
class GRPO:
    """Each token weighs the same, in long and short episodes alike."""

    config: GRPOConfig = GRPOConfig()
    name: str = "grpo"
    needs: Needs = Needs(groups=True)

    def advantages(self, batch: EpisodeBatch, old: Evaluation, reference_logprobs_BT: Tensor | None) -> Targets:
        return shared_by_tokens(
            estimators.group_relative(
                batch.episode_return_B, batch.group_B, ~batch.replayed_B, std_floor=self.config.std_floor
            ),
            batch,
            old,
        )

    def loss(self, new: Evaluation, rows: Experience) -> Loss:
        log_ratio_BT = losses.log_ratio(new.logprobs_BT, rows.old.logprobs_BT)
        return Loss(
            policy_BT=losses.clipped_policy_loss(log_ratio_BT, rows.targets.advantages_BT, clip=self.config.clip),
            terms={"clip_fraction": losses.outside_clip(log_ratio_BT, clip=self.config.clip)},
        )
