"""The card on the screen, with and without room."""

from __future__ import annotations

from dialog_rl.chat.card import Card, Wish
from dialog_rl.tui.card import spaced, told

CARD = Card(
    shop="Harbour & Pine",
    known=(("name", "Joel Doyle"), ("zip", "34715")),
    wishes=(Wish(what="missing item", details=(("order id", "3310"), ("part", "lid")), refusal="too late"),),
    example="it's gone",
)


def test_in_few_lines() -> None:
    assert told(CARD).plain.split("\n") == [
        "You call Harbour & Pine.",
        "You are name Joel Doyle, zip 34715",
        "You want: missing item",
        "    order id 3310, part lid",
        "    to be refused: too late",
        "As in “it's gone”",
    ]


def test_with_a_thing_a_line() -> None:
    assert spaced(CARD).plain.split("\n") == [
        "You call Harbour & Pine.",
        "",
        "You are",
        "  name Joel Doyle",
        "  zip  34715",
        "",
        "You want: missing item",
        "  order id 3310",
        "  part     lid",
        "    to be refused: too late",
        "",
        "As in “it's gone”",
    ]


def test_who_is_free_is_shown_what_is_on_file() -> None:
    free = Card(shop="x", known=(("name", "Ann"),), instructions="Ask for anything.", records=("orders: id 1",))
    assert told(free).plain.split("\n")[2:] == ["Ask for anything.", "On file:", "    orders: id 1"]
