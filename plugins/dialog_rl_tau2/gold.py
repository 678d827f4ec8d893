"""The ceiling of a task: its gold actions again, with the words that a customer needs to hear around them."""

from __future__ import annotations

from collections.abc import Iterator

from dialog_rl.episode import Message, Role, ToolCall
from dialog_rl.expert import call_message
from dialog_rl_tau2.checkout import Checkout
from dialog_rl_tau2.counter import TRANSFER
from dialog_rl_tau2.tasks import GoldAction, Task
from dialog_rl_tau2.wording import plain, spoken

GOODBYE = "Goodbye."


class GoldExpert:
    """Speaks for one conversation: asks for a yes, does what is next in the gold actions, says so, and goes on.

    What the customer is to do, it tells them to. It listens to nothing, for all is known beforehand.
    """

    def __init__(self, checkout: Checkout, task: Task) -> None:
        self._kinds = checkout.domain.desk.tools()
        self._told = tuple(task.criteria.communicate_info or ())
        self._script = self._steps(tuple(task.criteria.actions or ()))

    def act(self, observed: tuple[Message, ...]) -> Message:
        return next(self._script, _said(GOODBYE))

    def _steps(self, actions: tuple[GoldAction, ...]) -> Iterator[Message]:
        at_work = [a for a in actions if a.requestor == "user" or self._kinds[a.name] == "write"]
        guides = any(a.requestor == "user" for a in actions)
        for action in actions:
            if action.requestor == "user":
                yield _said(instruction(action))
            elif self._kinds[action.name] == "write" and not guides:
                yield _said(f"I will {plain(action.name)}. May I go ahead?")
                yield _called(action)
                last = action is at_work[-1]
                yield _said("That is done. " + (self._answer() if last else "") + "Is there anything else?")
            else:
                if action.name == TRANSFER and self._told and not at_work:
                    yield _said(self._answer())
                yield _called(action)
        if guides:
            yield _said("That is done. " + self._answer() + "Is there anything else?")
        elif not at_work:
            yield _said(self._answer() + "Is there anything else?" if self._told else "I am sorry, I cannot do that.")

    def _answer(self) -> str:
        """What has to be told, as it is to be told."""
        return f"This is what you wanted to know: {'; '.join(self._told)}. " if self._told else ""


def instruction(action: GoldAction) -> str:
    """What tells a customer to use a tool of their own."""
    values = ", ".join(spoken(value) for value in action.arguments.values())
    return f"Please {plain(action.name)}{': ' if values else ''}{values}."


def _called(action: GoldAction) -> Message:
    return call_message(ToolCall(name=action.name, arguments=action.arguments))


def _said(text: str) -> Message:
    return Message(role=Role.ASSISTANT, text=text)
