"""`train --learners`: several processes learn what one would, a run is taken up again, and who dies is named."""

from __future__ import annotations

import copy
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from dialog_rl.errors import ConfigError, TrainingError
from dialog_rl.lm.model import SpeakingModel
from dialog_rl.lm.policy import ModelShape, Policy
from dialog_rl.lm.renderer import EmbeddedRenderer
from dialog_rl.online.apprentice import DEFAULT_REWARDS
from dialog_rl.online.train_config import TrainConfig
from dialog_rl.online.trainer import Trainer
from dialog_rl.plugins.loading import load_plugins
from dialog_rl.plugins.rewards import build_rewards
from dialog_rl.rl.algorithms.ppo import PPO
from dialog_rl.scale.learning import Learners
from tests.chat.scripted import stage
from tests.online.conftest import tokenizer  # noqa: F401  fixture

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
CONFIG = replace(TrainConfig(), dialogues=24, batch=12, slots=4, bf16=False)


@pytest.fixture
def model(tokenizer: Any) -> SpeakingModel:  # noqa: F811
    shape = ModelShape(
        vocab_size=-(-len(tokenizer) // 64) * 64, hidden=16, layers=1, heads=2, intermediate=32, max_positions=256
    )  # fmt: skip
    return SpeakingModel(policy=Policy.fresh(shape, seed=3), renderer=EmbeddedRenderer(tokenizer), version="tiny")


def trainer(folder: Path, model: SpeakingModel, **how: Any) -> Trainer:
    taught, reference = (
        SpeakingModel(policy=copy.deepcopy(model.policy), renderer=model.renderer, version="tiny") for _ in range(2)
    )
    rewards = build_rewards(load_plugins().registry, DEFAULT_REWARDS)
    return Trainer(folder, [stage()], taught, reference, rewards, CONFIG, **how)


def weights(one: Trainer) -> dict[str, torch.Tensor]:
    return {name: x.clone() for name, x in one.model.policy.state_dict().items()}


def test_two_learners_learn_what_one_learns_are_taken_up_again_and_missed_when_gone(
    tmp_path: Path, model: SpeakingModel
) -> None:
    alone = trainer(tmp_path / "a" / "run", model)
    list(alone.run())
    with Learners(2) as learners:
        together = trainer(tmp_path / "b" / "run", model, learn=learners)
        run = together.run()
        assert next(run).update == 1
        together.checkpoint()
        run.close()
        again = trainer(tmp_path / "b" / "run", model, learn=learners)
        again.resume()
        assert [update.update for update in again.run()] == [2]
        expected, found = weights(alone), weights(again)
        assert max(float((found[name] - expected[name]).abs().max()) for name in found) < 1e-4
        assert any(not torch.equal(found[name], x) for name, x in model.policy.state_dict().items())

        lost = trainer(tmp_path / "c" / "run", model, learn=learners)
        (pid,) = learners.pids()
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(TrainingError, match="is gone"):
            list(lost.run())


class Unsendable(PPO):
    def __reduce__(self) -> Any:
        raise TypeError("not this one")


def test_what_cannot_be_sent_to_the_others_is_said(tmp_path: Path, model: SpeakingModel) -> None:
    with Learners(1) as learners:
        with pytest.raises(ConfigError, match="not this one"):
            list(trainer(tmp_path / "run", model, learn=learners, algorithm=Unsendable()).run())
