"""What a rating teaches, and what it does not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from dialog_rl.bench.rehearsal import human_ratings
from dialog_rl.combination import Combination
from dialog_rl.episode import Episode, Message, Rating, Role, Step, StopReason, ToolCall, Turn
from dialog_rl.episode_log.learning import Chosen
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.online.lessons import Baseline, Lesson, RatingsInUse, lessons
from dialog_rl.scoring import Reward, Score, ScoredEpisode

CALL = Message(role=Role.ASSISTANT, text="look {}", tool_call=ToolCall(name="look", arguments={}))
REPLY = Message(role=Role.ASSISTANT, text="Hello.")


def step(message: Message, ids: int) -> Step:
    result = Message(role=Role.TOOL, text="ok") if message.tool_call else None
    return Step(
        message=message, result=result, observation_ids=(1, 2), action_ids=(ids,) * 2, logprobs=(-0.5, -0.25),
        policy_version="v1",
    )  # fmt: skip


def chat(episode_id: str = "c1") -> Episode:
    """Three turns: a reply, a call and a reply, a reply."""
    user = Message(role=Role.USER, text="hi")
    turns = (
        Turn(user=user, steps=(step(REPLY, 10),)),
        Turn(user=user, steps=(step(CALL, 20), step(REPLY, 30))),
        Turn(user=user, steps=(step(REPLY, 40),)),
    )
    return Episode(
        episode_id=episode_id, pack="retail", scenario={}, seed=1, system=Message(role=Role.SYSTEM, text="be kind"),
        turns=turns, stop=StopReason.USER_LEFT, simulator="person",
    )  # fmt: skip


def taught(*given: tuple[int | None, float], episode: Episode | None = None, weight: float = 1.0) -> list[Lesson]:
    """The lessons of one conversation that ann rated."""
    episode = episode or chat()
    ratings = RatingsInUse()
    ratings.by_episode[episode.episode_id] = tuple(
        Rating(episode_id=episode.episode_id, rater="ann", turn=turn, value=value) for turn, value in given
    )
    (reward,) = human_ratings(ratings)
    combination = Combination([Reward(name=reward.name, function=reward.function, weight=weight)])
    return lessons(combination, [episode])


def ids(lesson: Lesson) -> list[tuple[int, ...]]:
    return [s.action_ids for s in lesson.scored.episode.steps]


def test_only_the_turn_that_was_judged_is_learnt_from():
    (lesson,) = taught((1, -1.0))
    assert lesson.judged == (False, True, True, False) and lesson.credit == (0.0, -1.0, -1.0, 0.0)
    assert ids(lesson) == [(), (20, 20), (30, 30), ()]


def test_what_nobody_judged_stays_in_the_context_token_for_token():
    (lesson,) = taught((1, -1.0))
    before = [i for s in chat().steps for i in (*s.observation_ids, *s.action_ids)]
    after = [i for s in lesson.scored.episode.steps for i in (*s.observation_ids, *s.action_ids)]
    assert after == before


def test_a_rating_of_the_whole_is_every_steps():
    (lesson,) = taught((None, 0.5))
    assert (
        lesson.credit == (0.5,) * 4
        and all(lesson.judged)
        and ids(lesson) == [(10,) * 2, (20,) * 2, (30,) * 2, (40,) * 2]
    )


def test_ratings_of_turns_and_of_the_whole_add_up_with_their_weight():
    (lesson,) = taught((None, 0.5), (0, 1.0), weight=2.0)
    assert lesson.credit == (3.0, 1.0, 1.0, 1.0)


def test_a_conversation_without_a_rating_teaches_nothing_instead_of_zero():
    assert taught() == []


def test_a_rating_of_zero_is_a_rating():
    (lesson,) = taught((0, 0.0))
    assert lesson.judged == (True, False, False, False)


def test_only_the_ratings_that_a_plan_names_count(tmp_path: Path):
    with EpisodeLog.open(tmp_path / "log.sqlite") as log:
        log.append(chat())
        for key, value in (("early", 1.0), ("late", -1.0)):
            log.rate(Rating(episode_id="c1", rater="ann", turn=0, value=value), event_id=key)
        ratings = RatingsInUse()
        ratings.take(log, [Chosen(episode_id="c1", ratings=("rating:early",))])
        assert [r.value for r in ratings([chat()])[0]] == [1.0]
        assert ratings([chat("another")]) == [()]


def of(*values: float) -> list[Lesson]:
    """One conversation for each value, its last turn judged."""
    return [taught((2, value), episode=chat(f"c{n}"))[0] for n, value in enumerate(values)]


def test_a_reply_is_compared_with_what_people_usually_think():
    advantages = Baseline().advantages(of(1.0, -1.0, -1.0, -1.0))
    assert [a[-1] for a in advantages] == pytest.approx([1.732, -0.577, -0.577, -0.577], abs=1e-3)
    assert all(value == 0 for a in advantages for value in a[:-1])


def test_judgements_that_are_all_alike_say_nothing():
    baseline = Baseline()
    for _ in range(3):
        assert all(value == 0 for a in baseline.advantages(of(1.0, 1.0)) for value in a)


def test_a_single_rating_counts_once_there_is_something_to_compare_it_with():
    baseline = Baseline()
    baseline.advantages(of(1.0, 1.0, 1.0))
    ((*_, alone),) = baseline.advantages(of(-1.0))
    assert alone == pytest.approx(-1.732, abs=1e-3)


def test_small_differences_are_not_blown_up():
    (first, second) = Baseline().advantages(of(0.5, 0.49))
    assert 0 < first[-1] - second[-1] == pytest.approx(0.04)


def test_the_baseline_forgets_what_is_long_past():
    baseline = Baseline(recent=[-1.0] * 64)
    baseline.advantages(of(*[1.0, 0.0] * 32))
    assert sum(baseline.recent) == 32


def test_another_rewards_opinion_of_the_whole_makes_every_step_count():
    class Polite:
        def score(self, episodes: Sequence[Episode]) -> list[Score]:
            return [Score(value=0.25) for _ in episodes]

    (lesson,) = lessons(Combination([Reward(name="polite", function=Polite())]), [chat()])
    assert lesson.credit == (0.25,) * 4 and isinstance(lesson.scored, ScoredEpisode)
