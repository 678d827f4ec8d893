from __future__ import annotations

import pytest
from dialog_rl_tau2.book import Book, Refused, calculated
from dialog_rl_tau2.mock import MockDesk


def made() -> tuple[dict[str, dict[str, dict[str, object]]], MockDesk]:
    base: dict[str, dict[str, dict[str, object]]] = {
        "users": {"u1": {"user_id": "u1", "name": "Ada", "tasks": []}},
        "tasks": {},
    }
    return base, MockDesk(Book(base))


def test_the_shared_records_stay_as_they_were() -> None:
    base, desk = made()
    desk.call("create_task", {"user_id": "u1", "title": "Tea"})
    assert base == {"users": {"u1": {"user_id": "u1", "name": "Ada", "tasks": []}}, "tasks": {}}


def test_what_was_changed_is_known_by_path() -> None:
    _, desk = made()
    desk.call("create_task", {"user_id": "u1", "title": "Tea"})
    assert [(path, before) for path, before, _ in desk.book.changes()] == [
        ("tasks/task_1", None),
        ("users/u1/tasks", []),
    ]


def test_a_refused_call_changes_nothing_and_says_so() -> None:
    _, desk = made()
    assert desk.call("create_task", {"user_id": "u2", "title": "Tea"}) == ("Error: User u2 not found", True)
    assert desk.book.changes() == ()


@pytest.mark.parametrize("name", ["run", "book", "_row", "assert_task_status", "nothing"])
def test_only_tools_can_be_called(name: str) -> None:
    _, desk = made()
    assert desk.call(name, {}) == (f"Error: Tool '{name}' not found", True)


def test_arguments_that_do_not_fit_are_an_error_in_words() -> None:
    _, desk = made()
    text, error = desk.call("create_task", {"who": "u1"})
    assert error and text.startswith("Error: ")


def test_numbers_are_calculated_to_two_decimals() -> None:
    assert calculated("2 * ((350 - 122) + (499 - 127))") == "1200.0"


@pytest.mark.parametrize("expression", ["__import__('os')", "1 / 0", "2 ** 9", "(" * 900])
def test_what_is_no_sum_is_refused(expression: str) -> None:
    with pytest.raises(Refused):
        calculated(expression)
