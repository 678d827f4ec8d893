"""Demonstrations: the trainee's conversations, by number."""

from __future__ import annotations

from dataclasses import replace
from statistics import mean

from dialog_rl.episode import Role
from dialog_rl.mistakes import CAREFUL, NONE
from dialog_rl.online.apprentice import Apprenticeship, demonstrate, demonstrations

RETAIL = Apprenticeship(packs=("retail",))


def test_a_demonstration_depends_on_its_number_alone() -> None:
    assert demonstrate(RETAIL, 5) == list(demonstrations(RETAIL, first=3, count=4))[2]


def test_other_processes_make_the_same_demonstrations() -> None:
    assert list(demonstrations(RETAIL, count=6, processes=2)) == list(demonstrations(RETAIL, count=6))


def test_the_packs_take_turns() -> None:
    what = Apprenticeship(packs=("retail", "telecom"))
    assert [d.pack for d in demonstrations(what, count=4)] == ["retail", "telecom", "retail", "telecom"]


def test_the_trainee_earns_clearly_less_than_the_expert() -> None:
    def earned(what: Apprenticeship) -> float:
        return mean(d.episode_return for d in demonstrations(what, count=200))

    assert earned(replace(RETAIL, careful=0.0)) < 0.6 < 0.8 < earned(Apprenticeship(packs=("retail",), mistakes=NONE))


def test_on_a_good_day_the_trainee_is_careful() -> None:
    good, always = replace(RETAIL, careful=1.0), replace(RETAIL, mistakes=CAREFUL)
    assert list(demonstrations(good, count=20)) == list(demonstrations(always, count=20))
    half = [one.messages == other.messages for one, other in zip(
        demonstrations(RETAIL, count=100), demonstrations(good, count=100), strict=True)]  # fmt: skip
    assert 50 <= sum(half) < 100  # some of the others happen to go well


def test_more_customers_want_two_things_where_that_is_asked_for() -> None:
    assert all(
        sum(act.kind == "intent" for m in d.messages for act in m.acts) >= 2
        for d in demonstrations(replace(RETAIL, careful=1.0, two_items=1.0), count=20)
    )


def test_a_demonstration_begins_with_the_system_message_and_ends_with_a_goodbye() -> None:
    messages = demonstrate(RETAIL, 0).messages
    assert messages[0].role is Role.SYSTEM
    assert messages[-2].role is Role.USER and messages[-1].text.endswith("Goodbye!")
