"""How a policy goes over rows: in blocks that memory has room for, of which a process computes those of its share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from dialog_rl.rl.actor_critic import ActorCritic, TokenEvaluation
from dialog_rl.rl.batch import EpisodeBatch, MicroBatch, micro_batches, minibatches
from dialog_rl.rl.evaluation import evaluate_all
from dialog_rl.rl.fitting import TokenBudget
from dialog_rl.rl.team import Alone, Minibatch


def _nothing() -> None:
    pass


class Passes:
    """Every method is to be called by all processes of the team, in the same order."""

    def __init__(self, budget: TokenBudget, team: Alone, device: torch.device) -> None:
        self.budget, self._team, self._device = budget, team, device

    def plan(self, batch: EpisodeBatch, episodes: int, generator: torch.Generator) -> tuple[Minibatch, ...]:
        """An epoch: `minibatches`, of each this process's share."""
        lengths, positions = batch.lengths_B.tolist(), self.budget.positions
        return tuple(
            Minibatch(
                index_B=torch.cat([block.index_B for block in blocks]).to(self._device),
                blocks=self._team.deal(blocks, lengths, positions),
            )
            for blocks in minibatches(lengths, episodes, positions, generator)
        )

    def some(self, batch: EpisodeBatch, rows: Sequence[int]) -> Sequence[MicroBatch]:
        """This process's share of some rows."""
        lengths, positions = batch.lengths_B.tolist(), self.budget.positions
        return self._team.deal(micro_batches(lengths, rows, positions), lengths, positions)

    def evaluate(self, policy: ActorCritic, batch: EpisodeBatch, plan: Sequence[Minibatch]) -> TokenEvaluation:
        """All rows, in the blocks of a plan."""
        blocks = [block for minibatch in plan for block in minibatch.blocks]
        mine = self.budget.within(blocks, batch.lengths_B, lambda some: evaluate_all(policy, batch, some))
        return TokenEvaluation(*map(self._team.total, mine))

    def total(
        self,
        blocks: Sequence[MicroBatch],
        lengths_B: Tensor,
        part: Callable[[MicroBatch], Tensor],
        *,
        size: int,
        begin: Callable[[], object] = _nothing,
    ) -> Tensor:
        """The sum of what `part` makes of a block, so many numbers, over the blocks of all processes.

        begin: called before the first block, and again where all are begun anew in smaller ones, as memory ran out.
        """

        def work(some: Sequence[MicroBatch]) -> Tensor:
            begin()
            parts = [part(block) * block.counts for block in some]
            return torch.stack(parts).sum(0) if parts else torch.zeros(size, device=self._device)

        return self._team.total(self.budget.within(blocks, lengths_B, work, undo=begin))

    def back(self, loss: Tensor, block: MicroBatch) -> Tensor:
        """Add a block's gradient to this process's; returns its loss."""
        (loss * block.counts * self._team.backward_scale).backward()
        return loss.detach()

    def clip(self, parameters: Sequence[nn.Parameter], most: float) -> Tensor:
        """Bring the gradients of all processes together; returns their norm before it was cut."""
        self._team.total_gradients(parameters)
        return self._team.clip(parameters, most)
