"""Policy updates: one forward an episode, beside the usual one row a turn. One PPO epoch over the same dialogues."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dialog_rl.bench import measure
from dialog_rl.bench.products import PRODUCTS, learnt
from dialog_rl.bench.workload import Workload
from dialog_rl.lm.policy import ModelShape, Policy
from dialog_rl.lm.precision import bf16_pays

OURS = "one row an episode, bf16"
OURS_FP32 = "one row an episode, fp32"
PADDED = "one row a turn, padded, fp32"
PADDED_BF16 = "one row a turn, padded, bf16"
PACKED = "one row a turn, no padding, fp32"
TOKENS = 3200
"""A micro-batch, of every way alike."""


def ppo_loss(logprobs: Tensor, entropy: Tensor, values: Tensor) -> Tensor:
    """The shape of PPO's loss, with made-up old log-probs, advantages and returns."""
    ratio = (logprobs - logprobs.detach()).exp()
    advantages = torch.ones_like(ratio)
    policy = torch.maximum(-ratio * advantages, -ratio.clamp(0.8, 1.2) * advantages)
    return (policy + 0.5 * (values - 1.0) ** 2 - 0.01 * entropy).sum()


@contextmanager
def _autocast(policy: Policy, enabled: bool) -> Iterator[None]:
    before, policy.autocast = policy.autocast, enabled
    try:
        yield
    finally:
        policy.autocast = before


def by_episode(policy: Policy, work: Workload, *, bf16: bool, learn: bool = True) -> None:
    """Every dialogue is one row; its actions are told by the mask."""
    mask_T = work.action_mask_T()
    with _autocast(policy, bf16), torch.set_grad_enabled(learn):
        for ids_BT in work.ids_BT(seed=0).split(max(1, TOKENS // work.length)):
            lengths_B = torch.full((len(ids_BT),), work.length)
            out = policy.evaluate(ids_BT, lengths_B, mask_T.expand_as(ids_BT))
            if learn:
                ppo_loss(out.logprobs_BT, out.entropy_BT, out.values_BT).backward()
    policy.zero_grad()


def by_turn(policy: Policy, work: Workload, *, padded: bool, bf16: bool = False, learn: bool = True) -> None:
    """Every turn is a row of all that came before it. `padded` fills all rows to the longest, as trainers do."""
    ids_BT = work.ids_BT(seed=0)
    rows = [ids_BT[:, : work.end_of(turn)] for turn in range(work.turns)]
    if padded:
        every = torch.cat([F.pad(row, (work.length - row.shape[1], 0)) for row in rows])
        real = torch.cat([F.pad(torch.ones_like(row), (work.length - row.shape[1], 0)) for row in rows])
        groups = [(every, real)]
    else:
        groups = [(row, None) for row in rows]
    with torch.set_grad_enabled(learn), torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        for group, real in groups:
            count = max(1, TOKENS // group.shape[1])
            masks = real.split(count) if real is not None else [None] * -(-len(group) // count)
            for part, mask in zip(group.split(count), masks, strict=True):
                _turn_rows(policy, part, mask, work.reply, learn=learn)
    policy.zero_grad()


def _turn_rows(policy: Policy, ids_BT: Tensor, mask_BT: Tensor | None, reply: int, *, learn: bool) -> None:
    """Rows whose last `reply` tokens are the action. Logits there only, which is more than most trainers spare."""
    out = policy.model.base_model(input_ids=ids_BT, attention_mask=mask_BT, use_cache=False)
    hidden_BTD = out.last_hidden_state[:, -reply - 1 : -1].float()
    with torch.autocast("cpu", enabled=False):
        logprobs_BTV = policy.logits(hidden_BTD).log_softmax(-1)
        values_BT = policy.value_head(hidden_BTD).squeeze(-1)
    chosen_BT = logprobs_BTV.gather(-1, ids_BT[:, -reply:, None]).squeeze(-1)
    entropy_BT = -(logprobs_BTV.exp() * logprobs_BTV).sum(-1)
    if learn:
        ppo_loss(chosen_BT, entropy_BT, values_BT).backward()


def bench_update(
    *,
    work: Workload | None = None,
    shape: ModelShape | None = None,
    repeats: int = 3,
    progress: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Forward and backward of one epoch. Eight dialogues by default: all ways grow alike with their number."""
    work, shape = work or Workload(dialogues=8), shape or ModelShape()
    policy = Policy.fresh(shape, seed=0)
    dtype = torch.bfloat16 if bf16_pays() else torch.float32
    timings = measure.alternate(
        {
            **({OURS: lambda: by_episode(policy, work, bf16=True)} if bf16_pays() else {}),
            OURS_FP32: lambda: by_episode(policy, work, bf16=False),
            PRODUCTS: learnt(shape, work, tokens=TOKENS, dtype=dtype),
            PADDED: lambda: by_turn(policy, work, padded=True),
            **({PADDED_BF16: lambda: by_turn(policy, work, padded=True, bf16=True)} if bf16_pays() else {}),
            PACKED: lambda: by_turn(policy, work, padded=False),
        },
        repeats=repeats,
        progress=progress,
    )
    return measure.report(timings, ours=next(iter(timings)), bench="update", work=str(work))
