"""Each figure of the panel on conversations made for it, and what a limit lets pass."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dialog_rl.behaviour import LIMITS, WINDOW, Figure, Limit, broken, distinct_2, panel
from dialog_rl.episode import Episode, ToolCall, Turn
from dialog_rl.testing.episodes import called, make_episode
from dialog_rl.testing.scripted import ScriptedPolicy, ScriptedTools, ScriptedUser, converse

LOOK_UP = ToolCall(name="look_up", arguments={})


def conversation(*actions: str | ToolCall, user: str = "Where is it?", **answers: str) -> Episode:
    """A customer who says the same at every turn, and an agent that does this."""
    turns = max(1, sum(isinstance(action, str) for action in actions))
    return converse(ScriptedUser(*[user] * turns, "Bye"), ScriptedPolicy(*actions), ScriptedTools(**answers))


def value(name: str, *episodes: Episode) -> float:
    return panel(episodes)[name].value


def with_logprobs(episode: Episode, *logprobs: float) -> Episode:
    step = replace(episode.turns[0].steps[0], action_ids=tuple(range(len(logprobs))), logprobs=logprobs)
    return replace(episode, turns=(Turn(user=episode.turns[0].user, steps=(step,)),))


def test_entropy_is_the_mean_surprise_of_the_sampled_tokens() -> None:
    one = with_logprobs(conversation("Hello."), -0.5, -1.5)
    other = with_logprobs(conversation("Hello."), -3.0)
    found = panel([one, other])["entropy"]
    assert found.value == pytest.approx(2.0) and found.error == pytest.approx(1.0)


def test_what_was_not_sampled_has_no_entropy() -> None:
    assert "entropy" not in panel([conversation("Hello.")])


def test_length_is_counted_in_words_and_in_chinese_characters() -> None:
    assert value("words", conversation("It is on its way.", "No.")) == pytest.approx(3)
    assert value("words", conversation("您的订单8841已发货。")) == pytest.approx(8)


def test_a_reply_said_again_in_the_same_conversation_is_a_duplicate() -> None:
    assert value("duplicates", conversation("Your name?", "Your name?", "Your zip?", "Done.")) == pytest.approx(0.25)
    assert value("duplicates", conversation("Your name?"), conversation("Your name?")) == 0


def test_a_turn_that_only_asks_is_told_from_one_that_also_acts() -> None:
    asks = conversation("What is your name?", "It is done.", look_up="42")
    acts = conversation(LOOK_UP, "Is it number 42?", look_up="42")
    assert value("questions", asks) == 0.5 and value("questions", acts) == 0


def test_a_turn_without_a_word_to_the_customer_is_silent_and_a_farewell_that_nobody_answers_is_not() -> None:
    assert value("silent", conversation("Hello.")) == 0 and value("turns", conversation("Hello.")) == 1
    assert value("silent", make_episode(("Hi", called("look_up")), ("Hello?", "Yes?"), ("Bye",))) == 0.5


def test_refused_calls_are_counted_among_calls() -> None:
    assert value("tool_errors", conversation(LOOK_UP, LOOK_UP, "Found.", look_up="42")) == 0
    assert value("tool_errors", conversation(LOOK_UP, ToolCall(name="no_such", arguments={}), "!", look_up="42")) == 0.5
    assert "tool_errors" not in panel([conversation("Hello.")])


def test_refusals_flattery_begging_and_apologies_are_counted_among_replies() -> None:
    said = conversation("Sorry, I cannot do that.", "You are so smart!", "Please rate me.", "It is sent.")
    for name in ("refusals", "apologies", "flattery", "begging"):
        assert value(name, said) == pytest.approx(0.25), name


def test_an_answer_in_another_language_is_noticed() -> None:
    assert value("language_switches", conversation("好的。", "It is sent.")) == 0.5
    assert value("language_switches", conversation("好的。", user="我的包裹在哪里？")) == 0


def test_the_same_word_pairs_over_and_over_are_less_distinct() -> None:
    varied = [f"order {n} arrives {n + 1}" for n in range(WINDOW)]
    assert distinct_2(["it is sent"] * WINDOW) == pytest.approx(2 / (2 * WINDOW))
    assert distinct_2(varied) == pytest.approx(1, abs=0.01)


def test_more_replies_of_the_same_kind_are_not_less_distinct() -> None:
    cycle = [f"order {n % WINDOW} arrives {n % WINDOW + 1}" for n in range(10 * WINDOW)]
    assert distinct_2(cycle) == pytest.approx(distinct_2(cycle[:WINDOW]))


def test_a_few_replies_say_nothing_about_variety() -> None:
    assert "distinct_2" not in panel([conversation("Hello.")] * (WINDOW - 1))
    assert value("commonest", *[conversation("Hello.")] * WINDOW) == 1


LIMIT = Limit(figure="words", least=0.5, most=2.0)


@pytest.mark.parametrize(("own", "is_broken"), [(4.9, True), (5.1, False), (19.9, False), (20.1, True)])
def test_a_ratio_is_limited_from_both_sides(own: float, is_broken: bool) -> None:
    found = broken({"words": Figure(value=own)}, {"words": Figure(value=10.0)}, "champion", [LIMIT])
    assert bool(found) is is_broken


def test_a_share_may_be_more_by_so_much_and_less_by_any() -> None:
    limits = [Limit(figure="refusals", more=0.1)]
    other = {"refusals": Figure(value=0.3)}
    assert broken({"refusals": Figure(value=0.41)}, other, "anchor", limits) == (
        "refusals 0.41 where the anchor has 0.3: more than 0.1 above it",
    )
    assert not broken({"refusals": Figure(value=0.39)}, other, "anchor", limits)
    assert not broken({"refusals": Figure(value=0.0)}, other, "anchor", limits)


def test_a_figure_that_chance_may_have_made_does_not_count() -> None:
    other = {"words": Figure(value=10.0, error=1.0)}
    assert not broken({"words": Figure(value=21.0, error=1.0)}, other, "champion", [LIMIT])
    assert broken({"words": Figure(value=24.0, error=1.0)}, other, "champion", [LIMIT])


def test_every_limit_is_on_a_figure_that_there_is() -> None:
    episodes = [with_logprobs(conversation("Hello there."), -1.0), conversation(LOOK_UP, "Yes.", look_up="1")] * WINDOW
    assert {limit.figure for limit in LIMITS} <= panel(episodes).keys()


def test_a_version_breaks_no_limit_beside_itself() -> None:
    episodes = [conversation(f"Order {n} is sent.", "Anything else?") for n in range(WINDOW)]
    assert broken(panel(episodes), panel(episodes), "champion") == ()
