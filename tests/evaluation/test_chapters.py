"""What a page tells, and what it leaves out; what the sample cannot bear; conversations from logs as an evaluation."""

from __future__ import annotations

from typing import Any

import pytest

from dialog_rl.episode import Episode, StopReason
from dialog_rl.evaluation import chapters, excerpts
from dialog_rl.evaluation.calibration import calibration, earned
from dialog_rl.evaluation.document import Document, Section, Table, Talks, Warnings
from dialog_rl.evaluation.doubts import doubts
from dialog_rl.evaluation.gathering import Met, described, gather
from dialog_rl.evaluation.suites import Evaluation, compared
from dialog_rl.scoring import Score, ScoredEpisode
from dialog_rl.testing.episodes import called, make_episode

RULES = [{"id": "confirm_before_writing"}]


def customer(number: int, answer: str = "42", *, seed: int | None = None, **facts: Any) -> Episode:
    scenario = {
        "id": f"c{number}", "split": "heldout", "phrasing": "heldout",
        "user": {"goal": {"items": [{"intent": "ask", "id": "g1"}]}, "persona": {"verbosity": "chatty"}},
        "success": {"communicate": [{"any_of": ["42"]}], "policy": RULES},
    }  # fmt: skip
    return make_episode(
        ("how much?", answer),
        scenario=scenario,
        seed=number if seed is None else seed,
        episode_id=f"e{number}",
        **facts,
    )


def evaluated(**answers: str) -> Evaluation:
    """Contestants by name, with one letter a customer: y if they were served."""
    met = [
        Met(episode=customer(n, "42" if letter == "y" else "7"), run=name)
        for name, letters in answers.items()
        for n, letter in enumerate(letters)
    ]
    results = gather(met)
    return compared(results, described(results))


def section(page: Document, title: str) -> Section:
    return next(one for one in page.sections if one.title == title)


def test_customers_that_several_met_are_compared_on_these() -> None:
    found = evaluated(old="nyny" * 20, new="yyyn" * 20)
    ((pair, paired),) = found.comparisons.items()
    assert pair == ("new", "old") and (paired.pairs, paired.only_first, paired.only_second) == (80, 40, 20)
    (table,) = section(chapters.whole(found), "Differences").blocks
    assert isinstance(table, Table)
    assert table.rows[0][0] == "success" and "+25.0 points" in table.rows[0][1] and table.rows[0][2] == "g +0.17"


def test_trials_of_one_customer_are_told_apart_by_their_seeds() -> None:
    met = [Met(episode=customer(0, seed=seed), run=run) for run in ("a", "b") for seed in (5, 3)]
    one, other = gather(met)
    assert list(one.episodes) == list(other.episodes) == [("retail", 0, 0), ("retail", 0, 1)]
    assert one.episodes["retail", 0, 0].seed == other.episodes["retail", 0, 0].seed == 5


def test_an_evaluations_contestants_keep_their_names() -> None:
    def kept(name: str, suite: str) -> Met:
        from dataclasses import replace

        return Met(
            episode=replace(customer(1), episode_id=f"evaluate/{name}/{suite}/retail/0/0"), run=f"evaluate-{name}"
        )

    assert [r.name for r in gather([kept("champion", "a"), kept("base", "a")])] == ["champion", "base"]
    assert [r.name for r in gather([kept("base", "a"), kept("base", "b")])] == ["base (1)", "base (2)"]


def test_chats_that_have_no_goal_are_neither_success_nor_failure() -> None:
    results = gather([Met(episode=make_episode(("hi", "hello"), scenario={"id": "x"}), run="chat")])
    (summary,) = compared(results, described(results)).summaries
    assert (summary.success.total, summary.episodes) == (0, 1)


def test_a_small_sample_is_warned_of() -> None:
    page = chapters.whole(evaluated(a="y" * 10))
    (warning,) = [block for block in page.opening if isinstance(block, Warnings)]
    assert warning.lines[0].startswith("Only 10 customers")


def test_a_difference_that_is_not_shown_is_said_so_and_what_would_show_it() -> None:
    said = "\n".join(doubts(evaluated(old="yynn" * 20, new="yyny" + "yynn" * 19)))
    assert "No difference between new and old is shown. 80 customers show one of" in said
    assert "to show the 1.2 points seen here takes about" in said


def test_a_large_paired_difference_is_not_doubted() -> None:
    assert not [line for line in doubts(evaluated(old="n" * 200, new="y" * 200)) if "difference" in line]


def test_agents_with_different_customers_are_compared_unpaired_and_that_is_said() -> None:
    met = [Met(episode=customer(n, "42" if n % 2 else "7"), run="a" if n < 40 else "b") for n in range(80)]
    results = gather(met)
    found = compared(results, described(results))
    assert any("met no customer in common" in line for line in doubts(found))
    (table,) = section(chapters.whole(found), "Differences").blocks
    assert isinstance(table, Table) and table.rows[0][0] == "success, different customers"


def test_conversations_that_the_simulator_broke_are_warned_of() -> None:
    met = [
        Met(episode=customer(n, stop=StopReason.USER_ERROR if n < 10 else StopReason.USER_LEFT), run="a")
        for n in range(50)
    ]
    results = gather(met)
    assert any("broke 10 of 50" in line for line in doubts(compared(results, described(results))))


def test_the_turn_that_breaks_a_rule_is_quoted_and_marked() -> None:
    from dataclasses import replace

    call = called("refund", "done")
    assert call.result is not None
    call = replace(call, result=replace(call.result, facts={"kind": "write"}))
    scenario = dict(customer(0).scenario)
    broken = make_episode(("hello", "42"), ("my order", call, "Refunded."), scenario=scenario, episode_id="x")
    results = gather([Met(episode=broken, run="a")])
    (talks,) = excerpts.breaches(results)
    (quote,) = talks.sides
    assert talks.title == "confirm before writing" and quote.verdict == "retail, customer 0, turn 2"
    assert [line.mark for line in quote.lines] == ["", "breaks confirm before writing", "", ""]
    assert quote.lines[0].text == "my order"
    titles = [one.title for one in chapters.whole(compared(results, described(results))).sections]
    assert "Rules broken" in titles


def test_the_same_customer_stands_side_by_side_where_agents_fared_differently() -> None:
    found = evaluated(old="yn", new="yy")
    talks = excerpts.side_by_side(found.results, 2)
    first = talks[0]
    assert first.title == "new served them, old did not: ask (retail, customer 1)"
    assert [(side.name, side.good) for side in first.sides] == [("old", False), ("new", True)]
    assert excerpts.side_by_side(found.results, 2) == talks


def test_a_chapter_without_anything_to_say_is_left_out() -> None:
    titles = [one.title for one in chapters.whole(evaluated(a="yn" * 20)).sections]
    absent = {
        "How reliably",
        "Differences",
        "Escalation",
        "What it earns",
        "Rules broken",
        "Does it know how it will end",
    }
    assert not absent & set(titles) and "Conversations" in titles


def test_success_is_split_by_what_sets_customers_apart() -> None:
    (summary,) = evaluated(a="yynn").summaries
    assert {key: (share.hits, share.total) for key, share in summary.by_trait.items()} == {"talkative": (2, 4)}


def test_giving_a_customer_to_a_person_has_precision_and_recall() -> None:
    call = {"tool": "transfer_to_human_agents", "arguments": {}}
    wanted = {"success": {"db": {"from_actions": [call], "patch": []}}, "id": "w"}
    given = called("transfer_to_human_agents", "ok")
    met = [
        make_episode(("help", given), scenario=wanted, episode_id="1"),
        make_episode(("help", "no"), scenario={**wanted, "id": "v"}, episode_id="2"),
        make_episode(("help", given), scenario={"id": "u", "success": {"db": {}}}, episode_id="3"),
    ]
    results = gather([Met(episode=e, run="a") for e in met])
    (summary,) = compared(results, described(results)).summaries
    assert (summary.handed_over.hits, summary.handed_over.total) == (1, 2)
    assert (summary.must_hand_over.hits, summary.must_hand_over.total) == (1, 2)
    page = chapters.whole(compared(results, described(results)))
    assert section(page, "Escalation")


def test_what_is_left_to_earn_falls_by_what_was_earned() -> None:
    episode = make_episode(("a", called("x"), "b"), ("c", "d"))
    one = ScoredEpisode(episode=episode, components={"r": Score(value=1.0)}, reward=1.0, step_rewards=(0.25, 0.5, -1.0))
    assert earned(one) == [0.75, 0.0]


def test_a_perfect_critic_explains_all_and_a_constant_one_nothing() -> None:
    truth = [n / 100 for n in range(100)]
    perfect, constant = calibration("p", [(v, v) for v in truth]), calibration("c", [(0.5, v) for v in truth])
    assert (perfect.explained, perfect.gap) == (pytest.approx(1), pytest.approx(0, abs=1e-9))
    assert constant.explained == pytest.approx(0) and constant.expected == 0.5
    assert [b.turns for b in perfect.bins] == [10] * 10


def test_talks_fit_beside_each_other() -> None:
    found = evaluated(a="yn", b="yn", c="yn", d="nn")
    talks = excerpts.side_by_side(found.results, 4)
    assert isinstance(talks[0], Talks) and {len(one.sides) for one in talks} == {3}
