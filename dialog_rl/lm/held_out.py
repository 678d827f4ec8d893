"""How well a policy predicts conversations it has not learned from: loss, exact copies, the critic's error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dialog_rl.lm.demonstrations import Row
from dialog_rl.lm.policy import Policy

LENGTH_STEP = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """How well conversations the model has not learned from are predicted, given their true prefixes."""

    loss: float
    """Nats an action token."""
    exact: float
    """Share of copied values whose every piece is the likeliest one."""
    sampled: float
    """Probability that a copied value comes out right when sampled at temperature 1."""
    exact_by_kind: dict[str, tuple[float, int]]
    """Kind of value → share exactly right, number of values."""
    value_error: float
    """Root mean square error of the value head, in units of the return; NaN where a return is not known."""
    return_spread: float
    """Standard deviation of the returns: the error of a head that knows nothing but the mean."""


def padded(rows: Sequence[Row]) -> tuple[Tensor, Tensor, Tensor]:
    """ids_BT with 0 on the right, action_mask_BT, and present_BT, which is False on padding.

    T is a multiple of LENGTH_STEP: the matrix library keeps some megabytes for every shape it has ever met.
    """
    longest = -(-max(map(len, rows)) // LENGTH_STEP) * LENGTH_STEP
    ids_BT = torch.zeros(len(rows), longest, dtype=torch.long)
    action_mask_BT = torch.zeros(len(rows), longest, dtype=torch.bool)
    present_BT = torch.zeros(len(rows), longest, dtype=torch.bool)
    for b, row in enumerate(rows):
        ids_BT[b, : len(row)] = torch.tensor(row.ids)
        action_mask_BT[b, : len(row)] = torch.tensor(row.action_mask)
        present_BT[b, : len(row)] = True
    return ids_BT, action_mask_BT, present_BT


def returns_of(rows: Sequence[Row]) -> Tensor:
    """episode_return_B."""
    return torch.tensor([row.episode_return for row in rows])


@dataclass(slots=True, kw_only=True)
class _Sums:
    nll: float = 0.0
    squared_error: float = 0.0
    actions: int = 0
    sampled: list[float]
    hits: dict[str, list[bool]]


@torch.no_grad()
def measure(policy: Policy, rows: Sequence[Row], *, batch_tokens: int = 8192) -> HeldOut:
    """On rows made with `find_copies`. Shares of no values at all are NaN."""
    sums = _Sums(sampled=[], hits={})
    ordered = sorted(rows, key=len)
    per_batch = max(1, batch_tokens // max(map(len, ordered)))
    for start in range(0, len(ordered), per_batch):
        _add(policy, ordered[start : start + per_batch], sums)
    hits = [hit for of_kind in sums.hits.values() for hit in of_kind]
    returns = returns_of(rows)
    return HeldOut(
        loss=sums.nll / max(sums.actions, 1),
        exact=_mean(hits),
        sampled=_mean(sums.sampled),
        exact_by_kind={kind: (_mean(of_kind), len(of_kind)) for kind, of_kind in sorted(sums.hits.items())},
        value_error=(sums.squared_error / max(sums.actions, 1)) ** 0.5,
        return_spread=returns.std(unbiased=False).item(),
    )


def _add(policy: Policy, batch: Sequence[Row], sums: _Sums) -> None:
    ids_BT, action_mask_BT, _ = padded(batch)
    rows_N, columns_N = action_mask_BT.nonzero(as_tuple=True)
    before_ND = policy.hidden(ids_BT)[rows_N, columns_N - 1]
    logprobs_NV = policy.logits(before_ND).log_softmax(-1)
    truth_N = ids_BT[rows_N, columns_N]
    chosen_BT = torch.zeros(ids_BT.shape)
    chosen_BT[rows_N, columns_N] = logprobs_NV.gather(-1, truth_N.unsqueeze(-1)).squeeze(-1)
    right_BT = torch.zeros_like(action_mask_BT)
    right_BT[rows_N, columns_N] = logprobs_NV.argmax(-1) == truth_N
    return_N = returns_of(batch)[rows_N]
    sums.squared_error += (policy.value_head(before_ND).squeeze(-1) - return_N).square().sum().item()
    sums.nll -= chosen_BT.sum().item()
    sums.actions += len(rows_N)
    for b, row in enumerate(batch):
        for copy in row.copies:
            sums.hits.setdefault(copy.kind, []).append(bool(right_BT[b, copy.start : copy.stop].all()))
            sums.sampled.append(chosen_BT[b, copy.start : copy.stop].sum().exp().item())


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else float("nan")
