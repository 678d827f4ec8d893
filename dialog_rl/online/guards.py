"""Fuses: signs that a policy is running away, collapsing or repeating itself, looked at before anybody hears it.

They say nothing about quality, which the gate measures; they keep broken weights from ever becoming a candidate.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dialog_rl.episode import Episode
from dialog_rl.lm.policy import Policy
from dialog_rl.online.learn_config import LearnConfig
from dialog_rl.rl.batch import EpisodeBatch, micro_batches

ALARM_SHARE = 0.8
"""Of the KL budget, from which on it is said aloud."""
_BLOCK = 2048
"""Positions whose whole distributions are held at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """How varied some replies are."""

    distinct: float = 1.0
    """Different pairs of neighbouring words, as a share of all pairs."""
    duplicates: float = 0.0
    """Replies that are word for word an earlier one, as a share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """What was measured of a policy after an update."""

    kl_anchor: float
    """Mean exact KL(policy || anchor) at the batch's action tokens, in nats."""
    entropy: float
    anchor_entropy: float
    """At the same tokens."""
    wording: Wording


def signs(policy: Policy, anchor: Policy, batch: EpisodeBatch, spoken: Sequence[Episode]) -> Signs:
    """Measure a policy on an update's batch, and the wording of what was spoken for it."""
    kl, entropy, anchor_entropy = _divergence(policy, anchor, batch)
    return Signs(kl_anchor=kl, entropy=entropy, anchor_entropy=anchor_entropy, wording=wording(spoken))


def alarm(found: Signs, first: Wording, config: LearnConfig) -> str:
    """Why a policy must not become a candidate; empty if it may. `first` is the wording of the run's first update."""
    if not math.isfinite(found.kl_anchor) or not math.isfinite(found.entropy):
        return "its distributions are not finite"
    if found.kl_anchor > config.kl_budget:
        return f"KL from the anchor {found.kl_anchor:.3f} nats a token; the budget is {config.kl_budget:g}"
    if found.entropy < config.entropy_floor * found.anchor_entropy:
        return f"entropy {found.entropy:.3f} nats where the anchor has {found.anchor_entropy:.3f}: it is collapsing"
    if found.wording.distinct < config.distinct_floor * first.distinct:
        return (
            f"pairs of words {found.wording.distinct:.0%} different, {first.distinct:.0%} at first: it repeats itself"
        )
    if found.wording.duplicates > max(config.most_duplicates, 2 * first.duplicates):
        return f"{found.wording.duplicates:.0%} of its replies are duplicates; {first.duplicates:.0%} at first"
    return ""


def warning(found: Signs, config: LearnConfig) -> str:
    """What is not an alarm yet."""
    if found.kl_anchor > ALARM_SHARE * config.kl_budget:
        return f"KL from the anchor {found.kl_anchor:.3f} nats a token, near the budget of {config.kl_budget:g}"
    return ""


def wording(episodes: Sequence[Episode]) -> Wording:
    replies = [turn.reply.lower().split() for episode in episodes for turn in episode.turns if turn.reply]
    pairs = Counter(pair for reply in replies for pair in zip(reply, reply[1:], strict=False))
    texts = Counter(map(tuple, replies))
    if not pairs:
        return Wording()
    return Wording(distinct=len(pairs) / pairs.total(), duplicates=1 - len(texts) / texts.total())


@torch.no_grad()
def _divergence(policy: Policy, anchor: Policy, batch: EpisodeBatch) -> tuple[float, float, float]:
    """Mean exact KL(policy || anchor) and both entropies at the batch's fresh action tokens, in nats."""
    lengths = batch.lengths_B.tolist()
    sums = torch.zeros(3, dtype=torch.float64)
    tokens = 0
    for block in micro_batches(lengths, range(len(lengths)), _BLOCK):
        rows = batch.rows(block.index_B, block.width)
        new_NV = _distributions(policy, rows)
        old_NV = _distributions(anchor, rows)
        p_NV = new_NV.exp()
        kl_N = (p_NV * (new_NV - old_NV)).sum(-1)
        entropies = (-(p_NV * new_NV).sum(), -(old_NV.exp() * old_NV).sum())
        sums += torch.stack([kl_N.sum(), *entropies]).double()
        tokens += len(kl_N)
    kl, entropy, anchor_entropy = (sums / max(1, tokens)).tolist()
    return kl, entropy, anchor_entropy


def _distributions(policy: Policy, batch: EpisodeBatch) -> Tensor:
    """Log-probabilities over the vocabulary at every fresh action token."""
    hidden_BTD = policy.hidden(batch.ids_BT)
    rows_N, columns_N = batch.fresh_mask_BT.nonzero(as_tuple=True)
    return (policy.logits(hidden_BTD[rows_N, columns_N - 1]) / batch.temperature).log_softmax(-1)
