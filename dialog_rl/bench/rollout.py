"""Rollouts: persistent key-value slots, beside `generate` of transformers over the whole history at every turn."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch

from dialog_rl.bench import measure
from dialog_rl.bench.products import PRODUCTS, spoken
from dialog_rl.bench.workload import ForcedLengths, Workload
from dialog_rl.lm.policy import ModelShape, Policy
from dialog_rl.lm.precision import bf16_pays
from dialog_rl.lm.rollouts import rollouts

OURS = "slots that persist across turns"
OURS_BF16 = "slots that persist across turns, bf16"
GENERATE = "transformers generate, history again each turn"
GENERATE_BF16 = "transformers generate, the same in bf16"


def with_slots(policy: Policy, work: Workload, *, dtype: torch.dtype = torch.float32) -> None:
    episodes = rollouts(
        policy, ForcedLengths(work), work.conversations(), slots=work.dialogues, max_length=work.length,
        max_action=work.reply, dtype=dtype,
    )  # fmt: skip
    for episode in episodes:
        sampled = sum(len(step.action_ids) for step in episode.steps)
        if sampled != work.turns * work.reply:
            raise ValueError(f"episode {episode.episode_id} has {sampled} sampled tokens, not the workload's")


def with_generate(model: torch.nn.Module, work: Workload) -> None:
    """All dialogues in one batch without padding: as favourable as `generate` can be used."""
    said_BT = work.ids_BT(seed=0)
    history_BT = said_BT[:, : work.brief]
    for turn in range(work.turns):
        said_from = work.end_of(turn) - work.reply - work.said
        history_BT = torch.cat([history_BT, said_BT[:, said_from : said_from + work.said]], dim=1)
        history_BT = model.generate(  # type: ignore[operator]
            history_BT, attention_mask=torch.ones_like(history_BT), max_new_tokens=work.reply, eos_token_id=None,
            pad_token_id=0, do_sample=True, temperature=1.0, top_k=0, top_p=1.0,
        )  # fmt: skip
    if history_BT.shape[1] != work.length:
        raise ValueError(f"{history_BT.shape[1]} tokens were made, not the workload's {work.length}")


def bench_rollout(
    *,
    work: Workload | None = None,
    shape: ModelShape | None = None,
    repeats: int = 3,
    progress: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Sampled tokens per second of both ways, with random weights."""
    work, shape = work or Workload(), shape or ModelShape()
    policy = Policy.fresh(shape, seed=0)
    ways: dict[str, measure.Way] = {
        OURS: lambda: with_slots(policy, work),
        PRODUCTS: spoken(shape, work),
        GENERATE: lambda: with_generate(policy.model, work),
    }
    if bf16_pays():
        rough = copy.deepcopy(policy.model).bfloat16()
        ways[OURS_BF16] = lambda: with_slots(policy, work, dtype=torch.bfloat16)
        ways[GENERATE_BF16] = lambda: with_generate(rough, work)
    timings = measure.alternate(
        ways,
        repeats=repeats,
        progress=progress,
    )
    result = measure.report(timings, ours=OURS, bench="rollout", work=str(work))
    sampled = work.dialogues * work.turns * work.reply
    for way in result["ways"].values():
        way["sampled_tokens_per_second"] = sampled / way["seconds"]
    return result
