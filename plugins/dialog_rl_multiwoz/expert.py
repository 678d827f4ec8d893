"""The ceiling of a goal: each of its calls in order, and what the customer wants to hear of the answers."""

from __future__ import annotations

from collections.abc import Iterator

from dialog_rl.episode import Message, Role
from dialog_rl.expert import call_message
from dialog_rl_multiwoz.goals import Step
from dialog_rl_multiwoz.wording import FULL

MORE = "Is there anything else?"


class GoalExpert:
    """Speaks for one conversation. It listens to nothing, for all is known beforehand."""

    def __init__(self, steps: tuple[Step, ...]) -> None:
        self._script = self._messages(steps)

    def act(self, observed: tuple[Message, ...]) -> Message:
        return next(self._script, _said("Goodbye."))

    def _messages(self, steps: tuple[Step, ...]) -> Iterator[Message]:
        for step in steps:
            yield call_message(step.call)
            yield _said(_answer(step))


def _answer(step: Step) -> str:
    if step.refusal:
        return f"I am sorry, {'that is fully booked' if step.refusal == FULL else 'there is no such place'}. {MORE}"
    told = "; ".join(f"the {name.removeprefix('told ')} is {value}" for name, value in step.request.items())
    done = "That is booked: " if step.call.name.startswith("book_") else "I have found one: "
    return f"{done}{told}. {MORE}"


def _said(text: str) -> Message:
    return Message(role=Role.ASSISTANT, text=text)
