"""Memory that runs out in the middle of an update: the update is the same, in smaller blocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from dialog_rl.errors import TrainingError
from dialog_rl.rl.algorithms.ppo import PPO
from dialog_rl.rl.batch import EpisodeBatch
from dialog_rl.rl.kl import KLConfig
from dialog_rl.rl.learner import Learner
from dialog_rl.rl.learner_config import LearnerConfig
from dialog_rl.rl.update_stats import UpdateStats

CONFIG = LearnerConfig(
    kl=KLConfig(coef=0.0), epochs=1, max_grad_norm=1e9, kl_stop=float("inf"), kl_discard=float("inf"),
    max_mismatch=1e-3, token_budget=100,
)  # fmt: skip
FULL = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


def learner_whose(policy: Any, runs_out: Callable[[Tensor], bool], error: Exception = FULL) -> Learner:
    """`runs_out` is asked before every forward, with the ids."""
    evaluate = policy.evaluate

    def limited(ids_BT: Tensor, *rest: Any, **how: Any) -> Any:
        if runs_out(ids_BT):
            raise error
        return evaluate(ids_BT, *rest, **how)

    policy.evaluate = limited
    return Learner(policy, None, PPO(), CONFIG)


def updated(learner: Learner, batch: EpisodeBatch) -> tuple[dict[str, Tensor], UpdateStats]:
    """The gradient of its one step, caught before the optimizer uses it, and the record."""
    caught: dict[str, Tensor] = {}
    named = list(learner.policy.named_parameters())
    learner._optimizer.register_step_pre_hook(
        lambda *_: caught.update({name: p.grad.clone() for name, p in named if p.grad is not None})
    )
    return caught, learner.update(batch)


@pytest.fixture
def batch(tiny_lm: Any, sampled: Any) -> EpisodeBatch:
    return EpisodeBatch.from_scored(sampled(tiny_lm(), 12), 0)


@pytest.fixture
def roomy(tiny_lm: Any, batch: EpisodeBatch) -> tuple[dict[str, Tensor], UpdateStats]:
    return updated(learner_whose(tiny_lm(), lambda ids_BT: False), batch)


def never_again(times: int) -> Callable[[Tensor], bool]:
    """Memory that runs out once, at the so-manieth forward that a gradient is wanted of."""
    left = [times]

    def runs_out(ids_BT: Tensor) -> bool:
        left[0] -= torch.is_grad_enabled()
        return left[0] == 0 and torch.is_grad_enabled()

    return runs_out


@pytest.mark.parametrize(
    "runs_out", [lambda ids_BT: ids_BT.numel() > 40, never_again(2)], ids=["wherever blocks are large", "half-way"]
)
def test_the_update_is_the_same_in_smaller_blocks(
    runs_out: Any, tiny_lm: Any, batch: EpisodeBatch, roomy: tuple[dict[str, Tensor], UpdateStats]
) -> None:
    wanted, in_time = roomy
    found, late = updated(learner_whose(tiny_lm(), runs_out), batch)
    assert late.steps == in_time.steps == 1 and found.keys() == wanted.keys()
    assert all(torch.allclose(found[name], wanted[name], atol=1e-6, rtol=1e-4) for name in wanted)
    assert late.policy_loss == pytest.approx(in_time.policy_loss, abs=1e-6)
    assert late.value_loss == pytest.approx(in_time.value_loss, rel=1e-5)


def test_what_was_too_large_once_is_not_tried_again_after_a_restart(tiny_lm: Any, batch: EpisodeBatch) -> None:
    asked: list[int] = []

    def runs_out(ids_BT: Tensor) -> bool:
        asked.append(ids_BT.numel())
        return ids_BT.numel() > 40

    learner = learner_whose(tiny_lm(), runs_out)
    learner.update(batch)
    again = learner_whose(tiny_lm(), runs_out)
    again.load_state_dict(learner.state_dict())
    asked.clear()
    again.config = replace(CONFIG, max_mismatch=1e3, max_mismatch_k3=1e3)  # the other's weights are not in its state
    again.update(batch)
    assert asked and max(asked) <= 40


def test_an_episode_that_is_too_long_by_itself_is_named(tiny_lm: Any, batch: EpisodeBatch) -> None:
    with pytest.raises(TrainingError, match="out of memory over single episodes of up to"):
        learner_whose(tiny_lm(), lambda ids_BT: True).update(batch)


def test_other_errors_are_not_taken_for_a_lack_of_memory(tiny_lm: Any, batch: EpisodeBatch) -> None:
    with pytest.raises(RuntimeError, match="a bug"):
        learner_whose(tiny_lm(), lambda ids_BT: True, RuntimeError("a bug")).update(batch)
    cpu = RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
    with pytest.raises(TrainingError):
        learner_whose(tiny_lm(), lambda ids_BT: True, cpu).update(batch)
