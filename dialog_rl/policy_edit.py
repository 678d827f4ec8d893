"""A pack's rules changed, its customers the same: who is to be served otherwise, and are they?

An edit is a file that names what stands in `pack.yaml`, and in the words of `policy.md`, and what is to stand there
instead. Records and wishes stay as they are. What is right for each customer is found anew, by walking the edited plan
of what they want.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dialog_rl import safe_yaml
from dialog_rl.episode import ToolCall
from dialog_rl.errors import ScenarioError
from dialog_rl.expressions import holds, resolve
from dialog_rl.gold import evidence_of, success_of
from dialog_rl.pack import Pack, PackFile
from dialog_rl.scenario import Document, Item, Scenario, validate
from dialog_rl.sources import SourcedPack
from dialog_rl.text import one_line
from dialog_rl.world import World

RULES = ("tools", "policy", "articles", "identify")
"""Keys of pack.yaml that hold rules; the plans of intents do too."""


class PolicyEdit(Document):
    rules: Mapping[str, Any] = {}
    """Path in pack.yaml, its parts with / between them → what is to stand there."""
    text: Mapping[str, str] = {}
    """Words of policy.md → what is to be said instead."""


class EditedPack(Pack):
    """A pack under other rules."""

    def __init__(self, base: Pack, file: PackFile, text: str) -> None:
        super().__init__(file, base.phrasing, text, base.folder)
        self.base = base
        """Whose customers it has."""

    def judged(self, scenario: Scenario) -> Scenario:
        """The same customer, and what is right for them by these rules. Raises ScenarioError where they contradict."""
        goal, initial = scenario.user.goal, scenario.initial
        assert goal is not None  # the base makes none without
        before, now = (ends(pack, scenario) for pack in (self.base, self))
        items = [
            item.model_dump() if end == was else self._otherwise(item, end)
            for item, was, end in zip(goal.items, before, now, strict=True)
        ]
        document = scenario.model_dump(by_alias=True)
        document["user"]["goal"]["items"] = items
        gold = [call for end in now for call in end.changes]
        document["success"] = success_of(self, initial.records, initial.facts, items, gold)
        return Scenario.model_validate(document)

    def _otherwise(self, item: Item, end: End) -> dict[str, Any]:
        """An item that comes out otherwise: what a customer would want to hear then is not known."""
        evidence = evidence_of(self, end.refusal) if end.refusal else ()
        changed = {"refusal": end.refusal, "evidence": evidence, "request": {}, "change_of_mind": {}}
        return item.model_copy(update=changed).model_dump()


@dataclass(frozen=True, slots=True)
class End:
    """How one thing that a customer wants is to come out."""

    refusal: str
    """The reason, or none."""
    changes: tuple[ToolCall, ...]


def ends(pack: Pack, scenario: Scenario) -> list[End]:
    """What is right by a pack's plans, for each thing that a customer wants.

    Raises ScenarioError if a plan goes on to a call that is refused.
    """
    assert scenario.user.goal is not None
    world = World(pack, scenario.initial.records, scenario.initial.facts)
    return [_end(pack, item, scenario.user.goal.known, world) for item in scenario.user.goal.items]


def _end(pack: Pack, item: Item, known: Mapping[str, str], world: World) -> End:
    scope: dict[str, Any] = {"slots": {**known, **item.inform, **item.change_of_mind}}
    changes: list[ToolCall] = []
    for step in pack.plans[item.intent]:
        if (step.refuse or step.say) and holds(step.when, scope):
            return End(step.refuse, tuple(changes))
        if step.call:
            call = ToolCall(name=step.call, arguments=resolve(step.arguments, scope))
            answer = world.call(call)
            if answer.error:
                raise ScenarioError(
                    f"{pack.name}: the plan of {item.intent} goes on to {call.name}, which answers "
                    f"{one_line(answer.text)!r}: what an edit changes in one it must change in the other"
                )
            scope[step.name or step.call] = _read(answer.text)
            changes += [call] if pack.file.tools[step.call].kind == "write" else []
    return End("", tuple(changes))


def read_edit(path: Path) -> tuple[PolicyEdit, str]:
    """An edit from its file, and what it is called. Raises ScenarioError naming file, line and key."""
    data, lines = safe_yaml.load(path)
    edit = validate(PolicyEdit, data, source=str(path), lines=lines)
    if not edit.rules and not edit.text:
        raise ScenarioError(f"{path}: it changes nothing; 'rules' or 'text' is expected")
    digest = hashlib.sha256(edit.model_dump_json().encode()).hexdigest()
    return edit, f"{path.name} {digest[:8]}"


def edited(pack: Pack, edit: PolicyEdit) -> Pack:
    """The pack under an edit. Raises ScenarioError naming what of it does not fit the pack."""
    text = pack.policy_text
    for said, instead in edit.text.items():
        if said not in text:
            close = difflib.get_close_matches(said, text.splitlines(), n=1, cutoff=0.3)
            hint = f"; the nearest line is {one_line(close[0], 100)!r}" if close else ""
            raise ScenarioError(f"{pack.folder / 'policy.md'}: it does not say {one_line(said, 100)!r}{hint}")
        text = text.replace(said, instead)
    if isinstance(pack, SourcedPack):
        if edit.rules:
            raise ScenarioError(
                f"{pack.folder}: the rules of {pack.name} are its source's: only its 'text' can be edited"
            )
        return SourcedPack(Pack(pack.file, pack.phrasing, text, pack.folder), pack.source)
    document = pack.file.model_dump(mode="json", by_alias=True)
    for path, value in edit.rules.items():
        _put(document, path, value, pack)
    return EditedPack(pack, validate(PackFile, document, source=f"{pack.name} as edited"), text)


def _put(document: dict[str, Any], path: str, value: Any, pack: Pack) -> None:
    parts = path.split("/")
    if parts[0] not in RULES and not (parts[0] == "intents" and "plan" in parts[2:3]):
        raise ScenarioError(
            f"{pack.name}: {one_line(path, 100)!r} is no rule; those are {', '.join(RULES)} and intents/NAME/plan: "
            "records and what customers want stay as they are"
        )
    holder: Any = {"": document}
    key: Any = ""
    for depth, part in enumerate(parts):
        holder = holder[key]
        there = [str(n) for n in range(len(holder))] if isinstance(holder, list) else list(_keys(holder))
        if part not in there:
            where = "/".join(parts[:depth]) or "pack.yaml"
            known = one_line(", ".join(there), 200) or "nothing"
            raise ScenarioError(f"{pack.name}: {one_line(path, 100)!r}: {where} has no {part!r}; there is: {known}")
        key = int(part) if isinstance(holder, list) else part
    holder[key] = value


def _keys(holder: Any) -> Mapping[str, Any]:
    return holder if isinstance(holder, dict) else {}


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return {"text": text}
