"""The settings of the learner that are no algorithm's own."""

from __future__ import annotations

from dataclasses import dataclass

from dialog_rl.errors import ConfigError
from dialog_rl.rl.kl import KLConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnerConfig:
    """Where no source is named, the default comes from trials on models of 2 to 6 million parameters."""

    learning_rate: float = 1e-4
    value_learning_rate: float = 1e-3
    """Of parameters named value_head…: a fresh linear layer on fitted features can go faster."""
    weight_decay: float = 0.0
    epochs: int = 2
    minibatch_episodes: int = 64
    """Episodes an optimizer step, about; an epoch is cut evenly."""
    token_budget: int = 2_048
    """Positions of a micro-batch, padding counted: the cost of an update, never its result. On CPU 16,384 took 1.6
    times the CPU time of 2,048 (more padding, cold caches); an accelerator wants more."""
    max_grad_norm: float = 1.0
    """CleanRL uses 0.5, TRL 1."""
    entropy_coef: float = 0.0
    entropy_target: float | None = None
    """Nats a token that the coefficient is steered to; None keeps it as it is."""
    imitation_coef: float = 0.0
    """Weight of a nat of negative log-likelihood at the tokens of imitated episodes (`EpisodeBatch.imitate_B`)."""
    importance_cap: float = 2.0
    """Of the weight from the sampler's distribution to the learner's; verl."""
    value_warmup_updates: int = 0
    """So many first updates train the value head alone."""
    kl: KLConfig = KLConfig()
    kl_stop: float = 0.02
    """Nats a token of KL(old || new) at which an update is left early; inf for never."""
    kl_discard: float = 0.1
    """Nats a token at which an update is undone; inf for never, which also saves a copy of the weights."""
    check_episodes: int = 32
    """Episodes (at most) on which the distance gone is measured after the last step."""
    max_mismatch: float = 1e-4
    """Nats: largest difference between sampler and learner at one token. 0.05 for bf16; inf for off-policy episodes."""
    max_mismatch_k3: float = 1e-6
    """Nats a token, mean. 1e-3 for bf16; inf for off-policy episodes."""
    max_skips: int = 3
    """Non-finite steps in a row after which learning stops with an error."""
    seed: int = 0
    """Of the order of episodes."""

    def __post_init__(self) -> None:
        positive = (
            "learning_rate", "value_learning_rate", "epochs", "minibatch_episodes", "token_budget", "max_grad_norm",
            "importance_cap", "kl_stop", "kl_discard", "check_episodes", "max_mismatch", "max_mismatch_k3", "max_skips",
        )  # fmt: skip
        for name in positive:
            if not getattr(self, name) > 0:
                raise ConfigError(f"learner: {name} is {getattr(self, name)}; it must be above 0")
        for name in ("weight_decay", "entropy_coef", "imitation_coef", "value_warmup_updates"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"learner: {name} is {getattr(self, name)}; it must be at least 0")
        if self.entropy_target is not None and (self.entropy_target <= 0 or self.entropy_coef == 0):
            raise ConfigError(
                f"learner: entropy_target {self.entropy_target} with entropy_coef {self.entropy_coef}: "
                "both must be above 0 (or entropy_target None)"
            )
