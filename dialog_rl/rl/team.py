"""Several processes that make one update together: each computes with its share of the rows, all take every step.

Every process holds the whole batch and the same optimizer, and draws the same order of episodes. What depends on all
rows (a loss, a gradient, a divergence) is summed over the processes before anybody decides by it, so that all decide
alike. Shares are dealt by the rows' lengths, whatever the blocks are that a process cuts its own into.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from dialog_rl.errors import TrainingError
from dialog_rl.rl.batch import MicroBatch, micro_batches

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Minibatch:
    """One optimizer step."""

    index_B: Tensor
    """Its rows."""
    blocks: Sequence[MicroBatch]
    """What goes through the policy in this process."""


class Alone:
    """The team of a process that learns by itself."""

    backward_scale = 1.0
    """Factor on a loss, where gradients are averaged over the processes although their losses are to be added."""

    def deal(self, blocks: Sequence[MicroBatch], lengths: Sequence[int], positions: int) -> Sequence[MicroBatch]:
        """This process's share of the rows of some blocks, in blocks of at most so many positions."""
        return blocks

    def total(self, x: Tensor) -> Tensor:
        """The sum over all processes."""
        return x

    def total_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Leave the sum of all processes' gradients at the parameters."""

    def gather(self, x: T) -> list[T]:
        """What each process gives, in the order of their ranks."""
        return [x]

    def clip(self, parameters: Sequence[nn.Parameter], most: float) -> Tensor:
        """Cut the gradients to a norm of `most`; returns the norm that they had."""
        return torch.nn.utils.clip_grad_norm_(parameters, most)

    def whole(self, state: dict[str, Any]) -> dict[str, Any]:
        """An optimizer's state with all of every tensor in it."""
        return state

    def parts(self, state: dict[str, Any], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        """The opposite: what this process holds of such a state."""
        return state


class Together(Alone):
    """The processes of torch's default group. Each has all weights, and gradients are summed.

    Every call is to be made by all of them, in the same order. Raises TrainingError if one is gone.
    """

    def __init__(self) -> None:
        self._rank, self._size = dist.get_rank(), dist.get_world_size()

    def deal(self, blocks: Sequence[MicroBatch], lengths: Sequence[int], positions: int) -> Sequence[MicroBatch]:
        return micro_batches(lengths, self._ordered(blocks, lengths)[self._rank :: self._size], positions)

    def total(self, x: Tensor) -> Tensor:
        summed = x.clone()
        with _all_there():
            dist.all_reduce(summed)
        return summed

    def total_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """In one message, which also tells whether anybody has one: where nobody has, the optimizer is to pass."""
        learning = [p for p in parameters if p.requires_grad]
        if not learning:
            return
        has = torch.tensor([float(p.grad is not None) for p in learning], device=learning[0].device)
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in learning]
        summed = self.total(torch.cat([has, *(part.flatten() for part in parts)]))
        has, *totals = summed.split([len(learning), *(p.numel() for p in learning)])
        for p, some, total in zip(learning, has.tolist(), totals, strict=True):
            p.grad = total.view_as(p) if some else None

    def gather(self, x: T) -> list[T]:
        every: list[Any] = [None] * self._size
        with _all_there():
            dist.all_gather_object(every, x)
        return every

    @staticmethod
    def _ordered(blocks: Sequence[MicroBatch], lengths: Sequence[int]) -> list[int]:
        rows = [row for block in blocks for row in block.index_B.tolist()]
        return sorted(rows, key=lambda row: (-lengths[row], row))


class _all_there:
    """What a lost connection is called, whichever of the transports has lost it."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, _: object) -> None:
        if isinstance(e, RuntimeError):
            raise TrainingError(
                f"a process that learns together with this one is gone: {str(e).splitlines()[0]}"
            ) from None
