"""Measures of text: worked by hand where a hand can do it, else against their own definition."""

from __future__ import annotations

import math

import pytest

from dialog_rl.episode import Episode, Message, Role, Step, StopReason, Turn
from dialog_rl.evaluation import text


def episode(*said: str, scenario: str = "s") -> Episode:
    turns = tuple(
        Turn(
            user=Message(role=Role.USER, text="hi"),
            steps=(Step(message=Message(role=Role.ASSISTANT, text=one), action_ids=(1, 2), logprobs=(0.0, 0.0)),),
        )
        for one in said
    )
    system = Message(role=Role.SYSTEM, text="")
    return Episode(
        episode_id="e", pack="p", scenario={"id": scenario}, seed=0, system=system, turns=turns,
        stop=StopReason.USER_LEFT,
    )  # fmt: skip


def test_distinct_counts_different_n_grams() -> None:
    assert text.distinct(["a b a b"], 1) == pytest.approx(2 / 4)
    assert text.distinct(["a b a b"], 2) == pytest.approx(2 / 3)
    assert math.isnan(text.distinct([""], 1))


def test_length_counts_words_and_characters_of_scripts_without_spaces() -> None:
    assert text.length(["one two, three", "我爱你"]) == pytest.approx((4 + 3) / 2)


def test_perplexity_weighs_every_token_alike() -> None:
    found = text.perplexity([episode("a", "b", "c")], lambda episodes: [[math.log(0.5), math.log(0.25), None]])
    assert found == pytest.approx(math.exp(-(2 * math.log(0.5) + 2 * math.log(0.25)) / 4))


def test_the_same_again_and_again_has_a_self_bleu_of_one() -> None:
    pytest.importorskip("sacrebleu", reason="measures of text need the extra dialog_rl[text-metrics]")
    assert text.self_bleu(["your parcel is on its way today"] * 3) == pytest.approx(1.0)
    assert text.self_bleu(["your parcel is on its way", "please tell me who you are"]) < 0.2


def test_a_reply_counts_against_the_nearest_of_what_was_said_to_the_same_customer() -> None:
    pytest.importorskip("sacrebleu", reason="measures of text need the extra dialog_rl[text-metrics]")
    pytest.importorskip("rouge_score", reason="measures of text need the extra dialog_rl[text-metrics]")
    theirs = text.by_customer([episode("it is on its way today", "good bye then", scenario="s")])
    same = text.nearness([episode("it is on its way today")], theirs)
    assert same == pytest.approx({"bleu": 1.0, "chrf": 1.0, "rouge_l": 1.0})
    # Longest common subsequence "it is": precision 2/4, recall 2/6.
    other = text.nearness([episode("it is gone now")], {"s": ["it is on its way today"]})
    assert other["rouge_l"] == pytest.approx(2 * (2 / 4) * (2 / 6) / (2 / 4 + 2 / 6))
    assert all(math.isnan(value) for value in text.nearness([episode("x", scenario="another")], theirs).values())


def test_bleu_is_the_geometric_mean_of_its_precisions_with_a_penalty_for_brevity() -> None:
    pytest.importorskip("sacrebleu", reason="measures of text need the extra dialog_rl[text-metrics]")
    pytest.importorskip("rouge_score", reason="measures of text need the extra dialog_rl[text-metrics]")
    found = text.nearness([episode("a b c d e")], {"s": ["a b c d e f g"]})["bleu"]
    assert found == pytest.approx(math.exp(1 - 7 / 5))


def test_figures_are_those_that_can_be_had() -> None:
    pytest.importorskip("sacrebleu", reason="measures of text need the extra dialog_rl[text-metrics]")
    assert set(text.figures([episode("a b", "c d")])) == {"words a reply", "distinct-1", "distinct-2", "self-BLEU"}
