"""What tau2's customers say, and how they read an agent: the words of an imported pack's phrasing, and first person."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from dialog_rl_tau2.domains import Domain, parameters_of

FIX, QUESTION, DECLINED, TRANSFERRED = "fix", "question", "declined", "transfer_to_human_agents"
"""Intents that are no agent's tool: something of the customer's own is mended; they are told something; they are told
no; a person takes over."""
FIRST = "first"
"""The topic of what a customer says first: their reason in tau2's own words."""
IDENTITY = "identity"
"""The slot of all that a customer knows about who they are."""
REASON = "call_for"
"""The slot of why a customer calls."""
MOST_TOLD = 12
"""Things that one customer can want to be told."""

_SUBJECTS = (
    ("you are", "I am"), ("you're", "I'm"), ("you were", "I was"), ("you have", "I have"), ("you've", "I've"),
    ("you'd", "I'd"), ("you'll", "I'll"), ("yourself", "myself"), ("yours", "mine"), ("your", "my"),
)  # fmt: skip
_OBJECT = re.compile(
    r"\b(to|for|with|of|from|at|about|give|gives|told|tell|tells|let|sent|send|help|helps|offers|offer|asks|ask|"
    r"charged|allow|allows|want) you\b",
    re.IGNORECASE,
)


def first_person(text: str) -> str:
    """ "You want to cancel your order" as the customer says it: "I want to cancel my order". By rule, so not always
    well: the details stay as they are."""
    said = " ".join(text.split())
    said = _OBJECT.sub(lambda m: f"{m[1]} me", said)
    for yours, mine in _SUBJECTS:
        said = re.sub(rf"\b{yours}\b", mine, said, flags=re.IGNORECASE)
    said = re.sub(r"\byou\b", "I", said, flags=re.IGNORECASE)
    return said[:1].upper() + said[1:]


def spoken(value: Any) -> str:
    """An argument as a customer tells it."""
    if isinstance(value, Mapping):
        return " ".join(spoken(part) for part in value.values())
    if isinstance(value, list | tuple):
        return ", ".join(spoken(part) for part in value)
    return str(value)


def told_name(number: int) -> str:
    """The name of the n-th thing that a customer wants to be told."""
    return f"told_{number}"


def plain(name: str) -> str:
    return name.replace("_", " ")


def phrasing_of(domain: Domain) -> dict[str, Any]:
    """The phrasing file of an imported domain."""
    tools = domain.desk.tools()
    slots = sorted({slot for tool in tools for slot in parameters_of(domain.desk, tool)})
    intents = [*tools, FIX, QUESTION, DECLINED]
    wishes = {name: _wish(name, parameters_of(domain.desk, name) if name in tools else ()) for name in intents}
    return {
        "customer": {
            "open": {**wishes, **{f"{name}/{FIRST}": [f"{{{REASON}}}"] for name in intents}},
            "tell": {**{slot: [f"The {plain(slot)}: {{v}}."] for slot in slots}, IDENTITY: ["{v}"]},
            "ask": {told_name(n): ["You have not told me all that I wanted to know."] for n in range(MOST_TOLD)},
            "other": _OTHER,
        },
        "understand": {**_UNDERSTAND, "request": {**{s: _asks(s) for s in slots}, IDENTITY: _WHO}},
        "evidence": {DECLINED: list(NO)},
    }  # fmt: skip


def _wish(name: str, slots: Iterable[str]) -> list[str]:
    details = " ".join(f"The {plain(slot)}: {{{slot}}}." for slot in slots)
    bare = f"I want this done: {plain(name)}."
    return [f"{bare} {details}", bare] if details else [bare]


def _asks(slot: str) -> list[str]:
    words = plain(slot)
    known = {
        "order id": ["order number", "which order"], "reservation id": ["reservation number", "which reservation"],
        "payment method id": ["payment method", "how would you like to pay"], "payment id": ["payment method"],
        "item ids": ["which item", "item id"], "new item ids": ["new item", "instead"], "reason": ["reason", "why"],
    }  # fmt: skip
    return [words, *known.get(words, ())]


NO = ("cannot", "can not", "can't", "not able", "unable", "not possible", "not allowed", "not permitted", "against")
"""Words of which a customer who is to be refused must hear one."""
_WHO = ["user id", "your name", "full name", "email", "zip", "phone number", "who you are", "identify", "identity",
        "verify", "date of birth", "customer id"]  # fmt: skip
_OTHER = {
    "affirm": ["Yes.", "Yes, please."],
    "deny": ["No."],
    "change_mind": ["Make it {v} instead."],
    "correct": ["I mean {v}."],
    "join": ["{a} {b}"],
    "next": ["Thanks. {open}", "One more thing. {open}"],
    "thanks": ["Thank you, that is all."],
    "dont_know": ["I don't know."],
    "confused": ["What do you mean?", "I don't understand."],
    "protest": ["Please check again."],
    "ask_why": ["Why not?"],
    "leave": ["Never mind. Bye."],
}
_UNDERSTAND = {
    "asking": ["could you", "can you", "may i have", "please [tell|give|provide]", "what is", "which"],
    "open": ["what", "which", "where", "who", "tell me", "give me", "provide"],
    "confirm": ["[shall|should] [i|we]", "do you confirm", "please confirm", "may i go ahead", "would you like me to",
                "do you want me to", "is that [right|correct]", "go ahead", "proceed"],
    "done": ["is done", "are done", "has been", "have been", "is now", "all set", "taken care of", "is complete",
             "successfully", "i have [cancelled|changed|updated|exchanged|returned|booked|modified]"],
    "refuse": [*NO, "unfortunately"],
    "anything_else": ["anything else", "something else"],
    "affirm": ["yes", "sure", "ok", "go ahead", "please do"],
    "deny": ["no", "not", "wrong"],
}  # fmt: skip
