"""Policies applied to whole batches, and the check that the episodes were sampled from the policy that is to learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from dialog_rl.errors import TrainingError
from dialog_rl.rl import losses
from dialog_rl.rl.actor_critic import ActorCritic, TokenEvaluation
from dialog_rl.rl.batch import EpisodeBatch, MicroBatch
from dialog_rl.rl.choices import KLEstimator


def evaluate(policy: ActorCritic, batch: EpisodeBatch) -> TokenEvaluation:
    """Zero off action tokens whatever the policy left there, so that no gradient can come from there either."""
    mask_BT = batch.action_mask_BT
    got = policy.evaluate(batch.ids_BT, batch.lengths_B, mask_BT, temperature=batch.temperature)

    def kept(x_BT: Tensor) -> Tensor:
        return torch.where(mask_BT, x_BT, torch.zeros_like(x_BT))

    return TokenEvaluation(kept(got.logprobs_BT), kept(got.entropy_BT), kept(got.values_BT), got.final_value_B)


@torch.no_grad()
def evaluate_all(policy: ActorCritic, batch: EpisodeBatch, blocks: Sequence[MicroBatch]) -> TokenEvaluation:
    """The rows of the blocks, block by block, and 0 in all others. In the very blocks of the first epoch, its first
    ratios are exactly 1.
    """
    whole: TokenEvaluation | None = None
    for block in blocks:
        index_B = block.index_B.to(batch.ids_BT.device)
        part = evaluate(policy, batch.rows(index_B, block.width))
        whole = whole or _nothing(batch, part.logprobs_BT.dtype)
        if not block.counts:
            continue
        for all_BT, part_BT in zip(whole[:3], part[:3], strict=True):
            all_BT[index_B, : block.width] = part_BT.to(all_BT.dtype)
        whole.final_value_B[index_B] = part.final_value_B.to(whole.final_value_B.dtype)
    return whole or _nothing(batch, torch.float32)


def _nothing(batch: EpisodeBatch, dtype: torch.dtype) -> TokenEvaluation:
    empty_BT = torch.zeros(batch.ids_BT.shape, dtype=dtype, device=batch.ids_BT.device)
    return TokenEvaluation(empty_BT, empty_BT.clone(), empty_BT.clone(), empty_BT.new_zeros(len(batch)))


class Mismatch(NamedTuple):
    """How far the learner's log-probabilities of fresh action tokens are from those they were sampled with, in nats."""

    largest: float
    k3: float
    """Mean estimate of KL(sampler || learner)."""

    @classmethod
    def measure(cls, batch: EpisodeBatch, old: TokenEvaluation) -> Mismatch:
        mask_BT, sampler_BT = batch.fresh_mask_BT, batch.sampler_logprobs_BT.to(old.logprobs_BT.dtype)
        difference_BT = (old.logprobs_BT - sampler_BT).abs()
        k3_BT = losses.kl_divergence(sampler_BT, old.logprobs_BT, KLEstimator.K3)
        worst = torch.where(mask_BT, difference_BT, torch.zeros_like(difference_BT)).max()
        return cls(*torch.stack([worst, losses.masked_mean(k3_BT, mask_BT)]).tolist())

    def require(self, *, largest: float, k3: float) -> None:
        """Raises TrainingError beyond either limit, also if a log-probability is NaN."""
        if not (self.largest <= largest and self.k3 <= k3):
            raise TrainingError(
                f"the episodes were not sampled from the policy that is to learn: log-probabilities differ by up to "
                f"{self.largest:.3g} nats (limit {largest:.3g}), k3 {self.k3:.3g} (limit {k3:.3g}); check version, "
                f"temperature and precision, or raise max_mismatch and max_mismatch_k3 for off-policy episodes"
            )
