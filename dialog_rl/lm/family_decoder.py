"""Decoding many dialogues at once with any family's own forward: see `dialog_rl.lm.decoder` for what a decoder is.

transformers runs the model over the new tokens of all slots in one row, and calls the attention below, which keeps keys
and values a slot. Nothing else in these families looks across tokens, so one piece of code serves them all. On a CPU
slots are attended one by one, over exactly their own tokens; on an accelerator all at once, padded to the longest.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AttentionInterface

from dialog_rl.lm.policy import Policy
from dialog_rl.lm.slots import SlotDecoder, Span

NAME = "dialog_rl_slots"
LEAST_ROWS = 32
"""As in `dialog_rl.lm.decoder`: a row's bits do not depend on how many there are from here on."""
ROWS = 16
"""Rows come in multiples of it: where elements are left over from whole vectors, activation functions are computed by
other code, whose last bit differs."""
_FIRST_CELLS = 256
_LOCK = threading.RLock()
"""Which attention a model uses is a property of the model, and several decoders may share one."""


@dataclass(slots=True)
class _Cache:
    """One layer's keys and values."""

    keys_SGCK: Tensor
    values_SGCK: Tensor

    def grown(self, cells: int) -> _Cache:
        more = cells - self.keys_SGCK.shape[2]
        return _Cache(F.pad(self.keys_SGCK, (0, 0, 0, more)), F.pad(self.values_SGCK, (0, 0, 0, more)))


@dataclass(slots=True)
class _Feeding:
    """What the attention must know of the tokens that are being fed."""

    caches: dict[int, _Cache]
    slots: int
    cells: int
    spans: list[Span]
    """In the order of the tokens."""
    slot_N: Tensor
    position_N: Tensor
    together: bool
    """All slots in one call, which needs one new token a slot."""

    def cache(self, layer: int, key_GNK: Tensor) -> _Cache:
        found = self.caches.get(layer)
        if found is None:
            shape = (self.slots, key_GNK.shape[0], self.cells, key_GNK.shape[2])
            found = self.caches[layer] = _Cache(key_GNK.new_zeros(shape), key_GNK.new_zeros(shape))
        elif found.keys_SGCK.shape[2] < self.cells:
            found = self.caches[layer] = found.grown(self.cells)
        return found


_FEEDING: ContextVar[_Feeding] = ContextVar("feeding")


class FamilyDecoder(SlotDecoder):
    """Inference with a policy's present weights, which must not be trained while it speaks."""

    def __init__(self, policy: Policy, *, slots: int, max_length: int = 1024) -> None:
        super().__init__(slots=slots, max_length=max_length, positions=policy.max_positions)
        self._policy = policy
        self._caches: dict[int, _Cache] = {}
        self._cells = min(_FIRST_CELLS, max_length)

    def copied(self, slot: int, begin: int, end: int) -> dict[int, tuple[Tensor, Tensor]]:
        return {
            layer: (cache.keys_SGCK[slot, :, begin:end].clone(), cache.values_SGCK[slot, :, begin:end].clone())
            for layer, cache in self._caches.items()
        }

    def _put(self, slot: int, begin: int, cells: Mapping[int, tuple[Tensor, Tensor]]) -> int:
        end = begin + next(iter(cells.values()))[0].shape[1]
        for layer, (keys_GCK, values_GCK) in cells.items():  # whoever computed them made room for so many
            self._caches[layer].keys_SGCK[slot, :, begin:end] = keys_GCK
            self._caches[layer].values_SGCK[slot, :, begin:end] = values_GCK
        return end

    def _logits(self, hidden_ND: Tensor) -> Tensor:
        return self._policy.logits(hidden_ND)

    def _forward(self, spans: list[Span], ids: Sequence[int]) -> Tensor:
        device, padding = self._policy.device, max(LEAST_ROWS, -(-len(ids) // ROWS) * ROWS) - len(ids)
        while self._cells < max(end for _, _, end in spans):
            self._cells = min(2 * self._cells, self.max_length)
        positions = [t for _, count, end in spans for t in range(end - count, end)]
        feeding = _Feeding(
            caches=self._caches, slots=len(self._lengths), cells=self._cells, spans=spans,
            slot_N=torch.tensor([slot for slot, count, _ in spans for _ in range(count)], device=device),
            position_N=torch.tensor(positions, device=device),
            together=device.type != "cpu" and len(ids) == len(spans),
        )  # fmt: skip
        inputs = torch.tensor([[*ids, *[0] * padding], [*positions, *[0] * padding]], device=device)
        with _speaking(self._policy, feeding):
            trunk = self._policy.model.base_model
            out = trunk(input_ids=inputs[:1], position_ids=inputs[1:], use_cache=False)
        last = [*torch.tensor([count for _, count, _ in spans]).cumsum(0).sub(1).tolist()]
        last += last[-1:] * max(0, LEAST_ROWS - len(last))
        return out.last_hidden_state[0, last].float()


@contextmanager
def _speaking(policy: Policy, feeding: _Feeding) -> Iterator[None]:
    config: Any = policy.model.config
    with _LOCK:
        token, before = _FEEDING.set(feeding), config._attn_implementation  # noqa: SLF001 - as in lm.attention
        config._attn_implementation = NAME  # noqa: SLF001
        try:
            yield
        finally:
            config._attn_implementation = before  # noqa: SLF001
            _FEEDING.reset(token)


def _for_transformers(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> tuple[Tensor, None]:
    feeding = _FEEDING.get()
    cache = feeding.cache(module.layer_idx, key[0])
    count = len(feeding.slot_N)
    cache.keys_SGCK[feeding.slot_N, :, feeding.position_N] = key[0, :, :count].transpose(0, 1)
    cache.values_SGCK[feeding.slot_N, :, feeding.position_N] = value[0, :, :count].transpose(0, 1)
    scale = options.get("scaling")
    how = _How(
        scale=query.shape[-1] ** -0.5 if scale is None else scale,
        window=options.get("sliding_window"), cap=options.get("softcap"),
    )  # fmt: skip
    attend = _together if feeding.together else _one_by_one
    seen_NHK = attend(query[0].transpose(0, 1), cache, feeding, how)
    return seen_NHK[None], None


AttentionInterface.register(NAME, _for_transformers)


@dataclass(frozen=True, slots=True)
class _How:
    scale: float
    window: int | None
    """Only so many of the last positions are seen, the query's own among them."""
    cap: float | None
    """Scores are squeezed below it."""


def _one_by_one(query_NHK: Tensor, cache: _Cache, feeding: _Feeding, how: _How) -> Tensor:
    out_NHK, start = torch.zeros_like(query_NHK), 0
    for slot, count, end in feeding.spans:
        first = 0 if how.window is None else max(0, end - count - how.window + 1)
        seen_TC = _seen(end - count, count, first, end, how.window, query_NHK.device)
        out_NHK[start : start + count] = _attended(
            query_NHK[start : start + count].transpose(0, 1)[None],
            cache.keys_SGCK[slot, None, :, first:end], cache.values_SGCK[slot, None, :, first:end], seen_TC, how,
        )[0].transpose(0, 1)  # fmt: skip
        start += count
    return out_NHK


def _seen(begin: int, count: int, first: int, end: int, window: int | None, device: torch.device) -> Tensor | None:
    """Which of the keys from `first` to `end` the queries at `begin` and after see; None if one query sees them all."""
    if count == 1:
        return None
    query_T1 = torch.arange(begin, begin + count, device=device)[:, None]
    key_1C = torch.arange(first, end, device=device)[None]
    seen_TC = key_1C <= query_T1
    return seen_TC if window is None else seen_TC & (key_1C > query_T1 - window)


def _together(query_NHK: Tensor, cache: _Cache, feeding: _Feeding, how: _How) -> Tensor:
    """One query a slot, all slots at once; those that were fed nothing are computed and left out."""
    slots, longest = feeding.slots, max(end for _, _, end in feeding.spans)
    query_SHTK = query_NHK.new_zeros(slots, query_NHK.shape[1], 1, query_NHK.shape[2])
    query_SHTK[feeding.slot_N] = query_NHK[: len(feeding.slot_N), :, None]
    at_S1 = torch.zeros(slots, 1, dtype=torch.long, device=query_NHK.device)
    at_S1[feeding.slot_N, 0] = feeding.position_N
    key_1C = torch.arange(longest, device=query_NHK.device)[None]
    seen_SC = key_1C <= at_S1
    if how.window is not None:
        seen_SC &= key_1C > at_S1 - how.window
    seen_S1TC = seen_SC[:, None, None]
    keys, values = cache.keys_SGCK[:, :, :longest], cache.values_SGCK[:, :, :longest]
    out_NHK = torch.zeros_like(query_NHK)
    out_NHK[: len(feeding.slot_N)] = _attended(query_SHTK, keys, values, seen_S1TC, how)[feeding.slot_N, :, 0]
    return out_NHK


def _attended(query: Tensor, keys: Tensor, values: Tensor, seen: Tensor | None, how: _How) -> Tensor:
    shared = query.shape[1] != keys.shape[1]
    if how.cap is None:
        return F.scaled_dot_product_attention(query, keys, values, attn_mask=seen, scale=how.scale, enable_gqa=shared)
    if shared:
        groups = query.shape[1] // keys.shape[1]
        keys, values = keys.repeat_interleave(groups, 1), values.repeat_interleave(groups, 1)
    scores = ((query @ keys.transpose(-1, -2)) * how.scale / how.cap).tanh() * how.cap
    if seen is not None:
        scores = scores.masked_fill(~seen, -math.inf)
    return scores.float().softmax(-1).to(values.dtype) @ values
