"""The settings of one training."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from dialog_rl.errors import ConfigError
from dialog_rl.online.practice import Strategy
from dialog_rl.rl.algorithms.ppo_config import PPOConfig
from dialog_rl.rl.choices import Level
from dialog_rl.rl.kl import KLConfig
from dialog_rl.rl.learner_config import LearnerConfig
from dialog_rl.rl.schedules import Schedule

BF16_LEARNER = LearnerConfig(
    imitation_coef=1.0,
    kl=KLConfig(coef=0.03),
    kl_stop=0.1,
    token_budget=4096,
    max_mismatch=10.0,
    max_mismatch_k3=2e-3,
)
"""bf16 differs from the fp32 sampler by under 3e-4 nats a token on average, by a nat or two at a single unlikely token;
the old log-probs are the learner's own, so the ratio still begins at 1."""

OFF_POLICY = {"max_mismatch": math.inf, "max_mismatch_k3": math.inf}
"""Where the learner may have moved on since its episodes were spoken."""

GROUP = 4
"""Dialogues with each customer where they are compared with each other; Ahmadian et al. 2024 use 2 and 4."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    dialogues: int = 4000
    """Conversations in all."""
    batch: int = 128
    """Conversations an update."""
    slots: int = 64
    """Conversations spoken at once."""
    temperature: float = 1.0
    """Of the sampling; anything else than 1 is learnt at that temperature."""
    seed: int = 0
    checkpoint_every: int = 4
    """Updates."""
    replay: int = 64
    """Earlier successful conversations that an update imitates, with `learner.imitation_coef`, beside its own."""
    overlap: bool = False
    """Speak the next update's conversations while this one's are learnt from, with the weights from before that."""
    bf16: bool = True
    """Learn with bf16 matrix products where these are quicker (lm.precision); speaking stays in fp32."""
    learner: LearnerConfig = BF16_LEARNER
    ppo: PPOConfig = field(default_factory=lambda: PPOConfig(level=Level.STEP))
    """One decision a step: at token level, a decay of 0.95 a token leaves the first word of a wrong reply, which
    decides it, a quarter of the blame that its last word gets. Success then stays where it is."""
    group: int | None = None
    """Dialogues with each customer; None: GROUP where the algorithm compares them with each other, else 1."""
    temperature_end: float | None = None
    """Of the sampling in the last update, reached on a straight line; None keeps `temperature`."""
    schedule: Schedule = Schedule.CONSTANT
    """Of both learning rates, over the run."""
    warmup: int = 0
    """Updates in which the learning rates rise."""
    last_layers: int | None = None
    """So many layers learn, with what comes after them; None: all, and the embeddings."""
    per_pack: bool = False
    """Advantages are computed within each pack and brought to one spread."""
    practice: Strategy = Strategy.UNIFORM
    """Which intents to practise."""
    validate_every: int = 0
    """Updates between two looks at validation customers, after which the best weights are kept; 0 for never."""
    validation: int = 64
    """Validation customers of each pack."""
    patience: int = 0
    """Validations without a better one that end the run; 0 for never."""
    tuition_every: int = 0
    """Updates between two supervised phases, the first before the first update; 0 for none."""
    tuition: int = 64
    """The expert's dialogues that a supervised phase imitates."""

    def __post_init__(self) -> None:
        if self.dialogues < 1 or self.batch < 2 or self.slots < 1:
            raise ConfigError(
                f"train: dialogues {self.dialogues}, batch {self.batch}, slots {self.slots}: "
                "at least 1 dialogue, 2 a batch and 1 slot are needed"
            )
        if self.patience and not self.validate_every:
            raise ConfigError(f"train: patience {self.patience} without validate_every: nothing would be looked at")
        if self.group is not None and (self.group < 1 or self.batch % self.group):
            raise ConfigError(f"train: batch {self.batch} must be a multiple of group {self.group}")

    @property
    def updates(self) -> int:
        return -(-self.dialogues // self.batch)
