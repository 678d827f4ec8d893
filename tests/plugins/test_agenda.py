"""The agenda customer, talked to by hand."""

from __future__ import annotations

import pytest
from dialog_rl_simulators.agenda import Agenda, AgendaUser

from dialog_rl.errors import ScenarioError
from dialog_rl.goals import make_scenario
from dialog_rl.pack import Pack
from dialog_rl.scenario import Scenario
from tests.talk import PACKS, Customer, acts, agent_says, item, pack

CANCEL = item("cancel_order", request={"refund": "20.50"})
CANCEL_TOO_LATE = item("cancel_order", refusal="already_shipped", evidence=("shipped", "on its way"))
ADDRESS = item("change_address", inform={"address": "5 Oak Street"})
EXCHANGE = item("exchange_item", inform={"color": "blue"}, request={"arrival": "March 12"})
STATUS = item("order_status", request={"arrival": "March 12"})


# -- opening


def test_the_opening_says_what_is_wanted() -> None:
    assert acts(Customer(CANCEL).opening) == ["intent"]


def test_a_customer_who_reveals_on_request_tells_no_values_at_first() -> None:
    assert not any("7072" in Customer(CANCEL, seed=n).opening.message.text for n in range(30))


def test_a_customer_who_reveals_at_once_often_tells_them() -> None:
    openings = [Customer(CANCEL, seed=n, reveal="upfront").opening for n in range(30)]
    told = [o for o in openings if "7072" in o.message.text]
    assert len(told) > 5 and all("inform order_id=7072" in acts(o) for o in told)


def test_held_out_customers_say_nothing_that_is_trained_on() -> None:
    train = {Customer(CANCEL, seed=n).opening.message.text for n in range(200)}
    held_out = {Customer(CANCEL, seed=n, phrasing="heldout").opening.message.text for n in range(200)}
    assert train.isdisjoint(held_out)


def test_a_scenario_without_a_structured_goal_is_refused_by_name() -> None:
    with pytest.raises(ScenarioError, match="free: the agenda simulator needs a structured goal"):
        AgendaUser(Scenario.model_validate({"id": "free", "pack": "retail"}), pack("retail"), 0)


# -- telling


def test_what_is_asked_is_told() -> None:
    reply = Customer(CANCEL, verbosity="minimal").answers("Under what number do we have your order?")
    assert "7072" in reply.message.text and acts(reply) == ["inform order_id=7072"]


def test_two_things_asked_at_once_are_told_in_one_message() -> None:
    reply = Customer(CANCEL, verbosity="minimal").answers("Can I get your full name and zip code?")
    assert acts(reply) == ["inform name=Anna Keller", "inform zip=12345"]
    assert "Anna Keller" in reply.message.text and "12345" in reply.message.text


def test_a_chatty_customer_volunteers_more_than_was_asked() -> None:
    replies = [Customer(CANCEL, seed=n, verbosity="chatty").answers("Your name?") for n in range(40)]
    assert 5 < sum("inform zip=12345" in acts(r) for r in replies) < 35


def test_a_topic_is_asked_about_and_never_volunteered() -> None:
    question = {"id": "g1", "intent": "help", "inform": {"topic": "warranty"}, "request": {"answer": "3"}}
    for seed in range(20):
        customer = Customer(question, seed=seed, verbosity="chatty")
        heard = acts(customer.hears("What is your full name and zip code?", "Your name?"))
        assert not any("topic" in act for act in heard)


def test_what_a_customer_does_not_know_is_said_and_costs_patience() -> None:
    customer = Customer(CANCEL, patience=2)
    assert acts(customer.answers("Is it damaged or unwanted?")) == ["dont_know reason="]
    assert customer.answers("Is it damaged or unwanted?").leaves


def test_being_asked_again_for_what_was_told_costs_patience() -> None:
    customer = Customer(CANCEL, patience=2, verbosity="minimal")
    assert not customer.hears("Your name?", "Your name?").leaves
    assert customer.answers("Your name?").leaves


def test_a_wrong_number_is_told_first_and_corrected_when_asked_again() -> None:
    customer = Customer(CANCEL | {"wrong": {"order_id": "7079"}}, verbosity="minimal")
    assert acts(customer.answers("What is the order number?")) == ["inform order_id=7079"]
    again = customer.answers("I can't find order 7079. What is the order number?")
    assert acts(again) == ["correct order_id=7072"] and "7072" in again.message.text
    assert acts(customer.answers("Once more, what is the order number?")) == ["inform order_id=7072"]


def test_a_forgotten_number_is_described_instead() -> None:
    customer = Customer(CANCEL | {"hints": {"order_id": {"item": "grey lamp"}}}, verbosity="minimal")
    reply = customer.answers("Which order is it about?")
    assert acts(reply) == ["inform item=grey lamp"]
    assert "grey lamp" in reply.message.text and "7072" not in reply.message.text


def test_a_dropped_answer_leaves_the_first() -> None:
    customer = Customer(CANCEL, verbosity="minimal", noise={"slot_drop": 1.0})
    assert acts(customer.answers("What is your full name and zip code?")) == ["inform name=Anna Keller"]


def test_slips_of_the_hand_spare_the_values() -> None:
    replies = [Customer(CANCEL, seed=n, noise={"typo": 1.0}).answers("Your full name?") for n in range(30)]
    assert all("Anna Keller" in r.message.text for r in replies)
    assert any("name" not in r.message.text and len(r.message.text) > 15 for r in replies)


def test_who_writes_in_lower_case_does_so_always() -> None:
    customer = Customer(CANCEL, lowercase=True)
    texts = [customer.opening.message.text, customer.answers("Your full name?").message.text]
    assert texts == [t.lower() for t in texts]


def test_a_name_keeps_its_capital_in_the_middle_of_a_sentence() -> None:
    customers = [Customer(CANCEL, seed=n, verbosity="chatty") for n in range(300)]
    texts = [customer.answers("What is your zip code?").message.text for customer in customers]
    assert all("anna Keller" not in text for text in texts)
    assert sum("Anna" in text and "12345" in text for text in texts) > 10


def test_others_begin_with_a_capital() -> None:
    assert all(Customer(CANCEL, seed=n).opening.message.text[0].isupper() for n in range(30))


def test_chinese_answers_are_joined_as_the_chinese_write() -> None:
    customers = [Customer(CANCEL, in_pack="retail_zh", name="王芳", seed=n) for n in range(30)]
    texts = [customer.answers("您的姓名和邮编？").message.text for customer in customers]
    assert all("王芳" in t and "12345" in t and "。，" not in t for t in texts)


# -- confirming


def test_a_right_proposal_is_affirmed() -> None:
    assert acts(Customer(CANCEL).answers("I'd cancel order 7072 for you now, all right?")) == ["affirm"]


def test_a_proposal_with_another_number_is_denied_and_put_right() -> None:
    reply = Customer(CANCEL).answers("Shall I cancel order 7979?")
    assert acts(reply) == ["deny", "correct order_id=7072"] and "7072" in reply.message.text


def test_a_proposal_with_another_choice_is_denied_and_put_right() -> None:
    reply = Customer(EXCHANGE).answers("Shall I exchange order 7072 for a green one?")
    assert acts(reply) == ["deny", "correct color=blue"]


def test_the_colour_of_the_thing_itself_is_no_contradiction() -> None:
    assert acts(Customer(EXCHANGE).answers("Shall I swap the green lamp for a blue one?")) == ["affirm"]


def test_a_mind_is_changed_once_at_confirmation() -> None:
    customer = Customer(ADDRESS | {"change_of_mind": {"address": "9 Mill Lane"}})
    changed = customer.answers("I will send it to 5 Oak Street. Is that right?")
    assert acts(changed) == ["correct address=9 Mill Lane"] and "9 Mill Lane" in changed.message.text
    assert acts(customer.answers("To 9 Mill Lane then, okay?")) == ["affirm"]


def test_a_value_read_back_is_affirmed_though_it_sounds_like_asking() -> None:
    customer = Customer(ADDRESS)
    assert acts(customer.answers("Can you confirm that the new address is 5 Oak Street?")) == ["affirm"]
    assert acts(customer.answers("May I ship it to 5 Oak Street then?")) == ["affirm"]


def test_a_list_of_choices_is_a_question_and_no_proposal() -> None:
    returned = item("return_item", inform={"reason": "damaged"})
    reply = Customer(returned, verbosity="minimal").answers("Can you confirm why: damaged, unwanted or wrong size?")
    assert acts(reply) == ["inform reason=damaged"]


# -- results


def test_a_good_result_is_thanked_for() -> None:
    customer = Customer(CANCEL)
    reply = customer.hears("Shall I cancel order 7072?", "I've cancelled it and 20.50 will be yours again.")
    assert reply.leaves and acts(reply) == ["thanks", "bye"]


def test_what_was_not_told_is_asked_for() -> None:
    assert acts(Customer(CANCEL).answers("I've cancelled it. Anything else?")) == ["ask refund="]


def test_an_offer_of_help_is_answered_with_the_request() -> None:
    assert acts(Customer(ADDRESS).answers("How can I help you today?")) == ["intent"]


def test_a_question_answered_in_passing_is_enough() -> None:
    assert Customer(STATUS).answers("You'll have it on March 12.").leaves


def test_what_was_agreed_to_and_not_claimed_done_is_taken_as_done() -> None:
    customer = Customer(ADDRESS)
    assert not customer.answers("Anything else?").leaves
    assert customer.hears("Shall I send it to 5 Oak Street?", "Is there anything else?").leaves


def test_the_second_request_follows_without_a_second_greeting() -> None:
    second = item("invoice", "8111", request={"total": "9.99"})
    replies = [Customer(STATUS, second, seed=n).answers("It arrives on March 12.") for n in range(60)]
    assert all("intent" in acts(r) and not r.leaves for r in replies)
    greetings = pack("retail").phrasing.customer.greetings
    assert not any(g in r.message.text.lower() for r in replies for g in greetings)


def test_the_name_once_told_counts_for_the_second_request_too() -> None:
    customer = Customer(STATUS, item("invoice", "8111"), patience=1, verbosity="minimal")
    assert not customer.hears("Your full name?", "It arrives on March 12.").leaves
    assert customer.answers("Your full name?").leaves


# -- refusals


def test_a_refusal_with_the_right_reason_is_accepted() -> None:
    reply = Customer(CANCEL_TOO_LATE).answers("I'm afraid I can't, it has been shipped.")
    assert reply.leaves and acts(reply) == ["thanks", "bye"]


def test_a_refusal_without_a_reason_is_asked_why() -> None:
    customer = Customer(CANCEL_TOO_LATE)
    assert acts(customer.answers("I'm afraid I can't.")) == ["ask reason="]
    assert customer.answers("It is on its way.").leaves


def test_an_unexpected_refusal_is_protested() -> None:
    assert acts(Customer(CANCEL).answers("I'm afraid I can't cancel that.")) == ["protest"]


def test_a_refusal_after_a_yes_is_protested_though_more_help_is_offered() -> None:
    customer = Customer(ADDRESS)
    reply = customer.hears("Shall I send it to 5 Oak Street?", "Sadly I can't do it after all. Anything else?")
    assert acts(reply) == ["protest"]


def test_a_customer_who_must_be_refused_believes_a_false_claim() -> None:
    assert Customer(CANCEL_TOO_LATE).answers("I have cancelled it.").leaves


# -- patience, noise, blame


def test_a_customer_runs_out_of_patience_and_leaves() -> None:
    customer = Customer(CANCEL, patience=3)
    replies = [customer.answers("Lovely weather, isn't it?") for _ in range(3)]
    assert [r.leaves for r in replies] == [False, False, True] and acts(replies[-1]) == ["bye"]


def test_who_could_not_understand_says_so() -> None:
    assert acts(Customer(CANCEL).answers("The moon is made of cheese.")) == ["confused"]


def test_a_misheard_reply_is_marked_as_the_customers_own_fault() -> None:
    (act,) = Customer(CANCEL, noise={"confuse": 1.0}).answers("What is the order number?").message.acts
    assert (act.kind, act.value) == ("confused", "misheard")


# -- seeds


@pytest.mark.parametrize("name", PACKS)
def test_one_seed_says_the_same_words(name: str) -> None:
    scenario = make_scenario(pack(name), 3)

    def words(seed: int) -> list[str]:
        user = Agenda(pack=pack(name)).start(scenario, seed)
        said = [user.open(), *(user.reply(agent_says(t)) for t in ("What is your full name?", "你的姓名？", "Sorry?"))]
        return [reply.message.text for reply in said]

    assert words(1) == words(1)
    assert len({tuple(words(n)) for n in range(10)}) > 3


# -- being misunderstood


@pytest.mark.parametrize(
    "said",
    [
        "Let me help with the return. May I have your full name?",
        "I will send order 7072 to 5 Oak Street. Is that right?",
        "Which color would you like instead?",
        "I'll happily swap it for you. What's your name?",
    ],
)
def test_an_agent_that_goes_about_something_else_is_told_the_wish_again(said: str) -> None:
    for seed in range(10):
        reply = Customer(STATUS, seed=seed).answers(said)
        assert acts(reply)[0] == "intent" and reply.message.acts[0].value == "order_status"


@pytest.mark.parametrize(
    "said", ["Let me see where your order is. What is your name?", "I'd need to identify you. Your name, please?"]
)
def test_an_agent_that_goes_about_the_right_thing_or_says_none_is_answered(said: str) -> None:
    assert acts(Customer(STATUS, verbosity="minimal").answers(said)) == ["inform name=Anna Keller"]


def test_objecting_costs_patience() -> None:
    assert Customer(STATUS, patience=1).answers("Let me help with the return. Your name?").leaves


def test_objections_of_held_out_customers_are_worded_as_no_trained_ones() -> None:
    said = "Let me help with the return. Your name?"
    words = {
        style: {Customer(STATUS, seed=n, phrasing=style).answers(said).message.text.split()[0] for n in range(100)}
        for style in ("train", "heldout")
    }
    assert "No," in words["train"] and "No," not in words["heldout"]


def test_customers_of_a_pack_without_words_for_it_do_not_object() -> None:
    retail = pack("retail")
    other = {k: v for k, v in retail.phrasing.customer.other.items() if k != "object"}
    customer_words = retail.phrasing.customer.model_copy(update={"other": other})
    phrasing = retail.phrasing.model_copy(update={"customer": customer_words})
    mute = Pack(retail.file, phrasing, retail.policy_text, retail.folder)
    goal = {"items": [STATUS], "known": {"name": "Anna Keller", "zip": "12345"}}
    user = AgendaUser(Scenario.model_validate({"id": "x", "pack": "retail", "user": {"goal": goal}}), mute, 0)
    user.open()
    assert acts(user.reply(agent_says("Let me help with the return. Your name?")))[0] == "inform name=Anna Keller"


def test_an_answer_to_another_question_makes_the_customer_ask_theirs_again_in_full() -> None:
    reply = Customer(STATUS).answers("Shipping is free from 90 upwards. Is there anything else?")
    assert acts(reply) == ["intent"]


def test_some_ask_why_though_the_reason_was_given_and_only_once() -> None:
    refused = "Sorry, order 7072 has already been shipped, so I can't change it. Anything else?"
    customers = [Customer(CANCEL_TOO_LATE, seed=n) for n in range(200)]
    asking = [c for c in customers if acts(c.answers(refused)) == ["ask reason="]]
    assert 10 < len(asking) < 60
    assert all(c.answers(refused).leaves for c in asking)


def test_nobody_asks_why_it_was_done() -> None:
    done = "Done, order 7072 is cancelled and 20.50 goes back to you. Anything else?"
    assert all(Customer(CANCEL_TOO_LATE, seed=n).answers(done).leaves for n in range(100))
