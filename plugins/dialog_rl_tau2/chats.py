"""Chats that an agent had with tau-bench's customers, replayed through our tools: is the recorded reward ours too?

The file is a list of runs as tau-bench wrote them: `traj` in the messages of OpenAI's API, `info.task` with the gold
actions, `reward`. Customer and agent say again what they said; the tools are ours.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dialog_rl import metrics
from dialog_rl.conversation import Conversation, Limits, UserReply
from dialog_rl.episode import Episode, Message, Role, StopReason, ToolCall
from dialog_rl.errors import ScenarioError
from dialog_rl.expert import call_message
from dialog_rl.sources import Figure, Recorded
from dialog_rl_tau2.agenda import by_their_rules, replayed
from dialog_rl_tau2.checkout import Checkout
from dialog_rl_tau2.counter import Counter
from dialog_rl_tau2.domains import read_file
from dialog_rl_tau2.tasks import Task, read_task

STOP = "###STOP###"
"""What a customer played by tau-bench says when they leave."""
THINK = "think"
"""A tool of tau-bench's that does nothing."""
LIMITS = Limits(turns=100, calls=100)


def recorded(checkout: Checkout, file: Path) -> Recorded:
    """Every run of a file as an episode. Raises ScenarioError naming file, run and key."""
    runs = read_file(file)
    if not isinstance(runs, list) or not runs:
        raise ScenarioError(f"{file}: a list of tau-bench's runs is expected, found {type(runs).__name__}")
    episodes, same, answered, calls = [], 0, 0, 0
    differing: list[str] = []
    for number, run in enumerate(runs):
        where = f"{file}: run {number}"
        try:
            episode = _replayed(checkout, run, where)
            alike, made = _answered_alike(episode, run["traj"])
            reward = float(run["reward"])
        except (KeyError, TypeError, AttributeError, ValueError) as e:
            raise ScenarioError(f"{where}: not a run of tau-bench's: {type(e).__name__}: {e}") from None
        found = metrics.benchmark(episode)
        same += found is not None and float(found.reached) == reward
        if found is None or float(found.reached) != reward:
            differing.append(f"{episode.episode_id}: {reward:g} is recorded")
        episodes.append(episode)
        answered, calls = answered + alike, calls + made
    figures = (
        Figure(name="conversations", value=len(runs)),
        Figure(name="recorded reward is ours too", value=same / len(runs)),
        Figure(
            name="calls refused, or not, as recorded", value=answered / max(1, calls), note=f"{answered} of {calls}"
        ),
    )
    return Recorded(episodes=tuple(episodes), figures=figures, remarks=tuple(differing))


def _replayed(checkout: Checkout, run: Mapping[str, Any], where: str) -> Episode:
    task = _task_of(checkout, run, where)
    said = [message for message in run["traj"] if message["role"] == "user"]
    name = f"tau-{checkout.domain.name}-{run['task_id']}-{run.get('trial', 0)}"
    scenario = {
        "schema": 1, "id": name, "pack": f"tau2_{checkout.domain.name}",
        "user": {"instructions": task.brief}, "limits": {"turns": LIMITS.turns, "calls": LIMITS.calls},
        "benchmark": by_their_rules(task.criteria, replayed(checkout, task)),
        "provenance": {"source": "tau-bench", "task": task.id, "licence": "MIT"},
    }  # fmt: skip
    scenario["success"] = scenario["benchmark"]
    conversation = Conversation(
        episode_id=name, pack=f"tau2_{checkout.domain.name}", scenario=scenario, seed=0,
        system=Message(role=Role.SYSTEM, text=checkout.domain.name), user=_Recording(said),
        tools=Counter(checkout, task), limits=LIMITS, simulator="recorded",
    )  # fmt: skip
    for message in run["traj"]:
        if message["role"] == "assistant" and conversation.stopped is None:
            conversation.act(_acted(message), policy_version="recorded")
    conversation.stop(StopReason.MAX_TURNS)
    return conversation.episode()


def _task_of(checkout: Checkout, run: Mapping[str, Any], where: str) -> Task:
    """tau-bench's task in the form of tau2's: the records and all that was to be told count."""
    old = run["info"]["task"]
    gold = [
        {"action_id": str(n), "name": action["name"], "arguments": action["kwargs"]}
        for n, action in enumerate(old["actions"])
        if action["name"] != THINK
    ]
    raw = {
        "id": str(run["task_id"]), "user_scenario": {"instructions": old["instruction"]},
        "evaluation_criteria": {"actions": gold, "communicate_info": list(map(str, old.get("outputs", ())))},
    }  # fmt: skip
    return read_task(raw, where, checkout.domain)


def _acted(message: Mapping[str, Any]) -> Message:
    """An agent's message: its first call, which is all that tau-bench carried out, or what it said."""
    calls = message.get("tool_calls") or ()
    if not calls:
        return Message(role=Role.ASSISTANT, text=message["content"] or "")
    wanted = calls[0]["function"]
    return call_message(ToolCall(name=wanted["name"], arguments=json.loads(wanted["arguments"])))


class _Recording:
    """Says what was said, whatever it hears, and leaves where the recorded customer left, or fell silent."""

    def __init__(self, said: Sequence[Mapping[str, Any]]) -> None:
        self._left = [str(message["content"]) for message in said]

    def open(self) -> UserReply:
        return self.reply(Message(role=Role.ASSISTANT, text=""))

    def reply(self, message: Message) -> UserReply:
        text = self._left.pop(0)
        return UserReply(message=Message(role=Role.USER, text=text.replace(STOP, "").strip()), leaves=STOP in text)


def _answered_alike(episode: Episode, messages: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    """Of the calls that both have an answer to, how many were refused in both or in neither; and how many there are."""
    recorded = [str(m["content"]).startswith("Error") for m in messages if m["role"] == "tool"]
    ours = [
        (step.message.tool_call.name, step.result.error)
        for step in episode.steps
        if step.message.tool_call is not None and step.result is not None
    ]
    pairs = [(error, theirs) for (name, error), theirs in zip(ours, recorded, strict=False) if name != THINK]
    return sum(error == theirs for error, theirs in pairs), len(pairs)
