"""Episodes made by hand.

make_episode(("where is my parcel?", called("track", "on its way", order="7"), "It is on its way."))
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dialog_rl.episode import Change, Episode, Message, Role, Step, StopReason, ToolCall, Turn


def called(name: str, result: str = "ok", *, error: bool = False, **arguments: Any) -> Step:
    """The agent called a tool, which answered `result`."""
    text = f"{name} {arguments}"
    call = Message(role=Role.ASSISTANT, text=text, tool_call=ToolCall(name=name, arguments=arguments))
    return Step(message=call, result=Message(role=Role.TOOL, text=result, error=error))


def said(text: str) -> Step:
    """The agent said something to the customer."""
    return Step(message=Message(role=Role.ASSISTANT, text=text))


def garbled(text: str, reason: str = "the call is not JSON") -> Step:
    """The agent began a tool call that cannot be read."""
    message = Message(role=Role.ASSISTANT, text=text, malformed=reason)
    return Step(message=message, result=Message(role=Role.TOOL, text=f"error: {reason}", error=True))


def make_episode(
    *turns: tuple[str | Step, ...],
    episode_id: str = "episode-1",
    stop: StopReason = StopReason.USER_LEFT,
    scenario: Mapping[str, Any] | None = None,
    journal: tuple[Change, ...] = (),
    system: str = "You are a helpful shop assistant.",
    pack: str = "retail",
    seed: int = 0,
    **facts: Any,
) -> Episode:
    """One episode. A turn is the user's message and then what the agent did; a string there is something it said."""
    return Episode(
        episode_id=episode_id, pack=pack, scenario=scenario or {}, seed=seed, stop=stop, journal=journal,
        system=Message(role=Role.SYSTEM, text=system), turns=tuple(_turn(turn) for turn in turns), **facts,
    )  # fmt: skip


def _turn(turn: tuple[str | Step, ...]) -> Turn:
    user, *steps = turn
    if not isinstance(user, str):
        raise TypeError(f"a turn begins with the user's text, not {type(user).__name__}")
    return Turn(
        user=Message(role=Role.USER, text=user),
        steps=tuple(said(step) if isinstance(step, str) else step for step in steps),
    )
