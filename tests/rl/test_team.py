"""Two processes of gloo's that learn together: their gradients are those of one process with the whole batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import FileStore  # pyright: ignore[reportPrivateImportUsage]
from torch.multiprocessing.spawn import spawn

from dialog_rl.episode import Episode, Message, Role, Step, StopReason, Turn
from dialog_rl.lm.policy import ModelShape, Policy
from dialog_rl.rl.algorithms.ppo import PPO
from dialog_rl.rl.batch import EpisodeBatch
from dialog_rl.rl.kl import KLConfig
from dialog_rl.rl.learner import Learner
from dialog_rl.rl.learner_config import LearnerConfig
from dialog_rl.rl.team import Alone, Together
from dialog_rl.scoring import ScoredEpisode

pytestmark = pytest.mark.timeout(1200)  # two processes have to import torch

SHAPE = ModelShape(vocab_size=64, hidden=16, layers=1, heads=2, intermediate=32, max_positions=64)
CONFIG = LearnerConfig(
    epochs=1, minibatch_episodes=8, token_budget=60, learning_rate=1e-2, entropy_coef=0.01, kl=KLConfig(coef=0.1),
    imitation_coef=0.1, value_warmup_updates=1, max_mismatch=1e9, max_mismatch_k3=1e9, max_grad_norm=1e9,
    kl_discard=1e9,
)  # fmt: skip
ROWS = (6, 7)
"""Of the two updates, in the first of which the critic learns alone. One process has more than the other."""
SPOKEN = Message(role=Role.ASSISTANT, text="x")


def episode(number: int, g: torch.Generator) -> ScoredEpisode:
    def ids(low: int, high: int) -> tuple[int, ...]:
        length = int(torch.randint(low, high, (), generator=g))
        return tuple(torch.randint(1, 60, (length,), generator=g).tolist())

    turns = []
    for _ in range(1 + number % 3):
        said = ids(1, 6)
        step = Step(message=SPOKEN, observation_ids=ids(1, 7), action_ids=said, logprobs=(-4.0,) * len(said))
        turns.append(Turn(user=SPOKEN, steps=(step,)))
    one = Episode(
        episode_id=str(number), pack="p", scenario={"id": str(number)}, seed=0, system=SPOKEN, turns=tuple(turns),
        stop=StopReason.USER_LEFT,
    )  # fmt: skip
    steps = sum(1 for _ in one.steps)
    return ScoredEpisode(episode=one, components={}, reward=float(number % 2), step_rewards=(0.0,) * steps)


def batches() -> Iterator[EpisodeBatch]:
    g = torch.Generator().manual_seed(0)
    for rows in ROWS:
        scored = [episode(number, g) for number in range(rows)]
        yield EpisodeBatch.from_scored(scored, 0, replayed=scored[:2])


def whole(x: Any) -> Tensor:
    """Asked by all processes, where it is divided."""
    return (x.full_tensor() if hasattr(x, "full_tensor") else x).detach().clone()


def learnt(team: Alone | None, policy: Policy | None = None) -> dict[str, Any]:
    """The gradients of two updates, and what came of these and a pass of imitation."""
    policy = policy or Policy.fresh(SHAPE, seed=3)
    gradients: list[dict[str, Tensor]] = []
    learner = Learner(policy, Policy.fresh(SHAPE, seed=4), PPO(), CONFIG, team=team)

    def catch(*_: Any) -> None:
        gradients.append({name: whole(p.grad) for name, p in policy.named_parameters() if p.grad is not None})

    learner._optimizer.register_step_pre_hook(catch)
    stats = [replace(learner.update(batch), seconds=0.0) for batch in batches()]
    surprise = learner.imitate(next(batches()))
    state = learner.state_dict()["optimizer"]["state"][0]["exp_avg"]
    weights = {name: whole(p) for name, p in policy.named_parameters()}
    return {"gradients": gradients, "stats": stats, "surprise": surprise, "weights": weights, "state": state}


def resumed() -> dict[str, Tensor]:
    """A divided learner that is taken up by another one after the first update; the weights after the second."""
    from dialog_rl.lm.sharding import shard
    from dialog_rl.rl.sharded import Sharded

    first, second = batches()
    made = shard(Policy.fresh(SHAPE, seed=3))
    learner = Learner(made, Policy.fresh(SHAPE, seed=4), PPO(), CONFIG, team=Sharded())
    learner.update(first)
    state = learner.state_dict()
    there = Policy.fresh(SHAPE, seed=5)
    there.load_state_dict({name: whole(x) for name, x in made.state_dict().items()})
    other = Learner(shard(there), Policy.fresh(SHAPE, seed=4), PPO(), CONFIG, team=Sharded())
    other.load_state_dict(state)
    other.update(second)
    learner.update(second)
    return {name: whole(p) - whole(q) for (name, p), q in zip(made.named_parameters(), there.parameters(), strict=True)}


def in_two_processes(rank: int, folder: str) -> None:
    from dialog_rl.lm.sharding import shard
    from dialog_rl.rl.sharded import Sharded

    torch.set_num_threads(1)
    dist.init_process_group("gloo", store=FileStore(f"{folder}/store", 2), rank=rank, world_size=2)
    found = {
        "together": learnt(Together()),
        "sharded": learnt(Sharded(), shard(Policy.fresh(SHAPE, seed=3))),
        "resumed": resumed(),
    }
    torch.save(found, f"{folder}/{rank}")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of the two processes has."""
    folder = tmp_path_factory.mktemp("team")
    spawn(in_two_processes, (str(folder),), nprocs=2)
    return [torch.load(Path(folder) / str(rank), weights_only=False) for rank in range(2)]


@pytest.fixture(scope="module")
def alone() -> dict[str, Any]:
    return learnt(None)


def assert_close(got: dict[str, Tensor], expected: dict[str, Tensor], within: float) -> None:
    assert got.keys() == expected.keys()
    assert max(float((got[name] - expected[name]).abs().max()) for name in got) <= within


@pytest.mark.parametrize("team", ["together", "sharded"])
def test_the_gradient_is_that_of_one_process_with_the_whole_batch(
    found: list[dict[str, Any]], alone: dict[str, Any], team: str
) -> None:
    warming, learning, _ = alone["gradients"]
    assert len(warming) == 2 < len(learning) and all(bool(gradient.any()) for gradient in learning.values())
    for process in found:
        for got, expected in zip(process[team]["gradients"], alone["gradients"], strict=True):
            assert_close(got, expected, 1e-6)


@pytest.mark.parametrize("team", ["together", "sharded"])
def test_two_updates_and_imitation_end_where_one_process_ends(
    found: list[dict[str, Any]], alone: dict[str, Any], team: str
) -> None:
    one, two = alone, found[0][team]
    assert_close(two["weights"], one["weights"], 1e-4)
    assert two["surprise"] == pytest.approx(one["surprise"], abs=1e-5)
    assert torch.allclose(two["state"], one["state"], atol=1e-6)


@pytest.mark.parametrize("team", ["together", "sharded"])
def test_what_is_recorded_is_of_all_rows(found: list[dict[str, Any]], alone: dict[str, Any], team: str) -> None:
    for one, two in zip(alone["stats"], found[0][team]["stats"], strict=True):
        assert (two.steps, two.epochs, two.end) == (one.steps, one.epochs, one.end)
        for name in ("policy_loss", "value_loss", "entropy", "kl_old", "kl_reference", "ratio_min", "ratio_max"):
            assert getattr(two, name) == pytest.approx(getattr(one, name), abs=1e-4), name


@pytest.mark.parametrize("team", ["together", "sharded"])
def test_both_processes_have_the_same_weights_to_the_bit(found: list[dict[str, Any]], team: str) -> None:
    first, second = (process[team]["weights"] for process in found)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_divided_learner_is_taken_up_by_another_bit_for_bit(found: list[dict[str, Any]]) -> None:
    assert not any(bool(difference.any()) for difference in found[0]["resumed"].values())


def test_alone_nothing_is_shared_and_nothing_changed() -> None:
    one = learnt(None)
    again = learnt(Alone())
    assert all(torch.equal(one["weights"][name], again["weights"][name]) for name in one["weights"])
    assert one["stats"] == again["stats"]
