"""tau2's solo mode: a ticket in a customer's place, and an agent with the tools of both sides and nobody to talk to.

It says that it has finished by a call of its own. What has to be told to somebody cannot be asked of it: such tasks are
refused, as are those that have no ticket.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dialog_rl.conversation import UserReply
from dialog_rl.episode import Message, Role, ToolCall
from dialog_rl.expert import call_message
from dialog_rl_tau2.agenda import Refused, scenario_of
from dialog_rl_tau2.checkout import Checkout
from dialog_rl_tau2.counter import Counter
from dialog_rl_tau2.domains import Domain
from dialog_rl_tau2.tasks import Task

DONE = "done"
DONE_SCHEMA: Mapping[str, Any] = {"type": "function", "function": {
    "name": DONE, "description": "Say that the ticket is dealt with, or that nothing more can be done.",
    "parameters": {"type": "object", "properties": {}, "required": []},
}}  # fmt: skip
NOBODY = "Nobody reads this. Work with the tools, and call done when the ticket is dealt with."


def scenario_for(domain: Domain, checkout: Checkout, task: Task) -> dict[str, Any]:
    """The task as a scenario document, for an agent with a customer or one alone. Raises Refused."""
    document = scenario_of(domain.name, checkout, task, pack=f"tau2_{domain.key}")
    if not domain.solo:
        return document
    if not task.document.ticket:
        raise Refused("has no ticket, which is all that an agent alone is told")
    if document["success"]["communicate"]:
        raise Refused("something has to be said, and an agent alone has nobody to say it to")
    document["user"] |= {"instructions": task.document.ticket}
    return document


class Ticket:
    """`conversation.User`: what there is to do, and then nobody."""

    def __init__(self, text: str) -> None:
        self._text = text

    def open(self) -> UserReply:
        return UserReply(message=Message(role=Role.USER, text=self._text))

    def reply(self, message: Message) -> UserReply:
        return UserReply(message=Message(role=Role.USER, text=NOBODY))


class Alone(Counter):
    """The back office for an agent that reaches the customer's side too."""

    def call(self, call: ToolCall) -> Message:
        if call.name == DONE:
            return Message(role=Role.TOOL, text="", facts={"kind": "end"})
        return super().call(call)

    def ends_conversation(self, call: ToolCall) -> bool:
        return call.name == DONE or super().ends_conversation(call)

    def _side(self, tool: str) -> str:
        customer = self.office.customer
        return "user" if customer is not None and tool in customer.tools() and tool not in self._kinds else "assistant"


class SoloExpert:
    """The ceiling: the gold actions of both sides, one after the other."""

    def __init__(self, task: Task) -> None:
        self._script = self._calls(task)

    def act(self, observed: tuple[Message, ...]) -> Message:
        return next(self._script)

    def _calls(self, task: Task) -> Iterator[Message]:
        for action in task.criteria.actions or ():
            yield call_message(ToolCall(name=action.name, arguments=action.arguments))
        while True:
            yield call_message(ToolCall(name=DONE, arguments={}))
