"""ABCD's chats as episodes, and how far their agents keep to the order of actions that the rules demand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dialog_rl.episode import Episode, Message, Role, Step, StopReason, ToolCall, Turn
from dialog_rl.errors import ScenarioError
from dialog_rl.expert import call_message
from dialog_rl.imported import read_json
from dialog_rl.sources import Figure, Recorded
from dialog_rl_abcd.rules import Rules

WORDS, TARGETS = "original", "delexed"


def recorded(rules: Rules, file: Path, *, pack: str) -> Recorded:
    """The chats of a file: a list, or lists by split. Raises ScenarioError naming the chat that does not fit."""
    found = read_json(file)
    chats = [chat for part in found.values() for chat in part] if isinstance(found, dict) else found
    if not isinstance(chats, list) or not chats:
        raise ScenarioError(f"{file}: a list of ABCD's chats is expected, found {type(found).__name__}")
    episodes, kept, all_there = [], 0, 0
    for number, chat in enumerate(chats):
        try:
            episode, subflow = _episode(chat, pack)
            order = rules.subflows[subflow].order
        except (KeyError, TypeError, IndexError, AttributeError, ValueError) as e:
            raise ScenarioError(f"{file}: chat {number}: not a chat of ABCD's: {type(e).__name__}: {e}") from None
        done = [step.message.tool_call.name for step in episode.steps if step.message.tool_call is not None]
        own = [action for action in dict.fromkeys(done) if action in order]
        kept += own == [action for action in order if action in own]
        all_there += set(order) <= set(done)
        episodes.append(episode)
    figures = (
        Figure(name="conversations", value=len(chats)),
        Figure(name="actions in the order of the rules", value=kept / len(chats)),
        Figure(name="all actions of the rules taken", value=all_there / len(chats)),
    )
    return Recorded(episodes=tuple(episodes), figures=figures)


def _episode(chat: Mapping[str, Any], pack: str) -> tuple[Episode, str]:
    """A chat in the customer's own words, with the agent's actions as calls; and its subflow.

    What an agent says before the customer has spoken answers nobody, and is left out.
    """
    turns: list[tuple[list[str], list[Message]]] = []
    for (speaker, text), noted in zip(chat[WORDS], chat[TARGETS], strict=True):
        if speaker == "customer":
            if not turns or turns[-1][1]:
                turns.append(([], []))
            turns[-1][0].append(text)
        elif turns:
            turns[-1][1].append(_acted(text, noted["targets"]))
    name = f"{pack}-chat-{chat['convo_id']}"
    subflow = str(chat[TARGETS][0]["targets"][0])
    scenario = {
        "schema": 1, "id": name, "pack": pack, "user": {"instructions": subflow},
        "provenance": {"source": "ABCD", "task": subflow, "licence": "MIT"},
    }  # fmt: skip
    made = tuple(
        Turn(user=Message(role=Role.USER, text="\n".join(words)),
             steps=tuple(Step(message=m, result=_result(m), policy_version="recorded") for m in acted))
        for words, acted in turns
    )  # fmt: skip
    episode = Episode(
        episode_id=name, pack=pack, scenario=scenario, seed=0, system=Message(role=Role.SYSTEM, text=pack),
        turns=made, stop=StopReason.USER_LEFT, simulator="recorded",
    )  # fmt: skip
    return episode, subflow


def _acted(text: str, targets: list[Any]) -> Message:
    _, step, action, values, *_ = targets
    if step != "take_action":
        return Message(role=Role.ASSISTANT, text=text)
    return call_message(ToolCall(name=action, arguments={f"value{n}": v for n, v in enumerate(values, start=1)}))


def _result(message: Message) -> Message | None:
    return Message(role=Role.TOOL, text="done") if message.tool_call is not None else None
