from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dialog_rl.lm.ragged import Ragged

SLOTS, POSITIONS, WIDTH = 5, 80, 16


def table(kv_heads: int, seed: int) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(SLOTS * kv_heads * POSITIONS, WIDTH, generator=g)


def attended(seen: list[tuple[int, int]], query_NHK: Tensor, keys: Tensor, values: Tensor, kv_heads: int) -> Tensor:
    heads = query_NHK.shape[1]
    ragged = Ragged(seen, heads=heads, kv_heads=kv_heads, slots=SLOTS, positions=POSITIONS)
    return ragged.attend(query_NHK, keys, values)


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_each_query_sees_its_own_slots_first_positions_and_no_others(kv_heads: int) -> None:
    keys, values = table(kv_heads, 0), table(kv_heads, 1)
    seen = [(3, 1), (0, 80), (4, 17)]
    query_NHK = torch.randn(3, 4, WIDTH, generator=torch.Generator().manual_seed(2))
    got = attended(seen, query_NHK, keys, values, kv_heads)
    for n, (slot, length) in enumerate(seen):
        for head in range(4):
            own = slice((slot * kv_heads + head * kv_heads // 4) * POSITIONS, None)
            scores = [float(query_NHK[n, head] @ key) for key in keys[own][:length]]
            weights = torch.tensor(scores).softmax(0)
            wanted = torch.stack([w * v for w, v in zip(weights, values[own], strict=False)]).sum(0)
            assert torch.allclose(got[n, head * WIDTH : (head + 1) * WIDTH], wanted, atol=1e-5)


def test_who_else_asks_changes_no_bit() -> None:
    keys, values = table(2, 0), table(2, 1)
    query_NHK = torch.randn(4, 2, WIDTH, generator=torch.Generator().manual_seed(2))
    alone = attended([(2, 33)], query_NHK[:1], keys, values, 2)
    for others in ([(0, 1)], [(0, 79), (4, 64)], [(1, 65), (3, 2), (4, 80)]):
        among = attended([(2, 33), *others], query_NHK[: 1 + len(others)], keys, values, 2)
        assert torch.equal(among[0], alone[0]), others


def test_what_was_never_written_is_never_read() -> None:
    keys, values = table(1, 0), table(1, 1)
    query_NHK = torch.ones(1, 1, WIDTH)
    clean = attended([(1, 7)], query_NHK, keys, values, 1)
    for cells in (keys, values):
        cells[POSITIONS + 7 :] = torch.nan
        cells[:POSITIONS] = torch.nan
    assert torch.equal(attended([(1, 7)], query_NHK, keys, values, 1), clean)


def test_every_layer_is_computed_anew() -> None:
    ragged = Ragged([(0, 5)], heads=1, kv_heads=1, slots=SLOTS, positions=POSITIONS)
    query_NHK, keys, values = torch.ones(1, 1, WIDTH), table(1, 0), table(1, 1)
    first = ragged.attend(query_NHK, keys, values)
    ragged.attend(query_NHK, table(1, 3), values)
    assert torch.equal(ragged.attend(query_NHK, keys, values), first)
