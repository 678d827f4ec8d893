"""The settings of PPO."""

from __future__ import annotations

from dataclasses import dataclass

from dialog_rl.errors import ConfigError
from dialog_rl.rl.choices import Level


@dataclass(frozen=True, slots=True, kw_only=True)
class PPOConfig:
    level: Level = Level.TOKEN
    gamma: float = 1.0
    """Discount per action token or step. 1: a dialogue has an end, and how long it took is for a reward to say."""
    lam: float = 0.95
    """Per action token or step. Schulman et al. 2017, table 3."""
    clip: float = 0.2
    """Of the probability ratio. Schulman et al. 2017, table 3."""
    value_clip: float = 0.2
    """Of a value's change, in units of reward; inf for none. CleanRL."""
    value_coef: float = 0.5
    """CleanRL."""
    std_floor: float = 0.01
    """Advantages that spread less, in units of reward, are not blown up to 1."""

    def __post_init__(self) -> None:
        if not (0 <= self.gamma <= 1 and 0 <= self.lam <= 1):
            raise ConfigError(f"gamma {self.gamma} and lam {self.lam} must be within 0 and 1")
        if min(self.clip, self.value_clip, self.std_floor) <= 0 or self.value_coef < 0:
            raise ConfigError("clip, value_clip and std_floor must be above 0, and value_coef at least 0")
