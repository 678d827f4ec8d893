"""The state machine that makes one Episode. Two verbs: what has the policy not yet observed, and here is its action.

It runs the tools, asks the User and applies the limits; who drives it (batched rollouts, a terminal, a server, a
replay) is none of its business. It knows text and facts, no tokens: a driver hands it the ids it sampled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from dialog_rl.episode import Change, Episode, Manual, Message, Role, Step, StopReason, ToolCall, Turn


@dataclass(frozen=True, slots=True, kw_only=True)
class UserReply:
    message: Message
    leaves: bool = False
    """The user hangs up after this message; nobody answers it."""


class User(Protocol):
    """Whoever the agent talks to: a person, or a simulator made from a Scenario, with its own state and randomness."""

    def open(self) -> UserReply: ...

    def reply(self, message: Message) -> UserReply: ...


class Tools(Protocol):
    """The back office of one episode."""

    def call(self, call: ToolCall) -> Message: ...

    def journal(self) -> tuple[Change, ...]: ...

    def ends_conversation(self, call: ToolCall) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    turns: int = 16
    """User messages the agent may answer."""
    calls: int = 8
    """Tool calls within one turn."""


DEFAULT_LIMITS = Limits()


class Conversation:
    """One Episode in the making."""

    def __init__(
        self,
        *,
        episode_id: str,
        pack: str,
        scenario: Mapping[str, Any],
        seed: int,
        system: Message,
        user: User,
        tools: Tools,
        limits: Limits = DEFAULT_LIMITS,
        simulator: str = "agenda",
        tokenizer: str = "",
        temperature: float = 1.0,
        started_at: float = 0.0,
        manual: Manual | None = None,
    ) -> None:
        self._facts: dict[str, Any] = {
            "episode_id": episode_id, "pack": pack, "scenario": scenario, "seed": seed, "system": system,
            "simulator": simulator, "tokenizer": tokenizer, "temperature": temperature, "started_at": started_at,
        }  # fmt: skip
        self.episode_id = episode_id
        self.seed = seed
        self._user, self._tools, self._limits = user, tools, limits
        self._turns: list[Turn] = []
        self._steps: list[Step] = []
        self._stop: StopReason | None = None
        opening = user.open()
        self._said: Message | None = opening.message
        self._note = ""
        self._unobserved: list[Message] = [replace(system, manual=manual), opening.message]
        if opening.leaves:
            self._end(StopReason.USER_LEFT)

    @property
    def stopped(self) -> StopReason | None:
        return self._stop

    @property
    def scenario(self) -> Mapping[str, Any]:
        """The scenario document, as the episode will keep it."""
        return self._facts["scenario"]

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The turns answered so far."""
        return tuple(self._turns)

    @property
    def steps(self) -> tuple[Step, ...]:
        """What the policy has done so far about the message that is not answered yet."""
        return tuple(self._steps)

    def unobserved(self) -> tuple[Message, ...]:
        """The messages the policy has not seen yet, oldest first; at the start these include the system message."""
        return tuple(self._unobserved)

    def act(
        self,
        message: Message,
        *,
        observation_ids: tuple[int, ...] = (),
        action_ids: tuple[int, ...] = (),
        logprobs: tuple[float, ...] = (),
        policy_version: str = "",
    ) -> None:
        """The policy's next action: runs the tool or asks the User, and may end the conversation."""
        if self._stop is not None:
            raise ValueError(f"the conversation has ended: {self._stop}")
        result = self._result_of(message)
        self._steps.append(
            Step(
                message=message,
                result=result,
                observation_ids=observation_ids,
                action_ids=action_ids,
                logprobs=logprobs,
                policy_version=policy_version,
            )  # fmt: skip
        )
        self._unobserved.clear()
        if result is None:
            self._ask_user(message)
        elif message.tool_call is not None and not result.error and self._tools.ends_conversation(message.tool_call):
            self._end(StopReason.AGENT_DONE)
        elif len(self._steps) >= self._limits.calls:
            self._end(StopReason.MAX_TURNS)
        else:
            self._unobserved.append(result)

    def stop(self, reason: StopReason) -> None:
        """End from outside: the context is full, or the driver gives up."""
        if self._stop is None:
            self._end(reason)

    def episode(self) -> Episode:
        """The finished episode. Raises ValueError while the conversation is still going on."""
        if self._stop is None:
            raise ValueError("the conversation has not ended")
        return Episode(
            turns=tuple(self._turns), stop=self._stop, journal=self._tools.journal(), note=self._note, **self._facts
        )

    def _result_of(self, message: Message) -> Message | None:
        if message.malformed:
            return Message(role=Role.TOOL, text=f"error: {message.malformed}", error=True)
        return self._tools.call(message.tool_call) if message.tool_call is not None else None

    def _ask_user(self, message: Message) -> None:
        self._close_turn()
        try:
            answer = self._user.reply(message)
        except Exception as e:  # marked border: a broken simulator is data, not a crash
            self._note = f"the user simulator failed: {type(e).__name__}: {e}"
            self._end(StopReason.USER_ERROR)
            return
        self._said = answer.message
        if answer.leaves:
            self._end(StopReason.USER_LEFT)
        elif len(self._turns) >= self._limits.turns:
            self._end(StopReason.MAX_TURNS)
        else:
            self._unobserved.append(answer.message)

    def _close_turn(self) -> None:
        if self._said is not None:
            self._turns.append(Turn(user=self._said, steps=tuple(self._steps)))
        self._said, self._steps = None, []

    def _end(self, reason: StopReason) -> None:
        self._close_turn()
        self._unobserved.clear()
        self._stop = reason
