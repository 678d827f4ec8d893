"""Attention of one query a dialogue over that dialogue's own keys and values, all dialogues in one call.

Each score and each sum is computed by itself, over exactly its dialogue's tokens, so neighbours change no bit. Two
sparse operators do it without copying or padding the cache: scores are a product of which only some places are wanted
(`torch.sparse.sampled_addmm`), sums of values are bags of weighted rows (`embedding_bag`). 32 dialogues of 392 tokens,
5 layers of 3 heads of 64, one thread: 3.1 ms; dialogue by dialogue with plain products 8.1 ms, padded with the fused
kernel 7.0 ms, and reading all keys and values once 1.9 ms.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

PADDED = 64
"""Rows of scores are as long as a multiple of this for the softmax, which adds them up alike whatever the longest."""


class Ragged:
    """Which cells of a cache the queries of some dialogues may see. The same for every layer."""

    def __init__(
        self, seen: Sequence[tuple[int, int]], *, heads: int, kv_heads: int, slots: int, positions: int
    ) -> None:
        """seen: of each dialogue, its slot and how many of its first positions it sees.

        A layer's keys, and so its values, lie as [slot, kv head, position] in one table of rows.
        """
        slots_N, lengths_N = torch.tensor(seen).unbind(1)
        self._rows = len(seen) * heads
        first_NG = (slots_N[:, None] * kv_heads + torch.arange(kv_heads)) * positions
        counts_R = lengths_N.repeat_interleave(heads)
        bounds_R = F.pad(counts_R.cumsum(0), (1, 0))
        self._begins_R = bounds_R[:-1]
        row_C = torch.arange(self._rows).repeat_interleave(counts_R)
        place_C = torch.arange(len(row_C)) - bounds_R.index_select(0, row_C)
        self._cells_C = first_NG.repeat_interleave(heads // kv_heads, 1).flatten().index_select(0, row_C) + place_C
        longest = -(-max(length for _, length in seen) // PADDED) * PADDED
        self._padded_C = row_C * longest + place_C
        self._padded_RT = torch.full((self._rows, longest), -torch.inf)
        _say_once_that_sparse_tensors_are_beta()
        # Times 0 they are added to the first layer's scores, so they must be finite.
        scores_C = torch.zeros(len(row_C))
        self._scores_RC = torch.sparse_csr_tensor(
            bounds_R, self._cells_C, scores_C, (self._rows, slots * kv_heads * positions), check_invariants=False
        )

    def attend(self, query_NHK: Tensor, keys_CK: Tensor, values_CK: Tensor) -> Tensor:
        """Queries are scaled already. Returns seen_ND, the heads side by side."""
        weights_C = self._softmax(self.scores(query_NHK.reshape(self._rows, -1), keys_CK))
        return self.sums(weights_C, values_CK).view(len(query_NHK), -1)

    def scores(self, query_RK: Tensor, keys_CK: Tensor) -> Tensor:
        """Of each query with each key that it sees. Holds until they are asked for again."""
        torch.sparse.sampled_addmm(self._scores_RC, query_RK, keys_CK.t(), beta=0.0, out=self._scores_RC)
        return self._scores_RC.values()

    def sums(self, weights_C: Tensor, values_CK: Tensor) -> Tensor:
        """Of each query's weighted values: sums_RK."""
        return F.embedding_bag(self._cells_C, values_CK, self._begins_R, mode="sum", per_sample_weights=weights_C)

    def _softmax(self, scores_C: Tensor) -> Tensor:
        self._padded_RT.view(-1).scatter_(0, self._padded_C, scores_C)
        return self._padded_RT.softmax(-1).view(-1).index_select(0, self._padded_C)


@cache
def _say_once_that_sparse_tensors_are_beta() -> None:
    """To nobody: torch warns with the first of a process."""
    with warnings.catch_warnings(action="ignore"):
        torch.sparse_csr_tensor([0, 1], [0], [1.0])
