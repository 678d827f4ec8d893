"""Customers for ABCD's subflows: what they know is drawn from the ontology's values, or made up in their form."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from dialog_rl.episode import ToolCall
from dialog_rl.goals import made_up_word
from dialog_rl.seeds import generator
from dialog_rl_abcd.office import Office
from dialog_rl_abcd.rules import Rules, Subflow

SHARE = {"train": (0.0, 0.6), "validation": (0.6, 0.8), "heldout": (0.8, 1.0)}
"""Which part of the values that name people and goods a split draws from: no two share one."""
APART = ("customer_name", "product", "security_answer")


def gold(rules: Rules, subflow: Subflow, known: Mapping[str, str]) -> tuple[ToolCall, ...]:
    """The actions of a subflow in their order, told what they need."""
    return tuple(
        ToolCall(name=action, arguments={slot: known[slot] for slot in subflow.needed[action]})
        for action in subflow.order
    )


def known_of(rules: Rules, subflow: Subflow, split: str) -> dict[str, str]:
    """What the customer of a subflow knows, the same for the same split, always."""
    rng = generator(0, "abcd", split, subflow.name)
    slots = dict.fromkeys(slot for action in subflow.order for slot in subflow.needed[action])
    return {slot: _value(slot, rules, subflow, split, rng) for slot in slots}


def scenario_of(rules: Rules, subflow: Subflow, *, pack: str, split: str) -> dict[str, Any]:
    """A subflow's scenario document: every action, with what it must be told, in the order that counts."""
    known = known_of(rules, subflow, split)
    calls = gold(rules, subflow, known)
    office = Office(rules, known)
    for call in calls:
        office.call(call)
    return {
        "schema": 1, "id": f"{pack}-{split}-{subflow.name}", "pack": pack, "split": split,
        "phrasing": "heldout" if split == "heldout" else "train",
        "user": {
            "persona": {"patience": 5}, "instructions": f"{subflow.title} ({subflow.about})",
            "goal": {"items": [{"id": "g1", "intent": subflow.name, "inform": known}]},
        },
        "initial": {"facts": known},
        "success": {
            "db": {"from_actions": [{"tool": c.name, "arguments": c.arguments} for c in calls],
                   "patch": [{"path": c.path, "before": c.before, "after": c.after} for c in office.journal()]},
            "actions": {"required": [{"tool": c.name, "arguments": c.arguments} for c in calls],
                        "order": [[a.name, b.name] for a, b in zip(calls, calls[1:], strict=False)]},
        },
        "provenance": {"source": "ABCD", "task": f"{split}/{subflow.name}", "licence": "MIT"},
    }  # fmt: skip


def _value(slot: str, rules: Rules, subflow: Subflow, split: str, rng: random.Random) -> str:
    values = rules.values.get(slot, ())
    if slot == subflow.flow:  # answers to frequent questions carry their subflow's name
        values = tuple(value for value in values if value.startswith(subflow.name)) or values
    if slot in APART and values:
        first, last = (round(share * len(values)) for share in SHARE[split])
        values = values[first:last] or values[-1:]
    return rng.choice(values) if values else _made_up(slot, rng)


def _made_up(slot: str, rng: random.Random) -> str:
    def digits(count: int) -> str:
        return rng.choice("123456789") + "".join(rng.choices("0123456789", k=count - 1))

    name = made_up_word(rng, 2).lower()
    street = f"{digits(4)} {made_up_word(rng, 2)} Street"
    made = {
        "account_id": digits(10), "order_id": digits(10), "zip_code": digits(5), "pin_number": digits(6),
        "phone": f"({digits(3)}) {digits(3)}-{digits(4)}", "email": f"{name}{digits(3)}@email.com",
        "username": f"{name}{digits(3)}", "amount": digits(2), "street_address": street,
        "full_address": f"{street}, {made_up_word(rng, 2)}, NY {digits(5)}",
    }  # fmt: skip
    return made.get(slot, made_up_word(rng, 2))
