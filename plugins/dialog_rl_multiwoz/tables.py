"""MultiWOZ's databases: what there is in Cambridge, and which of it fits what somebody wants.

Values are compared as people write them: case, spaces and apostrophes do not count ("saint john 's" is "Saint John's"),
"guest house" is a guesthouse, and what somebody does not care about fits everything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from pathlib import Path
from typing import Any

from dialog_rl.errors import ScenarioError
from dialog_rl.imported import read_json

VENUES = ("restaurant", "hotel", "attraction", "hospital", "police")
DOMAINS = (*VENUES, "train")
"""Those with a database; taxis come whenever they are called."""
KEY = {"train": "trainID", "hospital": "department"}
"""The field that names a row, where it is not its name."""
UNSAID = frozenset({"", "none", "not mentioned", "dontcare", "dont care", "do n't care", "don't care", "any", "?"})
ALIKE = 0.9
"""How alike two names must be written to be one."""
_WORDS = {"guest house": "guesthouse", "mutliple sports": "multiple sports", "center": "centre", "free": "yes"}

Row = Mapping[str, Any]
Wanted = Mapping[str, str]


@lru_cache(maxsize=65536)
def plain(value: str) -> str:
    """A value without what only spelling adds."""
    low = " ".join(value.lower().split())
    return re.sub(r"[^a-z0-9]", "", _WORDS.get(low, low))


def said(wanted: Mapping[str, str]) -> dict[str, str]:
    """The constraints that are some."""
    return {slot: value for slot, value in wanted.items() if value.strip().lower() not in UNSAID}


class Tables:
    """Domain → rows, in the order of their file."""

    def __init__(self, rows: Mapping[str, Sequence[Row]]) -> None:
        self.rows = rows
        self._found: dict[tuple[str, tuple[tuple[str, str], ...]], tuple[Row, ...]] = {}

    def fitting(self, domain: str, wanted: Wanted) -> tuple[Row, ...]:
        """The rows that fit. Trains to leave after a time: the earliest first; to arrive by one: the latest first."""
        asked = tuple(sorted(said(wanted).items()))
        if (domain, asked) not in self._found:
            self._found[domain, asked] = tuple(self._fitting(domain, dict(asked)))
        return self._found[domain, asked]

    def key(self, domain: str, row: Row) -> str:
        return str(row[KEY.get(domain, "name")])

    def _fitting(self, domain: str, asked: Wanted) -> list[Row]:
        found = [row for row in self.rows.get(domain, ()) if all(_fits(row, slot, v) for slot, v in asked.items())]
        if domain == "train" and "leaveAt" in asked:
            return sorted(found, key=lambda row: _minutes(row["leaveAt"]))
        if domain == "train" and "arriveBy" in asked:
            return sorted(found, key=lambda row: -_minutes(row["arriveBy"]))
        return found


def _fits(row: Row, slot: str, value: str) -> bool:
    found = str(row.get(slot, ""))
    if slot == "leaveAt":
        return _minutes(found) >= _minutes(value)
    if slot == "arriveBy":
        return _minutes(found) <= _minutes(value)
    return same_name(found, value) if slot == "name" else plain(found) == plain(value)


@lru_cache(maxsize=65536)
def same_name(a: str, b: str) -> bool:
    """Whether two names are one: alike, or one within the other but for a "the"."""
    one, other = (plain(name).removeprefix("the") for name in (a, b))
    return one == other or SequenceMatcher(None, one, other, autojunk=False).ratio() >= ALIKE


@lru_cache(maxsize=4096)
def _minutes(time: str) -> int:
    found = re.fullmatch(r"\s*(\d{1,2})[:.](\d{2})\s*", time)
    return 60 * int(found[1]) + int(found[2]) if found else -1


def read_tables(folder: Path) -> Tables:
    """The databases in a folder. Raises ScenarioError naming what is missing or is no table."""
    rows: dict[str, Sequence[Row]] = {}
    for domain in DOMAINS:
        path = folder / f"{domain}_db.json"
        if not path.is_file() and domain in ("hospital", "police"):
            continue
        found = read_json(path)
        key = KEY.get(domain, "name")
        if not isinstance(found, list) or not all(isinstance(row, dict) and key in row for row in found):
            raise ScenarioError(f"{path}: a list of rows with {key!r} is expected")
        rows[domain] = tuple(found)
    return Tables(rows)
