"""From a task in words to a scenario that can be played and judged: a goal out of its gold actions, and what counts.

tau2 tells a language model in prose what a customer wants. What the customer gets in the end is in the gold actions,
and that is what the agenda is made of: each change of the records is one sub-goal, its arguments are what the customer
knows. The prose stays with the scenario for customers who can read it. Where the gold actions do not say what the
customer wants, the task is refused with the reason, not guessed at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dialog_rl.episode import Change
from dialog_rl_tau2.checkout import Checkout
from dialog_rl_tau2.counter import ASSERTED, CALLED, FACTS, TRANSFER, Counter
from dialog_rl_tau2.tasks import Criteria, GoldAction, Task
from dialog_rl_tau2.wording import (
    DECLINED,
    FIRST,
    FIX,
    IDENTITY,
    MOST_TOLD,
    NO,
    QUESTION,
    REASON,
    first_person,
    spoken,
    told_name,
)  # fmt: skip

CONFIRMS = ("retail", "airline")
"""Domains whose policy text demands a yes before every change."""
TURNS, CALLS = 40, 40
"""Limits of a conversation: replies, and calls within one. The longest gold conversation needs fewer than half."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gold:
    """What the gold actions do when nothing else is done."""

    worked: tuple[bool, ...]
    """Which were no errors."""
    journal: tuple[Change, ...]


class Refused(Exception):
    """Why no agenda can be made of a task."""


def replayed(checkout: Checkout, task: Task) -> Gold:
    """The gold actions on a fresh copy; those that fail are passed over, as in tau2."""
    counter = Counter(checkout, task)
    actions = task.criteria.actions or ()
    worked = tuple(not counter.run(a.requestor, a.name, a.arguments)[1] for a in actions)
    return Gold(worked=worked, journal=counter.journal())


def scenario_of(domain: str, checkout: Checkout, task: Task, *, pack: str) -> dict[str, Any]:
    """The task as a scenario document, without its split. Raises Refused."""
    _playable(task)
    gold = replayed(checkout, task)
    items = _items(checkout, task, gold)
    criteria, held = task.criteria, len(task.criteria.env_assertions or ())
    if sum(change.path.startswith(ASSERTED) for change in gold.journal) < held:
        raise Refused("after its own gold actions not all of its assertions hold")
    known = {IDENTITY: first_person(task.known)} if task.known else {}
    return {
        "schema": 1, "id": f"{pack}-{task.id}", "pack": pack,
        "user": {
            "persona": {"patience": 5}, "instructions": task.brief,
            "goal": {"reason": task.reason, "items": items, "reveal": "upfront", "known": known},
        },
        "success": _ours(domain, criteria, gold, declined=items[0]["intent"] == DECLINED),
        "benchmark": by_their_rules(criteria, gold),
        "limits": {"turns": TURNS, "calls": CALLS},
        "provenance": {"source": "tau2", "task": task.id, "licence": "MIT"},
    }  # fmt: skip


def _playable(task: Task) -> None:
    criteria = task.criteria
    if task.start.message_history:
        raise Refused("begins in the middle of a conversation (message_history)")
    if criteria.actions is None:
        judged = " only nl_assertions, which need a judge" if criteria.nl_assertions else ""
        raise Refused(f"has no gold actions that say what is wanted;{judged or ' nothing else says it'}")
    if not task.reason:
        raise Refused("does not say why the customer calls (reason_for_call)")
    if len(criteria.communicate_info or ()) > MOST_TOLD:
        raise Refused(f"more than {MOST_TOLD} things are to be told (communicate_info)")


def _items(checkout: Checkout, task: Task, gold: Gold) -> list[dict[str, Any]]:
    """One sub-goal a change, in the order of the gold actions; what is to be told is wanted with the last."""
    actions = [a for a, worked in zip(task.criteria.actions or (), gold.worked, strict=True) if worked]
    kinds = checkout.domain.desk.tools()
    told = {told_name(n): value for n, value in enumerate(task.criteria.communicate_info or ())}
    if any(a.requestor == "user" for a in actions):
        items = [{"intent": FIX, "inform": {}}]
    else:
        items = [_item(a) for a in actions if kinds[a.name] == "write" or a.name == TRANSFER]
    if not items:
        _nothing_failed(checkout, task, gold)
        items = [{"intent": QUESTION if told else DECLINED, "inform": {}}]
    if items[0]["intent"] == DECLINED:
        items[0] |= {"refusal": DECLINED, "evidence": list(NO)}
    items[0]["inform"] = {REASON: first_person(task.reason), "topic": FIRST, **items[0]["inform"]}
    items[-1]["request"] = told
    return [{"id": f"g{n}", **item} for n, item in enumerate(items, start=1)]


def _nothing_failed(checkout: Checkout, task: Task, gold: Gold) -> None:
    kinds = checkout.domain.desk.tools()
    for action, worked in zip(task.criteria.actions or (), gold.worked, strict=True):
        if not worked and kinds.get(action.name) == "write":
            raise Refused(f"all that its gold actions change fails ({action.name}): what the customer gets is not told")


def _item(action: GoldAction) -> dict[str, Any]:
    if action.name == TRANSFER:
        return {"intent": TRANSFER, "inform": {}}
    return {"intent": action.name, "inform": {name: spoken(v) for name, v in action.arguments.items() if v is not None}}


def _ours(domain: str, criteria: Criteria, gold: Gold, *, declined: bool) -> dict[str, Any]:
    """Everything that the task names must be right, whatever tau2 lets count; who is refused must be told so."""
    told: list[dict[str, Any]] = [
        {"any_of": [value], "numeric": value.replace(".", "", 1).isdigit()} for value in criteria.communicate_info or ()
    ]
    if declined:
        told.append({"any_of": list(NO)})
    handed = {
        CALLED + a.action_id for a in criteria.actions or () if a.name == TRANSFER or "ACTION" in criteria.reward_basis
    }
    facts = [path for path in _facts(gold, FACTS) if path.startswith(ASSERTED) or path in handed]
    rules = [{"id": "confirm_before_writing"}] if domain in CONFIRMS else []
    return {**_records(criteria, gold), "communicate": told, "facts": facts, "policy": rules}


def by_their_rules(criteria: Criteria, gold: Gold) -> dict[str, Any]:
    """What tau2 calls success."""
    bases = criteria.reward_basis
    prefixes = tuple(p for p in FACTS if p.removesuffix("/") in bases)
    gate = [*(["db"] if "DB" in bases else []), *(["communicate"] if "COMMUNICATE" in bases else []),
            *(["facts"] if prefixes else [])]  # fmt: skip
    told = [{"any_of": [value], "anywhere": True} for value in criteria.communicate_info or ()]
    judged = "NL_ASSERTION" in bases and bool(criteria.nl_assertions)
    return {
        **_records(criteria, gold), "gate": gate, "communicate": told, "facts": _facts(gold, prefixes),
        "unjudged": ["NL_ASSERTION"] if judged else [],
    }  # fmt: skip


def _records(criteria: Criteria, gold: Gold) -> dict[str, Any]:
    """Where the records do not count, every other way to the same end is right too."""
    if "DB" not in criteria.reward_basis:
        return {"db": {"patch": []}, "ignore_paths": [""]}
    changed = [c for c in gold.journal if not c.path.startswith(FACTS)]
    patch = [{"path": c.path, "before": c.before, "after": c.after} for c in changed]
    return {"db": {"from_actions": _changing(criteria, gold), "patch": patch}, "ignore_paths": list(FACTS)}


def _changing(criteria: Criteria, gold: Gold) -> list[dict[str, Any]]:
    """The gold actions that went through, for people to read: the patch is what counts."""
    done = zip(criteria.actions or (), gold.worked, strict=True)
    return [{"tool": a.name, "arguments": a.arguments} for a, worked in done if worked and not _reads(a)]


def _reads(action: GoldAction) -> bool:
    return action.name.startswith(("get_", "find_", "list_", "search_", "calculate"))


def _facts(gold: Gold, prefixes: Sequence[str]) -> list[str]:
    return [c.path for c in gold.journal if c.path.startswith(tuple(prefixes))] if prefixes else []
