"""`dialog-rl scenarios import abcd`: ABCD's rules as a pack, with a customer for each subflow in every split."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from dialog_rl.conversation import User
from dialog_rl.episode import Message, Role
from dialog_rl.errors import ScenarioError
from dialog_rl.expert import call_message
from dialog_rl.imported import MANIFEST, count_of, leave_out, prepare, read_manifest, write_json
from dialog_rl.scenario import SPLITS, Scenario, validate
from dialog_rl.sources import Imported, Recorded
from dialog_rl_abcd.chats import recorded
from dialog_rl_abcd.customers import gold, known_of, scenario_of
from dialog_rl_abcd.office import Office, kind_of, schemas
from dialog_rl_abcd.rules import FILES, Rules, Subflow, read_rules
from dialog_rl_abcd.wording import phrasing_of

NAME = "abcd"
CHATS = ("abcd_v1.1.json", "abcd_sample.json")
"""Files of chats; the first that is there is kept."""


class Abcd:
    """`dialog_rl.sources.Importer`."""

    def bring(self, folder: Path, out: Path) -> tuple[Imported, ...]:
        if not folder.is_dir():
            raise ScenarioError(f"{folder}: no such folder; ABCD's data is wanted, with {', '.join(FILES)}")
        rules = read_rules(folder)
        chats = next((folder / name for name in CHATS if (folder / name).is_file()), None)
        if chats is not None:
            recorded(rules, chats, pack=NAME)
        prepare(out)
        for name in FILES:
            shutil.copyfile(folder / name, out / name)
        if chats is not None:
            shutil.copyfile(chats, out / CHATS[0])
        splits = {split: [f"{split}/{name}" for name in rules.subflows] for split in SPLITS}
        write_json(out / "pack.yaml", _pack_of(rules))
        write_json(out / "phrasing.yaml", phrasing_of(rules))
        (out / "policy.md").write_text(rules.policy, encoding="utf-8")
        write_json(out / MANIFEST, {"format": 1, "source": NAME, "splits": splits, "refused": {}})
        return (Imported(out, {split: len(ids) for split, ids in splits.items()}, {}, tuple(_remarks(rules))),)

    def open(self, folder: Path) -> Shop:
        return Shop(folder)

    def leave_out(self, folder: Path, why: Mapping[str, str]) -> None:
        leave_out(folder, NAME, why)


class Shop:
    """`dialog_rl.sources.Source` over a folder that `bring` wrote."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.manifest = read_manifest(folder, NAME)

    @cached_property
    def rules(self) -> Rules:
        return read_rules(self._folder)

    def customers(self, split: str) -> int:
        return count_of(self.manifest, self._folder, split)

    def scenario(self, number: int, *, split: str, phrasing: str) -> Scenario:
        subflow, _ = self._task(self.manifest.splits[split][number])
        document = scenario_of(self.rules, subflow, pack=NAME, split=split)
        return validate(Scenario, document, source=f"{self._folder}: {subflow.name}")

    def office(self, scenario: Scenario) -> Office:
        return Office(self.rules, scenario.initial.facts)

    def attended(self, user: User, scenario: Scenario, office: Office) -> User:
        return user

    def expert(self, scenario: Mapping[str, Any]) -> RuleExpert:
        subflow, split = self._task(str(scenario["provenance"]["task"]))
        return RuleExpert(self.rules, subflow, known_of(self.rules, subflow, split))

    def tools(self) -> tuple[Mapping[str, Any], ...]:
        return schemas(self.rules)

    def recorded(self, file: Path | None) -> Recorded:
        """The chats of a file, or those that were imported."""
        chats = file or self._folder / CHATS[0]
        if not chats.is_file():
            raise ScenarioError(f"{chats}: no such file; no chats were imported, name a file of them")
        return recorded(self.rules, chats, pack=NAME)

    def _task(self, task: str) -> tuple[Subflow, str]:
        split, _, name = task.partition("/")
        if name not in self.rules.subflows:
            raise ScenarioError(f"{self._folder}: there is no subflow {name!r}; {MANIFEST} and {FILES[1]} disagree")
        return self.rules.subflows[name], split


class RuleExpert:
    """The ceiling: takes a subflow's actions in their order, and says that it is done."""

    def __init__(self, rules: Rules, subflow: Subflow, known: Mapping[str, str]) -> None:
        self._left = [call_message(call) for call in gold(rules, subflow, known)]

    def act(self, observed: tuple[Message, ...]) -> Message:
        return self._left.pop(0) if self._left else Message(role=Role.ASSISTANT, text=DONE)


DONE = "That has been taken care of. Is there anything else?"


def _remarks(rules: Rules) -> Iterator[str]:
    other = [subflow.name for subflow in rules.subflows.values() if not subflow.same_order]
    if other:
        named = ", ".join(other)
        yield f"{len(other)} guidelines name their actions in another order than {FILES[1]}, which counts: {named}"


def _pack_of(rules: Rules) -> dict[str, Any]:
    """pack.yaml: tools for people to read, and the intents of which a goal is made."""
    tools = {
        name: {
            "description": name.replace("-", " "), "kind": kind_of(rules, name),
            "arguments": {slot: list(rules.values.get(slot, ())) or "text" for slot in action.slots},
        }
        for name, action in rules.actions.items()
    }  # fmt: skip
    intents = {
        subflow.name: {
            "public": True, "variants": {"given": {}}, "plan": [{"call": action} for action in subflow.order]
        }
        for subflow in rules.subflows.values()
    }  # fmt: skip
    return {
        "schema": 1, "name": NAME, "title": "ABCD's 55 subflows (MIT licence)", "source": NAME, "brief": NAME,
        "tools": tools, "intents": intents,
    }  # fmt: skip
