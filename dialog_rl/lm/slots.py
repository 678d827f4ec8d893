"""Slots: the bookkeeping of a decoder that speaks many dialogues at once, each token of which is fed once."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from dialog_rl.errors import ModelError
from dialog_rl.lm.prefixes import Prefixes

Span = tuple[int, int, int]
"""Of a slot that is fed: (the slot, how many tokens are new, how many it holds then)."""


class SlotDecoder(ABC):
    """Feed ids with `prefill` and `decode`; both return the next-token logits of the slots they fed, in their order.

    Not thread-safe.
    """

    def __init__(self, *, slots: int, max_length: int, positions: int) -> None:
        if not 0 < max_length <= positions:
            raise ModelError(f"max_length {max_length} does not fit the model's {positions} positions")
        self.max_length = max_length
        self._lengths = [0] * slots
        self._prefixes = Prefixes()

    def refresh(self) -> None:
        """Take over the policy's present weights. Every slot is freed: their keys and values came from the old ones."""
        self._lengths = [0] * len(self._lengths)
        self._prefixes.clear()

    def length(self, slot: int) -> int:
        """Tokens the slot holds."""
        return self._lengths[slot]

    def room(self, slot: int) -> int:
        """Tokens that can still be fed to the slot."""
        return self.max_length - self._lengths[slot]

    def rewind(self, slot: int, length: int = 0) -> None:
        """Forget all but the first `length` tokens of a slot; by default all, which frees it for another dialogue."""
        if not 0 <= length <= self._lengths[slot]:
            raise ValueError(f"slot {slot} holds {self._lengths[slot]} tokens; it cannot be rewound to {length}")
        self._lengths[slot] = length

    def prefill(self, slots: Sequence[int], ids: Sequence[Sequence[int]]) -> Tensor:
        """Feed each slot its new tokens, one or more. Returns next-token logits_NV in fp32, a row a slot.

        What dialogues begin with is computed once: see `dialog_rl.lm.prefixes`.
        """
        self._check(slots, [len(new) for new in ids])
        fresh = {slot: new for slot, new in zip(slots, ids, strict=True) if not self._lengths[slot]}
        self._prefixes.begin(self, fresh)
        rest = [new[self._lengths[slot] :] if slot in fresh else new for slot, new in zip(slots, ids, strict=True)]
        return self.feed(slots, rest)

    def decode(self, slots: Sequence[int], tokens: Sequence[int]) -> Tensor:
        """Feed each slot one token. Returns next-token logits_NV in fp32, a row a slot."""
        self._check(slots, [1] * len(slots))
        return self.feed(slots, [(token,) for token in tokens])

    @torch.inference_mode()
    def feed(self, slots: Sequence[int], ids: Sequence[Sequence[int]]) -> Tensor:
        """As `prefill`, and all of it is computed. Raises ModelError if the logits are not finite."""
        spans = [(slot, len(new), self._lengths[slot] + len(new)) for slot, new in zip(slots, ids, strict=True)]
        hidden_ND = self._forward(spans, [token for new in ids for token in new])
        logits_NV = self._logits(hidden_ND)[: len(slots)]
        if not math.isfinite(logits_NV.sum().item()):
            raise ModelError("the model's logits are not finite; its weights are damaged or training has diverged")
        for slot, _, end in spans:
            self._lengths[slot] = end
        return logits_NV

    @torch.inference_mode()
    def paste(self, slot: int, cells: Any) -> None:
        """Feed a slot tokens whose keys and values were `copied` from another that held as many before them."""
        self._lengths[slot] = self._put(slot, self._lengths[slot], cells)

    @abstractmethod
    def copied(self, slot: int, begin: int, end: int) -> Any:
        """The keys and values of a slot's tokens from `begin` to `end`."""

    @abstractmethod
    def _put(self, slot: int, begin: int, cells: Any) -> int:
        """Write what was copied to a slot from place `begin` on. Returns the place after it."""

    @abstractmethod
    def _forward(self, spans: list[Span], ids: Sequence[int]) -> Tensor:
        """Run tokens through all layers and keep their keys and values. Returns each span's last hidden_ND, or more."""

    @abstractmethod
    def _logits(self, hidden_ND: Tensor) -> Tensor:
        """In fp32."""

    def _check(self, slots: Sequence[int], counts: Sequence[int]) -> None:
        if not slots or len(set(slots)) != len(slots):
            raise ValueError(f"slots must be named once each, at least one: {list(slots)}")
        for slot, count in zip(slots, counts, strict=True):
            if not 0 < count <= self.room(slot):
                raise ValueError(f"{count} new tokens for slot {slot}, which has room for {self.room(slot)}")
