"""How far success moves between simulators, and who is to blame where an agent failed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from dialog_rl.episode import Act, Episode, Message, Role, StopReason, Turn
from dialog_rl.evaluation import document, simulators_report
from dialog_rl.evaluation.simulators import Blame, Failures, Side, across, blame, failures, widest
from dialog_rl.evaluation.suites import Evaluation, Suite, side_by_side
from dialog_rl.evaluation.summaries import Result
from dialog_rl.testing.episodes import make_episode
from tests.talk import PACKS, served

GOAL = {
    "known": {"name": "Anna Keller", "zip": "12345"},
    "items": [{"id": "g1", "intent": "status", "inform": {"order_id": "7072"}, "wrong": {"order_id": "7027"},
               "hints": {"order_id": {"item": "kettle"}}, "change_of_mind": {"address": "5 Oak Street"}}],
}  # fmt: skip
SCENARIO = {"success": {"communicate": [{"any_of": ["42"]}]}, "user": {"goal": GOAL}}


def act(text: str) -> Act:
    """`inform order_id=7072`, or a kind alone."""
    kind, _, told = text.partition(" ")
    slot, _, value = told.partition("=")
    return Act(kind=kind, slot=slot, value=value)


def talk(*turns: tuple[str, str], **facts: Any) -> Episode:
    """A failed conversation: what the customer meant, and the agent's reply."""
    episode = make_episode(
        *((meant, reply) if reply else (meant,) for meant, reply in turns), scenario=SCENARIO, **facts
    )
    meant = [
        Turn(user=Message(role=Role.USER, text=turn.user.text, acts=(act(turn.user.text),)), steps=turn.steps)
        for turn in episode.turns
    ]
    return replace(episode, turns=tuple(meant))


READABLE = "Your warranty lasts for two years."
LOST = talk(("intent", READABLE), ("confused", READABLE), ("confused", "As I said."), ("bye", ""))


def test_a_customer_who_gives_up_over_readable_replies_could_not_understand() -> None:
    assert blame(LOST) == Blame(side=Side.LOST_CUSTOMER, evidence=READABLE)


@pytest.mark.parametrize(
    "reply",
    ["", "...", "I will send the missingkelkelkelkelkelkel", 'get_ order {"', "order order order order", "x" * 50],
)
def test_what_nobody_could_read_is_the_agents_fault(reply: str) -> None:
    assert blame(talk(("intent", reply), ("confused", reply), ("confused", "?"), ("bye", ""))).side is Side.AGENT


def test_long_replies_without_spaces_are_readable_in_chinese() -> None:
    reply = "您的订单已经发出预计三月十二日送达如果还有其他问题请随时告诉我们我们会尽快为您处理谢谢您的耐心等待"
    assert len(reply) > 41 and blame(talk(("intent", reply), ("confused", ""))).side is Side.LOST_CUSTOMER


@pytest.mark.parametrize(
    "turns",
    [
        (("intent", READABLE), ("confused", READABLE), ("protest", "No."), ("bye", "")),
        (("intent", READABLE), ("protest", READABLE), ("protest", READABLE), ("confused", "No."), ("bye", "")),
        (("intent", READABLE), ("confused", READABLE), ("thanks", "")),
        (("intent", READABLE), ("inform order_id=7072", "It is impossible."), ("bye", "")),
    ],
    ids=["it was refused in the end", "it was mostly refused", "the customer believed a false claim", "no setback"],
)
def test_other_failures_are_the_agents(turns: tuple[tuple[str, str], ...]) -> None:
    assert blame(talk(*turns)).side is Side.AGENT


def test_an_agent_who_hangs_up_on_a_confused_customer_is_to_blame() -> None:
    assert blame(replace(LOST, stop=StopReason.AGENT_DONE)).side is Side.AGENT


def test_a_customer_who_misheard_could_not_understand_even_letters() -> None:
    heard = talk(("intent", "qq{qq"), ("confused =misheard", "qq{qq"))
    assert blame(heard).side is Side.LOST_CUSTOMER


@pytest.mark.parametrize("value", ["7072", "7027", "Anna Keller", "anna keller", "kettle", "5 Oak Street"])
def test_everything_the_scenario_gives_is_the_customers_to_tell(value: str) -> None:
    assert blame(talk(("intent", "No."), (f"inform slot={value}", "No."), ("bye", ""))).side is Side.AGENT


def test_a_customer_who_makes_a_value_up_breaks_the_protocol() -> None:
    found = blame(talk(("intent", "Which order?"), ("inform order_id=9999", "There is none."), ("bye", "")))
    assert found == Blame(side=Side.UNRULY_CUSTOMER, evidence="told '9999', which is not theirs")


def spoken(*turns: tuple[str, ...]) -> Episode:
    """A customer without acts, whom a language model plays."""
    return make_episode(*turns, scenario=SCENARIO)


def test_a_spoken_customer_may_say_numbers_that_are_theirs_or_were_said_before() -> None:
    told = spoken(("Hello", "Is it order 8081 or 7072?"), ("It is 8081, zip 12345", "Sorry."), ("bye",))
    assert blame(told).side is Side.AGENT
    assert blame(spoken(("Hello", "Which?"), ("It is 8081", "Sorry."), ("bye",))).side is Side.UNRULY_CUSTOMER


def test_a_customer_who_leaves_at_once_or_whose_simulator_fails_breaks_the_protocol() -> None:
    assert blame(spoken(("bye",))).evidence == "hung up before the agent had answered"
    failed = replace(LOST, stop=StopReason.USER_ERROR, note="the user simulator failed: TimeoutError")
    assert blame(failed) == Blame(side=Side.UNRULY_CUSTOMER, evidence="the user simulator failed: TimeoutError")


@pytest.mark.parametrize("pack", PACKS)
def test_no_agenda_customer_breaks_the_protocol(pack: str) -> None:
    assert all(blame(served(pack, seed)).side is not Side.UNRULY_CUSTOMER for seed in range(40))


def result(name: str, *outcomes: Episode) -> Result:
    return Result(name=name, version="", episodes={("shop", n, 0): e for n, e in enumerate(outcomes)})


def evaluation(*results: Result) -> Evaluation:
    return side_by_side(results, Suite(stages=(), goals=4))


WON = replace(talk(("intent", "It is 42."), ("thanks", "")), episode_id="won")
BROKEN = replace(WON, stop=StopReason.USER_ERROR)


def test_failures_are_counted_by_side_with_those_that_the_simulator_broke() -> None:
    found = failures(result("a", WON, LOST, LOST, BROKEN, talk(("intent", "No."), ("bye", ""))), "deaf")
    assert found.by_side == {Side.AGENT: 1, Side.LOST_CUSTOMER: 2, Side.UNRULY_CUSTOMER: 1}
    assert (found.conversations, found.failed) == (5, 4)
    assert [blamed.side for _, blamed in found.named].count(Side.AGENT) == 0


def both() -> dict[str, Evaluation]:
    return {
        "agenda": evaluation(result("base", WON, WON, WON, LOST), result("new", WON, WON, WON, WON)),
        "deaf": evaluation(result("base", LOST, LOST, WON, WON), result("new", WON, WON, BROKEN, WON)),
    }


def test_success_is_compared_on_the_same_customers_leaving_out_broken_ones() -> None:
    base, new = across(both()).moves
    assert (base.contestant, base.simulator, base.against) == ("base", "deaf", "agenda")
    # By hand: 3 of 4 with the agenda, 2 of 4 deaf; two customers only with the agenda, one only deaf.
    assert base.paired.difference.value == pytest.approx(-0.25)
    assert (base.paired.only_second, base.paired.only_first, base.paired.pairs) == (2, 1, 4)
    assert (new.paired.difference.value, new.paired.pairs) == (0.0, 3)


def test_the_widest_move_makes_the_headline() -> None:
    found = widest(across(both()).moves)
    assert found is not None and found.value == pytest.approx(-0.25)
    assert widest(()) is None


def test_every_pair_of_simulators_is_compared() -> None:
    three = {**both(), "third": both()["agenda"]}
    assert [(m.simulator, m.against) for m in across(three).moves if m.contestant == "base"] == [
        ("deaf", "agenda"), ("third", "agenda"), ("third", "deaf"),
    ]  # fmt: skip


def test_the_report_says_how_far_success_moves_and_who_failed() -> None:
    found = across(both())
    said = simulators_report.plain(found)
    assert "success moves by up to 25.0 points with the simulator, which may be chance" in said
    assert "base: deaf against agenda: -25.0 points" in said and "customer could not understand" in said
    assert f"deaf, base, episode-1: customer could not understand: {READABLE}" in said
    written = document.markdown(simulators_report.whole(found))
    assert "| deaf | base | 2 | 0 | 2 | 0 |" in written and "## deaf: How it behaves" in written
    assert written.count("\n# ") == 0 and written.startswith("# ")


def test_the_document_is_json() -> None:
    told = json.loads(json.dumps(simulators_report.as_document(across(both())), default=str))
    assert told["failures"][2]["by_side"] == {"agent": 0, "lost_customer": 2, "unruly_customer": 0}
    assert told["moves"][0]["paired"]["pairs"] == 4 and set(told["simulators"]) == {"agenda", "deaf"}


def test_nothing_failed_is_nobodys_blame() -> None:
    assert failures(result("a", WON), "agenda") == Failures(
        contestant="a", simulator="agenda", conversations=1, by_side=dict.fromkeys(Side, 0), named=()
    )
