"""Templates made into text, and free text read as acts."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dialog_rl.errors import ScenarioError
from dialog_rl.pack import Understanding
from dialog_rl.phrasing import Reading, mentions, mistype, phrase, read_agent, says_yes
from tests.talk import PACKS, pack, wordings

SENTENCES: dict[str, list[dict[str, str]]] = yaml.safe_load(
    Path(__file__).with_name("agent_sentences.yaml").read_text(encoding="utf-8")
)
ENGLISH = pack("retail").phrasing.understand
CHINESE = pack("retail_zh").phrasing.understand


def label(reading: Reading) -> set[str]:
    facts = ("confirm", reading.confirms), ("done", reading.done), ("refuse", reading.refuses)
    more = {"else"} if reading.anything_else else set()
    return {f"ask:{slot}" for slot in reading.requests} | {name for name, is_so in facts if is_so} | more


def read(text: str, understand: Understanding = ENGLISH) -> set[str]:
    return label(read_agent(text, understand))


def customer_templates(name: str, style: str) -> dict[str, list[str]]:
    """Occasion → the customer's templates, where the pack has a style of its own for held-out talk."""
    said = pack(name).phrasing.customer
    sections: list[Any] = [said.open, said.tell, said.describe, said.ask, said.other]
    return {
        f"{n} {occasion}": listed[style]
        for n, section in enumerate(sections)
        for occasion, listed in section.items()
        if isinstance(listed, dict)
    }


# -- saying


def test_a_template_that_needs_an_unknown_value_is_not_chosen() -> None:
    phrases = {"open": ["Where is {order_id}?", "Where is it?"]}
    assert {phrase(phrases, "open", random.Random(n)) for n in range(20)} == {"Where is it?"}


def test_an_alternative_that_needs_an_unknown_value_is_not_chosen() -> None:
    phrases = {"open": ["Cancel [it|order {order_id}]."]}
    assert {phrase(phrases, "open", random.Random(n)) for n in range(20)} == {"Cancel it."}


def test_every_alternative_is_chosen_sometimes() -> None:
    phrases = {"open": ["[Hi|Hello][, you|]."]}
    said = {phrase(phrases, "open", random.Random(n)) for n in range(60)}
    assert said == {"Hi, you.", "Hi.", "Hello, you.", "Hello."}


def test_a_phrase_that_nobody_can_say_is_named() -> None:
    with pytest.raises(ScenarioError, match="no phrase for 'open' can be said with: name"):
        phrase({"open": ["{order_id}"]}, "open", random.Random(0), values={"name": "Anna"})


def test_an_unknown_occasion_is_told_with_those_there_are() -> None:
    with pytest.raises(ScenarioError, match="no phrases for 'opne'; there are: open, bye"):
        phrase({"open": ["Hi"], "bye": ["Bye"]}, "opne", random.Random(0))


def test_held_out_wordings_are_chosen_in_that_style_only() -> None:
    phrases = {"bye": {"train": ["Bye."], "heldout": ["So long."]}}
    assert phrase(phrases, "bye", random.Random(0)) == "Bye."
    assert phrase(phrases, "bye", random.Random(0), style="heldout") == "So long."


@pytest.mark.parametrize("name", PACKS)
def test_no_held_out_wording_is_also_a_training_one(name: str) -> None:
    train, heldout = customer_templates(name, "train"), customer_templates(name, "heldout")
    for occasion, templates in heldout.items():
        trained = {w.lower() for t in train[occasion] for w in wordings(t)}
        assert trained.isdisjoint(w.lower() for t in templates for w in wordings(t)), occasion


@pytest.mark.parametrize("name", PACKS)
def test_every_request_has_openings_of_both_styles(name: str) -> None:
    for occasion, listed in pack(name).phrasing.customer.open.items():
        assert len(listed["train"]) >= 4 and len(listed["heldout"]) >= 3, occasion


def test_no_chinese_character_is_held_out() -> None:
    shop = pack("retail_zh")
    trained, unseen = list(map(str, shop.file.articles)), []
    for pool in shop.file.pools.values():
        by_split = pool if isinstance(pool, dict) else {"train": pool}
        trained += by_split["train"]
        unseen += [*by_split.get("validation", ()), *by_split.get("heldout", ())]
    trained += [t for templates in customer_templates("retail_zh", "train").values() for t in templates]
    unseen += [t for templates in customer_templates("retail_zh", "heldout").values() for t in templates]
    assert {c for c in "".join(unseen) if not c.isascii()} <= set("".join(trained))


def test_slips_spare_short_words_numbers_and_what_is_kept() -> None:
    text = "it is Wilhelmina K4852 now"
    assert mistype(text, 1.0, random.Random(0), keep=["Wilhelmina"]) == text
    assert mistype(text, 1.0, random.Random(0)) != text


@given(st.text(), st.integers())
def test_a_slip_changes_no_word_by_more_than_one_letter(text: str, seed: int) -> None:
    slipped = mistype(text, 1.0, random.Random(seed))
    assert len(slipped.split(" ")) == len(text.split(" "))
    assert all(0 <= len(a) - len(b) <= 1 for a, b in zip(text.split(" "), slipped.split(" "), strict=True))


def test_chinese_is_never_mistyped() -> None:
    assert mistype("我想取消订单 谢谢你们", 1.0, random.Random(0)) == "我想取消订单 谢谢你们"


# -- reading


@pytest.mark.parametrize("name", SENTENCES)
def test_an_agents_own_words_are_understood(name: str) -> None:
    understand = pack(name).phrasing.understand
    wrong = [s["text"] for s in SENTENCES[name] if read(s["text"], understand) != set(s["read"].split())]
    assert len(wrong) <= 0.05 * len(SENTENCES[name]), wrong


@pytest.mark.parametrize("name", SENTENCES)
def test_the_agents_own_words_are_in_no_template(name: str) -> None:
    said = pack(name).phrasing.agent
    sections: list[Any] = [said.ask, said.doubt, said.confirm, said.say, said.vague, said.refuse, said.other]
    templates = {w for section in sections for listed in section.values() for t in listed for w in wordings(t)}
    assert templates.isdisjoint(s["text"] for s in SENTENCES[name])


@pytest.mark.parametrize("name", PACKS)
def test_what_a_pack_asks_is_read_as_asking_for_that(name: str) -> None:
    phrasing = pack(name).phrasing
    for occasion, listed in phrasing.agent.ask.items():
        for text in (w for t in listed for w in wordings(t)):
            assert {f"ask:{slot}" for slot in occasion.split("+")} <= read(text, phrasing.understand), text


@pytest.mark.parametrize("name", PACKS)
def test_what_a_pack_asks_to_confirm_is_read_as_that(name: str) -> None:
    phrasing = pack(name).phrasing
    for listed in phrasing.agent.confirm.values():
        for text in (w for t in listed for w in wordings(t)):
            assert read(text, phrasing.understand) == {"confirm"}, text


def test_a_statement_asks_for_nothing() -> None:
    assert read("The address of order 7072 is right.") == set()


def test_who_asks_in_the_same_breath_has_not_refused() -> None:
    assert read("I can't find that order. What is the order number?") == {"ask:order_id"}


def test_an_offer_of_more_help_does_not_hide_what_was_said_before_it() -> None:
    assert read("I have cancelled it, is there anything else?") == {"done", "else"}
    assert read("已经帮您取消了，还有其他需要吗？", CHINESE) == {"done", "else"}


def test_a_refusal_is_not_a_result() -> None:
    assert read("Unfortunately it has been sent already.") == {"refuse"}


def test_contractions_and_typographic_apostrophes_are_understood() -> None:
    assert read("I can’t.") == read("I can't.") == read("I cannot.") == {"refuse"}


def test_chinese_sentences_end_without_a_space() -> None:
    assert read("好了，已取消。123元会退给您。还有其他需要吗？", CHINESE) == {"done", "else"}


def test_a_fragment_begins_where_a_word_begins() -> None:
    understand = Understanding(done=("done",), refuse=("late",))
    assert read("They abandoned the plate.", understand) == set()
    assert read("Done late.", understand) == {"refuse"}


def test_a_star_means_later_in_the_same_sentence() -> None:
    understand = Understanding(done=("have * sent",))
    assert read("I have just sent it.", understand) == {"done"}
    assert read("I sent what I have.", understand) == set()
    assert read("I have it. It is sent.", understand) == set()


def test_a_pattern_is_plain_text_whatever_it_looks_like() -> None:
    understand = Understanding(done=("(a+)+$", "x.z"))
    assert read("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", understand) == read("xyz", understand) == set()
    assert read("x.z", understand) == {"done"}


def test_empty_patterns_match_nothing() -> None:
    assert read("hello", Understanding(done=("",), refuse=(" ",))) == set()


@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    read_agent(text, ENGLISH)
    read_agent(text, CHINESE)


def test_a_long_text_takes_time_in_proportion() -> None:
    read_agent("i have " * 30_000 + "?", ENGLISH)


# -- values


@pytest.mark.parametrize("text", ["It is 1204.50.", "It costs 1,204.50 in all", "1204.5"])
def test_an_amount_is_told_however_it_is_written(text: str) -> None:
    assert mentions(text, "1204.50")


@pytest.mark.parametrize("text", ["11204.50", "1204.51", "204.50", "nothing"])
def test_another_amount_is_not_the_one(text: str) -> None:
    assert not mentions(text, "1204.50")


def test_a_number_is_not_found_within_a_longer_one() -> None:
    assert not mentions("order 70721", "7072") and mentions("订单7072号", "7072")


@pytest.mark.parametrize("text", ["Yes.", "ok, do it", "Sure, sounds good"])
def test_a_yes_is_understood(text: str) -> None:
    assert says_yes(text, ENGLISH)


@pytest.mark.parametrize("text", ["No, that's not right.", "Wait, I'd rather have green", "I know nothing"])
def test_what_is_no_yes_is_not_taken_for_one(text: str) -> None:
    assert not says_yes(text, ENGLISH)


def test_a_chinese_yes_and_no_are_told_apart() -> None:
    assert says_yes("好的，可以", CHINESE) and not says_yes("不可以", CHINESE)
