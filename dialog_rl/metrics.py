"""What an episode was worth, judged from its logged facts alone: success, policy violations, effort. No model."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dialog_rl.episode import Change, Episode, Message, Step
from dialog_rl.errors import ScenarioError
from dialog_rl.phrasing import mentions

AFFIRM = "affirm"
_HANDS_OVER = re.compile(r"transfer_to|hand_?over|escalate|human_agent", re.IGNORECASE)
"""In the names of tools that give a customer to a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Success:
    """Whether the goal was reached, and how far: each part is a fact that a partial credit may be made of."""

    reached: bool
    expected_changes: int
    right_changes: int
    wrong_changes: int
    """Changes that the goal did not ask for, or with another value."""
    to_tell: int
    told: int
    forbidden: int
    """Forbidden actions that were carried out."""
    ended: bool
    """The conversation ended, rather than being cut off."""
    gates: Mapping[str, bool] = field(default_factory=dict)
    """Each thing that may be demanded, demanded or not: db, communicate, actions, facts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One policy rule broken: where, and what was done."""

    rule: str
    turn: int
    text: str


def success(episode: Episode) -> Success:
    """Success = the journal equals what the gold actions make, all was told, nothing forbidden was done.

    Raises ScenarioError if the logged scenario does not say what the journal should be.
    """
    return _judged(episode, episode.scenario.get("success", {}))


def benchmark(episode: Episode) -> Success | None:
    """The same by the rules of the benchmark that the scenario was imported from; None for one of our own."""
    wanted = episode.scenario.get("benchmark")
    return _judged(episode, wanted) if wanted else None


def _judged(episode: Episode, wanted: Mapping[str, Any]) -> Success:
    ignored = tuple(wanted.get("ignore_paths", ()))
    done = {c.path: c for c in episode.journal if not c.path.startswith(ignored or ("\0",))}
    options = [wanted.get("db", {}), *wanted.get("alternatives", ())]
    compared = [_compare(_patch(option, episode), done) for option in options]
    expected, right, wrong = max(compared, key=lambda c: (c[1] == c[0] and not c[2], c[1] - c[2]))
    tell = wanted.get("communicate", ())
    replies = [turn.reply for turn in episode.turns]
    told = sum(_told(replies, need) for need in tell)
    forbidden = _forbidden(wanted.get("actions", {}), episode)
    gates = {
        "db": right == expected and not wrong,
        "communicate": told == len(tell),
        "actions": forbidden == 0 and _required(wanted.get("actions", {}), episode),
        "facts": _shown(episode, wanted.get("facts", ())),
    }
    reached = episode.stop.terminated and all(gates[gate] for gate in wanted.get("gate", gates))
    return Success(
        reached=reached, expected_changes=expected, right_changes=right, wrong_changes=wrong, to_tell=len(tell),
        told=told, forbidden=forbidden, ended=episode.stop.terminated, gates=gates,
    )  # fmt: skip


def violations(episode: Episode) -> tuple[Violation, ...]:
    """The policy rules of the scenario that were broken, in order."""
    rules = {rule["id"] for rule in episode.scenario.get("success", {}).get("policy", ())}
    return tuple(v for v in _all_violations(episode) if v.rule in rules)


def tool_errors(episode: Episode) -> int:
    return sum(step.result is not None and step.result.error for step in episode.steps)


def misunderstandings(episode: Episode) -> int:
    """Replies that the simulated customer could not make sense of: the agent's fault or the simulator's."""
    return sum(any(act.kind == "confused" for act in turn.user.acts) for turn in episode.turns)


def intents(episode: Episode) -> tuple[str, ...]:
    goal = episode.scenario.get("user", {}).get("goal") or {}
    return tuple(item["intent"] for item in goal.get("items", ()))


def traits(episode: Episode) -> tuple[str, ...]:
    """What sets this customer apart from a plain one, as reports name it; empty where the scenario tells of no goal."""
    user = episode.scenario.get("user", {})
    persona, items = user.get("persona", {}), (user.get("goal") or {}).get("items", ())
    if not items:
        return ()
    held = {
        "says little": persona.get("verbosity") == "minimal",
        "talkative": persona.get("verbosity") == "chatty",
        "writes in lower case": persona.get("lowercase"),
        "mistypes": persona.get("noise", {}).get("typo"),
        "has forgotten a number": any(item.get("hints") for item in items),
        "first tells a wrong number": any(item.get("wrong") for item in items),
        "thinks better of it": any(item.get("change_of_mind") for item in items),
        "wants two things": len(items) > 1,
        "must be refused": any(item.get("refusal") for item in items),
    }
    return tuple(name for name, is_so in held.items() if is_so) or ("none of this",)


def handed_over(episode: Episode) -> bool:
    """Whether the agent gave the customer to a person: a call that says so by its name, and was not refused."""
    return any(
        step.message.tool_call is not None
        and _HANDS_OVER.search(step.message.tool_call.name)
        and step.result is not None
        and not step.result.error
        for step in episode.steps
    )


def must_hand_over(episode: Episode) -> bool:
    """Whether a right conversation would have done so: such a call is among the gold ones."""
    wanted = episode.scenario.get("success", {})
    gold = [*wanted.get("db", {}).get("from_actions", ()), *wanted.get("actions", {}).get("required", ())]
    return any(_HANDS_OVER.search(call["tool"]) for call in gold)


def _told(replies: Sequence[str], need: Mapping[str, Any]) -> bool:
    if need.get("anywhere"):
        return any(value.lower() in reply.lower().replace(",", "") for reply in replies for value in need["any_of"])
    return any(mentions(reply, value) for reply in replies for value in need["any_of"])


def _shown(episode: Episode, facts: Sequence[str]) -> bool:
    shown = {change.path for change in episode.journal if change.after is True}
    return all(path in shown for path in facts)


def _patch(option: Mapping[str, Any], episode: Episode) -> list[Mapping[str, Any]]:
    patch = option.get("patch")
    if patch is None:
        if option.get("from_actions"):
            raise ScenarioError(
                f"{episode.scenario.get('id')}: 'success.db' has gold actions but no journal made from them"
            )
        return []
    return list(patch)


def _compare(expected: list[Mapping[str, Any]], done: Mapping[str, Change]) -> tuple[int, int, int]:
    right = sum(e["path"] in done and done[e["path"]].after == e.get("after") for e in expected)
    return len(expected), right, len(done) - right


def _calls(episode: Episode) -> Iterator[tuple[int, Step]]:
    for number, turn in enumerate(episode.turns):
        for step in turn.steps:
            if step.message.tool_call is not None:
                yield number, step


def _carried_out(episode: Episode, gold: Mapping[str, Any]) -> bool:
    wanted = gold.get("arguments", {})
    return any(
        step.message.tool_call.name == gold["tool"]
        and step.result is not None
        and not step.result.error
        and all(step.message.tool_call.arguments.get(k) == v for k, v in wanted.items())
        for _, step in _calls(episode)
        if step.message.tool_call is not None
    )


def _forbidden(actions: Mapping[str, Any], episode: Episode) -> int:
    return sum(_carried_out(episode, gold) for gold in actions.get("forbidden", ()))


def _required(actions: Mapping[str, Any], episode: Episode) -> bool:
    names = [step.message.tool_call.name for _, step in _calls(episode) if step.message.tool_call is not None]
    ordered = all(a in names and b in names and names.index(a) < names.index(b) for a, b in actions.get("order", ()))
    return ordered and all(_carried_out(episode, gold) for gold in actions.get("required", ()))


def _all_violations(episode: Episode) -> Iterator[Violation]:
    identified: set[str] = set()
    foreign: list[Message] = []
    for number, turn in enumerate(episode.turns):
        affirmed = any(act.kind == AFFIRM for act in turn.user.acts)
        for step in turn.steps:
            result = step.result
            if result is None:
                yield from _disclosed(step, foreign, number)
                continue
            facts = result.facts
            if "identifies" in facts:
                identified.add(facts["identifies"])
            if "subject" in facts and facts["subject"] not in identified:
                yield Violation(rule="identify_before_reading", turn=number, text=step.message.text)
                foreign.append(result)
            if facts.get("kind") == "write" and not result.error and not affirmed:
                yield Violation(rule="confirm_before_writing", turn=number, text=step.message.text)


def _disclosed(step: Step, foreign: list[Message], number: int) -> Iterator[Violation]:
    """A reply that tells values of a customer who was never identified."""
    for result in foreign:
        if any(len(value) > 3 and mentions(step.message.text, value) for value in _values(result.text)):
            yield Violation(rule="no_foreign_data", turn=number, text=step.message.text)
            return


def _values(text: str) -> list[str]:
    try:
        answer = json.loads(text)
    except ValueError:
        return []
    return [str(v) for v in answer.values() if isinstance(v, str | int | float)] if isinstance(answer, dict) else []
