"""Speaking ahead of learning: one update old, and as repeatable as speaking when it is due."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.lm.model import SpeakingModel
from dialog_rl.online.practice import Strategy
from dialog_rl.online.train_config import TrainConfig
from dialog_rl.online.trainer import LOG, Trainer
from dialog_rl.rl.learner_config import LearnerConfig
from tests.online.test_trainer import trainer, weights

MakeModel = Callable[[], SpeakingModel]
CONFIG = TrainConfig(
    dialogues=24, batch=6, slots=4, checkpoint_every=1, bf16=False, overlap=True,
    learner=LearnerConfig(learning_rate=1e-3),
)  # fmt: skip


def test_each_update_but_the_first_learns_from_what_was_said_one_update_before(
    tmp_path: Path, tiny_model: MakeModel
) -> None:
    list(trainer(tmp_path / "run", tiny_model, CONFIG).run())
    with EpisodeLog.open(tmp_path / "run" / LOG) as log:
        said = sorted((logged.episode for logged in log.episodes()), key=lambda e: e.episode_id)
    ages = [int(next(iter(e.steps)).policy_version.rpartition("+")[2]) for e in said]
    assert ages == [0] * 6 + [0] * 6 + [1] * 6 + [2] * 6


@pytest.mark.parametrize("practice", [Strategy.UNIFORM, Strategy.THOMPSON])
def test_a_run_that_was_killed_goes_on_to_the_same_bits(
    tmp_path: Path, tiny_model: MakeModel, practice: Strategy
) -> None:
    config = replace(CONFIG, practice=practice)
    whole = trainer(tmp_path / "whole" / "run", tiny_model, config)
    list(whole.run())
    steps = trainer(tmp_path / "killed" / "run", tiny_model, config).run()
    for _ in range(2):
        next(steps)
    resumed = trainer(tmp_path / "killed" / "run", tiny_model, config)
    resumed.resume()
    list(resumed.run())
    assert weights(resumed, tmp_path / "versions") == weights(whole, tmp_path / "versions")
    steps.close()


def test_a_run_that_is_stopped_while_it_waits_goes_on_to_the_same_bits(tmp_path: Path, tiny_model: MakeModel) -> None:
    config = replace(CONFIG, checkpoint_every=100)
    whole = trainer(tmp_path / "whole" / "run", tiny_model, config)
    list(whole.run())
    stopped = trainer(tmp_path / "stopped" / "run", tiny_model, config)
    asked = [False]
    for progress in stopped.run(cancelled=lambda: asked[0]):
        asked[0] = progress.update == 2
    assert stopped.done == 2
    stopped.checkpoint()
    resumed = trainer(tmp_path / "stopped" / "run", tiny_model, config)
    resumed.resume()
    list(resumed.run())
    assert weights(resumed, tmp_path / "versions") == weights(whole, tmp_path / "versions")


@pytest.mark.parametrize("kind", [OSError, TimeoutError])
def test_what_goes_wrong_ahead_is_told_where_it_is_waited_for(
    tmp_path: Path, tiny_model: MakeModel, monkeypatch: pytest.MonkeyPatch, kind: type[OSError]
) -> None:
    speak = Trainer._speak  # noqa: SLF001

    def broken(self: Trainer, batch: Any, cancelled: Any) -> Any:
        if batch.update == 2:
            raise kind("no answer")
        return speak(self, batch, cancelled)

    monkeypatch.setattr(Trainer, "_speak", broken)
    steps = trainer(tmp_path / "run", tiny_model, CONFIG).run()
    next(steps)
    next(steps)
    with pytest.raises(kind, match="no answer"):
        next(steps)
