"""What a training on an environment cannot have is refused, with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("gymnasium", reason="environments need the extra gym")

from dialog_rl.environments.games import Doors  # noqa: E402
from dialog_rl.environments.source import source_of  # noqa: E402
from dialog_rl.errors import ConfigError  # noqa: E402
from dialog_rl.lm.model import SpeakingModel  # noqa: E402
from dialog_rl.lm.policy import ModelShape, Policy  # noqa: E402
from dialog_rl.lm.renderer import EmbeddedRenderer  # noqa: E402
from dialog_rl.lm.tokenizer import train_tokenizer  # noqa: E402
from dialog_rl.online.train_config import TrainConfig  # noqa: E402
from dialog_rl.online.trainer import Trainer  # noqa: E402
from dialog_rl.plugins.loading import load_plugins  # noqa: E402
from dialog_rl.plugins.rewards import build_rewards  # noqa: E402
from dialog_rl.rl.kl import KLConfig  # noqa: E402
from dialog_rl.rl.learner_config import LearnerConfig  # noqa: E402
from dialog_rl.scoring import RewardSpec  # noqa: E402

TEXTS = (Doors.brief, "The key is red.", "The key is blue.", "The door is locked.", "You are out.", "red", "blue")
CONFIG = TrainConfig(
    dialogues=5 * 64, batch=64, slots=64, bf16=False, checkpoint_every=1000, replay=0,
    learner=LearnerConfig(learning_rate=2e-3, kl=KLConfig(coef=0.0), kl_stop=1.0, kl_discard=10.0, max_mismatch=1e-3),
)  # fmt: skip
REWARDS = build_rewards(load_plugins().registry, [RewardSpec(use="env_return")])


def make_model() -> SpeakingModel:
    tokenizer = train_tokenizer(TEXTS * 20, vocabulary=420, seed=0)
    shape = ModelShape(
        vocab_size=len(tokenizer), hidden=64, layers=2, heads=4, intermediate=128, max_positions=160
    )  # fmt: skip
    return SpeakingModel(policy=Policy.fresh(shape, seed=0), renderer=EmbeddedRenderer(tokenizer), version="")


def test_what_needs_an_expert_or_validation_customers_is_refused(tmp_path: Path) -> None:
    from dataclasses import replace

    source = source_of("gym:dialog_rl/Doors-v0")
    with pytest.raises(ConfigError, match="validate_every needs packs"):
        Trainer(tmp_path / "a", [source], make_model(), make_model(), REWARDS, replace(CONFIG, validate_every=1))
    taught = Trainer(tmp_path / "b", [source], make_model(), make_model(), REWARDS, replace(CONFIG, tuition_every=1))
    with pytest.raises(ConfigError, match="tuition_every needs packs"):
        next(iter(taught.run()))
