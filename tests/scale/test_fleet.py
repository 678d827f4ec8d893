"""Workers of Ray's say what this process would, whoever dies meanwhile; nothing is lost and nothing comes twice."""

from __future__ import annotations

import importlib.util
import os
import random
import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

if importlib.util.find_spec("ray") is None:
    pytest.skip("needs Ray: pip install dialog_rl[ray]", allow_module_level=True)

from dialog_rl.conversation import Conversation
from dialog_rl.episode import Episode
from dialog_rl.errors import ConfigError, TrainingError
from dialog_rl.lm.model import SpeakingModel
from dialog_rl.lm.policy import ModelShape, Policy
from dialog_rl.lm.renderer import EmbeddedRenderer
from dialog_rl.lm.rollouts import Rollouts, rollouts
from dialog_rl.online.apprentice import DEFAULT_REWARDS
from dialog_rl.online.casting import Casting
from dialog_rl.online.practice import Practice, Strategy
from dialog_rl.online.train_config import TrainConfig
from dialog_rl.online.trainer import Trainer
from dialog_rl.plugins.rewards import build_rewards
from dialog_rl.scale.cluster import cluster
from tests.chat.scripted import stage
from tests.online.conftest import tokenizer  # noqa: F401  fixture

if TYPE_CHECKING:
    from dialog_rl.scale.fleet import Fleet

FULL = bool(os.environ.get("DIALOG_RL_FULL"))
pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000 if FULL else 600)]


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    """As many as a worker has: with another number sums are in another order, and their last bits differ."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with cluster(cpus=2):
        from dialog_rl.scale.fleet import Fleet

        with Fleet(2) as fleet:
            yield fleet


@pytest.fixture
def model(tokenizer: Any) -> SpeakingModel:  # noqa: F811
    shape = ModelShape(
        vocab_size=-(-len(tokenizer) // 64) * 64, hidden=16, layers=1, heads=2, intermediate=32, max_positions=256
    )  # fmt: skip
    return SpeakingModel(policy=Policy.fresh(shape, seed=3), renderer=EmbeddedRenderer(tokenizer), version="tiny")


def callers(count: int, first: int = 0) -> list[Conversation]:
    casting = Casting(sources=[stage()], seed=0, practice=Practice(Strategy.UNIFORM))
    return list(casting.conversations(first, count, run="r", tokenizer="tok", temperature=1.0))


def spoken(speak: Rollouts, model: SpeakingModel, conversations: Sequence[Conversation]) -> list[Episode]:
    episodes = speak(
        model.policy, model.renderer, conversations, slots=4, max_length=256, temperature=1.0, version="v"
    )  # fmt: skip
    return sorted(episodes, key=lambda e: e.episode_id)


def test_workers_say_what_this_process_would_say_bit_for_bit(fleet: Fleet, model: SpeakingModel) -> None:
    assert spoken(fleet.rollouts, model, callers(24)) == spoken(rollouts, model, callers(24))


def test_new_weights_are_spoken_with_by_the_same_workers(fleet: Fleet, model: SpeakingModel) -> None:
    before = spoken(fleet.rollouts, model, callers(6))
    with torch.no_grad():
        for parameter in model.policy.parameters():
            parameter.mul_(1.5)
    after = spoken(fleet.rollouts, model, callers(6))
    assert after != before and after == spoken(rollouts, model, callers(6))


def test_whoever_is_killed_nothing_is_lost_and_nothing_comes_twice(fleet: Fleet, model: SpeakingModel) -> None:
    expected = spoken(rollouts, model, callers(24))
    rng, died = random.Random(0), fleet.died
    for _ in range(50 if FULL else 2):
        came: list[Episode] = []
        pids, killed_at = fleet.pids(), rng.randrange(1, 12)
        for episode in fleet.rollouts(
            model.policy, model.renderer, callers(24), slots=4, max_length=256, version="v"
        ):  # fmt: skip
            came.append(episode)
            if len(came) == killed_at:
                os.kill(rng.choice(pids), signal.SIGKILL)
        assert sorted(came, key=lambda e: e.episode_id) == expected
    assert fleet.died > died


class Deadly(Conversation):
    """Ends every process but the one that it was made in, as a fault in a library would."""

    def __setstate__(self, state: Any) -> None:
        os._exit(3)


def deadly() -> Conversation:
    (conversation,) = callers(1)
    conversation.__class__ = Deadly
    return conversation


def test_a_conversation_that_kills_every_worker_ends_the_run_with_a_word(fleet: Fleet, model: SpeakingModel) -> None:
    with pytest.raises(TrainingError, match="workers died one after the other"):
        spoken(fleet.rollouts, model, [deadly()])


def test_no_more_conversations_are_begun_than_can_be_in_hand(fleet: Fleet, model: SpeakingModel) -> None:
    begun = 0

    def many() -> Iterator[Conversation]:
        nonlocal begun
        for conversation in callers(120):
            begun += 1
            yield conversation

    episodes = fleet.rollouts(model.policy, model.renderer, many(), slots=2, max_length=256)
    next(episodes)
    assert begun == 2 * 2 * 4
    assert len([None for _ in episodes]) == 119


def test_what_is_cancelled_stops(fleet: Fleet, model: SpeakingModel) -> None:
    came: list[Episode] = []
    for episode in fleet.rollouts(
        model.policy, model.renderer, callers(60), slots=2, max_length=256, cancelled=lambda: len(came) >= 3
    ):  # fmt: skip
        came.append(episode)
    assert 3 <= len(came) < 60


def trained(folder: Path, model: SpeakingModel, speak: Rollouts) -> dict[str, torch.Tensor]:
    shop = stage()
    rewards = build_rewards(_registry(), DEFAULT_REWARDS)
    taught = SpeakingModel(policy=_copy(model.policy), renderer=model.renderer, version="tiny")
    reference = SpeakingModel(policy=_copy(model.policy), renderer=model.renderer, version="tiny")
    config = replace(TrainConfig(), dialogues=24, batch=12, slots=4, bf16=False)
    trainer = Trainer(folder, [shop], taught, reference, rewards, config, speak=speak)
    assert [update.update for update in trainer.run()] == [1, 2]
    return {name: tensor.clone() for name, tensor in taught.policy.state_dict().items()}


def _copy(policy: Policy) -> Policy:
    import copy

    return copy.deepcopy(policy)


def _registry() -> Any:
    from dialog_rl.plugins.loading import load_plugins

    return load_plugins().registry


def test_training_ends_with_the_same_weights_with_workers_as_without(
    tmp_path: Path, fleet: Fleet, model: SpeakingModel
) -> None:
    here = trained(tmp_path / "run-a" / "run", model, rollouts)
    there = trained(tmp_path / "run-b" / "run", model, fleet.rollouts)
    assert all(torch.equal(here[name], there[name]) for name in here)
    assert any(not torch.equal(here[name], value) for name, value in model.policy.state_dict().items())


def test_no_cluster_is_started_that_others_could_reach(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    with pytest.raises(ConfigError, match="could not be closed to others"), cluster():
        pass
