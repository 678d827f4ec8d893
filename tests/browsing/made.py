"""Logs and episodes to look at, written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dialog_rl.episode import Act, Change, Episode, Message, Rating, Role, Step, StopReason, ToolCall, Turn
from dialog_rl.episode_log.log import EpisodeLog


def said(text: str, *, version: str = "v1") -> Step:
    message = Message(role=Role.ASSISTANT, text=text)
    return Step(message=message, action_ids=(5, 6), logprobs=(-0.5, -0.1), observation_ids=(1,), policy_version=version)


def called(name: str, answer: str, *, error: bool = False, version: str = "v1", **facts: Any) -> Step:
    call = Message(role=Role.ASSISTANT, text=f"{name} {{}}", tool_call=ToolCall(name=name, arguments={}))
    return Step(
        message=call, result=Message(role=Role.TOOL, text=answer, error=error, facts=facts), action_ids=(7,),
        logprobs=(-1.0,), observation_ids=(1,), policy_version=version,
    )  # fmt: skip


def turn(user: str, *steps: Step, act: str = "") -> Turn:
    return Turn(user=Message(role=Role.USER, text=user, acts=(Act(kind=act),) if act else ()), steps=steps)


def episode(number: int = 1, *turns: Turn, done: bool = True, version: str = "v1", **facts: Any) -> Episode:
    """One whose goal was to have order 7 cancelled, which was done or not."""
    scenario = {
        "schema": 1, "id": f"customer-{number}", "pack": "retail",
        "user": {"goal": {"items": [{"id": "a", "intent": "cancel_order"}]}},
        "success": {"db": {"patch": [{"path": "orders/7/status", "before": "open", "after": "cancelled"}]}},
    }  # fmt: skip
    plain = (turn("cancel order 7", said("Done.", version=version)), turn("thanks"))
    change = Change(path="orders/7/status", before="open", after="cancelled")
    known = {
        "episode_id": f"e{number}", "pack": "retail", "scenario": scenario, "seed": number,
        "system": Message(role=Role.SYSTEM, text="You serve."), "turns": turns or plain, "stop": StopReason.USER_LEFT,
        "journal": (change,) if done else (), "tokenizer": "t",
    }  # fmt: skip
    return Episode(**{**known, **facts})


TROUBLED = (
    turn("cancel order 7", called("cancel", "error: who are you?", error=True), said("Who are you?")),
    turn("what?", said("Your name, please."), act="confused"),
    turn("Ann", called("identify", "Ann"), said("Done.")),
    turn("bye"),
)


def rated(episode_id: str, value: float, turn: int | None = 0, **facts: Any) -> Rating:
    return Rating(episode_id=episode_id, rater="ann", turn=turn, value=value, **facts)


def log(path: Path, count: int = 5) -> EpisodeLog:
    """Episodes e1, e2, …: the odd ones reached their goal, and were spoken by v1, the others by v2."""
    made = EpisodeLog.open(path)
    made.append_many(
        [episode(n, done=bool(n % 2), version="v1" if n % 2 else "v2") for n in range(1, count + 1)], run="r"
    )
    return made
