"""Agents that deserve nothing, whoever calls: what they are paid is what a score is not worth.

One says nothing, one says that all is done, one says that it cannot be done. Another does at once, unasked and unread,
all the changes that are right, and tells nothing: what it is paid, nobody has had to identify, ask or confirm for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from dialog_rl.episode import Message, Role, ToolCall
from dialog_rl.expert import call_message

NOTHING, CLAIMS, REFUSES, SHORTCUT = "nothing", "claims", "refuses", "shortcut"
AGENTS: Mapping[str, str] = {
    NOTHING: "does nothing",
    CLAIMS: "claims to have done it",
    REFUSES: "refuses everything",
    SHORTCUT: "takes the shortcut: the right changes, unasked",
}
"""Name → what an agent of it does, after "an agent that"."""

_SAYS: Mapping[str, Mapping[str, str]] = {
    "en": {
        NOTHING: "...", CLAIMS: "That is done. Is there anything else?",
        REFUSES: "I am sorry, I cannot do that. Is there anything else?",
    },
    "zh": {NOTHING: "...", CLAIMS: "已经办好了。还有别的需要吗？", REFUSES: "很抱歉，这个办不了。还有别的需要吗？"},
}  # fmt: skip


class Agent(Protocol):
    def act(self, observed: tuple[Message, ...]) -> Message: ...


def agent(name: str, scenario: Mapping[str, Any]) -> Agent:
    """One of AGENTS for one conversation, whose scenario document tells the shortcut what is right."""
    said = _SAYS.get(scenario.get("language", "en"), _SAYS["en"])
    if name == SHORTCUT:
        return _Scripted(_gold(scenario), said[CLAIMS])
    return _Scripted([], said[name])


class _Scripted:
    def __init__(self, first: list[Message], then: str) -> None:
        self._first, self._then = first, then

    def act(self, observed: tuple[Message, ...]) -> Message:
        return self._first.pop(0) if self._first else Message(role=Role.ASSISTANT, text=self._then)


def _gold(scenario: Mapping[str, Any]) -> list[Message]:
    wanted = scenario.get("success", {}).get("db", {}).get("from_actions", ())
    return [call_message(ToolCall(name=gold["tool"], arguments=gold.get("arguments", {}))) for gold in wanted]
