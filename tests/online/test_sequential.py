"""Sequential tests against oracles that share no code with them: all outcomes enumerated, gates by the thousand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from dialog_rl.online.sequential import BETS, ErrorBudget, Rule, Verdict, e_values, judge

OUTCOMES = (-1.0, 0.0, 1.0)
RULE = Rule(margin=0.1, alpha=0.05)


def expected_evidence(margin: float, chances: list[tuple[float, float, float]]) -> float:
    """E[e-value] by going through every sequence of outcomes; `chances` of a loss, a tie and a win at each pair."""
    total = 0.0
    for path in itertools.product(range(3), repeat=len(chances)):
        chance = math.prod(chances[n][outcome] for n, outcome in enumerate(path))
        wealth = [math.prod(1 + b / (1 - margin) * (OUTCOMES[o] + margin) for o in path) for b in BETS]
        assert e_values([OUTCOMES[o] for o in path], margin)[-1] == pytest.approx(sum(wealth) / len(wealth))
        total += chance * e_values([OUTCOMES[o] for o in path], margin)[-1]
    return total


@pytest.mark.parametrize("margin", [0.0, 0.05, 0.1, 0.4])
@pytest.mark.parametrize("discordant", [0.4, 0.7, 1.0])
def test_the_evidence_is_fair_to_a_candidate_that_is_worse_by_just_the_margin(margin: float, discordant: float) -> None:
    loss, win = (discordant + margin) / 2, (discordant - margin) / 2
    assert expected_evidence(margin, [(loss, 1 - discordant, win)] * 6) == pytest.approx(1)


def test_the_evidence_grows_for_an_equal_candidate_and_shrinks_for_a_worse_one() -> None:
    assert expected_evidence(0.1, [(0.1, 0.8, 0.1)] * 6) > 1.1
    assert expected_evidence(0.1, [(0.3, 0.6, 0.1)] * 6) < 0.9


def test_packs_that_differ_leave_whole_blocks_fair() -> None:
    """Worse by 0.4 in one pack, better by 0.2 in the other: by 0.1 on the whole, as the margin has it."""
    easy, hard = (0.1, 0.6, 0.3), (0.5, 0.4, 0.1)
    assert expected_evidence(0.1, [easy, hard] * 3) < 1 and expected_evidence(0.1, [hard, easy] * 3) < 1


def test_evidence_of_harm_is_fair_to_a_candidate_at_the_margin() -> None:
    total = 0.0
    for path in itertools.product(range(3), repeat=5):
        chance = math.prod((0.15, 0.8, 0.05)[o] for o in path)
        total += chance * e_values([-OUTCOMES[o] for o in path], -0.1)[-1]
    assert total == pytest.approx(1)


def test_real_differences_count_by_their_size() -> None:
    assert e_values([0.5] * 10, 0.1)[-1] > e_values([0.25] * 10, 0.1)[-1] > e_values([0.0] * 10, 0.1)[-1] > 1


@pytest.mark.parametrize("wrong", [[1.5], [0.0, -1.01], [math.nan], [math.inf]])
def test_a_difference_out_of_range_is_refused(wrong: list[float]) -> None:
    with pytest.raises(ValueError, match="must be in"):
        e_values(wrong, 0.1)


def pairs(rng: np.random.Generator, mean: float, discordant: float, shape: tuple[int, int]) -> np.ndarray:
    """Differences of independent pairs."""
    loss, win = (discordant - mean) / 2, (discordant + mean) / 2
    return rng.choice(OUTCOMES, p=[loss, 1 - discordant, win], size=shape)


@pytest.mark.parametrize("discordant", [0.1, 0.3])
def test_at_the_margin_fewer_than_one_in_twenty_pass_though_looked_at_after_every_pair(discordant: float) -> None:
    gates = pairs(np.random.default_rng(0), -0.1, discordant, (1000, 400))
    passed = sum(judge(gate, RULE).verdict is Verdict.PASSED for gate in gates)
    assert 0 < passed <= 50, passed


def test_an_equal_candidate_passes_four_times_in_five_and_is_hardly_ever_failed() -> None:
    gates = pairs(np.random.default_rng(1), 0.0, 0.2, (300, 400))
    verdicts = [judge(gate, RULE).verdict for gate in gates]
    assert verdicts.count(Verdict.PASSED) >= 240 and verdicts.count(Verdict.FAILED) <= 15


def test_a_much_worse_candidate_is_failed_long_before_the_pairs_are_used_up() -> None:
    gates = pairs(np.random.default_rng(2), -0.4, 0.5, (100, 400))
    found = [judge(gate, RULE) for gate in gates]
    assert all(j.verdict is Verdict.FAILED for j in found) and np.median([j.pairs for j in found]) < 60


def test_a_gate_is_given_up_once_it_cannot_be_passed_but_not_before() -> None:
    lost = [-1.0] * 3 + [0.0] * 27
    found = judge(lost * 14, Rule(margin=0.1, alpha=0.05, alpha_harm=1e-9))
    assert found.verdict is Verdict.UNDECIDED and 100 < found.pairs < 400
    assert judge((lost * 14)[: found.pairs - 30] + [0.1] * 400, RULE).verdict is Verdict.PASSED
    assert judge((lost * 14)[: found.pairs] + [0.1] * 400, RULE).verdict is Verdict.UNDECIDED


def test_a_better_candidate_passes_a_test_of_superiority_and_an_equal_one_does_not() -> None:
    rule = Rule(margin=0.0, alpha=0.05)
    rng = np.random.default_rng(3)
    better = [judge(gate, rule).verdict for gate in pairs(rng, 0.15, 0.25, (100, 400))]
    equal = [judge(gate, rule).verdict for gate in pairs(rng, 0.0, 0.25, (100, 400))]
    assert better.count(Verdict.PASSED) >= 95 and equal.count(Verdict.PASSED) <= 8


def test_what_comes_after_the_deciding_look_changes_nothing() -> None:
    found = judge([1.0] * 20, RULE)
    assert found.verdict is Verdict.PASSED and found.pairs < 20
    assert judge([1.0] * 20 + [-1.0] * 300, RULE) == found


def test_looks_come_after_whole_blocks_only() -> None:
    by_pair, by_block = judge([1.0] * 30, RULE), judge([1.0] * 30, Rule(margin=0.1, alpha=0.05, block=8))
    assert by_pair.pairs % 8 and by_block.pairs == -(-by_pair.pairs // 8) * 8


def test_the_test_is_open_until_the_pairs_are_used_up_and_undecided_then() -> None:
    rule = Rule(margin=0.1, alpha=0.05, pairs=30, block=8)
    assert judge([], rule) == judge([0.0] * 7, rule)
    assert judge([], rule).verdict is Verdict.OPEN and judge([], rule).evidence == 1
    assert judge([0.0] * 8, rule).verdict is Verdict.OPEN
    assert judge([0.0] * 24, rule).verdict is Verdict.UNDECIDED


def test_a_few_pairs_are_enough_for_a_candidate_that_wins_them() -> None:
    rule = Rule(margin=0.1, alpha=0.05, pairs=8)
    assert judge([1.0] * 4, rule).verdict is Verdict.OPEN and judge([1.0] * 8, rule).verdict is Verdict.PASSED


def test_pairs_beyond_the_budget_are_not_looked_at() -> None:
    rule = Rule(margin=0.1, alpha=0.05, pairs=20)
    assert judge([0.0] * 20 + [1.0] * 100, rule).verdict is Verdict.UNDECIDED


def test_a_gate_of_very_many_pairs_is_judged_though_no_float_holds_what_it_hopes_for() -> None:
    rule = Rule(margin=0.1, alpha=0.05, pairs=1_000_000)
    assert judge([1.0, -1.0] * 4, rule).verdict is Verdict.OPEN
    assert 1e300 < e_values([1.0] * 100_000, 0.1)[-1] < math.inf


def test_the_gates_of_a_run_together_err_by_no_more_than_their_budget() -> None:
    budget = ErrorBudget(alpha=0.05, half=4)
    levels = [budget.level(gate) for gate in range(1, 20_001)]
    assert levels == sorted(levels, reverse=True)
    assert sum(levels[:4]) == pytest.approx(0.025) == budget.spent(4)
    assert sum(levels) < 0.05 and sum(levels) == pytest.approx(budget.spent(20_000)) == pytest.approx(0.05, rel=1e-3)


WRONG = [{"margin": 1.0}, {"margin": -0.1}, {"alpha": 0.0}, {"alpha_harm": 1.0}, {"block": 0}, {"pairs": 3, "block": 4}]


@pytest.mark.parametrize("wrong", WRONG)
def test_a_rule_that_cannot_be_kept_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="margin|look"):
        Rule(**{"margin": 0.1, "alpha": 0.05, **wrong})  # pyright: ignore[reportArgumentType]


def test_gates_are_counted_from_one() -> None:
    with pytest.raises(ValueError, match="counted from 1"):
        ErrorBudget().level(0)
