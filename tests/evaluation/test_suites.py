from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from dialog_rl import metrics
from dialog_rl.conversation import Conversation
from dialog_rl.episode import Episode, Message, Role, StopReason
from dialog_rl.evaluation.contestants import expert
from dialog_rl.evaluation.suites import Contestant, Play, Suite, evaluate, pair
from dialog_rl.evaluation.summaries import Result, share, summarise
from dialog_rl.plugins.loading import load_plugins
from dialog_rl.staging import Customers, Stage, open_stage
from dialog_rl.testing.episodes import make_episode

TELL = {"success": {"communicate": [{"any_of": ["42"]}]}, "user": {"goal": {"items": [{"intent": "ask", "id": "g1"}]}}}


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with load_plugins() as plugins:
        yield open_stage(plugins.registry, "retail")


def silent_play(stage: Stage) -> Play:
    """Says nothing useful, ever."""

    def play(conversations: Iterable[Conversation]) -> Iterator[Episode]:
        for conversation in conversations:
            while conversation.stopped is None:
                conversation.act(Message(role=Role.ASSISTANT, text="Hello."))
            yield conversation.episode()

    return play


SILENT = Contestant(name="silent", play=silent_play)


def episode(answer: str, **facts: object) -> Episode:
    return make_episode(("how much?", answer), scenario=TELL, **facts)  # pyright: ignore[reportArgumentType]


def result(name: str, *rows: tuple[Episode, ...]) -> Result:
    found = {("p", n, t): e for n, row in enumerate(rows) for t, e in enumerate(row)}
    return Result(name=name, version="", episodes=found)


def test_the_expert_is_the_ceiling_and_doing_nothing_the_floor(stage: Stage) -> None:
    found = evaluate([SILENT, expert()], Suite(stages=(stage,), goals=40))
    nothing, best = found.summaries
    assert best.success.value > 0.9 and nothing.success.hits == 0
    comparison = found.comparisons["expert", "silent"]
    assert comparison.difference.value == best.success.value and comparison.p_value < 1e-6


def test_every_contestant_meets_the_same_customers(stage: Stage) -> None:
    found = evaluate([SILENT, expert()], Suite(stages=(stage,), goals=5, trials=2))
    first, second = found.results
    assert first.episodes.keys() == second.episodes.keys() and len(first.episodes) == 10
    for key in first.episodes:
        assert first.episodes[key].turns[0].user == second.episodes[key].turns[0].user
        assert first.episodes[key].scenario == second.episodes[key].scenario


def test_trials_of_one_customer_differ_in_their_seed_alone(stage: Stage) -> None:
    episodes = evaluate([expert()], Suite(stages=(stage,), goals=3, trials=2)).results[0].episodes
    for number in range(3):
        a, b = episodes["retail", number, 0], episodes["retail", number, 1]
        assert a.scenario == b.scenario and a.seed != b.seed


def test_suites_of_another_seed_hold_other_customers(stage: Stage) -> None:
    one, two = ([s.id for s, _ in Customers(seed=seed).scenarios(stage.pack, 20)] for seed in (0, 1))
    assert not set(one) & set(two)


def test_a_broken_simulator_is_nobodys_failure() -> None:
    summary = summarise(result("a", (episode("42"),), (episode("7"),), (episode("7", stop=StopReason.USER_ERROR),)))
    assert (summary.success.hits, summary.success.total, summary.broken) == (1, 2, 1)
    assert summary.stops == {"user_left": 2, "user_error": 1}


def test_a_pair_with_a_broken_side_is_left_out() -> None:
    broken = episode("42", stop=StopReason.USER_ERROR)
    a = result("a", (episode("42"),), (episode("42"),))
    b = result("b", (episode("7"),), (broken,))
    assert (pair(a, b).pairs, pair(a, b).only_first) == (1, 1)


def test_pass_hat_k_falls_where_success_is_a_matter_of_luck() -> None:
    lucky = [(episode("42"), episode("7"))] * 10
    steady = [(episode("42"), episode("42"))] * 10
    assert [round(i.value, 3) for i in summarise(result("a", *lucky)).pass_hat] == [0.5, 0.0]
    assert [round(i.value, 3) for i in summarise(result("a", *steady)).pass_hat] == [1.0, 1.0]


def test_an_interval_over_repeated_trials_is_not_made_narrower_by_repeating() -> None:
    few = [(episode("42"),) * 8, (episode("7"),) * 8] * 5
    interval = summarise(result("a", *few)).success_interval
    assert interval.high - interval.low > 0.5  # ten customers, not eighty


def test_an_intent_is_counted_once_an_episode_under_its_pack() -> None:
    assert summarise(result("a", (episode("42"),), (episode("7"),))).by_intent == {"retail: ask": share([True, False])}


def test_fluency_is_measured_where_it_applies() -> None:
    measured = summarise(
        result("a", (episode("42"),), (episode("7"),), (episode("8"),)),
        lambda episodes: [None if e.turns[0].reply == "8" else -0.5 for e in episodes],
    )
    assert measured.fluency.value == -0.5


def test_success_is_that_of_the_metrics(stage: Stage) -> None:
    found = evaluate([expert()], Suite(stages=(stage,), goals=20))
    by_hand = sum(metrics.success(e).reached for e in found.results[0].episodes.values())
    assert found.summaries[0].success.hits == by_hand


def test_the_package_has_a_pack(stage: Stage) -> None:
    assert Path(stage.pack.folder, "pack.yaml").is_file()
