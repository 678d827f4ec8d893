"""Against hand-worked and published figures, and against brute force."""

from __future__ import annotations

import itertools
import math
import random

import pytest

from dialog_rl.evaluation.statistics import (
    Share,
    clustered,
    compare,
    compare_means,
    compare_unpaired,
    detectable,
    fisher_exact,
    mcnemar_exact,
    mean_interval,
    pairs_needed,
    pass_hat_k,
)


@pytest.mark.parametrize(
    ("hits", "total", "low", "high"),
    [
        # Newcombe 1998, Statistics in Medicine 17:857, table I, method 3 (Wilson without continuity correction)
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_agrees_with_the_published_table(hits: int, total: int, low: float, high: float) -> None:
    share = Share(hits=hits, total=total)
    assert (round(share.low, 4), round(share.high, 4)) == (low, high)


def test_wilson_is_symmetric_and_holds_the_share() -> None:
    for total in range(1, 40):
        for hits in range(total + 1):
            a, b = Share(hits=hits, total=total), Share(hits=total - hits, total=total)
            assert math.isclose(a.low, 1 - b.high, abs_tol=1e-12)
            assert 0 <= a.low <= a.value <= a.high <= 1


def test_a_share_of_nothing_is_unknown() -> None:
    nothing = Share(hits=0, total=0)
    assert math.isnan(nothing.value) and (nothing.low, nothing.high) == (0, 1)


def test_more_hits_than_tries_are_refused() -> None:
    with pytest.raises(ValueError, match="3 hits of 2"):
        Share(hits=3, total=2)


def test_one_conversation_a_customer_gives_wilsons_interval() -> None:
    for hits in range(41):
        share, interval = Share(hits=hits, total=40), clustered([1.0] * hits + [0.0] * (40 - hits))
        assert (interval.value, interval.low, interval.high) == pytest.approx(
            (share.value, share.low, share.high), abs=4e-3
        )
        assert interval.high - interval.low >= share.high - share.low - 1e-9


def test_conversations_that_go_alike_are_worth_no_more_than_their_customers() -> None:
    alike, apart = clustered([1.0, 0.0] * 10, trials=8), clustered([0.5] * 19 + [0.625], trials=8)
    twenty, all_160 = Share(hits=10, total=20), Share(hits=80, total=160)
    assert (alike.low, alike.high) == pytest.approx((twenty.low, twenty.high), abs=2e-3)
    assert apart.high - apart.low == pytest.approx(all_160.high - all_160.low, abs=2e-3)


def test_no_failure_at_all_still_leaves_doubt() -> None:
    assert clustered([1.0] * 30, trials=4).low == Share(hits=30, total=30).low < 0.9


def test_clustered_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    rng = random.Random(1)
    covered = 0
    for _ in range(300):
        chances = [rng.choice([0.2, 0.9]) for _ in range(60)]
        interval = clustered([sum(rng.random() < c for _ in range(4)) / 4 for c in chances], trials=4)
        covered += interval.low <= 0.55 <= interval.high
    assert 274 <= covered <= 296  # 95 % of 300 = 285, standard deviation 3.8


def test_pass_hat_k_is_the_share_of_k_subsets_without_a_failure() -> None:
    for trials in range(1, 7):
        for successes in range(trials + 1):
            outcomes = [True] * successes + [False] * (trials - successes)
            for k in range(1, trials + 1):
                subsets = list(itertools.combinations(outcomes, k))
                expected = sum(map(all, subsets)) / len(subsets)
                assert math.isclose(pass_hat_k(successes, trials, k), expected)


def test_pass_hat_more_than_the_trials_is_refused() -> None:
    with pytest.raises(ValueError):
        pass_hat_k(2, 3, 4)


def test_mcnemar_by_hand() -> None:
    # 1 of 6 discordant: 2 · (C(6,0) + C(6,1)) / 2^6 = 14/64
    assert mcnemar_exact(5, 1) == mcnemar_exact(1, 5) == 14 / 64
    assert mcnemar_exact(0, 0) == 1.0 and mcnemar_exact(4, 4) == 1.0
    assert mcnemar_exact(10, 0) == 2 / 1024


def test_mcnemar_is_the_share_of_coin_tosses_at_least_as_extreme() -> None:
    for b, c in [(7, 2), (3, 3), (0, 5), (6, 5)]:
        n = b + c
        extreme = sum(abs(2 * sum(toss) - n) >= abs(b - c) for toss in itertools.product([0, 1], repeat=n))
        assert math.isclose(mcnemar_exact(b, c), min(1.0, extreme / 2**n))


def test_the_bootstrap_covers_the_true_mean_about_as_often_as_it_says() -> None:
    rng = random.Random(0)
    covered = 0
    for seed in range(150):
        values = [float(rng.random() < 0.3) for _ in range(80)]
        interval = mean_interval(values, seed=seed)
        covered += interval.low <= 0.3 <= interval.high
    assert 132 <= covered <= 150  # 95 % of 150 = 142.5, standard deviation 2.7


def test_the_bootstrap_is_as_wide_as_the_normal_approximation() -> None:
    values = [1.0] * 300 + [0.0] * 100
    interval = mean_interval(values)
    half = 1.96 * math.sqrt(0.75 * 0.25 / 400)
    assert interval.value == 0.75
    assert math.isclose(interval.high - interval.low, 2 * half, rel_tol=0.08)


def test_one_seed_gives_one_interval() -> None:
    values = [0.1 * i for i in range(30)]
    assert mean_interval(values, seed=3) == mean_interval(values, seed=3) != mean_interval(values, seed=4)


def test_a_paired_difference_counts_who_succeeded_alone() -> None:
    first = [[True]] * 6 + [[False]] * 4
    second = [[True]] * 3 + [[False]] * 6 + [[True]]
    result = compare(first, second)
    assert (result.only_first, result.only_second, result.pairs) == (3, 1, 10)
    assert math.isclose(result.difference.value, 0.2)
    assert result.p_value == mcnemar_exact(3, 1)


def test_pairing_makes_agents_that_fail_alike_indistinguishable() -> None:
    same = [[i % 3 > 0] for i in range(60)]
    result = compare(same, same)
    assert result.difference.low == result.difference.value == result.difference.high == 0 and result.p_value == 1


def test_trials_are_averaged_within_a_customer() -> None:
    result = compare([[True, False], [True, True]], [[False, False], [True, True]])
    assert math.isclose(result.difference.value, 0.25)


def test_agents_who_met_other_customers_cannot_be_paired() -> None:
    with pytest.raises(ValueError, match="same customers"):
        compare([[True], [True]], [[True]])


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [((56, 70), (48, 80), 0.0524, 0.3339), ((9, 10), (3, 10), 0.1705, 0.8090), ((10, 10), (0, 20), 0.6791, 1.0)],
)
def test_the_difference_of_two_samples_agrees_with_newcombes_table(
    first: tuple[int, int], second: tuple[int, int], low: float, high: float
) -> None:
    """Newcombe 1998, Statistics in Medicine 17:873, table II, method 10."""
    found = compare_unpaired(*(Share(hits=hits, total=total) for hits, total in (first, second)))
    assert (found.difference.low, found.difference.high) == (
        pytest.approx(low, abs=1e-4),
        pytest.approx(high, abs=1e-4),
    )


def test_fishers_test_agrees_with_the_lady_tasting_tea() -> None:
    assert fisher_exact(Share(hits=3, total=4), Share(hits=1, total=4)) == pytest.approx(34 / 70)
    assert fisher_exact(Share(hits=4, total=4), Share(hits=0, total=4)) == pytest.approx(2 / 70)
    assert fisher_exact(Share(hits=8, total=10), Share(hits=1, total=6)) == pytest.approx(0.0350, abs=1e-4)


def test_as_many_customers_as_are_needed_show_a_difference_four_times_out_of_five() -> None:
    difference, discordant = 0.2, 0.4
    n = math.ceil(pairs_needed(difference, discordant))
    won = (discordant + difference) / 2 / discordant
    power = 0.0
    for m in range(n + 1):
        of_m = math.comb(n, m) * discordant**m * (1 - discordant) ** (n - m)
        shown = (b for b in range(m + 1) if m and abs(2 * b - m) / math.sqrt(m) > 1.959964)
        power += of_m * sum(math.comb(m, b) * won**b * (1 - won) ** (m - b) for b in shown)
    assert power == pytest.approx(0.8, abs=0.03)


def test_what_a_sample_can_show_takes_that_sample() -> None:
    for pairs in (40, 200, 1000):
        assert pairs_needed(detectable(pairs, 0.3), 0.3) == pytest.approx(pairs, rel=1e-6)
    assert detectable(3, 0.3) == 0.3


def test_the_sign_flip_test_agrees_with_all_flips() -> None:
    first, second = [3.0, 5, 2, 8, 6, 7, 4, 9], [2.0, 4, 3, 5, 6, 3, 3, 7]
    differences = [a - b for a, b in zip(first, second, strict=True)]
    flips = itertools.product((1, -1), repeat=len(differences))
    exact = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True))) >= abs(sum(differences)) for signs in flips
    ]
    found = compare_means(first, second)
    assert found.p_value == pytest.approx(sum(exact) / len(exact), abs=0.02)
    mean = sum(differences) / 8
    deviation = math.sqrt(sum((d - mean) ** 2 for d in differences) / 7)
    assert (found.difference.value, found.effect) == (pytest.approx(mean), pytest.approx(mean / deviation))


def test_effects_have_the_sign_of_the_first() -> None:
    better = compare([[True], [True], [True], [False]], [[False], [False], [True], [True]])
    assert better.effect == pytest.approx(2 / 3 - 0.5)
    assert math.isnan(compare([[True]], [[True]]).effect)
