"""The card tells a person in whose place they speak."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dialog_rl.chat.card import card_of, freed
from tests.chat.scripted import setting, stage
from tests.talk import PACKS


@pytest.mark.parametrize("pack", PACKS)
def test_a_card_tells_who_one_is_what_one_wants_and_how_one_might_begin(pack: str) -> None:
    from dialog_rl.staging import Customers

    for scenario, seed in Customers(split="validation").scenarios(stage(pack).pack, 5):
        card = card_of(stage(pack), scenario, seed)
        goal = scenario.user.goal
        assert goal is not None and [value for _, value in card.known] == list(goal.known.values())
        assert len(card.wishes) == len(goal.items) and card.example
        first, *_, last = card.lines()
        assert first.startswith(f"You are a customer of {card.shop}") and last == f"For example: {card.example}"


def test_a_free_customer_is_shown_what_the_shop_has_of_them_and_of_nobody_else() -> None:
    place = setting(1)
    card = card_of(place.stage, freed(place.scenario), place.seed)
    tables = place.scenario.initial.records
    (own,) = [row for row in tables["customers"].values() if row["name"] == dict(card.known)["name"]]
    orders = [row for row in tables["orders"].values() if row["customer_id"] == own["id"]]
    assert sum(line.startswith("orders: ") for line in card.records) == len(orders) > 0
    assert not any(row["name"] in line for row in tables["customers"].values() if row != own for line in card.records)


def test_a_scenario_in_free_text_is_told_as_it_stands() -> None:
    place = setting(1)
    customer = place.scenario.user.model_copy(update={"goal": None, "instructions": "you\x1b lost your keys"})
    scenario = place.scenario.model_copy(update={"user": customer})
    assert card_of(place.stage, scenario, place.seed).lines() == ["you\\x1b lost your keys"]


def test_a_refused_wish_says_so() -> None:
    place = setting(1)
    card = card_of(place.stage, place.scenario, place.seed)
    refused = replace(card, wishes=(replace(card.wishes[0], refusal="too late"),))
    assert any("have to be refused: too late" in line for line in refused.lines())
