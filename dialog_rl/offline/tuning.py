"""A policy tuned by what people said: pairs (DPO), thumbs (KTO), corrections (imitation) and hints (hindsight)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from dialog_rl.errors import TrainingError
from dialog_rl.lm.model import SpeakingModel
from dialog_rl.offline.judgements import J, Pair, Remark, Thumb, in_tokens_of
from dialog_rl.offline.replies import Reply, around, corrected, fits, hinted, judge, reply_of
from dialog_rl.rl import losses
from dialog_rl.rl.preferences import dpo_loss, hindsight_advantages, kto_loss

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningConfig:
    epochs: int = 3
    batch: int = 16
    learning_rate: float = 3e-5
    beta: float = 0.1
    """How strongly DPO and KTO hold to the policy they began with."""
    rehearsal: float = 1.0
    """Weight of imitating what else was done in the conversations that are judged. A judgement is about one reply;
    without this, what makes it likelier or less so unlearns the calls and replies around it, which nobody complained
    of. Source: Ouyang et al. 2022, arXiv:2203.02155, PPO-ptx, with these conversations for its pretraining text."""
    hint_limit: float = 2.0
    """Nats: the most that a hint makes of one token."""
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    used: int
    """Judgements learnt from."""
    losses: tuple[float, ...]
    """One a step."""


def tune_pairs(model: SpeakingModel, pairs: Sequence[Pair], config: TuningConfig) -> Tuned:
    """DPO."""
    found = [
        (p, (reply_of(p.episode, p.number, p.chosen), reply_of(p.episode, p.number, p.rejected)))
        for p in _own(model, pairs)
    ]
    found = [(p, row) for p, row in found if all(fits(reply, model.policy) for reply in row)]
    rows = [row for _, row in found]
    reference = [_totals(model, list(row)) for row in rows]

    def loss(block: Sequence[int]) -> Tensor:
        chosen = judge(model.policy, [rows[n][0] for n in block], model.renderer.pad_id).total_B
        rejected = judge(model.policy, [rows[n][1] for n in block], model.renderer.pad_id).total_B
        before = torch.stack([reference[n] for n in block])
        return dpo_loss(chosen - before[:, 0], rejected - before[:, 1], beta=config.beta).mean()

    return _tune(model, [p for p, _ in found], loss, config)


def tune_thumbs(model: SpeakingModel, thumbs: Sequence[Thumb], config: TuningConfig) -> Tuned:
    """KTO. The point of reference is measured on replies that answer another's message."""
    found = [(t, reply_of(t.episode, t.number)) for t in _own(model, thumbs) if t.value]
    found = [(thumb, reply) for thumb, reply in found if fits(reply, model.policy)]
    rows = [reply for _, reply in found]
    others = [_answering(rows[n], rows[n - 1]) for n in range(len(rows))]
    others = [other if fits(other, model.policy) else row for other, row in zip(others, rows, strict=True)]
    before, before_others = _all_totals(model, rows), _all_totals(model, others)

    def loss(block: Sequence[int]) -> Tensor:
        index = list(block)
        ratio = judge(model.policy, [rows[n] for n in index], model.renderer.pad_id).total_B - before[index]
        with torch.no_grad():
            kl = _totals(model, [others[n] for n in index]) - before_others[index]
        liked = torch.tensor([found[n][0].value > 0 for n in index], device=ratio.device)
        return kto_loss(ratio, liked, kl.mean(), beta=config.beta).mean()

    return _tune(model, [thumb for thumb, _ in found], loss, config)


def tune_corrections(model: SpeakingModel, corrections: Sequence[Remark], config: TuningConfig) -> Tuned:
    """Imitation of what people would have had the agent say."""
    found = [(c, corrected(c.episode, c.number, c.text, model.renderer)) for c in _own(model, corrections)]
    found = [(correction, row) for correction, row in found if fits(row, model.policy)]

    def loss(block: Sequence[int]) -> Tensor:
        return _surprise(model, [found[n][1] for n in block])

    return _tune(model, [correction for correction, _ in found], loss, config)


def tune_hints(model: SpeakingModel, hints: Sequence[Remark], config: TuningConfig) -> Tuned:
    """Hindsight self-distillation: the policy that was told the hint teaches the one that was not."""
    own = [
        (h, (reply_of(h.episode, h.number), hinted(h.episode, h.number, h.text, model.renderer)))
        for h in _own(model, hints)
    ]
    own = [(hint, pair) for hint, pair in own if all(fits(reply, model.policy) for reply in pair)]
    pairs = [pair for _, pair in own]
    told = [_said(model, teacher) for _, teacher in pairs]

    def loss(block: Sequence[int]) -> Tensor:
        found = judge(model.policy, [pairs[n][0] for n in block], model.renderer.pad_id)
        teacher_BT = torch.zeros_like(found.logprobs_BT).masked_scatter(
            found.mask_BT, torch.cat([told[n] for n in block])
        )
        advantages_BT = hindsight_advantages(teacher_BT, found.logprobs_BT, found.mask_BT, limit=config.hint_limit)
        return -losses.masked_mean(advantages_BT * found.logprobs_BT, found.mask_BT)

    return _tune(model, [hint for hint, _ in own], loss, config)


def _own(model: SpeakingModel, judgements: Sequence[J]) -> list[J]:
    return in_tokens_of(model.renderer.fingerprint, judgements)


def _answering(reply: Reply, other: Reply) -> Reply:
    """What was said in another conversation, as the answer in this one."""
    return replace(reply, steps=((reply.steps[0][0], other.steps[-1][1]),))


@torch.no_grad()
def _totals(model: SpeakingModel, rows: Sequence[Reply]) -> Tensor:
    return judge(model.policy, rows, model.renderer.pad_id).total_B


def _all_totals(model: SpeakingModel, rows: Sequence[Reply]) -> Tensor:
    return torch.cat([_totals(model, [row]) for row in rows]) if rows else torch.zeros(0)


@torch.no_grad()
def _said(model: SpeakingModel, reply: Reply) -> Tensor:
    """The log-probabilities of the reply's own tokens."""
    found = judge(model.policy, [reply], model.renderer.pad_id)
    return found.logprobs_BT[found.mask_BT]


def _surprise(model: SpeakingModel, rows: Sequence[Reply]) -> Tensor:
    """Negative log-likelihood in nats a token."""
    found = judge(model.policy, rows, model.renderer.pad_id)
    return -losses.masked_mean(found.logprobs_BT, found.mask_BT)


def _tune(
    model: SpeakingModel, judged: Sequence[Pair | Remark | Thumb], loss: Callable[[Sequence[int]], Tensor],
    config: TuningConfig,
) -> Tuned:  # fmt: skip
    """Raises TrainingError without judgements, or if a loss is not finite; the weights are those before it then.

    loss: of judgements by their places.
    """
    if not judged:
        raise TrainingError("nothing to learn from: the log holds no such judgement of a reply in this model's tokens")
    others = [around(one.episode, one.number) for one in judged]
    parameters = [p for p in model.policy.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=0.0)
    model.policy.eval()
    seen: list[float] = []
    for block in _blocks(len(judged), config):
        value = loss(block)
        rest = [others[n] for n in block if fits(others[n], model.policy)]
        if rest and config.rehearsal:
            value = value + config.rehearsal * _surprise(model, rest)
        if not math.isfinite(float(value.detach())):
            raise TrainingError(f"the loss is {float(value.detach())} after {len(seen)} steps; lower the learning rate")
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        seen.append(float(value.detach()))
    optimizer.zero_grad(set_to_none=True)
    return Tuned(used=len(judged), losses=tuple(seen))


def _blocks(count: int, config: TuningConfig) -> Iterator[list[int]]:
    g = torch.Generator().manual_seed(config.seed)
    for _ in range(config.epochs):
        order = torch.randperm(count, generator=g)
        for block in order.split(config.batch):
            yield block.tolist()


RULES: dict[str, tuple[str, Callable[[SpeakingModel, Any, TuningConfig], Tuned]]] = {
    "dpo": ("pairs", tune_pairs), "kto": ("thumbs", tune_thumbs), "sft": ("corrections", tune_corrections),
    "hindsight": ("hints", tune_hints),
}  # fmt: skip
"""Name → the judgements it learns from, and how."""
