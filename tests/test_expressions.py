from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialog_rl.errors import ScenarioError
from dialog_rl.expressions import fill, holds, holes, lookup, resolve, same

SCOPE = {
    "order": {"id": "7001", "status": "pending", "days": 12},
    "slots": {"color": "Red"},
    "me": {"orders": ["7001"]},
}


def cents(amount: int) -> str:
    return f"{amount // 100}.{amount % 100:02d}"


def test_a_path_leads_to_its_value() -> None:
    assert lookup("order.status", SCOPE) == "pending"


def test_a_path_that_leads_nowhere_names_the_part_and_what_there_is() -> None:
    with pytest.raises(ScenarioError, match=r"'order.price' has no 'price' here; there is: days, id, status"):
        lookup("order.price", SCOPE)


def test_a_path_through_a_plain_value_leads_nowhere() -> None:
    with pytest.raises(ScenarioError, match="has no 'first' here; there is: str"):
        lookup("order.id.first", SCOPE)


def test_a_dollar_gives_the_value_itself_and_braces_give_text() -> None:
    assert resolve("$order.days", SCOPE) == 12
    assert resolve("{order.days} days", SCOPE) == "12 days"


def test_what_is_no_expression_is_itself() -> None:
    assert resolve(["pending", 3, None], SCOPE) == ["pending", 3, None]


def test_expressions_are_found_inside_lists_and_maps() -> None:
    assert resolve({"a": ["$order.id"], "b": {"c": "$slots.color"}}, SCOPE) == {"a": ["7001"], "b": {"c": "Red"}}


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_money_is_added_as_a_cashier_adds_cents(a: int, b: int) -> None:
    assert resolve({"plus": [cents(a), cents(b)]}, {}) == cents(a + b)


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_money_is_taken_away_as_a_cashier_takes_cents(a: int, b: int) -> None:
    assert resolve({"minus": [cents(a + b), cents(a)]}, {}) == cents(b)


def test_adding_what_is_no_number_names_it() -> None:
    with pytest.raises(ScenarioError, match="'pending' is not a number"):
        resolve({"plus": ["1.00", "$order.status"]}, SCOPE)


def test_the_holes_of_a_template_are_its_paths() -> None:
    assert holes("{order.id} for {slots.color}, {not a path}") == ("order.id", "slots.color")


def test_braces_that_hold_no_path_stay_as_they_are() -> None:
    assert fill('{"json": 1} {order.id}', SCOPE) == '{"json": 1} 7001'


@pytest.mark.parametrize(
    ("a", "b", "equal"),
    [("Anna Keller", "anna  keller", True), (7001, "7001", True), ("STRASSE", "straße", True), ("red", "reds", False)],
)
def test_values_are_the_same_whatever_their_case_and_spacing(a: Any, b: Any, equal: bool) -> None:
    assert same(a, b) is equal


@pytest.mark.parametrize(
    ("condition", "true"),
    [
        ({"order.status": "pending"}, True),
        ({"order.status": ["shipped", "pending"]}, True),
        ({"order.status": ["shipped", "delivered"]}, False),
        ({"order.status": {"not": "pending"}}, False),
        ({"order.status": {"not": ["shipped", "delivered"]}}, True),
        ({"order.days": {"max": 12}}, True),
        ({"order.days": {"min": 13}}, False),
        ({"order.days": {"min": "9"}}, True),  # as numbers: "12" would sort before "9"
        ({"order.days": {"min": 10, "max": 11}}, False),
        ({"order.id": {"outside": "$me.orders"}}, False),
        ({"order.days": {"outside": "$me.orders"}}, True),
        ({"order.status": "pending", "order.days": 11}, False),
        ({}, True),
    ],
)
def test_a_condition_holds_if_all_of_its_entries_do(condition: dict[str, Any], true: bool) -> None:
    assert holds(condition, SCOPE) is true


def test_an_unknown_comparison_names_the_known_ones() -> None:
    with pytest.raises(ScenarioError, match="'over' is not a comparison; there are: not, min, max, outside"):
        holds({"order.days": {"over": 3}}, SCOPE)
