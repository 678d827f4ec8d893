"""Episodes with all that is known about them before the first optimizer step."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from dialog_rl.rl.actor_critic import TokenEvaluation
from dialog_rl.rl.batch import EpisodeBatch, MicroBatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    advantages_BT: Tensor
    """What each action token's log-probability is pushed by. All zero: the batch tells the policy nothing."""
    returns_BT: Tensor
    """What the value head is fitted to; zero where an algorithm has no values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Experience:
    """Episodes, and what the learner found out about them before the first step."""

    batch: EpisodeBatch
    """Its rewards hold the KL penalty where that is paid in the reward."""
    old: TokenEvaluation
    """The policy before the update, zero off action tokens."""
    reference_logprobs_BT: Tensor | None = None
    importance_BT: Tensor
    """Truncated weight of each token from the sampler's distribution to the old policy's; the learner applies it."""
    targets: Targets

    @property
    def mask_BT(self) -> Tensor:
        """The tokens the algorithm is about: sampled, and not replayed."""
        return self.batch.fresh_mask_BT

    def rows(self, micro_batch: MicroBatch) -> Experience:
        """Some of the episodes, cut to their longest."""
        index_B = micro_batch.index_B.to(self.batch.ids_BT.device)

        def cut(x_BT: Tensor) -> Tensor:
            return x_BT[index_B, : micro_batch.width]

        old = self.old
        return Experience(
            batch=self.batch.rows(index_B, micro_batch.width),
            old=TokenEvaluation(
                cut(old.logprobs_BT), cut(old.entropy_BT), cut(old.values_BT), old.final_value_B[index_B]
            ),
            reference_logprobs_BT=None if self.reference_logprobs_BT is None else cut(self.reference_logprobs_BT),
            importance_BT=cut(self.importance_BT),
            targets=Targets(
                advantages_BT=cut(self.targets.advantages_BT), returns_BT=cut(self.targets.returns_BT)
            ),
        )  # fmt: skip
