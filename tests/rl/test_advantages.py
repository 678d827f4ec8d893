"""Oracles: tables worked by hand, and the definition of GAE written as nested sums over Python lists."""

from __future__ import annotations

import random

import pytest
import torch

from dialog_rl.rl import advantages

NAN = float("nan")

# 2 action, 3 observation, 2 action tokens; reward 1 on the last; junk at the observations.
MASK = torch.tensor([[True, True, False, False, False, True, True]])
VALUES = torch.tensor([[0.2, 0.3, 9.0, -7.0, NAN, 0.4, 0.6]])
REWARDS = torch.tensor([[0.0, 0.0, 5.0, NAN, 5.0, 0.0, 1.0]])
STEPS = torch.tensor([[0, 0, -1, -1, -1, 1, 1]])
NOTHING = torch.zeros(1)


@pytest.mark.parametrize(
    ("gamma", "table"), [(1.0, (0.718, 0.651, 0.580, 0.400)), (0.99, (0.692, 0.632, 0.570, 0.400))]
)
def test_the_worked_table_holds_whatever_stands_at_the_observations(gamma: float, table: tuple[float, ...]) -> None:
    got, returns = advantages.gae(REWARDS, VALUES, MASK, NOTHING, gamma=gamma, lam=0.95)
    assert got[MASK].tolist() == pytest.approx(table, abs=5e-4)
    assert got[~MASK].tolist() == returns[~MASK].tolist() == [0.0, 0.0, 0.0]
    assert returns[MASK].tolist() == pytest.approx([a + v for a, v in zip(table, (0.2, 0.3, 0.4, 0.6))], abs=5e-4)


def test_a_truncated_row_ends_in_its_bootstrap_value() -> None:
    # delta of the last token 1 + .5 - .6 = .9, before it .2 + .95 * .9, as worked by hand
    got, _ = advantages.gae(REWARDS, VALUES, MASK, torch.tensor([0.5]), gamma=1.0, lam=0.95)
    assert got[0, 6].item() == pytest.approx(0.9)
    assert got[0, 5].item() == pytest.approx(0.2 + 0.95 * 0.9)


def test_steps_are_single_actions_valued_at_their_first_token() -> None:
    # values .2 and .4, rewards 0 and 1: A1 = 1 - .4 = .6; A0 = .4 g - .2 + .95 g * .6
    for gamma in (1.0, 0.9):
        got, returns = advantages.step_gae(REWARDS, VALUES, MASK, STEPS, NOTHING, gamma=gamma, lam=0.95)
        first = 0.4 * gamma - 0.2 + 0.95 * gamma * 0.6
        assert got[MASK].tolist() == pytest.approx([first, first, 0.6, 0.6])
        assert returns[MASK].tolist() == pytest.approx([first + 0.2, first + 0.2, 1.0, 1.0])
        assert got[~MASK].abs().sum() == 0


def brute_force(rewards: list[float], values: list[float], end: float, gamma: float, lam: float) -> list[float]:
    """A_t = sum over n of (gamma lam)^n delta_(t+n), each delta from the definition."""
    after = [*values[1:], end]
    deltas = [r + gamma * nxt - v for r, nxt, v in zip(rewards, after, values)]
    return [sum((gamma * lam) ** n * d for n, d in enumerate(deltas[t:])) for t in range(len(deltas))]


def random_row(rng: random.Random, width: int) -> tuple[list[int], list[float], list[float]]:
    """Step index (-1 = observation), rewards and values of a row, with junk at the observations."""
    index: list[int] = []
    for step in range(rng.randint(1, 5)):
        index += [-1] * rng.randint(0 if step == 0 else 1, 4) + [step * 2] * rng.randint(1, 5)
    index += [-1] * rng.randint(0, 3)
    index = index[:width] + [-1] * (width - len(index))
    values = [rng.gauss(0, 1) if i >= 0 else rng.choice([NAN, 1e30, float("inf")]) for i in index]
    rewards = [rng.gauss(0, 1) * (rng.random() < 0.4) if i >= 0 else NAN for i in index]
    return index, rewards, values


@pytest.mark.parametrize("seed", range(20))
def test_gae_agrees_with_brute_force_on_random_rows(seed: int) -> None:
    rng = random.Random(seed)
    gamma, lam = rng.choice([1.0, 0.99, 0.7, 0.0]), rng.choice([1.0, 0.95, 0.3, 0.0])
    rows = [random_row(rng, 24) for _ in range(6)]
    ends = [rng.choice([0.0, rng.gauss(0, 1)]) for _ in rows]
    steps, rewards, values = (torch.tensor(x, dtype=torch.float64) for x in zip(*rows))
    mask, end = steps >= 0, torch.tensor(ends, dtype=torch.float64)
    by_token, _ = advantages.gae(rewards, values, mask, end, gamma=gamma, lam=lam)
    by_step, returns = advantages.step_gae(rewards, values, mask, steps.long(), end, gamma=gamma, lam=lam)
    for b, (index, row_rewards, row_values) in enumerate(rows):
        at = [t for t, i in enumerate(index) if i >= 0]
        expected = brute_force([row_rewards[t] for t in at], [row_values[t] for t in at], ends[b], gamma, lam)
        assert by_token[b][mask[b]].tolist() == pytest.approx(expected)
        numbers = sorted({index[t] for t in at})
        firsts = [row_values[index.index(n)] for n in numbers]
        earned = [sum(row_rewards[t] for t in at if index[t] == n) for n in numbers]
        per_step = dict(zip(numbers, brute_force(earned, firsts, ends[b], gamma, lam)))
        value_of = dict(zip(numbers, firsts))
        assert by_step[b][mask[b]].tolist() == pytest.approx([per_step[index[t]] for t in at])
        assert returns[b][mask[b]].tolist() == pytest.approx([per_step[index[t]] + value_of[index[t]] for t in at])
    assert by_token[~mask].abs().sum() == by_step[~mask].abs().sum() == 0


def test_a_row_without_actions_changes_nothing_for_the_others() -> None:
    mask = torch.cat([MASK, torch.zeros_like(MASK)])
    got, _ = advantages.gae(
        REWARDS.repeat(2, 1), VALUES.repeat(2, 1), mask, torch.tensor([0.0, 3.0]), gamma=1.0, lam=0.95
    )
    assert got[0][MASK[0]].tolist() == pytest.approx([0.718, 0.651, 0.58, 0.4], abs=5e-4)
    assert got[1].abs().sum() == 0


def test_whitening_sees_marked_positions_only() -> None:
    x = torch.tensor([[1.0, NAN, 3.0], [5.0, 1e9, 7.0]])
    mask = torch.tensor([[True, False, True], [True, False, True]])
    got = advantages.whiten(x, mask, std_floor=0.01)
    # mean 4, variance (9 + 1 + 1 + 9) / 4 = 5
    assert got[mask].tolist() == pytest.approx([-3 / 5**0.5, -1 / 5**0.5, 1 / 5**0.5, 3 / 5**0.5])
    assert got[~mask].tolist() == [0.0, 0.0]


def test_a_spread_below_the_floor_is_not_blown_up() -> None:
    x, mask = torch.tensor([[0.001, -0.001]]), torch.ones(1, 2, dtype=torch.bool)
    assert advantages.whiten(x, mask, std_floor=0.1).tolist()[0] == pytest.approx([0.01, -0.01])
    assert advantages.whiten(torch.full((1, 2), 0.7), mask, std_floor=0.1).abs().max() == 0


def test_rows_are_alike_if_each_earned_the_same_from_its_first_action() -> None:
    mask = torch.tensor([[False, True, True], [True, True, False], [False, False, False]])
    same = torch.tensor([[NAN, 2.0, 1.0], [2.0, 2.0, NAN], [NAN, NAN, NAN]])
    other = torch.tensor([[NAN, 2.0, 1.0], [1.0, 2.0, NAN], [NAN, NAN, NAN]])
    assert bool(advantages.all_alike(same, mask))
    assert not bool(advantages.all_alike(other, mask))


GROUPS = torch.tensor([0, 0, 1, 2, 0, 2])
SCORES = torch.tensor([1.0, 2.0, 5.0, 1.0, 6.0, NAN])
MEMBER = torch.tensor([True, True, True, True, True, False])


def test_a_group_of_one_has_no_advantage() -> None:
    for got in (
        advantages.group_relative(SCORES, GROUPS, MEMBER, std_floor=None),
        advantages.group_relative(SCORES, GROUPS, MEMBER, std_floor=1e-6),
        advantages.leave_one_out(SCORES, GROUPS, MEMBER),
    ):
        assert got[[2, 3, 5]].tolist() == [0.0, 0.0, 0.0]


def test_scores_are_compared_within_their_group() -> None:
    # group 0 is 1, 2, 6: mean 3, population variance (4 + 1 + 9) / 3; the others' means 4, 3.5, 1.5
    centred = advantages.group_relative(SCORES, GROUPS, MEMBER, std_floor=None)
    assert centred[[0, 1, 4]].tolist() == pytest.approx([-2.0, -1.0, 3.0])
    scaled = advantages.group_relative(SCORES, GROUPS, MEMBER, std_floor=1e-6)
    assert scaled[[0, 1, 4]].tolist() == pytest.approx([x / (14 / 3) ** 0.5 for x in (-2.0, -1.0, 3.0)])
    assert advantages.leave_one_out(SCORES, GROUPS, MEMBER)[[0, 1, 4]].tolist() == pytest.approx([-3.0, -1.5, 4.5])
