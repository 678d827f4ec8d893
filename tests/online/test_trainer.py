"""A run is a function of its seed, wherever it was stopped."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.lm.model import SpeakingModel
from dialog_rl.online import training_record
from dialog_rl.online.apprentice import DEFAULT_REWARDS
from dialog_rl.online.train_config import TrainConfig
from dialog_rl.online.trainer import LOG, Trainer
from dialog_rl.plugins.loading import load_plugins
from dialog_rl.plugins.rewards import build_rewards
from dialog_rl.rl.algorithms.ppo import PPO
from dialog_rl.rl.batch import EpisodeBatch
from dialog_rl.rl.learner import Learner
from dialog_rl.rl.learner_config import LearnerConfig
from dialog_rl.scoring import score_episodes
from dialog_rl.staging import open_stage

MakeModel = Callable[[], SpeakingModel]
CONFIG = TrainConfig(
    dialogues=24, batch=6, slots=4, checkpoint_every=1, bf16=False, learner=LearnerConfig(learning_rate=1e-3)
)


def trainer(folder: Path, make: MakeModel, config: TrainConfig = CONFIG) -> Trainer:
    registry = load_plugins().registry
    return Trainer(
        folder, [open_stage(registry, "retail")], make(), make(), build_rewards(registry, DEFAULT_REWARDS), config
    )


def weights(of: Trainer, root: Path) -> str:
    return of.publish(root).id


def test_two_runs_with_one_seed_give_the_same_weights(tmp_path: Path, tiny_model: MakeModel) -> None:
    ids = []
    for name in ("a", "b"):
        one = trainer(tmp_path / name / "run", tiny_model)
        list(one.run())
        ids.append(weights(one, tmp_path / "versions"))
    assert ids[0] == ids[1]


def test_another_seed_gives_other_weights(tmp_path: Path, tiny_model: MakeModel) -> None:
    ids = set()
    for seed in (0, 1):
        one = trainer(tmp_path / f"{seed}" / "run", tiny_model, TrainConfig(dialogues=6, batch=6, slots=4, seed=seed))
        list(one.run())
        ids.add(weights(one, tmp_path / "versions"))
    assert len(ids) == 2


def test_a_resumed_run_equals_an_uninterrupted_one_to_the_bit(tmp_path: Path, tiny_model: MakeModel) -> None:
    whole = trainer(tmp_path / "whole" / "run", tiny_model)
    list(whole.run())
    stopped = trainer(tmp_path / "stopped" / "run", tiny_model)
    for progress in stopped.run():
        if progress.update == 2:
            break
    resumed = trainer(tmp_path / "stopped" / "run", tiny_model)
    assert resumed.resume() == ()
    assert resumed.done == 2
    list(resumed.run())
    assert weights(resumed, tmp_path / "versions") == weights(whole, tmp_path / "versions")


def test_what_came_after_the_last_checkpoint_is_made_again_and_recorded_once(
    tmp_path: Path, tiny_model: MakeModel
) -> None:
    config = TrainConfig(dialogues=24, batch=6, slots=4, checkpoint_every=2)
    steps = trainer(tmp_path / "run", tiny_model, config).run()
    for _ in range(3):  # killed after the record of update 3, before its checkpoint
        next(steps)
    resumed = trainer(tmp_path / "run", tiny_model, config)
    resumed.resume()
    list(resumed.run())
    assert [row["update"] for row in training_record.read(tmp_path / "run")] == [1, 2, 3, 4]
    with EpisodeLog.open(tmp_path / "run" / LOG) as log:
        assert log.count() == 24


def test_every_episode_that_was_learned_from_is_in_the_log(tmp_path: Path, tiny_model: MakeModel) -> None:
    one = trainer(tmp_path / "run", tiny_model)
    list(one.run())
    with EpisodeLog.open(tmp_path / "run" / LOG) as log:
        assert log.count() == 24


def test_the_ratio_is_one_on_episodes_read_back_from_the_log(tmp_path: Path, tiny_model: MakeModel) -> None:
    one = trainer(tmp_path / "run", tiny_model, TrainConfig(dialogues=6, batch=6, slots=4))
    list(one.run())
    model = tiny_model()
    rewards = build_rewards(load_plugins().registry, DEFAULT_REWARDS)
    with EpisodeLog.open(tmp_path / "run" / LOG) as log:
        episodes = [logged.episode for logged in log.episodes()]
    batch = EpisodeBatch.from_scored(score_episodes(rewards, episodes), model.renderer.pad_id)
    with torch.no_grad():
        now = model.policy.evaluate(batch.ids_BT, batch.lengths_B, batch.action_mask_BT)
    ratio_BT = (now.logprobs_BT - batch.sampler_logprobs_BT).exp()
    torch.testing.assert_close(ratio_BT, torch.ones_like(ratio_BT), atol=1e-4, rtol=0)
    stats = Learner(model.policy, tiny_model().policy, PPO()).update(batch)
    assert stats.mismatch_max <= 1e-4


def test_a_cancelled_update_leaves_the_weights_of_the_last_one(tmp_path: Path, tiny_model: MakeModel) -> None:
    one = trainer(tmp_path / "run", tiny_model)
    before = weights(one, tmp_path / "versions")
    assert list(one.run(cancelled=lambda: True)) == []
    assert weights(one, tmp_path / "versions") == before


def test_a_line_of_the_record_that_a_crash_cut_off_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(json.dumps({"update": 1}) + '\n{"update": 2, "succ', encoding="utf-8")
    assert training_record.read(tmp_path) == [{"update": 1}]


@pytest.mark.parametrize("wrong", [{"dialogues": 0}, {"batch": 1}, {"slots": 0}])
def test_a_configuration_that_cannot_work_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at least 1 dialogue"):
        TrainConfig(**wrong)
