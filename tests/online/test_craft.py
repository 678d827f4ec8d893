"""The trainer's settings beyond the plain run, each with the effect that it is there for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dialog_rl.episode import Episode
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.errors import ConfigError
from dialog_rl.lm.model import SpeakingModel
from dialog_rl.online import training_record
from dialog_rl.online.apprentice import DEFAULT_REWARDS
from dialog_rl.online.practice import Strategy
from dialog_rl.online.train_config import TrainConfig
from dialog_rl.online.trainer import LOG, Trainer
from dialog_rl.online.tuition import EXPERT, lessons
from dialog_rl.plugins.loading import load_plugins
from dialog_rl.plugins.rewards import build_rewards
from dialog_rl.rl.algorithm import Algorithm
from dialog_rl.rl.algorithms.grpo import GRPO
from dialog_rl.rl.learner_config import LearnerConfig
from dialog_rl.rl.schedules import Schedule
from dialog_rl.staging import open_stage

MakeModel = Callable[[], SpeakingModel]
REGISTRY = load_plugins().registry
PLAIN = TrainConfig(
    dialogues=8, batch=4, slots=4, checkpoint_every=1, bf16=False, learner=LearnerConfig(learning_rate=1e-3)
)


def trainer(folder: Path, make: MakeModel, config: TrainConfig, algorithm: Algorithm | None = None) -> Trainer:
    rewards = build_rewards(REGISTRY, DEFAULT_REWARDS)
    return Trainer(folder, [open_stage(REGISTRY, "retail")], make(), make(), rewards, config, algorithm=algorithm)


def spoken(folder: Path) -> list[Episode]:
    with EpisodeLog.open(folder / LOG) as log:
        return sorted((logged.episode for logged in log.episodes()), key=lambda e: e.episode_id)


def weights(of: Trainer) -> Mapping[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in of.model.policy.state_dict().items()}


# groups


def test_an_algorithm_that_compares_dialogues_gets_several_with_each_customer(
    tmp_path: Path, tiny_model: MakeModel
) -> None:
    list(trainer(tmp_path / "run", tiny_model, PLAIN, GRPO()).run())
    episodes = spoken(tmp_path / "run")
    assert Counter(e.scenario["id"] for e in episodes).most_common() == [
        (episodes[0].scenario["id"], 4), (episodes[4].scenario["id"], 4)
    ]  # fmt: skip
    assert len({e.seed for e in episodes}) == 8  # one customer, but not one conversation four times
    assert len({tuple(s.action_ids for s in e.steps) for e in episodes[:4]}) > 1


def test_without_such_a_need_every_customer_is_another(tmp_path: Path, tiny_model: MakeModel) -> None:
    list(trainer(tmp_path / "run", tiny_model, replace(PLAIN, dialogues=4)).run())
    assert len({e.scenario["id"] for e in spoken(tmp_path / "run")}) == 4


def test_an_update_that_would_cut_a_group_in_two_is_refused(tmp_path: Path, tiny_model: MakeModel) -> None:
    with pytest.raises(ConfigError, match="multiple of 4, not 6"):
        trainer(tmp_path / "run", tiny_model, replace(PLAIN, batch=6), GRPO())
    with pytest.raises(ConfigError, match="multiple of group 3"):
        replace(PLAIN, group=3)


# schedules


def test_the_temperature_goes_down_on_a_straight_line(tmp_path: Path, tiny_model: MakeModel) -> None:
    config = replace(PLAIN, dialogues=12, temperature=1.4, temperature_end=0.6)
    seen = [progress.temperature for progress in trainer(tmp_path / "run", tiny_model, config).run()]
    assert seen == pytest.approx([1.4, 1.0, 0.6])
    assert [e.temperature for e in spoken(tmp_path / "run")][::4] == pytest.approx([1.4, 1.0, 0.6])


def test_the_learning_rate_follows_its_schedule(tmp_path: Path, tiny_model: MakeModel) -> None:
    config = replace(PLAIN, dialogues=16, schedule=Schedule.LINEAR, warmup=1)
    rates = [progress.stats.learning_rate for progress in trainer(tmp_path / "run", tiny_model, config).run()]
    assert rates == pytest.approx([5e-4, 1e-3, 1e-3 * 2 / 3, 1e-3 / 3])


# what learns


def test_only_the_last_layer_changes_where_the_others_are_frozen(tmp_path: Path, tiny_model: MakeModel) -> None:
    one = trainer(tmp_path / "run", tiny_model, replace(PLAIN, last_layers=1))
    before = weights(one)
    list(one.run())
    changed = {name for name, tensor in weights(one).items() if not torch.equal(tensor, before[name])}
    assert changed and all(".layers.1." in n or "norm" in n or n.startswith("value_head") for n in changed)
    assert any(".layers.1." in name for name in changed)


# practice


def test_practice_is_recorded_and_survives_an_interruption(tmp_path: Path, tiny_model: MakeModel) -> None:
    config = replace(PLAIN, dialogues=12, practice=Strategy.UCB)
    whole = trainer(tmp_path / "whole" / "run", tiny_model, config)
    last = list(whole.run())[-1]
    assert sum(arm["tried"] for arm in last.practice.values()) == 12
    stopped = trainer(tmp_path / "stopped" / "run", tiny_model, config)
    next(iter(stopped.run()))
    stopped.checkpoint()
    resumed = trainer(tmp_path / "stopped" / "run", tiny_model, config)
    resumed.resume()
    list(resumed.run())
    assert [e.scenario["id"] for e in spoken(tmp_path / "stopped" / "run")] == [
        e.scenario["id"] for e in spoken(tmp_path / "whole" / "run")
    ]


def test_practice_with_ucb_goes_through_all_intents_first(tmp_path: Path, tiny_model: MakeModel) -> None:
    config = replace(PLAIN, dialogues=40, batch=4, practice=Strategy.UCB)
    one = trainer(tmp_path / "run", tiny_model, config)
    steps = iter(one.run())
    for _ in range(3):
        last = next(steps)
    intents = len(open_stage(REGISTRY, "retail").pack.file.intents)
    assert len(last.practice) >= min(3, intents)


# validation


def test_the_best_weights_are_published_and_waiting_ends(
    tmp_path: Path, tiny_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    successes = iter([0.2, 0.5, 0.3, 0.4, 0.9])
    monkeypatch.setattr("dialog_rl.online.validation.success_of", lambda *_, **__: next(successes))
    config = replace(PLAIN, dialogues=40, validate_every=1, patience=2)
    one = trainer(tmp_path / "run", tiny_model, config)
    kept: list[Mapping[str, torch.Tensor]] = []
    for progress in one.run():
        kept.append(weights(one))
    assert [row["validation"] for row in training_record.read(tmp_path / "run")] == [0.2, 0.5, 0.3, 0.4]
    one.publish(tmp_path / "versions")
    assert all(torch.equal(tensor, kept[1][name]) for name, tensor in weights(one).items())


def test_how_long_was_waited_survives_an_interruption(
    tmp_path: Path, tiny_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    successes = iter([0.5, 0.3, 0.4, 0.9])
    monkeypatch.setattr("dialog_rl.online.validation.success_of", lambda *_, **__: next(successes))
    config = replace(PLAIN, dialogues=40, validate_every=1, patience=2)
    for progress in trainer(tmp_path / "run", tiny_model, config).run():
        if progress.update == 2:
            break
    resumed = trainer(tmp_path / "run", tiny_model, config)
    resumed.resume()
    assert [progress.update for progress in resumed.run()] == [3]


def test_success_is_measured_on_validation_customers(tmp_path: Path, tiny_model: MakeModel) -> None:
    config = replace(PLAIN, dialogues=4, validate_every=1, validation=2)
    (progress,) = trainer(tmp_path / "run", tiny_model, config).run()
    assert progress.validation == 0.0  # too small a model to serve anybody


def test_waiting_for_what_is_never_measured_is_refused() -> None:
    with pytest.raises(ConfigError, match="without validate_every"):
        TrainConfig(patience=2)


# tuition


def test_the_experts_dialogues_are_rows_to_be_imitated(tiny_model: MakeModel) -> None:
    model = tiny_model()
    stages = [open_stage(REGISTRY, "retail")]
    batch = lessons(stages, model.renderer, 3, seed=0, phase=0, longest=10_000)
    assert len(batch) == 3 and bool(batch.imitate_B.all()) and not batch.fresh_mask_BT.any()
    first = lessons(stages, model.renderer, 3, seed=0, phase=1, longest=10_000)
    assert first.ids_BT.shape != batch.ids_BT.shape or not torch.equal(first.ids_BT, batch.ids_BT)
    width = int(batch.lengths_B.min())
    assert len(lessons(stages, model.renderer, 3, seed=0, phase=0, longest=width)) == 1
    assert EXPERT == "expert"


def test_supervised_phases_teach_what_practice_alone_does_not(tmp_path: Path, tiny_model: MakeModel) -> None:
    def likelihood(config: TrainConfig, name: str) -> float:
        one = trainer(tmp_path / name, tiny_model, config)
        list(one.run())
        batch = lessons(one.stages, one.model.renderer, 4, seed=9, phase=0, longest=10_000)
        with torch.no_grad():
            got = one.model.policy.evaluate(batch.ids_BT, batch.lengths_B, batch.action_mask_BT)
        return float(got.logprobs_BT[batch.action_mask_BT].mean())

    taught = likelihood(replace(PLAIN, tuition_every=1, tuition=8), "taught")
    assert taught > likelihood(PLAIN, "alone") + 0.05


def test_a_record_says_what_a_run_cost(tmp_path: Path, tiny_model: MakeModel) -> None:
    (progress,) = trainer(tmp_path / "run", tiny_model, replace(PLAIN, dialogues=4)).run()
    assert progress.cpu_seconds > 0 and progress.peak_memory > 1 << 20
