"""A folder as MultiWOZ's, small and made up: two restaurants, a hotel, a museum, three trains."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESTAURANTS = [
    {"name": "The Nest", "area": "north", "food": "thai", "pricerange": "cheap", "phone": "01223000001", "id": "1"},
    {"name": "saint mary's", "area": "east", "food": "thai", "pricerange": "cheap", "phone": "01223000002", "id": "2"},
]
HOTELS = [{"name": "inn", "area": "east", "type": "guesthouse", "stars": "4", "postcode": "cb11aa", "phone": "?"}]
ATTRACTIONS = [{"name": "museum of tea", "area": "north", "type": "museum", "entrance fee": "?"}]
TRAINS = [
    {"trainID": f"TR000{n}", "day": "monday", "departure": "ely", "destination": "cambridge", "leaveAt": f"{n}:00",
     "arriveBy": f"{n}:30", "duration": "30 minutes", "price": "4.40 pounds"}
    for n in (9, 7, 8)
]  # fmt: skip
EMPTY = {"info": {}, "fail_info": {}}
STATE = {"restaurant": {"book": {"booked": []}, "semi": {"food": "", "area": "", "name": "not mentioned"}}}


def dinner(**changes: Any) -> dict[str, Any]:
    """A goal: chinese food, and if there is none thai, in the east; a table at 8, and if that is full at 7."""
    restaurant = {
        "info": {"food": "thai", "area": "east"}, "fail_info": {"food": "chinese", "area": "east"}, "reqt": ["phone"],
        "book": {"people": "2", "day": "monday", "time": "19:00", "invalid": False}, "fail_book": {"time": "20:00"},
    }  # fmt: skip
    message = ["You want <span class='emphasis'>chinese</span> food"]
    return {"restaurant": {**restaurant, **changes}, "taxi": {}, "message": message, "topic": {}}


def dialogue(goal: dict[str, Any], *turns: tuple[str, str, dict[str, Any], dict[str, str], bool]) -> dict[str, Any]:
    """Turns are: user, system, the system's acts, the restaurant that is wanted, whether it is booked."""
    log: list[dict[str, Any]] = []
    for user, system, acts, wanted, booked in turns:
        semi = {**STATE["restaurant"]["semi"], **wanted}
        state = {"restaurant": {"book": {"booked": [{"reference": "AB12CD34"}] if booked else []}, "semi": semi}}
        log += [
            {"text": user, "metadata": {}, "dialog_act": {}},
            {"text": system, "metadata": state, "dialog_act": acts},
        ]
    return {"goal": goal, "log": log}


def served(*, phone: bool = True, area: str = "east", reference: bool = True) -> dict[str, Any]:
    """A dialogue about dinner as it should be, or with something missing."""
    named = {"Restaurant-Inform": [["Name", "saint mary 's"], *([["Phone", "01223000002"]] if phone else [])]}
    booking = {"Booking-Book": [["Ref", "AB12CD34"]]} if reference else {"general-bye": [["none", "none"]]}
    wanted = {"food": "thai", "area": area}
    return dialogue(
        dinner(), ("thai food , please", "there is saint mary 's .", named, wanted, False),
        ("book it", "done", booking, wanted, True),
    )  # fmt: skip


def data_folder(root: Path, **dialogues: dict[str, Any]) -> Path:
    (root / "db").mkdir(parents=True)
    tables = {"restaurant": RESTAURANTS, "hotel": HOTELS, "attraction": ATTRACTIONS, "train": TRAINS}
    for domain, rows in tables.items():
        (root / "db" / f"{domain}_db.json").write_text(json.dumps(rows))
    (root / "mw_val.json").write_text(json.dumps(dialogues or {"D1.json": served()}))
    return root
