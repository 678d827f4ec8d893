"""Inform and success of a dialogue as Nekvinda and Dušek define them (2021, arXiv:2106.05555), on dialogues in words.

Inform: in every domain of the goal, the places that fit the state when one was last named all fit the goal. Success: of
an informed dialogue, everything was told that the goal wants to hear, a reference only where something was booked.

Their answers are delexicalised, so a placeholder says what is told. Here the annotated acts say it of a recorded
answer; of another one, placeholders, and words that only this can be: numbers, codes, names of the database.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from dialog_rl_multiwoz.corpus import Dialogue, Turn
from dialog_rl_multiwoz.tables import Row, Tables, plain, said

PUBLISHED = {"inform": 93.7, "success": 90.9}
"""Of the recorded answers of MultiWOZ 2.2's test set, as they print it."""
WITH_PLACES = ("restaurant", "hotel", "attraction", "train")
WANTED = ("phone", "address", "postcode", "trainID")
_SLOTS = {"Name": "name", "Id": "trainID", "Phone": "phone", "Addr": "address", "Post": "postcode", "Ref": "reference"}
_PATTERNS: Mapping[str, re.Pattern[str]] = {
    "phone": re.compile(r"\b0?\d{10}\b|\[\w*phone\]"),
    "postcode": re.compile(r"\bcb\d{1,2} ?\d[a-z]{2}\b|\[\w*post(?:code)?\]", re.I),
    "trainID": re.compile(r"\btr ?\d{4}\b|\[(?:train_|value_)?(?:train)?id\]", re.I),
    "reference": re.compile(r"\b(?=[A-Z0-9]*[A-Z])(?=[A-Z0-9]*\d)[A-Z0-9]{8}\b|\[\w*ref(?:erence)?\]"),
    "address": re.compile(r"\[\w*addr(?:ess)?\]", re.I),
}
"""What only this can be, or a placeholder of it."""
SHORTEST = 5
"""Letters of a name or an address that is looked for in words; shorter ones are found in others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    inform: bool
    success: bool


def judge(dialogue: Dialogue, tables: Tables, answers: Sequence[str] | None = None) -> Judged:
    """One dialogue; with `answers`, as if the system had said these, with the recorded states."""
    goal = {domain: wanted for domain, wanted in dialogue.goal.items() if isinstance(wanted, dict) and "info" in wanted}
    offered: dict[str, tuple[Row, ...]] = {}
    told: dict[str, set[str]] = {domain: set() for domain in goal}
    for number, (turn, active) in enumerate(_with_active(dialogue.turns)):
        for domain in active & goal.keys():
            named = _told(turn, domain, tables, None if answers is None else answers[number])
            told[domain] |= named - (set() if domain in turn.booked else {"reference"})
            if named & {"trainID" if domain == "train" else "name"} and domain in WITH_PLACES:
                offered[domain] = _offer(offered.get(domain, ()), tables.fitting(domain, turn.state.get(domain, {})))
    informed = all(_matches(domain, wanted, offered.get(domain, ()), tables) for domain, wanted in goal.items())
    heard = all(_requested(domain, wanted) <= told[domain] for domain, wanted in goal.items())
    return Judged(inform=informed, success=informed and heard)


def _offer(before: tuple[Row, ...], fitting: tuple[Row, ...]) -> tuple[Row, ...]:
    """What can have been offered: what fits now, unless all that was offered before still does."""
    keep = before and all(any(row is other for other in fitting) for row in before)
    return before if keep else fitting


def _matches(domain: str, wanted: Mapping[str, Any], offered: tuple[Row, ...], tables: Tables) -> bool:
    info = said({slot: str(value) for slot, value in wanted["info"].items()})
    if domain not in WITH_PLACES or "name" in info:
        return True
    if not offered:
        return domain == "train" and "trainID" not in (wanted.get("reqt") or ())
    fitting = tables.fitting(domain, info)
    return all(any(row is other for other in fitting) for row in offered)


def _requested(domain: str, wanted: Mapping[str, Any]) -> set[str]:
    slots = ("trainID",) if domain == "train" else WANTED
    booked = {"reference"} if wanted.get("book") else set()
    return {slot for slot in wanted.get("reqt") or () if slot in slots} | booked


def _with_active(turns: Sequence[Turn]) -> Iterator[tuple[Turn, set[str]]]:
    """Each turn with the domains it is about: those of its acts, those whose state or bookings it changes, or those
    before."""
    active: set[str] = set()
    state: Mapping[str, Mapping[str, str]] = {}
    booked: set[str] = set()
    for turn in turns:
        acted = {act.partition("-")[0].lower() for act in turn.acts} - {"booking", "general"}
        changed = {domain for domain, wanted in turn.state.items() if wanted != state.get(domain)}
        active = acted | changed | (set(turn.booked) - booked) or active
        state, booked = turn.state, set(turn.booked)
        yield turn, active


def _told(turn: Turn, domain: str, tables: Tables, answer: str | None) -> set[str]:
    """What the system tells of a domain in a turn."""
    if answer is not None:
        return _in_words(answer, domain, tables)
    named: set[str] = set()
    for act, pairs in turn.acts.items():
        if act.partition("-")[0].lower() in (domain, "booking"):
            named |= {_SLOTS[slot] for slot, value in pairs if slot in _SLOTS and value not in ("none", "?")}
    return named


def _in_words(text: str, domain: str, tables: Tables) -> set[str]:
    named = {slot for slot, pattern in _PATTERNS.items() if pattern.search(text)}
    if re.search(rf"\[(?:{domain}_|value_)?name\]", text):
        named.add("name")
    letters = plain(text)
    for slot in ("name", "address"):
        if any(value in letters for value in _values(tuple(str(r.get(slot, "")) for r in tables.rows.get(domain, ())))):
            named.add(slot)
    return named


@lru_cache(maxsize=32)
def _values(values: tuple[str, ...]) -> frozenset[str]:
    found = {plain(value).removeprefix("the") for value in values}
    return frozenset(value for value in found if len(value) >= SHORTEST)
