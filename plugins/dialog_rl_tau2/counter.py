"""tau2's two sides as the back office of a Conversation: the agent's calls, a journal, and what tau2 looks at.

The journal has the records of both sides and, as facts of their own, which assertions hold in the end and which of the
gold calls were made: success can then be told from the log alone, tau2's way and ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dialog_rl.episode import Change, Message, Role, ToolCall
from dialog_rl_tau2.checkout import Checkout
from dialog_rl_tau2.tasks import GoldAction, Task

TRANSFER = "transfer_to_human_agents"
CUSTOMER = "customer/"
"""Before the paths of the records on the customer's side."""
ASSERTED, CALLED = "ENV_ASSERTION/", "ACTION/"
FACTS = (ASSERTED, CALLED)
"""Before paths that are no records: what holds, what was called."""


class Counter:
    def __init__(self, checkout: Checkout, task: Task) -> None:
        self._task = task
        self.office = office = checkout.open(task.raw)
        shared = office.customer is not None and office.customer.book is office.desk.book
        office.desk.book = office.desk.book.settled()
        if office.customer is not None:
            office.customer.book = office.desk.book if shared else office.customer.book.settled()
        self._shared = shared
        self._kinds = office.desk.tools()
        self._called: set[str] = set()

    def call(self, call: ToolCall) -> Message:
        """The agent's call."""
        side = self._side(call.name)
        text, error = self.run(side, call.name, call.arguments)
        kind = self.office.side(side).tools().get(call.name, "")
        return Message(role=Role.TOOL, text=text, error=error, facts={"kind": kind} if kind else {})

    def ends_conversation(self, call: ToolCall) -> bool:
        """A person takes over."""
        return call.name == TRANSFER

    def _side(self, tool: str) -> str:
        """Whose tool the agent calls."""
        return "assistant"

    def run(self, side: str, name: str, arguments: Mapping[str, Any]) -> tuple[str, bool]:
        """A call by either side: the answer, and whether it is an error."""
        self._called |= {a.action_id for a in self._task.criteria.actions or () if _is(a, name, arguments)}
        return self.office.call(side, name, arguments)

    def holds(self, side: str = "") -> list[bool]:
        """Which of the task's assertions hold as things stand; those about one side, or all."""
        found = self._task.raw.get("evaluation_criteria") or {}
        return [self.office.holds(a) for a in found.get("env_assertions") or () if side in ("", a["env_type"])]

    def journal(self) -> tuple[Change, ...]:
        changes = [Change(path=p, before=b, after=a) for p, b, a in self.office.desk.book.changes()]
        if self.office.customer is not None and not self._shared:
            changes += [Change(path=CUSTOMER + p, before=b, after=a) for p, b, a in self.office.customer.book.changes()]
        changes += [
            Change(path=f"{ASSERTED}{n}", before=None, after=True) for n, held in enumerate(self.holds()) if held
        ]
        changes += [Change(path=CALLED + called, before=None, after=True) for called in self._called]
        return tuple(sorted(changes, key=lambda c: c.path))


def _is(gold: GoldAction, name: str, arguments: Mapping[str, Any]) -> bool:
    """tau2's comparison of a call with a gold one: the arguments that it names, or all of them."""
    if gold.name != name:
        return False
    if gold.compare_args is None:
        return dict(gold.arguments) == dict(arguments)
    return all(gold.arguments.get(key) == arguments.get(key) for key in gold.compare_args)
