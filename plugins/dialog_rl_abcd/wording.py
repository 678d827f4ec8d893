"""What ABCD's customers say, and how they read an agent: the phrasing of the imported pack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dialog_rl_abcd.rules import Rules, words_for

_OTHER = {
    "affirm": ["Yes, please.", "Yes."],
    "deny": ["No."],
    "change_mind": ["Make it {v} instead."],
    "correct": ["No, {v}.", "I mean {v}."],
    "join": ["{a} {b}"],
    "next": ["Thanks. {open}"],
    "thanks": ["Thank you, that is all.", "Thanks, bye."],
    "dont_know": ["I don't know."],
    "confused": ["What do you mean?", "I don't understand."],
    "protest": ["Please look again."],
    "ask_why": ["Why not?"],
    "leave": ["Never mind. Bye."],
}
_UNDERSTAND: Mapping[str, Any] = {
    "asking": ["could you", "can you", "may i have", "please [tell|give]", "what is", "which"],
    "open": ["what", "which", "how much", "tell me", "give me", "may i have"],
    "confirm": ["[shall|should] [i|we]", "would you like me to", "is that [right|correct]"],
    "done": ["is done", "has been", "have been", "all set", "taken care of", "is complete"],
    "refuse": ["i am sorry", "unfortunately", "cannot"],
    "anything_else": ["anything else", "something else"],
    "affirm": ["yes", "sure"],
    "deny": ["no", "not"],
}


def phrasing_of(rules: Rules) -> dict[str, Any]:
    """phrasing.yaml of the pack."""
    slots = sorted({slot for action in rules.actions.values() for slot in action.slots})
    opening = {
        name: [f"Hi, I am calling about this: {subflow.title}.", f"I need help with this: {subflow.title}."]
        for name, subflow in rules.subflows.items()
    }
    tell = {slot: [f"My {_plain(slot)} is {{v}}.", f"The {_plain(slot)}: {{v}}."] for slot in slots}
    request = {slot: [_plain(slot), *words_for(slot)] for slot in slots}
    return {
        "customer": {
            "open": opening, "tell": tell,
            "ask": {}, "other": _OTHER,
        },
        "understand": {**_UNDERSTAND, "request": request},
    }  # fmt: skip


def _plain(slot: str) -> str:
    return slot.removesuffix("_slotval").replace("_", " ")
