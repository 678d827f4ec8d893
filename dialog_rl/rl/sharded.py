"""A team whose processes hold a part of every weight each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from dialog_rl.rl.batch import MicroBatch
from dialog_rl.rl.team import Together


class Sharded(Together):
    """Of a policy that FSDP has divided: each process holds a part of every weight and of its gradient.

    A forward and a backward are then work of all processes, so all make equally many; nothing is done again in smaller
    pieces where memory runs out, for the others would not know.
    """

    def __init__(self) -> None:
        super().__init__()
        self.backward_scale = float(self._size)

    def deal(self, blocks: Sequence[MicroBatch], lengths: Sequence[int], positions: int) -> Sequence[MicroBatch]:
        mine = tuple(super().deal(blocks, lengths, positions))
        most = max(self.gather(len(mine)))
        filler = MicroBatch(index_B=blocks[-1].index_B[-1:], width=blocks[-1].width, counts=False)
        return mine + (filler,) * (most - len(mine))

    def total_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """FSDP has done it."""

    def clip(self, parameters: Sequence[nn.Parameter], most: float) -> Tensor:
        norm: Any = super().clip(parameters, most)
        return norm.full_tensor()

    def whole(self, state: dict[str, Any]) -> dict[str, Any]:
        return _mapped(state, lambda _, x: x.full_tensor() if isinstance(x, DTensor) else x)

    def parts(self, state: dict[str, Any], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        held = [p for group in optimizer.param_groups for p in group["params"]]

        def part(number: int, x: Tensor) -> Tensor:
            p = held[number]
            return distribute_tensor(x, p.device_mesh, p.placements) if x.shape == p.shape else x

        return _mapped(state, part)


def _mapped(state: dict[str, Any], change: Callable[[int, Any], Any]) -> dict[str, Any]:
    """`change` is told the number of the parameter that a tensor is about."""
    about = {
        number: {name: change(number, x) if isinstance(x, Tensor) else x for name, x in one.items()}
        for number, one in state["state"].items()
    }
    return {**state, "state": about}
