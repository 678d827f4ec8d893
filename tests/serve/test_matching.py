"""A history finds its conversation, and of several that read alike the one that can be gone on with."""

from __future__ import annotations

import pytest

pytest.importorskip("fastapi")

from dialog_rl.episode import StopReason
from dialog_rl.serve.keys import Owner
from dialog_rl.serve.matching import Held, Matching, Whose

ANN = Whose.of(Owner(name="ann"), "", None, "retail")
SAID = [("hello", "hi"), ("more", "of what?")]


def held(name: str, turns: int = 2, *, busy: bool = False, touched: float = 0.0, whose: Whose = ANN) -> Held:
    return Held(id=name, whose=whose, said=SAID[:turns], busy=busy, touched=touched)


def known(*all_of_them: Held) -> Matching:
    matching = Matching()
    for one in all_of_them:
        matching.add(one)
    return matching


def found(matching: Matching, turns: int = 2, whose: Whose = ANN) -> tuple[str, int] | None:
    match = matching.find(whose, SAID[:turns])
    return (match[0].id, match[1]) if match else None


@pytest.mark.parametrize("customer", [None, 0, 17])
def test_an_id_tells_whose_it_is(customer: int | None) -> None:
    whose = Whose.of(Owner(name="ann"), "bob", customer, "telecom")
    assert Whose.told_by(whose.new_id(), "telecom") == whose
    assert whose.new_id() != whose.new_id() and Whose.told_by("chat-20261123T101010-abcdef", "telecom") is None


def test_what_is_just_there_comes_before_what_has_gone_further() -> None:
    assert found(known(held("far", 2, touched=9.0), held("here", 1)), 1) == ("here", 1)
    assert found(known(held("far", 2)), 1) == ("far", 1)


def test_of_several_the_free_one_that_goes_on_and_was_touched_last_is_taken() -> None:
    ended = held("ended", touched=9.0)
    ended.ended = StopReason.USER_LEFT
    several = known(held("busy", busy=True, touched=8.0), ended, held("old", touched=1.0), held("new", touched=2.0))
    assert found(several) == ("new", 2)


def test_a_busy_one_is_found_rather_than_another_one_changed() -> None:
    assert found(known(held("busy", 1, busy=True), held("far", 2)), 1) == ("busy", 1)


def test_whose_it_is_must_be_the_same() -> None:
    matching = known(held("ann's"))
    others = [
        Whose.of(Owner(name="eve"), "", None, "retail"), Whose.of(Owner(name="ann"), "eve", None, "retail"),
        Whose.of(Owner(name="ann"), "", 3, "retail"), Whose.of(Owner(name="ann"), "", None, "telecom"),
    ]  # fmt: skip
    assert [found(matching, whose=other) for other in others] == [None] * 4 and found(matching) is not None


def test_what_was_dropped_is_not_found_and_leaves_nothing() -> None:
    one = held("one", 1)
    matching = known(one)
    matching.grow(one, SAID[1])
    assert found(matching, 2) == ("one", 2) and found(matching, 1) == ("one", 1)
    matching.drop(one)
    assert found(matching, 1) is None and len(matching) == 0 and not matching._by_digest
