"""In the agent's place: a logged conversation as it was up to a turn; from there on a person answers the customer.

The customer is the simulated one who called then. What the person says and does is logged as an episode, and its steps
have no tokens: it can be read, compared, made a scenario of, and learnt from as an example, not by reinforcement.
"""

from __future__ import annotations

import json
import shlex
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from dialog_rl.browsing.stepping import Line, judged, lines_of
from dialog_rl.conversation import Conversation
from dialog_rl.episode import Episode, Manual, Message, Role, Step, StopReason, ToolCall, Turn
from dialog_rl.errors import ConfigError, DialogRLError
from dialog_rl.text import one_line

BY_HAND = "by-hand"
"""Who spoke, where it was no version."""

Tools = Mapping[str, Mapping[str, str]]
"""By their names, the arguments of each with what they are, as JSON names it."""


class NotDone(DialogRLError):
    """What somebody in the agent's place wanted to do, and cannot be done so."""


class StandIn:
    """One such conversation."""

    def __init__(self, conversation: Conversation, logged: Episode, turn: int, tools: Tools) -> None:
        """conversation: the logged one at its beginning. Raises ConfigError if it does not come out as logged."""
        require_turn(logged, turn)
        if not logged.turns[turn].steps:
            raise ConfigError(f"turn {turn} was answered by nobody: the customer had hung up")
        self.tools = tools
        self.origin, self.turn = logged.episode_id, turn
        self._conversation = up_to(conversation, logged, turn)
        self.seed = logged.seed
        self._said = logged.turns[turn].user
        self._observed: list[tuple[Message, ...]] = []
        """What was new to the agent at each step that was done here."""
        self._handed_to = ""

    @property
    def ended(self) -> bool:
        return self._conversation.stopped is not None

    def lines(self) -> Iterator[tuple[int, Line]]:
        """All that was said and done so far, with the turns it belongs to."""
        turns = self._conversation.turns
        for number, turn in enumerate(turns):
            yield from ((number, line) for line in lines_of(turn))
        if not self.ended:
            now = Turn(user=self._said, steps=self._conversation.steps)
            yield from ((len(turns), line) for line in lines_of(now))

    def say(self, text: str) -> None:
        """Answer the customer, who answers in turn. Raises NotDone."""
        if not text.strip():
            raise NotDone("an empty reply is not said")
        self._act(Message(role=Role.ASSISTANT, text=text.strip()))

    def call(self, text: str) -> None:
        """Call a tool, written as `name argument=value …`. Raises NotDone."""
        call = read_call(text, self.tools)
        self._act(Message(role=Role.ASSISTANT, text=f"{call.name} {json.dumps(call.arguments)}", tool_call=call))

    def _act(self, message: Message) -> None:
        if self.ended:
            raise NotDone("the conversation has ended")
        self._observed.append(self._conversation.unobserved())
        self._conversation.act(message, policy_version=BY_HAND)
        unobserved = self._conversation.unobserved()
        if unobserved and unobserved[-1].role is Role.USER:
            self._said = unobserved[-1]

    def hand_back(self, version: str, speak_on: Callable[[Conversation], Any]) -> None:
        """Let a version do the rest. speak_on: drives the conversation to its end."""
        self._handed_to = version
        speak_on(self._conversation)

    def history(
        self, observe: Callable[[Iterable[Message]], Sequence[int]], write: Callable[[Message], Sequence[int]]
    ) -> tuple[Step, ...]:
        """Every step so far with its ids; those done by hand as a tokenizer spells them."""
        turns = self._conversation.turns
        steps = [*(step for turn in turns for step in turn.steps), *self._conversation.steps]
        before = len(steps) - len(self._observed)
        spelled = [
            _with_ids(step, observe(seen), write(step.message))
            for step, seen in zip(steps[before:], self._observed, strict=True)
        ]
        return (*steps[:before], *spelled)

    def episode(self, who: str) -> Episode:
        """As it is to be logged; broken off, if it has not come to its end."""
        self._conversation.stop(StopReason.ABORTED)
        made = self._conversation.episode()
        rest = f", then handed back to {self._handed_to}" if self._handed_to else ""
        return replace(
            made,
            episode_id=f"by-hand-{time.strftime('%Y%m%dT%H%M%S')}-{uuid.uuid4().hex[:6]}",
            started_at=time.time(),
            note=f"goes on from {self.origin}, turn {self.turn}, with {one_line(who, 40)} in the agent's place{rest}",
        )

    def verdict(self) -> list[str]:
        """How it ended and how it is judged; nothing before that."""
        return judged(self._conversation.episode()) if self.ended else []


def require_turn(logged: Episode, turn: int) -> None:
    """Raises ConfigError if there is no such turn."""
    if not 0 <= turn < len(logged.turns):
        raise ConfigError(f"there is no turn {turn}: the conversation has turns 0 to {len(logged.turns) - 1}")


def up_to(conversation: Conversation, logged: Episode, turn: int) -> Conversation:
    """With all that the agent did before the turn done. Raises ConfigError if it does not come out as it did."""
    require_turn(logged, turn)
    for number, before in enumerate(logged.turns[:turn]):
        for step in before.steps:
            if conversation.stopped is not None:
                raise ConfigError(f"turn {number} does not come out as it was logged: the pack has changed since")
            conversation.act(
                step.message, observation_ids=step.observation_ids, action_ids=step.action_ids,
                logprobs=step.logprobs, policy_version=step.policy_version,
            )  # fmt: skip
    said = [message.text for message in conversation.unobserved()][-1:]
    if conversation.turns != logged.turns[:turn] or said != [logged.turns[turn].user.text]:
        raise ConfigError(f"what came before turn {turn} is not as it was logged: the pack has changed since")
    return conversation


def read_call(text: str, tools: Tools) -> ToolCall:
    """`find_order order_id=3310 zip="34 715"`. Raises NotDone that says how the tool is called."""
    try:
        name, *given = shlex.split(text)
    except ValueError as e:
        raise NotDone(f"{one_line(text, 60)}: {e}") from None
    if name not in tools:
        raise NotDone(f"there is no tool {one_line(name, 40)!r}; there are: {', '.join(tools)}")
    arguments: dict[str, str | float] = {}
    for one in given:
        key, mark, value = one.partition("=")
        if not mark or key not in tools[name]:
            raise NotDone(f"{one_line(one, 40)!r} is no argument; write {usage(name, tools[name])}")
        arguments[key] = _number(value) if tools[name][key] in ("number", "integer") else value
    return ToolCall(name=name, arguments=arguments)


def _number(text: str) -> str | float:
    try:
        found = float(text)
    except ValueError:
        return text  # the tool says what it wants
    return int(found) if found.is_integer() else found


def tools_of(manual: Manual) -> Tools:
    """The tools that a manual describes."""
    described = [tool["function"] for tool in manual.tools]
    return {
        tool["name"]: {
            name: str(schema.get("type", "string")) for name, schema in tool["parameters"]["properties"].items()
        }
        for tool in described
    }


def usage(name: str, arguments: Iterable[str]) -> str:
    return " ".join([f"/{name}", *(f"{argument}=…" for argument in arguments)])


def _with_ids(step: Step, observed: Sequence[int], action: Sequence[int]) -> Step:
    return replace(step, observation_ids=tuple(observed), action_ids=tuple(action), logprobs=(0.0,) * len(action))
