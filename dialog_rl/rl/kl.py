"""How strongly the policy is held to its reference."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dialog_rl.errors import ConfigError
from dialog_rl.rl.choices import KLEstimator


class KLPlace(StrEnum):
    LOSS = "loss"
    """A term of the loss, differentiated."""
    REWARD = "reward"
    """Taken off each action token's reward, before the advantages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KLConfig:
    coef: float = 0.02
    """Weight of a nat a token, at the start; 0 needs no reference. Trials: 0.02 to 0.05 keep 2M parameters stable."""
    estimator: KLEstimator = KLEstimator.K3
    place: KLPlace = KLPlace.LOSS
    target: float | None = None
    """Nats a token to steer to; None keeps the coefficient."""
    horizon: int = 1000
    """Episodes in which the coefficient changes by at most 1 + error_limit. Ziegler et al. 2019: 10,000."""
    error_limit: float = 0.2
    """Largest relative error that counts. Ziegler et al. 2019, arXiv:1909.08593, sec. 2.2."""

    def __post_init__(self) -> None:
        if self.coef < 0 or self.horizon < 1 or self.error_limit <= 0:
            raise ConfigError(f"KL coef {self.coef}, horizon {self.horizon}, error_limit {self.error_limit}: "
                              "coef must be at least 0, horizon at least 1, error_limit above 0")  # fmt: skip
        if self.estimator is KLEstimator.K1 and self.place is KLPlace.LOSS and self.coef > 0:
            raise ConfigError("KL estimator k1 in the loss has no gradient on average; use k2 or k3, or place: reward")
        if self.target is not None and (self.target <= 0 or self.coef == 0):
            raise ConfigError(f"KL target {self.target} with coef {self.coef}: both must be above 0 (or target None)")


class KLController:
    """The coefficient over time: fixed, or steered to a target with a clipped relative error."""

    def __init__(self, config: KLConfig) -> None:
        self._config = config
        self.coef = config.coef

    def update(self, kl: float, episodes: int) -> None:
        """After an update whose episodes were measured at `kl` nats a token from the reference."""
        if self._config.target is None or kl != kl:  # a NaN measurement must not become the coefficient
            return
        limit = self._config.error_limit
        error = min(max(kl / self._config.target - 1, -limit), limit)
        self.coef *= 1 + error * min(1.0, episodes / self._config.horizon)

    def state_dict(self) -> dict[str, float]:
        return {"coef": self.coef}

    def load_state_dict(self, state: dict[str, float]) -> None:
        self.coef = float(state["coef"])
