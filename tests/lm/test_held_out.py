"""Held-out figures against a policy whose every prediction is known."""

from __future__ import annotations

import math

import pytest
import torch

from dialog_rl.lm.demonstrations import Copy, Row
from dialog_rl.lm.held_out import LENGTH_STEP, measure, padded

VOCABULARY = 8


class Knowing:
    """Gives the true next id the probability 1/2, the others equal shares, except where told to prefer a wrong one."""

    def __init__(self, wrong_at: set[tuple[int, int]]) -> None:
        self.wrong_at = wrong_at

    def hidden(self, ids_BT: torch.Tensor) -> torch.Tensor:
        probability_BTV = torch.full((*ids_BT.shape, VOCABULARY), 0.5 / (VOCABULARY - 1))
        for b, row in enumerate(ids_BT.tolist()):
            for t, following in enumerate(row[1:]):
                likeliest = (following + 1) % VOCABULARY if (row[0], t + 1) in self.wrong_at else following
                probability_BTV[b, t, likeliest] = 0.5
        return probability_BTV

    def logits(self, hidden_NV: torch.Tensor) -> torch.Tensor:
        return hidden_NV.log()

    def value_head(self, hidden_NV: torch.Tensor) -> torch.Tensor:
        return torch.full((len(hidden_NV), 1), 0.25)


ROWS = [
    Row(ids=(1, 3, 4, 5, 6), action_mask=(False, False, True, True, True), episode_return=0.0,
        copies=(Copy(kind="zip", start=2, stop=4), Copy(kind="name", start=4, stop=5))),
    Row(ids=(2, 3, 4), action_mask=(False, True, True), episode_return=0.5,
        copies=(Copy(kind="zip", start=1, stop=3),)),
]  # fmt: skip


@pytest.mark.parametrize("batch_tokens", [1, 5, 100])
def test_the_figures_are_those_of_the_predictions(batch_tokens: int) -> None:
    policy = Knowing({(1, 3)})
    found = measure(policy, ROWS, batch_tokens=batch_tokens)  # type: ignore[arg-type]
    assert found.loss == pytest.approx((4 * math.log(2) + math.log(14)) / 5)
    assert found.exact_by_kind == {"name": (1.0, 1), "zip": (0.5, 2)}
    assert found.exact == pytest.approx(2 / 3)
    assert found.sampled == pytest.approx((0.5 / 14 + 0.5 + 0.25) / 3)
    assert found.value_error == pytest.approx(0.25) and found.return_spread == pytest.approx(0.25)


def test_without_copies_the_shares_are_not_numbers() -> None:
    assert math.isnan(measure(Knowing(set()), [Row(ids=(1, 2), action_mask=(False, True), episode_return=1.0)]).exact)  # type: ignore[arg-type]


def test_rows_are_padded_on_the_right_to_few_different_lengths() -> None:
    ids_BT, action_mask_BT, present_BT = padded(ROWS)
    assert ids_BT.shape == (2, LENGTH_STEP)
    assert ids_BT[:, :5].tolist() == [[1, 3, 4, 5, 6], [2, 3, 4, 0, 0]] and not ids_BT[:, 5:].any()
    assert action_mask_BT.nonzero().tolist() == [[0, 2], [0, 3], [0, 4], [1, 1], [1, 2]]
    assert present_BT.sum(1).tolist() == [5, 3]
