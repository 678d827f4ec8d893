"""How much better an action was than expected. Everything here steps over observation tokens, never through them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class _Compact(NamedTuple):
    """Where the marked positions of each row stand once the others are taken out."""

    mask_BT: Tensor
    rank_BT: Tensor
    """Place among the row's marked positions; unmarked ones point at a waste column past the end."""
    width: int

    def take(self, x_BT: Tensor) -> Tensor:
        """x at the marked positions, one after the other, zero-padded. Repeated ranks add up."""
        out = x_BT.new_zeros(x_BT.shape[0], self.width + 1)
        return out.scatter_add_(1, self.rank_BT, x_BT)[:, : self.width]

    def put_back(self, x_BN: Tensor) -> Tensor:
        """The inverse of `take`, zero at unmarked positions."""
        x_BT = x_BN.gather(1, self.rank_BT.clamp(max=self.width - 1))
        return torch.where(self.mask_BT, x_BT, torch.zeros_like(x_BT))


def _compact(mask_BT: Tensor, starts_BT: Tensor | None = None) -> _Compact:
    """Every marked position gets a rank of its own, or one a group if `starts_BT` marks the first of each group."""
    rank_BT = (mask_BT if starts_BT is None else starts_BT).long().cumsum(1) - 1
    width = max(1, int(rank_BT.max()) + 1)
    return _Compact(mask_BT, torch.where(mask_BT, rank_BT, width), width)


def _scan(
    rewards_BN: Tensor, values_BN: Tensor, count_B: Tensor, bootstrap_B: Tensor, decay: tuple[float, float]
) -> Tensor:
    """GAE over compacted rows. Past a row's end rewards and values are zero, so nothing flows back from there."""
    gamma, lam = decay
    next_BN = torch.cat([values_BN[:, 1:], torch.zeros_like(values_BN[:, :1])], 1)
    next_BN = next_BN.scatter(1, (count_B - 1).clamp(min=0)[:, None], bootstrap_B[:, None])
    delta_NB = (rewards_BN + gamma * next_BN - values_BN).T.contiguous()
    advantages_NB = torch.zeros_like(delta_NB)
    running_B = torch.zeros_like(bootstrap_B)
    for n in range(delta_NB.shape[0] - 1, -1, -1):
        running_B = delta_NB[n] + gamma * lam * running_B
        advantages_NB[n] = running_B
    return advantages_NB.T


def gae(
    rewards_BT: Tensor, values_BT: Tensor, mask_BT: Tensor, bootstrap_B: Tensor, *, gamma: float, lam: float
) -> tuple[Tensor, Tensor]:
    """Generalised advantage estimation over action tokens: the token after an agent's last is the first of its next
    utterance, however long the user spoke in between.

    bootstrap_B is the value of the state after the row's last action token: zero for terminated episodes.
    gamma and lam are per action token. Returns advantages_BT and returns_BT, zero off the mask, not whitened.
    Source: Schulman et al. 2016, arXiv:1506.02438, eq. 16.
    """
    compact = _compact(mask_BT)
    values_BN = compact.take(values_BT)
    rewards_BN = compact.take(rewards_BT.to(values_BT.dtype))
    advantages_BN = _scan(rewards_BN, values_BN, mask_BT.sum(1), bootstrap_B.to(values_BT.dtype), (gamma, lam))
    return compact.put_back(advantages_BN), compact.put_back(advantages_BN + values_BN)


def step_gae(
    rewards_BT: Tensor,
    values_BT: Tensor,
    mask_BT: Tensor,
    step_index_BT: Tensor,
    bootstrap_B: Tensor,
    *,
    gamma: float,
    lam: float,
) -> tuple[Tensor, Tensor]:
    """The same with a whole Step as the action: its value is that at its first action token, its reward the sum over
    its tokens, and gamma and lam are per step. All action tokens of a step share its advantage and its return.
    """
    starts_BT = first_tokens(mask_BT, step_index_BT)
    steps = _compact(mask_BT, starts_BT)
    values_BK = steps.take(torch.where(starts_BT, values_BT, torch.zeros_like(values_BT)))
    rewards_BK = steps.take(rewards_BT.to(values_BT.dtype))
    advantages_BK = _scan(rewards_BK, values_BK, starts_BT.sum(1), bootstrap_B.to(values_BT.dtype), (gamma, lam))
    return steps.put_back(advantages_BK), steps.put_back(advantages_BK + values_BK)


def first_tokens(mask_BT: Tensor, step_index_BT: Tensor) -> Tensor:
    """True at the first action token of each step."""
    compact = _compact(mask_BT)
    step_BN = compact.take(step_index_BT + 1)  # past a row's end 0, which is no step's number
    before_BN = torch.cat([torch.zeros_like(step_BN[:, :1]), step_BN[:, :-1]], 1)
    return compact.put_back((step_BN != before_BN).long()).bool()


def masked_moments(x_BT: Tensor, mask_BT: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and (population) standard deviation over marked positions; 0 and 0 if there are none."""
    count = mask_BT.sum().clamp(min=1)
    mean = torch.where(mask_BT, x_BT, torch.zeros_like(x_BT)).sum() / count
    variance = torch.where(mask_BT, (x_BT - mean).square(), torch.zeros_like(x_BT)).sum() / count
    return mean, variance.sqrt()


def whiten(advantages_BT: Tensor, mask_BT: Tensor, *, std_floor: float) -> Tensor:
    """Mean 0 and standard deviation 1 over marked positions, zero elsewhere.

    Advantages whose spread is below the floor are divided by the floor, so that almost nothing is not blown up to one.
    """
    mean, std = masked_moments(advantages_BT, mask_BT)
    return torch.where(mask_BT, (advantages_BT - mean) / std.clamp(min=std_floor), torch.zeros_like(advantages_BT))


def all_alike(to_go_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """A scalar bool: every row with a marked position earned the same. `to_go_BT` holds the discounted rewards from
    each position on: `gae` or `step_gae` of zero values and lam 1.

    Such rows say nothing about which actions were better. What differs between their advantages is the critic's error
    and the place in the row, and whitening would make an update out of it.
    """
    earned_B = to_go_BT.gather(1, mask_BT.long().argmax(1)[:, None])[:, 0]
    acted_B = mask_BT.any(1)
    highest = torch.where(acted_B, earned_B, -torch.inf).max()
    lowest = torch.where(acted_B, earned_B, torch.inf).min()
    return highest - lowest < 1e-6  # below the rounding of a float32 sum of rewards


def _group_sums(score_B: Tensor, group_B: Tensor, member_B: Tensor) -> tuple[Tensor, Tensor]:
    """Each row's group total and group size, over member rows."""
    groups = int(group_B.max()) + 1
    weight_B = member_B.to(score_B.dtype)
    counted_B = torch.where(member_B, score_B, torch.zeros_like(score_B))
    total = score_B.new_zeros(groups).index_add_(0, group_B, counted_B)
    size = score_B.new_zeros(groups).index_add_(0, group_B, weight_B)
    return total[group_B], size[group_B].clamp(min=1)


def group_relative(score_B: Tensor, group_B: Tensor, member_B: Tensor, *, std_floor: float | None) -> Tensor:
    """score minus the mean of its group, divided by the group's standard deviation unless `std_floor` is None.

    A group of one gives 0, not the raw score. Rows that are not members give 0 and count nowhere.
    Source: DeepSeekMath, arXiv:2402.03300, sec. 4.1; without the division Dr. GRPO, arXiv:2503.20783.
    """
    total_B, size_B = _group_sums(score_B, group_B, member_B)
    centred_B = torch.where(member_B, score_B - total_B / size_B, torch.zeros_like(score_B))
    if std_floor is None:
        return centred_B
    squares_B, _ = _group_sums(centred_B.square(), group_B, member_B)
    return centred_B / (squares_B / size_B).sqrt().clamp(min=std_floor)


def leave_one_out(score_B: Tensor, group_B: Tensor, member_B: Tensor) -> Tensor:
    """score minus the mean of the *other* scores of its group; 0 in a group of one.

    Source: RLOO, Ahmadian et al. 2024, arXiv:2402.14740, eq. 8.
    """
    total_B, size_B = _group_sums(score_B, group_B, member_B)
    others_B = (total_B - score_B) / (size_B - 1).clamp(min=1)
    return torch.where(member_B & (size_B > 1), score_B - others_B, torch.zeros_like(score_B))
