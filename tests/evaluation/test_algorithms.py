"""What several runs of several algorithms say together, against figures made by hand."""

from __future__ import annotations

import math
import random

import pytest

from dialog_rl.evaluation import algorithms_report as report
from dialog_rl.evaluation.algorithms import Trained, curve, margin, over_seeds, over_seeds_and_customers, t_point, table


def trained(algorithm: str, seed: int, held_out: list[bool], curve: tuple[float, ...] = (0.2, 0.4)) -> Trained:
    return Trained(
        algorithm=algorithm, seed=seed, curve=curve, dialogues=[10 * (k + 1) for k in range(len(curve))],
        held_out=held_out, wall_seconds=2.0, cpu_seconds=3.0, peak_memory=2**20, violations=0.1,
    )  # fmt: skip


def test_the_area_is_the_mean_success_over_the_dialogues() -> None:
    assert trained("a", 0, []).area == pytest.approx(0.3)


def test_an_interval_over_seeds_is_students() -> None:
    found = over_seeds([1.0, 2.0, 3.0])  # standard error 1 / sqrt(3), t of two degrees of freedom 4.303
    assert (found.value, found.high) == pytest.approx((2.0, 2 + 4.303 / math.sqrt(3)))


def test_a_single_seed_knows_nothing_of_others() -> None:
    assert math.isinf(over_seeds([0.5]).high)


@pytest.mark.parametrize(("freedom", "expected"), [(1, 12.706), (10, 2.228), (20, 2.086), (60, 2.000)])
def test_students_points_are_those_of_the_tables(freedom: int, expected: float) -> None:
    assert t_point(freedom) == pytest.approx(expected, abs=2e-3)


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    """Three seeds whose success differs, forty customers who differ: the mean of all is .5."""
    rng, held = random.Random(0), 0
    for _ in range(400):
        seeds = [rng.gauss(0, 0.1) for _ in range(3)]
        customers = [rng.gauss(0, 0.3) for _ in range(40)]
        found = over_seeds_and_customers([[0.5 + s + c + rng.gauss(0, 0.3) for c in customers] for s in seeds])
        held += found.low <= 0.5 <= found.high
    assert 0.93 <= held / 400 <= 1.0


def test_a_margin_is_paired_by_seed_and_by_customer() -> None:
    one = [trained("a", seed, [True, True, False, True]) for seed in (0, 1)]
    other = [trained("b", seed, [True, False, False, True]) for seed in (1, 0)]
    found = margin(one, other)
    assert found.value == pytest.approx(0.25)
    assert margin(one, one).value == margin(one, one).low == 0.0


def test_the_table_has_a_row_an_algorithm_with_its_gain_over_the_start() -> None:
    runs = [trained("a", seed, [True, True, False, True]) for seed in (0, 1)] + [trained("b", 0, [False] * 4)]
    first, second = table(runs, [True, False, False, False])
    assert (first.algorithm, first.seeds, first.held_out.value, first.gain.value) == ("a", 2, 0.75, 0.5)
    assert (second.algorithm, second.gain.value, second.peak_memory) == ("b", -0.25, 2**20)
    assert 0 <= second.held_out.low <= second.held_out.high <= 1


def test_a_curve_ends_where_its_shortest_run_ends() -> None:
    runs = [trained("a", 0, [], (0.1, 0.2, 0.3)), trained("a", 1, [], (0.3, 0.4))]
    assert [(at, i.value) for at, i in curve(runs)] == [(10, pytest.approx(0.2)), (20, pytest.approx(0.3))]


def test_margins_are_over_reinforce_where_it_took_part() -> None:
    runs = [trained(name, 0, [True, False]) for name in ("ppo", "reinforce", "grpo")]
    assert list(report.margins_of(runs)) == ["ppo over reinforce", "grpo over reinforce"]
    assert list(report.margins_of(runs[::2])) == ["grpo over ppo"]


def test_table_and_margins_are_written_and_said() -> None:
    runs = [trained("ppo", 0, [True, True]), trained("reinforce", 0, [True, False])]
    rows, margins = table(runs, [False, False]), report.margins_of(runs)
    for written in (report.markdown(rows, margins, "what"), report.plain(rows, margins, "what")):
        assert "ppo over reinforce: +50.0 points" in written and "100.0 %" in written
