"""A small lending library as a pack, with records made by hand: the tests' own domain, to be checked by eye."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dialog_rl.episode import Message, ToolCall
from dialog_rl.pack import Pack, load_pack
from dialog_rl.world import Records, World

FOLDER = Path(__file__).parent / "library"
LIBRARY: Pack = load_pack(FOLDER)

RECORDS: Records = {
    "members": {
        "M1": {"id": "M1", "name": "Ada", "card": "11111"},
        "M2": {"id": "M2", "name": "Bea", "card": "22222"},
    },
    "books": {
        "1001": {"id": "1001", "customer_id": "M1", "title": "Emma", "days": 12, "fee": "2.50"},
        "1002": {"id": "1002", "customer_id": "M1", "title": "Dune", "days": 31, "fee": "7.00"},
        "2001": {"id": "2001", "customer_id": "M2", "title": "Kim", "days": 3, "fee": "1.10"},
    },
    "notes": {},
}
FACTS = {"hour": "6"}


def world(pack: Pack = LIBRARY) -> World:
    return World(pack, RECORDS, FACTS)


def call(world: World, tool: str, /, **arguments: Any) -> Message:
    return world.call(ToolCall(name=tool, arguments=arguments))
