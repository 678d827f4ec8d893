"""From a goal as MultiWOZ has it to a scenario: what the customer asks for first, what they ask for when there is none,
what they book, and what they book when that is full.

A search that must fail, and a booking that must, are sub-goals of their own, to be refused with the truth; the next
sub-goal is what the customer falls back on. The right end is what these calls do in the back office.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from dialog_rl.episode import Message, ToolCall
from dialog_rl.errors import ScenarioError
from dialog_rl_multiwoz.corpus import Dialogue, briefing, spoken
from dialog_rl_multiwoz.office import BOOKING, SLOTS, Office, taxi
from dialog_rl_multiwoz.tables import KEY, Tables, said
from dialog_rl_multiwoz.wording import FULL, NONE, NOTHING, TAKEN

ORDER = ("restaurant", "hotel", "attraction", "hospital", "police", "train", "taxi")
"""In which a customer asks. Taxis go between places that have been found."""
PLACES = ("hotel", "attraction", "restaurant")


class Refused(Exception):
    """Why nobody can play a goal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One sub-goal, and the call that settles it."""

    intent: str
    inform: Mapping[str, str]
    call: ToolCall
    request: Mapping[str, str] = field(default_factory=dict)
    refusal: str = ""
    """Why there is nothing to give; empty if there is."""


def full_of(goal: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Domain → the booking that MultiWOZ lets fail: what the customer books first and has to change."""
    found: dict[str, dict[str, str]] = {}
    for domain in BOOKING:
        wanted = goal.get(domain) or {}
        first = {slot: str(v) for slot, v in (wanted.get("fail_book") or {}).items() if slot in BOOKING[domain]}
        if first and any(str(wanted["book"].get(slot)) != value for slot, value in first.items()):
            found[domain] = first
    return found


def steps_of(dialogue: Dialogue, tables: Tables) -> tuple[Step, ...]:
    """A goal's sub-goals in order. Raises Refused."""
    office = Office(tables, full_of(dialogue.goal))
    found: dict[str, Mapping[str, Any]] = {}
    steps = [
        step
        for domain in ORDER
        if dialogue.goal.get(domain)
        for step in _domain(domain, dialogue, tables, office, found)
    ]
    if not steps:
        raise Refused("its goal names nothing to look for")
    return tuple(steps)


def scenario_of(dialogue: Dialogue, tables: Tables, *, pack: str, split: str, upfront: bool) -> dict[str, Any]:
    """The scenario document. Raises Refused."""
    steps = steps_of(dialogue, tables)
    office = Office(tables, full_of(dialogue.goal))
    for step in steps:
        office.call(step.call)
    told = [{"any_of": [v], "numeric": v.replace(".", "", 1).isdigit()} for s in steps for v in s.request.values()]
    told += [{"any_of": list(NOTHING[step.refusal])} for step in steps if step.refusal]
    gold = [step.call for step in steps if step.call.name.startswith("book_") and not step.refusal]
    return {
        "schema": 1, "id": f"{pack}-{dialogue.id}", "pack": pack, "split": split,
        "phrasing": "heldout" if split == "heldout" else "train",
        "user": {
            "persona": {"patience": 5}, "instructions": briefing(dialogue.goal),
            "goal": {"items": [_item(n, step) for n, step in enumerate(steps, start=1)],
                     "reveal": "upfront" if upfront else "on_request"},
        },
        "success": {
            "db": {"from_actions": [{"tool": call.name, "arguments": call.arguments} for call in gold],
                   "patch": [{"path": c.path, "before": c.before, "after": c.after} for c in office.journal()]},
            "communicate": told,
        },
        "limits": {"turns": 30, "calls": 12},
        "provenance": {"source": "MultiWOZ", "revision": "2.1", "task": dialogue.id, "licence": "MIT"},
    }  # fmt: skip


def _item(number: int, step: Step) -> dict[str, Any]:
    item = {"id": f"g{number}", "intent": step.intent, "inform": step.inform, "request": step.request}
    return {**item, "refusal": step.refusal, "evidence": NOTHING[step.refusal]} if step.refusal else item


def _domain(
    domain: str, dialogue: Dialogue, tables: Tables, office: Office, found: dict[str, Mapping[str, Any]]
) -> Iterator[Step]:
    goal = dialogue.goal[domain]
    info = _constraints(domain, goal.get("info") or {})
    if domain == "taxi":
        yield _taxi(info, goal, found)
        return
    first = _constraints(domain, goal.get("fail_info") or {})
    if first and first != info and not tables.fitting(domain, first):
        yield Step(intent=f"find_{domain}", inform=first, call=ToolCall(name=f"find_{domain}", arguments=first),
                   refusal=NONE)  # fmt: skip
    answer = _answer(office, ToolCall(name=f"find_{domain}", arguments=info), f"no {domain} fits its goal")
    found[domain] = row = answer[domain]
    request = {_named(wanted): _value(row, wanted) for wanted in goal.get("reqt") or () if _value(row, wanted)}
    own = row[KEY.get(domain, "name")]
    if "name" not in info and (not request or goal.get("book")):
        request[_named(KEY.get(domain, "name"))] = own
    if not request and not goal.get("book"):
        raise Refused(f"nothing that is wanted of its {domain} is known")
    if request:
        call = ToolCall(name=f"find_{domain}", arguments=info)
        yield Step(intent=f"find_{domain}", inform=info, call=call, request=request)
    yield from _bookings(domain, dialogue.goal, own, office)


def _bookings(domain: str, goal: Mapping[str, Any], own: str, office: Office) -> Iterator[Step]:
    book = goal[domain].get("book")
    if not book or domain not in BOOKING:
        return
    wanted = {slot: str(book[slot]) for slot in BOOKING[domain] if book.get(slot)}
    if len(wanted) < len(BOOKING[domain]):
        raise Refused(f"its {domain} is to be booked, and not said for when or whom")
    key = {"trainID" if domain == "train" else "name": own}
    full = full_of(goal).get(domain)
    if full:
        first = {**wanted, **full}
        yield Step(intent=f"book_{domain}", inform=first, refusal=FULL,
                   call=ToolCall(name=f"book_{domain}", arguments={**key, **first}))  # fmt: skip
    call = ToolCall(name=f"book_{domain}", arguments={**key, **wanted})
    answer = _answer(office, call, f"its {domain} cannot be booked")
    yield Step(intent=f"book_{domain}", inform=wanted, call=call, request={TAKEN: answer["reference"]})


def _taxi(info: Mapping[str, str], goal: Mapping[str, Any], found: Mapping[str, Mapping[str, Any]]) -> Step:
    """A taxi between two places: those that are named, or the two that the customer has found."""
    places = [str(found[domain]["name"]) for domain in PLACES if domain in found]
    ends = {slot: info[slot] for slot in ("departure", "destination") if slot in info}
    if len(ends) < 2:
        if len(places) != 2:
            raise Refused(f"its taxi is to go between two places, and {len(places)} have been found")
        ends = {"departure": places[0], "destination": places[1], **ends}
    wanted = {**ends, **{slot: info[slot] for slot in ("leaveAt", "arriveBy") if slot in info}}
    answer = taxi(wanted)
    request = {_named(slot): answer[slot] for slot in ("car type", "phone")}
    return Step(intent="book_taxi", inform=wanted, call=ToolCall(name="book_taxi", arguments=wanted), request=request)


def _constraints(domain: str, info: Mapping[str, Any]) -> dict[str, str]:
    return said({slot: spoken(str(value)) for slot, value in info.items() if slot in SLOTS[domain]})


def _answer(office: Office, call: ToolCall, otherwise: str) -> dict[str, Any]:
    found: Message = office.call(call)
    if found.error:
        raise Refused(f"{otherwise}: {found.text}")
    answer = json.loads(found.text)
    if not isinstance(answer, dict):
        raise ScenarioError(f"{call.name} answers {found.text[:60]}")
    return answer


def _value(row: Mapping[str, Any], wanted: str) -> str:
    """What a customer wants to hear of a row, empty where it is not known."""
    value = row.get(wanted, "")
    return spoken(str(value)) if isinstance(value, str | int) and str(value) not in ("?", "") else ""


def _named(slot: str) -> str:
    """The name of a request: no other slot is called so."""
    return "told " + slot
