from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from dialog_rl.episode import Change, ToolCall
from dialog_rl.errors import ScenarioError
from dialog_rl.world import expected_journal
from tests.scenarios.library import FACTS, LIBRARY, RECORDS, call, world


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("burn", {}, "error: no tool burn"),
        ("get_book", {}, "error: book_id is missing"),
        ("get_book", {"book": "1001"}, "error: no argument book; there are: book_id"),
        ("get_book", {"book_id": True}, "error: book_id must be text"),
        ("get_book", {"book_id": ["1001"]}, "error: book_id must be text"),
        ("renew", {"book_id": "1001", "weeks": "9"}, "error: weeks must be one of: 1, 2, 3"),
        ("pay", {"book_id": "1001", "amount": "a lot"}, "error: amount must be a number"),
        ("pay", {"book_id": "1001", "amount": "-1"}, "error: amount must be a number"),
    ],
)
def test_a_wrong_call_is_told_what_is_wrong_and_changes_nothing(
    name: str, arguments: dict[str, Any], words: str
) -> None:
    office = world()
    answer = office.call(ToolCall(name=name, arguments=arguments))
    assert (answer.text, answer.error) == (words, True)
    assert office.journal() == ()


def test_a_look_up_that_finds_nothing_answers_in_its_own_words() -> None:
    answer = call(world(), "get_book", book_id="9999")
    assert (answer.text, answer.error) == ("no book 9999", True)


def test_a_precondition_refuses_in_its_own_words_and_changes_nothing() -> None:
    office = world()
    answer = call(office, "renew", book_id="1002", weeks="1")
    assert (answer.text, answer.error) == ("not possible: 31 days late", True)
    assert office.journal() == ()


def test_an_answer_is_compact_json_of_what_the_tool_shows() -> None:
    assert call(world(), "get_book", book_id="1001").text == '{"title":"Emma","days":12,"fee":"2.50"}'


def test_a_list_in_an_answer_holds_the_rows_that_belong_there() -> None:
    answer = json.loads(call(world(), "find_member", name="Ada", card="11111").text)
    assert answer["books"] == ["1001", "1002"]


def test_a_person_is_found_whatever_the_case_of_the_name() -> None:
    assert not call(world(), "find_member", name="  aDA ", card="11111").error


def test_a_change_is_journaled_with_before_and_after_sorted_by_path() -> None:
    office = world()
    call(office, "renew", book_id="1001", weeks="2")
    assert office.journal() == (
        Change(path="books/1001/weeks", before=None, after="2"),
        Change(path="notes/N1001/book_id", before=None, after="1001"),
        Change(path="notes/N1001/id", before=None, after="N1001"),
    )


def test_the_journal_is_net() -> None:
    office = world()
    call(office, "pay", book_id="1001", amount="1.00")
    assert office.journal() == (Change(path="books/1001/fee", before="2.50", after="1.50"),)
    call(office, "pay", book_id="1001", amount="0.50")
    assert office.journal() == (Change(path="books/1001/fee", before="2.50", after="1.00"),)


def test_what_is_back_as_it_was_is_not_in_the_journal() -> None:
    office = world()
    call(office, "pay", book_id="1001", amount="0")
    assert office.journal() == ()


def test_later_calls_see_what_earlier_ones_changed() -> None:
    office = world()
    call(office, "pay", book_id="1001", amount="0.50")
    assert json.loads(call(office, "get_book", book_id="1001").text)["fee"] == "2.00"


def test_the_records_themselves_are_never_written() -> None:
    before = copy.deepcopy(RECORDS)
    office = world()
    call(office, "renew", book_id="1001", weeks="2")
    call(office, "pay", book_id="2001", amount="1")
    assert before == RECORDS


def test_worlds_over_the_same_records_do_not_see_each_other() -> None:
    first, second = world(), world()
    call(first, "pay", book_id="1001", amount="1")
    assert second.journal() == ()


def test_a_call_says_whom_it_identified_and_whose_data_it_read() -> None:
    office = world()
    assert call(office, "find_member", name="Ada", card="11111").facts == {"kind": "read", "identifies": "M1"}
    assert call(office, "get_book", book_id="2001").facts == {"kind": "read", "subject": "M2"}


def test_a_failed_identification_identifies_nobody() -> None:
    assert "identifies" not in call(world(), "find_member", name="Ada", card="22222").facts


def test_a_refused_call_still_says_whose_data_it_touched() -> None:
    assert call(world(), "renew", book_id="1002", weeks="1").facts == {"kind": "write", "subject": "M1"}


def test_a_search_answers_with_the_best_article_and_its_facts() -> None:
    assert call(world(), "search_help", query="when are you open").text == "We are open until 6."
    assert call(world(), "search_help", query="is a card free?").text == "Cards are free."


def test_a_search_for_what_no_article_knows_says_so() -> None:
    assert call(world(), "search_help", query="xylophone").text == "nothing found"


def test_only_a_tool_that_ends_ends_the_conversation() -> None:
    office = world()
    assert office.ends_conversation(ToolCall(name="hang_up", arguments={}))
    assert not office.ends_conversation(ToolCall(name="get_book", arguments={"book_id": "1001"}))
    assert not office.ends_conversation(ToolCall(name="burn", arguments={}))


def test_the_expected_journal_is_what_the_gold_calls_alone_make() -> None:
    gold = (ToolCall(name="pay", arguments={"book_id": "1001", "amount": "2.50"}),)
    assert expected_journal(LIBRARY, RECORDS, FACTS, gold) == (
        Change(path="books/1001/fee", before="2.50", after="0.00"),
    )


def test_a_gold_call_that_is_refused_is_an_error_of_the_pack() -> None:
    gold = (ToolCall(name="renew", arguments={"book_id": "1002", "weeks": "1"}),)
    with pytest.raises(ScenarioError, match="the gold call renew .* answers: not possible: 31 days late"):
        expected_journal(LIBRARY, RECORDS, FACTS, gold)
