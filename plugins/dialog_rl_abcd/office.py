"""ABCD's back office: every action is a tool. It refuses what does not agree with who the customer is, and notes what
is entered or changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dialog_rl.episode import Change, Message, Role, ToolCall
from dialog_rl_abcd.rules import QUERY, Rules

CHECKED = ("customer_name", "account_id", "order_id", "zip_code", "username", "email")
"""What the back office knows of a customer and compares."""


def kind_of(rules: Rules, action: str) -> str:
    """Queries and look-ups read; what is entered, changed or picked writes."""
    found = rules.actions[action]
    return "read" if found.group == QUERY or not found.slots else "write"


class Office:
    """`dialog_rl.conversation.Tools`. `record`: what is true of the customer."""

    def __init__(self, rules: Rules, record: Mapping[str, str]) -> None:
        self._rules, self._record = rules, record
        self._noted: dict[str, str] = {}

    def call(self, call: ToolCall) -> Message:
        action = self._rules.actions.get(call.name)
        if action is None:
            return _answered(f"error: no tool {call.name}", error=True)
        kind = kind_of(self._rules, call.name)
        given = {slot: str(value) for slot, value in call.arguments.items() if value is not None}
        unknown = [slot for slot in given if slot not in action.slots]
        if unknown:
            known = ", ".join(action.slots) or "none"
            return _answered(f"error: no argument {unknown[0]}; there are: {known}", error=True, kind=kind)
        if action.slots and not given:
            return _answered(f"error: one of {', '.join(action.slots)} is missing", error=True, kind=kind)
        wrong = [slot for slot in CHECKED if slot in given and given[slot] != self._record.get(slot, given[slot])]
        if wrong:
            return _answered(f"the {wrong[0].replace('_', ' ')} does not match", error=True, kind=kind)
        if kind == "write":
            self._noted |= {f"actions/{call.name}/{slot}": value for slot, value in given.items()}
        return _answered("done", kind=kind)

    def ends_conversation(self, call: ToolCall) -> bool:
        return False

    def journal(self) -> tuple[Change, ...]:
        return tuple(Change(path=path, before=None, after=value) for path, value in sorted(self._noted.items()))


def schemas(rules: Rules) -> tuple[Mapping[str, Any], ...]:
    """The tools as models are told of them."""
    return tuple(
        {"type": "function", "function": {
            "name": action.name, "description": action.name.replace("-", " "),
            "parameters": {
                "type": "object", "properties": {slot: {"type": "string"} for slot in action.slots}, "required": [],
            },
        }}
        for action in rules.actions.values()
    )  # fmt: skip


def _answered(text: str, *, error: bool = False, kind: str = "") -> Message:
    return Message(role=Role.TOOL, text=text, error=error, facts={"kind": kind} if kind else {})
