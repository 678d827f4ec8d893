"""In whose place a person speaks: what that customer knows and wants, as it is told at the beginning."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dialog_rl.scenario import Customer, Goal, Scenario, Success
from dialog_rl.staging import Stage
from dialog_rl.text import one_line

FREE = "Ask for whatever you like."
_FIELDS = 6
_ROWS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    what: str
    """As in "return item"."""
    details: tuple[tuple[str, str], ...] = ()
    refusal: str = ""
    """Why it will have to be refused; empty if it can be done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    shop: str
    known: tuple[tuple[str, str], ...] = ()
    """What the customer knows of themselves: name, number, …"""
    wishes: tuple[Wish, ...] = ()
    instructions: str = ""
    """In free text, where there are no wishes."""
    example: str = ""
    """How a simulated customer would begin."""
    records: tuple[str, ...] = ()
    """What the shop has on file of this customer, a line a record."""

    def lines(self) -> list[str]:
        """The card as text, a remark a line."""
        if not self.known and not self.wishes:
            return [one_line(self.instructions, 1000)]
        remarks = [f"You are a customer of {self.shop}: {_told(self.known)}."]
        for wish in self.wishes:
            remarks.append(f"You want: {wish.what}" + (f" ({_told(wish.details)})" if wish.details else ""))
            if wish.refusal:
                remarks.append(f"          (it will have to be refused: {wish.refusal})")
        if not self.wishes:
            remarks.append(one_line(self.instructions, 1000))
        return [*remarks, f"For example: {self.example}"] if self.example else remarks


def card_of(stage: Stage, scenario: Scenario, seed: int) -> Card:
    """The card of a scenario's customer."""
    shop = stage.pack.file.title or stage.pack.name
    goal = scenario.user.goal
    if goal is None or (goal.items and scenario.user.instructions):
        return Card(shop=shop, instructions=scenario.user.instructions, records=tuple(_records(scenario)))
    if not goal.items:
        instructions = scenario.user.instructions
        return Card(shop=shop, known=_known(goal), instructions=instructions, records=tuple(_records(scenario)))
    wishes = tuple(
        Wish(what=_words(item.intent), details=_pairs(item.inform), refusal=_words(item.refusal)) for item in goal.items
    )
    example = stage.simulator.start(scenario, seed).open().message.text
    return Card(shop=shop, known=_known(goal), wishes=wishes, example=example)


def card_from_json(document: Mapping[str, Any]) -> Card:
    """The inverse of `to_json`. Raises KeyError or TypeError on a document of another shape."""
    wishes = tuple(Wish(**{**wish, "details": _paired(wish.get("details", ()))}) for wish in document.get("wishes", ()))
    told = {**document, "known": _paired(document.get("known", ())), "wishes": wishes}
    return Card(**{**told, "records": tuple(map(str, document.get("records", ())))})


def _paired(rows: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((str(name), str(value)) for name, value in rows)


def freed(scenario: Scenario) -> Scenario:
    """The same customer and records without a wish: nothing is asked for, so nothing counts as success."""
    goal = scenario.user.goal
    kept = goal.model_copy(update={"items": ()}) if goal is not None else None
    customer = Customer(persona=scenario.user.persona, goal=kept, instructions=FREE)
    return scenario.model_copy(update={"id": f"{scenario.id}-free", "user": customer, "success": Success()})


def _known(goal: Goal) -> tuple[tuple[str, str], ...]:
    return _pairs(goal.known)


def _pairs(values: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((_words(slot), value) for slot, value in values.items())


def _words(name: str) -> str:
    return name.replace("_", " ")


def _told(pairs: tuple[tuple[str, str], ...]) -> str:
    return ", ".join(f"{name} {value}" for name, value in pairs)


def _records(scenario: Scenario) -> Iterator[str]:
    """The rows that belong to the customer, as far as the records tell whose they are; else the first of each table."""
    goal = scenario.user.goal
    known = set(goal.known.values()) if goal is not None else set()
    own = {
        key for rows in scenario.initial.records.values() for key, row in rows.items()
        if known and known <= {str(value) for value in row.values()}
    }  # fmt: skip
    shown = 0
    for table, rows in scenario.initial.records.items():
        for row in rows.values():
            if own and not own & {str(value) for value in row.values()}:
                continue
            if shown == _ROWS:
                return
            shown += 1
            fields = [f"{_words(name)} {value}" for name, value in row.items() if not name.endswith("_id")]
            yield one_line(f"{table}: {', '.join(fields[:_FIELDS])}", 200)
