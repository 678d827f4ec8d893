"""The settings of learning from conversations as they are had."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from dialog_rl.chat.setting import LEARNABLE
from dialog_rl.errors import ConfigError
from dialog_rl.online.pace import Pace, number
from dialog_rl.rl.algorithms.ppo_config import PPOConfig
from dialog_rl.rl.choices import KLEstimator, Level
from dialog_rl.rl.kl import KLConfig, KLPlace
from dialog_rl.rl.learner_config import LearnerConfig

ONLINE_LEARNER = LearnerConfig(
    kl=KLConfig(coef=0.03), epochs=4, kl_stop=0.05, max_mismatch=math.inf, max_mismatch_k3=math.inf
)
"""Few conversations an update, so several passes; the limits on mismatch are those of `LearnConfig`, asked version by
version: what an earlier version said may well be far from what the present weights would say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnConfig(Pace):
    simulated: float = 1.0
    """Conversations with simulated customers for each rated one."""
    foreign: int = 4
    """Each so-manieth simulated customer asks about what is another's, or pleasing people would unlearn to refuse it.
    0: none does."""
    live_share: float = 0.5
    """What part of the gradient the rated conversations make, however few their tokens."""
    max_mismatch: float = 1e-4
    """Nats: largest difference between a logged log-probability and what the version that spoke gives (fp32)."""
    kl_budget: float = 0.5
    """Nats a token, exact KL from the anchor: a policy beyond it is not made a candidate."""
    entropy_floor: float = 0.5
    """Of the anchor's entropy at the same tokens."""
    distinct_floor: float = 0.6
    """Of the first update's share of different pairs of words in replies to simulated customers."""
    most_duplicates: float = 0.5
    """Share of replies to simulated customers that are word for word another reply; or twice the first update's."""
    patience: int = 3
    """Candidates refused in a row before learning goes back to the champion's training state."""
    seed: int = 0
    slots: int = 32
    """Simulated conversations spoken at once."""
    temperature: float = LEARNABLE
    """At which people were spoken to, and simulated customers are."""
    shadow: bool = False
    """Learn and gate, never promote."""
    learner: LearnerConfig = ONLINE_LEARNER
    ppo: PPOConfig = field(default_factory=lambda: PPOConfig(level=Level.STEP))

    def __post_init__(self) -> None:
        if self.batch < 1 or self.slots < 1 or self.patience < 1 or self.max_lag < 0:
            raise ConfigError(
                f"learn: batch {self.batch}, slots {self.slots}, patience {self.patience}, max_lag {self.max_lag}: "
                "at least 1 conversation, 1 slot, 1 refusal, and a lag of 0 are needed"
            )
        if not (self.wait >= 0 and self.idle >= 0 and self.simulated >= 0):
            raise ConfigError(f"learn: wait {self.wait}, idle {self.idle}, simulated {self.simulated}: at least 0 each")
        if self.foreign < 0:
            raise ConfigError(f"learn: foreign {self.foreign}: 0 for none, or each so-manieth simulated customer")
        if not (0 < self.live_share < 1 and 0 < self.rater_share <= 1):
            raise ConfigError(f"learn: live_share {self.live_share}, rater_share {self.rater_share}: within 0 and 1")

    def to_json(self) -> dict[str, Any]:
        """Plain values, as a plan keeps them: infinities as text, which JSON lacks."""
        return _plain(asdict(self))

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> LearnConfig:
        """Raises ConfigError for a document of another shape. Plans of before `foreign` had no such customers."""
        values: dict[str, Any] = {"foreign": 0} | {key: number(value) for key, value in document.items()}
        try:
            learner = {key: number(value) for key, value in values.pop("learner").items()}
            kl = learner.pop("kl")
            kl = KLConfig(**{**kl, "estimator": KLEstimator(kl["estimator"]), "place": KLPlace(kl["place"])})
            ppo = {key: number(value) for key, value in values.pop("ppo").items()}
            return cls(
                learner=LearnerConfig(**{**learner, "kl": kl}),
                ppo=PPOConfig(**{**ppo, "level": Level(ppo["level"])}),
                **values,
            )
        except (KeyError, TypeError, AttributeError) as e:
            known = ", ".join(f.name for f in fields(cls))
            raise ConfigError(f"settings of an update that this program does not know ({e}); it knows {known}") from e


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return "inf" if value == math.inf else value
