from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dialog_rl.errors import ScenarioError
from dialog_rl.goals import made_up_word, make_scenario
from dialog_rl.pack import Pack, PackFile
from dialog_rl.scenario import Item, Scenario
from tests.scenarios.library import LIBRARY
from tests.talk import pack

ROOT = Path(__file__).parent.parent


def library(**changes: Any) -> Pack:
    """The library with some keys of its file replaced."""
    data = LIBRARY.file.model_dump(mode="json", by_alias=True)
    return Pack(PackFile.model_validate(data | changes), LIBRARY.phrasing, LIBRARY.policy_text, LIBRARY.folder)


def scenarios(count: int = 200, **goal: Any) -> list[Scenario]:
    return [make_scenario(LIBRARY, seed, **goal) for seed in range(count)]


def items(scenario: Scenario) -> tuple[Item, ...]:
    assert scenario.user.goal is not None
    return scenario.user.goal.items


def owner_of(scenario: Scenario, book: str) -> str:
    return scenario.initial.records["books"][book]["customer_id"]


def caller(scenario: Scenario) -> str:
    assert scenario.user.goal is not None
    known = scenario.user.goal.known
    return next(k for k, m in scenario.initial.records["members"].items() if m["card"] == known["card"])


def digest(scenario: Scenario) -> str:
    return hashlib.sha256(scenario.model_dump_json().encode()).hexdigest()


def test_one_seed_is_one_scenario() -> None:
    assert make_scenario(LIBRARY, 5) == make_scenario(LIBRARY, 5)


def test_seeds_are_different_scenarios() -> None:
    assert len({digest(s) for s in scenarios(50)}) == 50


def test_the_same_seed_gives_the_same_scenario_in_another_process() -> None:
    code = (
        "from dialog_rl.goals import make_scenario; from tests.scenarios.library import LIBRARY;"
        "from tests.test_goals import digest; print(digest(make_scenario(LIBRARY, 5, split='heldout')))"
    )
    env = os.environ | {"PYTHONHASHSEED": "99", "PYTHONPATH": str(ROOT)}
    printed = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == digest(make_scenario(LIBRARY, 5, split="heldout"))


def test_splits_draw_from_their_own_pools() -> None:
    for seed in range(20):
        heldout = make_scenario(LIBRARY, seed, split="heldout")
        assert {m["name"] for m in heldout.initial.records["members"].values()} <= {"Ivo", "Jan", "Kai", "Lou"}


def test_a_split_without_a_pool_of_its_own_draws_from_train() -> None:
    validation = make_scenario(LIBRARY, 1, split="validation")
    assert {m["name"] for m in validation.initial.records["members"].values()} <= {"Ada", "Bea", "Cleo", "Dan"}


def test_phrasing_follows_the_split_unless_it_is_given() -> None:
    assert make_scenario(LIBRARY, 1, split="heldout").phrasing == "heldout"
    assert make_scenario(LIBRARY, 1, split="validation").phrasing == "train"
    assert make_scenario(LIBRARY, 1, split="heldout", phrasing="train").phrasing == "train"


def test_about_a_quarter_of_the_goals_have_two_items() -> None:
    two = sum(len(items(s)) == 2 for s in scenarios(1000))
    assert 210 <= two <= 290  # 250 expected, standard deviation 14


def test_two_items_are_two_intents_about_two_rows() -> None:
    for scenario in scenarios(300):
        if len(items(scenario)) == 2:
            first, second = items(scenario)
            assert first.intent != second.intent
            assert first.inform.get("book_id", 1) != second.inform.get("book_id", 2)


def test_a_customer_asks_about_what_is_theirs() -> None:
    for scenario in scenarios(30, intent="fee", variant="own"):
        assert owner_of(scenario, items(scenario)[0].inform["book_id"]) == caller(scenario)


def test_a_foreign_goal_is_about_what_belongs_to_somebody_else() -> None:
    for scenario in scenarios(30, intent="fee", variant="foreign"):
        assert owner_of(scenario, items(scenario)[0].inform["book_id"]) != caller(scenario)


def test_a_circumstance_is_arranged_before_the_start() -> None:
    for scenario in scenarios(30, intent="renew", variant="late"):
        assert scenario.initial.records["books"][items(scenario)[0].inform["book_id"]]["days"] > 30


def test_what_must_be_refused_has_its_evidence_and_forbids_the_writing() -> None:
    scenario = make_scenario(LIBRARY, 1, intent="renew", variant="late")
    assert (items(scenario)[0].refusal, items(scenario)[0].evidence) == ("too_late", ("days late",))
    assert [gold.tool for gold in scenario.success.actions.forbidden] == ["renew"]
    assert scenario.success.db.patch == ()
    assert [need.any_of for need in scenario.success.communicate] == [("days late",)]


def test_what_can_be_done_says_how_the_records_must_be_afterwards() -> None:
    scenario = make_scenario(LIBRARY, 1, intent="renew", variant="possible")
    book = items(scenario)[0].inform["book_id"]
    patch = {change.path: change.after for change in scenario.success.db.patch or ()}
    assert set(patch) == {f"books/{book}/weeks", f"notes/N{book}/id", f"notes/N{book}/book_id"}


def test_what_must_be_told_comes_from_the_records() -> None:
    scenario = make_scenario(LIBRARY, 1, intent="fee", variant="own")
    fee = scenario.initial.records["books"][items(scenario)[0].inform["book_id"]]["fee"]
    assert [(n.any_of, n.numeric) for n in scenario.success.communicate] == [((fee,), True)]


def test_gold_follows_a_change_of_mind() -> None:
    changed = [s for s in scenarios(300, intent="renew", variant="possible") if items(s)[0].change_of_mind]
    assert changed
    for scenario in changed:
        item = items(scenario)[0]
        assert item.change_of_mind["weeks"] != item.inform["weeks"]
        assert scenario.success.db.from_actions[0].arguments["weeks"] == item.change_of_mind["weeks"]


def test_a_wrong_number_differs_in_one_digit_and_is_nobodys() -> None:
    wrong = [(s, items(s)[0]) for s in scenarios(300, intent="fee") if items(s)[0].wrong]
    assert wrong
    for scenario, item in wrong:
        given, right = item.wrong["book_id"], item.inform["book_id"]
        assert len(given) == len(right) and sum(a != b for a, b in zip(given, right, strict=True)) == 1
        assert given not in scenario.initial.records["books"]


def test_a_wrong_number_is_nobodys_even_where_most_are_taken() -> None:
    tables = LIBRARY.file.model_dump(mode="json")["tables"]
    tables["books"] |= {"count": 20, "fields": tables["books"]["fields"] | {"id": {"digits": 2}, "title": "Emma"}}
    crowded = library(tables=tables)
    for seed in range(300):
        scenario = make_scenario(crowded, seed, intent="fee")
        assert items(scenario)[0].wrong.get("book_id") not in scenario.initial.records["books"]


def test_who_forgets_a_number_can_describe_it_and_does_not_give_it_wrongly() -> None:
    forgetful = [(s, items(s)[0]) for s in scenarios(300, intent="renew") if items(s)[0].hints]
    assert forgetful
    for scenario, item in forgetful:
        title = scenario.initial.records["books"][item.inform["book_id"]]["title"]
        assert item.hints == {"book_id": {"title": title}} and not item.wrong


def test_unique_fields_are_unique() -> None:
    for scenario in scenarios(100):
        books = scenario.initial.records["books"].values()
        assert len({b["title"] for b in books}) == len(books)


def test_numbers_have_their_length_and_money_two_decimals() -> None:
    for scenario in scenarios(50):
        for book in scenario.initial.records["books"].values():
            assert len(book["id"]) == 4 and book["id"].isdigit() and book["id"][0] != "0"
            assert 1 <= float(book["fee"]) <= 9 and len(book["fee"].partition(".")[2]) == 2


def test_facts_in_the_articles_differ_between_scenarios() -> None:
    assert {s.initial.facts["hour"] for s in scenarios(50)} == {"5", "6", "7"}


def test_made_up_words_do_not_run_out() -> None:
    rng = random.Random(0)
    assert len({made_up_word(rng, 3) for _ in range(1000)}) > 950


def test_a_missing_pool_is_named_with_those_there_are() -> None:
    with pytest.raises(ScenarioError, match="no pool 'names'; there are: other"):
        make_scenario(library(pools={"other": ["x"]}), 0)


def test_too_few_rows_for_a_goal_are_an_error_that_says_so() -> None:
    with pytest.raises(ScenarioError, match="no row of 'books' is left for 'book'; make more of them"):
        make_scenario(library(tables=dict(LIBRARY.file.tables) | {"books": {"count": 0}}), 0, intent="fee")


def test_a_refusal_without_evidence_is_an_error_that_names_the_key() -> None:
    phrasing = LIBRARY.phrasing.model_copy(update={"evidence": {}})
    pack = Pack(LIBRARY.file, phrasing, "", LIBRARY.folder)
    with pytest.raises(ScenarioError, match="'evidence.too_late' is missing"):
        make_scenario(pack, 0, intent="renew", variant="late")


@pytest.mark.parametrize(
    ("makers", "said"),
    [
        ({"fields": {"id": "same"}, "count": 2}, "too few values of 'id'"),
        ({"fields": {"id": {"text": "{a}" * 300, "a": {"text": "{a}" * 300, "a": "xxxxx"}}}}, "more than 2000 char"),
        ({"fields": {"id": {"digits": 4}}, "count": 100, "per": "many"}, "more than 1000 records"),
        ({"fields": {"id": {"int": "x"}}}, "no customer can be made: TypeError"),
    ],
)
def test_makers_that_would_stall_the_program_are_refused(makers: dict[str, Any], said: str) -> None:
    tables = LIBRARY.file.model_dump(mode="json", by_alias=True)["tables"]
    many = {"count": 100, "fields": {"id": {"digits": 9}}}
    with pytest.raises(ScenarioError, match=said):
        make_scenario(library(tables={**tables, "many": many, "bad": makers}), 1)


def test_long_numbers_and_words_are_cut() -> None:
    tables = LIBRARY.file.model_dump(mode="json", by_alias=True)["tables"]
    long = {"fields": {"id": {"digits": 10**9}, "word": {"word": [10**9, 10**9]}}}
    (row,) = make_scenario(library(tables={**tables, "long": long}), 1).initial.records["long"].values()
    assert len(row["id"]) == 40 and len(row["word"]) <= 200


def test_what_is_picked_unlike_something_is_never_in_it() -> None:
    shop = pack("retail")
    for seed in range(200):
        scenario = make_scenario(shop, seed, intent="exchange_item")
        (item,) = items(scenario)
        order = scenario.initial.records["orders"][item.inform["order_id"]]
        assert item.inform["color"] not in order["item"]
        assert not any(color in order["item"] for color in item.change_of_mind.values())
