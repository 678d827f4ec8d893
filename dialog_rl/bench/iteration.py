"""A whole PPO iteration: rollouts, log-probs of the old and the reference policy, and one epoch of updates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from dialog_rl.bench import measure, rollout, update
from dialog_rl.bench.workload import Workload
from dialog_rl.lm.policy import ModelShape, Policy
from dialog_rl.lm.precision import bf16_pays

OURS = "slots, one row an episode, bf16"
OURS_FP32 = "slots, one row an episode, fp32"
USUAL = "generate, one padded row a turn, fp32"
EVALUATIONS = 2
"""Forwards without gradient: the old policy and the reference."""


def ours(policy: Policy, work: Workload, *, bf16: bool) -> None:
    rollout.with_slots(policy, work, dtype=torch.bfloat16 if bf16 else torch.float32)
    for _ in range(EVALUATIONS):
        update.by_episode(policy, work, bf16=bf16, learn=False)
    update.by_episode(policy, work, bf16=bf16)


def usual(policy: Policy, work: Workload) -> None:
    rollout.with_generate(policy.model, work)
    for _ in range(EVALUATIONS):
        update.by_turn(policy, work, padded=True, learn=False)
    update.by_turn(policy, work, padded=True)


def bench_iteration(
    *,
    work: Workload | None = None,
    shape: ModelShape | None = None,
    repeats: int = 3,
    progress: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    work, policy = work or Workload(), Policy.fresh(shape or ModelShape(), seed=0)
    timings = measure.alternate(
        {
            **({OURS: lambda: ours(policy, work, bf16=True)} if bf16_pays() else {}),
            OURS_FP32: lambda: ours(policy, work, bf16=False),
            USUAL: lambda: usual(policy, work),
        },
        repeats=repeats,
        progress=progress,
    )
    return measure.report(timings, ours=next(iter(timings)), bench="iteration", work=str(work))
