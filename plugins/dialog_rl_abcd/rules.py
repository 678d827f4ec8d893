"""ABCD's rules read together: which actions a subflow takes, in which order, what each is told, and how the guidelines
put it to an agent.

`kb.json` has the order of the actions, `ontology.json` what an action can be told and which values there are,
`guidelines.json` the words. Of the slots that an action has, a query needs all that the guidelines name in its step;
any other action needs one: the first that they name, or its first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dialog_rl.errors import ScenarioError
from dialog_rl.imported import read_json

FILES = ("guidelines.json", "kb.json", "ontology.json")
QUERY = "kb_query"
_NAMED: Mapping[str, tuple[str, ...]] = {
    "customer_name": ("name",), "account_id": ("account id",), "order_id": ("order id",), "zip_code": ("zip",),
    "full_address": ("address",), "street_address": ("address",), "phone": ("phone",), "email": ("email",),
    "username": ("username",), "pin_number": ("pin",), "security_answer": ("security", "mother"),
    "amount": ("amount", "dollar"), "product": ("product", "brand"), "payment_method": ("payment method",),
    "refund_target": ("refund method", "gift card"), "company_team": ("team", "department", "manager"),
    "membership_level": ("member",), "shipping_option": ("shipping", "status"),
}  # fmt: skip
"""Slot → words by which the guidelines speak of it; other slots are spoken of by their own name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    name: str
    group: str
    """kb_query, interaction or faq_policy."""
    slots: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subflow:
    name: str
    flow: str
    title: str
    """How the guidelines call it."""
    about: str
    """What its flow is about, in the guidelines' words."""
    order: tuple[str, ...]
    needed: Mapping[str, tuple[str, ...]]
    """Action → the slots that it has to be told here."""
    same_order: bool
    """Whether the guidelines name the actions in the order that counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    actions: Mapping[str, Action]
    subflows: Mapping[str, Subflow]
    values: Mapping[str, tuple[str, ...]]
    """Slot → the values that there are, where they can be counted."""
    policy: str


def read_rules(folder: Path) -> Rules:
    """The rules in a folder. Raises ScenarioError naming the file and what is missing in it."""
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise ScenarioError(
            f"{folder}: {', '.join(missing)} missing; ABCD's data folder is wanted, with all of {FILES}"
        )
    guidelines, kb, ontology = (read_json(folder / name) for name in FILES)
    try:
        actions = dict(_actions(ontology))
        subflows = {s.name: s for s in _subflows(guidelines, kb, ontology, actions)}
        values = {slot: tuple(map(str, found)) for slot, found in ontology["values"]["enumerable"].items()}
        policy = _policy(guidelines)
    except (KeyError, TypeError, AttributeError, ValueError) as e:
        raise ScenarioError(f"{folder}: these are not ABCD's rules: {type(e).__name__}: {e}") from None
    return Rules(actions=actions, subflows=subflows, values=values, policy=policy)


def _actions(ontology: Mapping[str, Any]) -> Iterator[tuple[str, Action]]:
    for group, actions in ontology["actions"].items():
        for name, slots in actions.items():
            yield name, Action(name=name, group=group, slots=tuple(slots))


def _subflows(
    guidelines: Mapping[str, Any], kb: Mapping[str, Any], ontology: Mapping[str, Any], actions: Mapping[str, Action]
) -> Iterator[Subflow]:
    written = {re.sub(r"[^a-z]+", "_", flow.lower()): found for flow, found in guidelines.items()}
    for flow, names in ontology["intents"]["subflows"].items():
        titles = list(written[flow]["subflows"].items())
        if len(titles) != len(names):
            raise ValueError(f"{flow}: {len(names)} subflows in the ontology, {len(titles)} in the guidelines")
        for name, (title, text) in zip(names, titles, strict=True):
            steps, order = text["actions"], tuple(kb[name])
            unknown = [action for action in order if action not in actions]
            if unknown:
                raise ValueError(f"{name}: {unknown[0]} is no action of the ontology")
            named = [n for step in steps if (n := next((a for a in order if _is_button(step, a)), ""))]
            yield Subflow(
                name=name, flow=flow, title=title, about=written[flow]["description"], order=order,
                needed={action: _needed(actions[action], steps, flow) for action in order},
                same_order=named == [action for action in order if action in named],
            )  # fmt: skip


def _is_button(step: Mapping[str, Any], action: str) -> bool:
    """Whether a step of the guidelines is about an action: its button says so, as its whole name or its beginning."""
    button, name = (re.sub(r"[^a-z]", "", text.lower()) for text in (step["button"], action))
    return button != "na" and (button.startswith(name) or name.startswith(button) or _initials(button, action))


def _initials(button: str, action: str) -> bool:
    return all(part in button for part in action.split("-"))


def _needed(action: Action, steps: Sequence[Mapping[str, Any]], flow: str) -> tuple[str, ...]:
    if flow in action.slots:  # which of the answers to such questions was picked
        return (flow,)
    step = next((step for step in steps if _is_button(step, action.name)), {})
    text = " ".join([step.get("text", ""), *step.get("subtext", ())]).lower()
    named = tuple(slot for slot in action.slots if any(word in text for word in words_for(slot)))
    if action.group == QUERY:
        return named or action.slots
    return (named or action.slots)[:1]


def words_for(slot: str) -> tuple[str, ...]:
    return _NAMED.get(slot, (slot.removesuffix("_slotval").replace("_", " "),))


def _policy(guidelines: Mapping[str, Any]) -> str:
    """The guidelines as text for people and large models."""
    lines: list[str] = []
    for flow, found in guidelines.items():
        lines += [f"# {flow}: {found['description']}", ""]
        for title, text in found["subflows"].items():
            lines += [f"## {title}", "", *text.get("instructions", ())[:1], ""]
            for number, step in enumerate(text["actions"], start=1):
                lines.append(f"{number}. {step['text']}")
                lines += [f"   - {part}" for part in step.get("subtext", ())]
            lines += ["", *text.get("instructions", ())[1:], ""]
    return "\n".join(lines)
