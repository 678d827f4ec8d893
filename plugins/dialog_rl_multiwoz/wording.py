"""What MultiWOZ's customers say, and how they read an agent: the phrasing of the imported pack."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from dialog_rl_multiwoz.office import BOOKING, SLOTS, TOOLS

NONE, FULL = "none", "full"
"""Why there is nothing to give: no such place; no room."""
TAKEN = "told reference"
"""What a customer wants to hear of a booking."""
NO = ("there is no", "there are no", "no such", "not find", "nothing", "none", "unfortunately", "not available",
      "no match", "does not exist")  # fmt: skip
NOTHING: Mapping[str, tuple[str, ...]] = {
    NONE: NO,
    FULL: ("fully booked", "full", "no room", "no table", "not available", "unavailable", "not possible", "cannot",
           "could not", "unsuccessful"),
}  # fmt: skip
"""Reason → words of which a customer who is to hear it must hear one."""

_BARE: Mapping[str, tuple[str, ...]] = {
    "find_restaurant": ("I am looking for a restaurant", "I need a place to eat"),
    "find_hotel": ("I am looking for a place to stay", "I need somewhere to sleep"),
    "find_attraction": ("I am looking for something to see", "I want to visit an attraction"),
    "find_train": ("I am looking for a train", "I need to go by train"),
    "find_hospital": ("I am looking for a hospital", "I need a doctor"),
    "find_police": ("I need the police", "where is the police"),
    "book_restaurant": ("Please book a table", "I want to book a table there"),
    "book_hotel": ("Please book a room", "I want to book it"),
    "book_train": ("Please book seats on it", "I want to book it"),
    "book_taxi": ("I also need a taxi", "Please call me a taxi"),
}
_DETAILS: Mapping[str, str] = {
    "area": "in the {area}", "pricerange": "that is {pricerange}", "food": "with {food} food", "name": "called {name}",
    "type": "of the type {type}", "stars": "with {stars} stars", "parking": "parking: {parking}",
    "internet": "internet: {internet}", "departure": "from {departure}", "destination": "to {destination}",
    "day": "on {day}", "leaveAt": "leaving after {leaveAt}", "arriveBy": "arriving by {arriveBy}",
    "people": "for {people} people", "time": "at {time}", "stay": "for {stay} nights", "department": "for {department}",
}  # fmt: skip
_TELL: Mapping[str, tuple[str, ...]] = {
    "area": ("In the {v}.", "The {v}, please."), "pricerange": ("Something {v}.", "A {v} one."),
    "food": ("{v} food.", "I would like {v}."), "name": ("It is called {v}.", "{v}."),
    "type": ("A {v}.", "The type is {v}."), "stars": ("{v} stars.", "It should have {v} stars."),
    "parking": ("Parking: {v}.",), "internet": ("Internet: {v}.",), "departure": ("From {v}.", "I start at {v}."),
    "destination": ("To {v}.", "I am going to {v}."), "day": ("On {v}.", "{v}."),
    "leaveAt": ("It should leave after {v}.", "After {v}."), "arriveBy": ("I have to be there by {v}.", "By {v}."),
    "people": ("For {v} people.", "There are {v} of us."), "time": ("At {v}.", "{v}, please."),
    "stay": ("For {v} nights.", "{v} nights."), "department": ("The {v}.",),
}  # fmt: skip
_ASKED: Mapping[str, tuple[str, ...]] = {
    "area": ("area", "part of town", "location", "where would you like"),
    "pricerange": ("price", "expensive", "budget"),
    "food": ("food", "cuisine"), "name": ("name",), "type": ("type", "kind of"), "stars": ("star",),
    "parking": ("parking",), "internet": ("internet", "wifi"), "departure": ("depart", "leaving from", "from where"),
    "destination": ("destination", "going to", "where to"), "day": ("day", "when would you like to travel"),
    "leaveAt": ("leave", "what time would you like to travel"), "arriveBy": ("arrive",),
    "people": ("how many people", "how many tickets", "people"), "time": ("what time", "which time"),
    "stay": ("how many nights", "how long"), "department": ("department",),
}  # fmt: skip
_OTHER = {
    "affirm": ["Yes, please.", "Yes."],
    "deny": ["No."],
    "change_mind": ["Make it {v} instead."],
    "correct": ["No, {v}.", "I mean {v}."],
    "join": ["{a} {b}"],
    "next": ["Thanks. {open}", "Okay. {open}"],
    "thanks": ["Thank you, that is all. Goodbye."],
    "dont_know": ["I don't care.", "It doesn't matter."],
    "confused": ["What do you mean?", "I don't understand."],
    "protest": ["Please look again."],
    "ask_why": ["Why not?"],
    "leave": ["Never mind. Bye."],
}
_UNDERSTAND = {
    "asking": ["could you", "can you", "may i have", "please [tell|give]", "what is", "which", "do you have"],
    "open": ["what", "which", "where", "how many", "how long", "tell me", "any preference", "do you prefer"],
    "confirm": ["[shall|should] [i|we]", "would you like me to", "do you want me to", "is that [right|correct]",
                "would you like to book"],
    "done": ["is booked", "are booked", "have booked", "has been booked", "was successful", "is reserved",
             "booking is complete", "is on its way"],
    "refuse": ["unfortunately", "i am sorry", "no such", "fully booked", "cannot"],
    "anything_else": ["anything else", "something else"],
    "affirm": ["yes", "sure", "please do"],
    "deny": ["no", "not", "wrong"],
}  # fmt: skip


def phrasing() -> dict[str, Any]:
    """phrasing.yaml of the pack."""
    wanted = {name: SLOTS[tool.domain] if name.startswith("find_") else BOOKING.get(tool.domain, SLOTS[tool.domain])
              for name, tool in TOOLS.items()}  # fmt: skip
    asks = {f"told {slot}": [f"What about the {slot}?"] for slot in _REQUESTED}
    return {
        "customer": {
            "open": {name: list(_openings(name, slots)) for name, slots in wanted.items()},
            "tell": {slot: list(said) for slot, said in _TELL.items()},
            "ask": asks, "other": _OTHER,
        },
        "understand": {**_UNDERSTAND, "request": {slot: list(words) for slot, words in _ASKED.items()}},
        "evidence": {reason: list(words) for reason, words in NOTHING.items()},
    }  # fmt: skip


_REQUESTED = ("phone", "address", "postcode", "area", "type", "food", "pricerange", "stars", "parking", "internet",
              "entrance fee", "openhours", "duration", "price", "leaveAt", "arriveBy", "trainID", "department", "name",
              "car type", "reference", "day", "departure", "destination")  # fmt: skip


def _openings(name: str, slots: tuple[str, ...]) -> list[str]:
    """Every way to begin, from the bare wish to all that can be told; a speaker takes one it has the values for."""
    parts = [_DETAILS[slot] for slot in slots]
    chosen = [c for n in range(min(len(parts), 3) + 1) for c in itertools.combinations(parts, n)]
    return [f"{bare}{''.join(' ' + part for part in details)}." for bare in _BARE[name] for details in chosen]
