"""Work on micro-batches that is done again in smaller ones where memory does not suffice."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from dialog_rl.errors import TrainingError
from dialog_rl.rl.batch import MicroBatch, micro_batches

logger = logging.getLogger(__name__)

T = TypeVar("T")


def _nothing() -> None:
    pass


class TokenBudget:
    """Positions a micro-batch may have. Halved whenever it turns out to be too many, and never raised again."""

    def __init__(self, positions: int) -> None:
        self.positions = positions

    def restore(self, positions: int) -> None:
        """Take over what an earlier process found out, so that it cuts as that one did."""
        self.positions = min(self.positions, positions)

    def within(
        self,
        blocks: Sequence[MicroBatch],
        lengths_B: Tensor,
        work: Callable[[Sequence[MicroBatch]], T],
        *,
        undo: Callable[[], object] = _nothing,
    ) -> T:
        """What `work` makes of the blocks, or of their rows cut finer.

        `undo` takes back what was done before memory ran out. Raises TrainingError if a single row is too much.
        """
        while True:
            blocks = self._cut(blocks, lengths_B)
            try:
                return work(blocks)
            except RuntimeError as e:
                if not _is_out_of_memory(e):
                    raise
            # Outside of the handler, whose traceback holds on to what is to be freed.
            undo()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            self._halve(blocks)

    def _cut(self, blocks: Sequence[MicroBatch], lengths_B: Tensor) -> Sequence[MicroBatch]:
        """What fits stays as it is: a plan that was cut to this size is evaluated and learnt in the same blocks."""
        if all(self._fits(block) for block in blocks):
            return blocks
        lengths, cut = lengths_B.tolist(), list[MicroBatch]()
        for block in blocks:
            rows = block.index_B.tolist()
            cut += (block,) if self._fits(block) else micro_batches(lengths, rows, self.positions)
        return cut

    def _fits(self, block: MicroBatch) -> bool:
        return len(block.index_B) == 1 or len(block.index_B) * block.width <= self.positions

    def _halve(self, blocks: Sequence[MicroBatch]) -> None:
        several = [len(block.index_B) * block.width for block in blocks if len(block.index_B) > 1]
        if not several:
            longest = max(block.width for block in blocks)
            raise TrainingError(
                f"out of memory over single episodes of up to {longest} tokens: lower model.context, or train with "
                "recompute or lora"
            )
        self.positions = max(1, min(self.positions, max(several)) // 2)
        logger.warning("out of memory: micro-batches have at most %d positions from here on", self.positions)


def _is_out_of_memory(e: RuntimeError) -> bool:
    return isinstance(e, torch.OutOfMemoryError) or "can't allocate memory" in str(e)
