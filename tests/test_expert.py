"""The scripted expert serves everybody; as a trainee it errs."""

from __future__ import annotations

import random

import pytest

from dialog_rl import metrics
from dialog_rl.episode import Act, Message, Role
from dialog_rl.expert import Expert
from dialog_rl.goals import make_scenario
from dialog_rl.mistakes import TRAINEE, Mistakes
from dialog_rl.scenario import SPLITS
from tests.talk import PACKS, converse, pack, served

VARIANTS = [
    (name, intent, variant) for name in PACKS for intent, i in pack(name).file.intents.items() for variant in i.variants
]


def customer_says(text: str, *acts: Act) -> Message:
    return Message(role=Role.USER, text=text, acts=acts)


def tool_says(text: str, error: bool = False) -> Message:
    return Message(role=Role.TOOL, text=text, error=error)


def cancelling(seed: int = 0, mistakes: Mistakes | None = None) -> tuple[Expert, Message]:
    """An expert who was told name, zip and order number at once, and what it does first."""
    expert = Expert(pack("retail"), random.Random(seed), mistakes or Mistakes())
    told = [Act(kind="inform", slot=s, value=v) for s, v in (("name", "Anna"), ("zip", "12345"), ("order_id", "7072"))]
    return expert, expert.act((customer_says("cancel 7072", Act(kind="intent", value="cancel_order"), *told),))


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("name", PACKS)
def test_the_expert_serves_every_customer_and_breaks_no_rule(name: str, split: str) -> None:
    episodes = [served(name, seed, split) for seed in range(25)]
    assert all(metrics.success(e).reached and not metrics.violations(e) for e in episodes)


@pytest.mark.parametrize(("name", "intent", "variant"), VARIANTS, ids="-".join)
def test_the_expert_solves_every_circumstance(name: str, intent: str, variant: str) -> None:
    for seed in range(2):
        episode = converse(make_scenario(pack(name), seed, intent=intent, variant=variant), seed)
        assert metrics.success(episode).reached, [m.text for m in episode.messages()]


@pytest.mark.parametrize("name", PACKS)
def test_customers_understand_the_expert(name: str) -> None:
    assert sum(metrics.misunderstandings(served(name, seed)) for seed in range(25)) == 0


def test_the_same_generator_says_the_same_words() -> None:
    def texts() -> list[str]:
        return [m.text for m in served("retail", 11).messages()]

    assert texts() == texts()


def test_it_identifies_before_it_reads() -> None:
    _, first = cancelling()
    assert first.text == 'find_customer {"name":"Anna","zip":"12345"}'


def test_its_first_question_says_what_it_understood_and_no_later_one_does() -> None:
    expert = Expert(pack("retail"), random.Random(0))
    first = expert.act((customer_says("the address is wrong", Act(kind="intent", value="change_address")),))
    assert first.text.startswith("Let me help with the new address. ") and first.text.endswith("?")
    second = expert.act((customer_says("Anna", Act(kind="inform", slot="name", value="Anna")),))
    assert "Let me help" not in second.text


def test_it_asks_again_for_what_was_not_found() -> None:
    expert, _ = cancelling()
    asked = expert.act((tool_says("no such customer", error=True),))
    assert asked.tool_call is None and "name" in asked.text


def test_it_doubts_a_number_once_before_it_refuses() -> None:
    expert, _ = cancelling()
    doubt = expert.act((tool_says('{"customer":"C1","orders":["9999"]}'),))
    assert "7072" in doubt.text and "not in your account" not in doubt.text
    refusal = expert.act((customer_says("7072", Act(kind="inform", slot="order_id", value="7072")),))
    assert "not in your account" in refusal.text


def test_it_asks_again_for_a_number_that_no_tool_knows() -> None:
    expert, _ = cancelling(mistakes=Mistakes(overlooks_refusal=1.0))
    reads = expert.act((tool_says('{"customer":"C1","orders":["9999"]}'),))
    assert reads.text == 'get_order {"order_id":"7072"}'
    asked = expert.act((tool_says("no such order", error=True),))
    assert asked.tool_call is None and "7072" in asked.text and asked.text.endswith("?")


def test_it_writes_only_after_a_yes() -> None:
    expert, _ = cancelling()
    expert.act((tool_says('{"customer":"C1","orders":["7072"]}'),))
    proposal = expert.act((tool_says('{"item":"blue lamp","status":"pending","price":"9.00","date":"x","days":3}'),))
    assert proposal.tool_call is None and "7072" in proposal.text
    assert expert.act((customer_says("hm", Act(kind="confused")),)).tool_call is None
    assert expert.act((customer_says("yes", Act(kind="affirm")),)).text == 'cancel_order {"order_id":"7072"}'


def test_it_recognises_an_order_by_what_it_is() -> None:
    expert = Expert(pack("retail"), random.Random(0))
    acts = [Act(kind="intent", value="cancel_order"), Act(kind="inform", slot="name", value="Anna")]
    acts += [Act(kind="inform", slot="zip", value="12345"), Act(kind="inform", slot="item", value="blue lamp")]
    expert.act((customer_says("cancel my blue lamp", *acts),))
    finds = expert.act((tool_says('{"customer":"C1","orders":["9999","7072"]}'),))
    assert finds.text == 'find_order {"customer":"C1","item":"blue lamp"}'
    reads = expert.act((tool_says('{"order_id":"7072"}'),))
    assert reads.text == 'get_order {"order_id":"7072"}'


def test_a_second_request_keeps_who_the_customer_is_and_nothing_else() -> None:
    expert, _ = cancelling()
    expert.act((tool_says('{"customer":"C1","orders":["7072"]}'),))
    asked = expert.act((customer_says("and an invoice", Act(kind="intent", value="invoice")),))
    assert asked.tool_call is None and "order" in asked.text


def test_a_slip_of_the_pen_is_put_right_or_asked_about_and_told() -> None:
    courses = set()
    for seed in range(60):
        expert, first = cancelling(seed, Mistakes(slips=1.0))
        assert first.text != 'find_customer {"name":"Anna","zip":"12345"}' and expert.slipped == [0]
        said = [expert.act((tool_says("no such customer", error=True),)) for _ in range(2)]
        course = tuple("again" if m == first else "right" if m.tool_call else "asks" for m in said)
        courses.add(course[: course.index("right") + 1] if "right" in course else course)
        assert expert.slipped == ([0, 1] if course[0] == "again" else [0])
    assert courses == {("right",), ("asks", "asks"), ("again", "asks")}


def test_after_a_slip_that_was_asked_about_the_call_is_right() -> None:
    told = (Act(kind="inform", slot="name", value="Anna"), Act(kind="inform", slot="zip", value="12345"))
    for seed in range(20):
        expert, said = cancelling(seed, Mistakes(slips=1.0))
        for slips in (1, 2):
            if len(expert.slipped) == slips:
                said = expert.act((tool_says("no such customer", error=True),))
        if said.tool_call is None:
            said = expert.act((customer_says("Anna, 12345", *told),))
        assert said.text == 'find_customer {"name":"Anna","zip":"12345"}'


def test_a_misread_wish_is_asked_about_when_the_customer_cannot_follow() -> None:
    told = [Act(kind="inform", slot=s, value=v) for s, v in (("name", "Anna"), ("zip", "12345"), ("order_id", "7072"))]
    expert = Expert(pack("retail"), random.Random(1), Mistakes(misreads=1.0))
    expert.act((customer_says("where is it?", Act(kind="intent", value="order_status"), *told),))
    expert.act((tool_says('{"customer":"C1","orders":["7072"]}'),))
    sorry = expert.act((customer_says("what?", Act(kind="confused")),))
    assert sorry.text in pack("retail").phrasing.agent.other["misunderstood"]
    reads = expert.act((customer_says("when will it arrive?", Act(kind="ask", slot="arrival")),))
    assert reads.text == 'get_order {"order_id":"7072"}'
    assert expert.slipped == [0, 1]


@pytest.mark.parametrize("name", PACKS)
def test_nobody_comes_to_harm_by_a_misread_wish(name: str) -> None:
    episodes = [served(name, seed, mistakes=Mistakes(misreads=0.5)) for seed in range(100)]
    assert sum(metrics.success(e).reached for e in episodes) >= 90
    assert not any(metrics.violations(e) for e in episodes)


@pytest.mark.parametrize("name", PACKS)
def test_a_trainee_succeeds_often_but_far_from_always(name: str) -> None:
    episodes = [served(name, seed, mistakes=TRAINEE) for seed in range(150)]
    assert 0.45 < sum(metrics.success(e).reached for e in episodes) / len(episodes) < 0.75


def test_a_trainee_who_skips_confirmation_breaks_the_rule() -> None:
    episodes = [served("retail", seed, mistakes=Mistakes(skips_confirmation=1.0)) for seed in range(30)]
    assert {v.rule for e in episodes for v in metrics.violations(e)} == {"confirm_before_writing"}


def test_a_trainee_who_skips_identification_breaks_the_rule() -> None:
    episodes = [served("retail", seed, mistakes=Mistakes(skips_identification=1.0)) for seed in range(30)]
    assert "identify_before_reading" in {v.rule for e in episodes for v in metrics.violations(e)}


def test_a_false_claim_is_made_once() -> None:
    expert, _ = cancelling(mistakes=Mistakes(claims_without_doing=1.0))
    expert.act((tool_says('{"customer":"C1","orders":["7072"]}'),))
    expert.act((tool_says('{"item":"blue lamp","status":"pending","price":"9.00","date":"x","days":3}'),))
    claim = expert.act((customer_says("yes", Act(kind="affirm")),))
    assert claim.tool_call is None
    again = expert.act((customer_says("how much?", Act(kind="ask", slot="refund")),))
    assert again.tool_call is not None and again.tool_call.name == "cancel_order"
