"""The matrix products of a workload: as many as its lengths and the model's shape come to, counted by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from dialog_rl.bench.products import learnt, spoken
from dialog_rl.bench.workload import Workload
from dialog_rl.lm.policy import ModelShape

WORK = Workload(dialogues=3, turns=2, brief=4, said=3, reply=5)
SHAPE = ModelShape(vocab_size=64, hidden=32, layers=2, heads=2, intermediate=48)
LAYER = 2 * (4 * 32 * 32 + 3 * 32 * 48)
"""Operations of a token in a layer's projections."""


def raw(formula: Callable[..., int]) -> Callable[..., int]:
    formula._get_raw = True  # type: ignore[attr-defined]  # of the tensors, not of their shapes
    return formula


SPARSE = {
    torch.ops.mkldnn._linear_pointwise: raw(lambda x, w, *_, **__: 2 * x.shape[0] * w.shape[0] * w.shape[1]),
    torch.ops.aten.sparse_sampled_addmm: raw(lambda wanted, x, *_, **__: 2 * wanted.values().numel() * x.shape[1]),
    torch.ops.aten._embedding_bag_forward_only: raw(lambda w, ids, *_, **__: 2 * ids.numel() * w.shape[1]),
}
"""Operations that torch does not count by itself."""


def operations(way: Callable[[], object]) -> int:
    with FlopCounterMode(display=False, custom_mapping=SPARSE) as counter:
        way()
    return counter.get_total_flops()


def test_what_is_spoken_feeds_each_token_once_and_looks_back_over_what_there_is() -> None:
    # 20 tokens a dialogue, the last of which is never fed; 7 tokens first, then one by one; 4 after the first reply
    looks = 7 * 7 + 8 + 9 + 10 + 11 + 4 * 15 + 16 + 17 + 18 + 19
    by_hand = 3 * (19 * 2 * LAYER + 2 * looks * 4 * 32 + 10 * 2 * 64 * 32)
    assert operations(spoken(SHAPE, WORK)) == by_hand


@pytest.mark.parametrize("tokens", [20, 40, 1000])
def test_what_is_learnt_goes_forth_and_twice_back_however_it_is_cut(tokens: int) -> None:
    attention = 6 * 2 * 20 * 10 * 32  # two products forth and four back, each over half of what lies before
    by_hand = 3 * (2 * (3 * 20 * LAYER + attention) + 3 * 10 * 2 * 64 * 32)
    assert operations(learnt(SHAPE, WORK, tokens=tokens, dtype=torch.float32)) == by_hand
