"""The back office of Cambridge: look something up, book it, call a taxi.

A search answers how many there are and what the first of them is, so that what a customer is to be told follows from
what they want. What is booked is in the journal. References, and the taxis that come, follow from what was asked for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dialog_rl.episode import Change, Message, Role, ToolCall
from dialog_rl.seeds import derive
from dialog_rl_multiwoz.tables import VENUES, Row, Tables

LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
COLOURS = ("black", "white", "red", "yellow", "blue", "grey")
CARS = ("toyota", "skoda", "bmw", "honda", "ford", "audi", "lexus", "volvo", "volkswagen", "tesla")
SLOTS: Mapping[str, tuple[str, ...]] = {
    "restaurant": ("area", "pricerange", "food", "name"),
    "hotel": ("area", "pricerange", "type", "stars", "parking", "internet", "name"),
    "attraction": ("area", "type", "name"),
    "train": ("departure", "destination", "day", "leaveAt", "arriveBy"),
    "taxi": ("departure", "destination", "leaveAt", "arriveBy"),
    "hospital": ("department",),
    "police": (),
}
"""Domain → what one can look for."""
BOOKING: Mapping[str, tuple[str, ...]] = {
    "restaurant": ("people", "day", "time"), "hotel": ("people", "day", "stay"), "train": ("people",),
}  # fmt: skip
"""Domain → what has to be told to book, beside what is booked."""
HIDDEN = ("location", "id", "introduction")
"""Fields of a row that nobody asks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    domain: str
    kind: str
    description: str
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


def _tools() -> dict[str, Tool]:
    made = {
        f"find_{domain}": Tool(
            domain=domain, kind="read", optional=SLOTS[domain],
            description=f"How many {domain}s fit, and the first of them. Leave out what does not matter.",
        )
        for domain in (*VENUES, "train")
    }  # fmt: skip
    for domain, slots in BOOKING.items():
        key = "trainID" if domain == "train" else "name"
        made[f"book_{domain}"] = Tool(
            domain=domain, kind="write", required=(key, *slots), description=f"Book a {domain}; answers its reference."
        )
    made["book_taxi"] = Tool(
        domain="taxi", kind="write", required=("departure", "destination"), optional=("leaveAt", "arriveBy"),
        description="Call a taxi; answers the car and its phone number.",
    )  # fmt: skip
    return made


TOOLS: Mapping[str, Tool] = _tools()


def schemas() -> tuple[Mapping[str, Any], ...]:
    """The tools as models are told of them."""
    return tuple(
        {"type": "function", "function": {
            "name": name, "description": tool.description,
            "parameters": {
                "type": "object",
                "properties": {slot: {"type": "string"} for slot in (*tool.required, *tool.optional)},
                "required": list(tool.required),
            },
        }}
        for name, tool in TOOLS.items()
    )  # fmt: skip


class Office:
    """`dialog_rl.conversation.Tools`. `full`: domain → a booking that there is no room for."""

    def __init__(self, tables: Tables, full: Mapping[str, Mapping[str, str]]) -> None:
        self._tables, self._full = tables, full
        self._booked: dict[str, str] = {}

    def call(self, call: ToolCall) -> Message:
        tool = TOOLS.get(call.name)
        if tool is None:
            return _answered(f"error: no tool {call.name}", error=True)
        given = {slot: str(value) for slot, value in call.arguments.items() if value is not None}
        wrong = _wrong(tool, given)
        if wrong:
            return _answered(f"error: {wrong}", error=True, kind=tool.kind)
        return self._find(tool.domain, given) if tool.kind == "read" else self._book(tool.domain, given)

    def ends_conversation(self, call: ToolCall) -> bool:
        return False

    def journal(self) -> tuple[Change, ...]:
        return tuple(Change(path=path, before=None, after=value) for path, value in sorted(self._booked.items()))

    def _find(self, domain: str, given: Mapping[str, str]) -> Message:
        found = self._tables.fitting(domain, given)
        if not found:
            return _answered(f"there is no such {domain}", error=True)
        return _answered(json.dumps({"count": len(found), domain: shown(found[0])}, ensure_ascii=False))

    def _book(self, domain: str, given: Mapping[str, str]) -> Message:
        if domain == "taxi":
            self._write(domain, "taxi", given)
            return _answered(json.dumps(taxi(given)), kind="write")
        key = given["trainID" if domain == "train" else "name"]
        there = [row for row in self._tables.rows.get(domain, ()) if self._tables.key(domain, row) == key]
        if not there:
            return _answered(f"there is no {domain} {key}", error=True, kind="write")
        full = self._full.get(domain)
        if full and all(given.get(slot) == value for slot, value in full.items()):
            return _answered(f"the {domain} is fully booked then", error=True, kind="write")
        self._write(domain, key, given)
        return _answered(json.dumps({"reference": reference(domain, given)}), kind="write")

    def _write(self, domain: str, key: str, given: Mapping[str, str]) -> None:
        self._booked |= {f"bookings/{domain}/{key}/{slot}": value for slot, value in given.items()}


def shown(row: Row) -> dict[str, Any]:
    """A row as a search answers it."""
    return {field: value for field, value in row.items() if field not in HIDDEN and value != "?"}


def reference(domain: str, given: Mapping[str, str]) -> str:
    number = _number(domain, given)
    return "".join(LETTERS[number // len(LETTERS) ** place % len(LETTERS)] for place in range(8))


def taxi(given: Mapping[str, str]) -> dict[str, str]:
    number = _number("taxi", given)
    car = f"{COLOURS[number % len(COLOURS)]} {CARS[number // 7 % len(CARS)]}"
    return {"car type": car, "phone": f"07{number % 10**9:09d}"}


def _number(domain: str, given: Mapping[str, str]) -> int:
    return derive(0, domain, *(f"{slot}={given[slot]}" for slot in sorted(given)))


def _wrong(tool: Tool, given: Mapping[str, str]) -> str:
    known = (*tool.required, *tool.optional)
    unknown = [slot for slot in given if slot not in known]
    if unknown:
        return f"no argument {unknown[0]}; there are: {', '.join(known)}"
    missing = [slot for slot in tool.required if not given.get(slot)]
    return f"{missing[0]} is missing" if missing else ""


def _answered(text: str, *, error: bool = False, kind: str = "read") -> Message:
    return Message(role=Role.TOOL, text=text, error=error, facts={"kind": kind})
