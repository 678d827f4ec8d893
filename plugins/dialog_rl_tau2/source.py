"""An imported domain opened: its tasks as scenarios, its desks as back offices. The records are read once."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from dialog_rl.conversation import User
from dialog_rl.errors import ScenarioError
from dialog_rl.pack import Pack, load_pack
from dialog_rl.scenario import Scenario, validate
from dialog_rl.sources import Recorded
from dialog_rl_tau2.agenda import Refused
from dialog_rl_tau2.chats import recorded
from dialog_rl_tau2.checkout import Checkout, open_domain
from dialog_rl_tau2.counter import Counter
from dialog_rl_tau2.customer import Attended
from dialog_rl_tau2.domains import schema_of
from dialog_rl_tau2.gold import GoldExpert
from dialog_rl_tau2.manifest import MANIFEST, Manifest, read_manifest
from dialog_rl_tau2.solo import DONE_SCHEMA, Alone, SoloExpert, Ticket, scenario_for
from dialog_rl_tau2.tasks import Task, read_task


class ImportedDomain:
    """`dialog_rl.sources.Source` over a folder that `importing.bring` wrote."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.manifest: Manifest = read_manifest(folder)
        self._made: dict[tuple[str, str], Scenario] = {}
        self._tasks: dict[str, Task] = {}

    @cached_property
    def checkout(self) -> Checkout:
        return open_domain(self._folder, self.manifest.kind)

    @cached_property
    def pack(self) -> Pack:
        return load_pack(self._folder)

    def customers(self, split: str) -> int:
        found = len(self.manifest.splits.get(split, ()))
        if not found:
            there = ", ".join(f"{name} {len(ids)}" for name, ids in self.manifest.splits.items() if ids) or "none"
            raise ScenarioError(f"{self._folder}: there are no {split} customers; there are: {there}")
        return found

    def scenario(self, number: int, *, split: str, phrasing: str) -> Scenario:
        task_id = self.manifest.splits[split][number]
        if (task_id, split) not in self._made:
            self._made[task_id, split] = self._scenario(self.task(task_id), split)
        return self._made[task_id, split]

    def office(self, scenario: Scenario) -> Counter:
        made = Alone if self.manifest.solo else Counter
        return made(self.checkout, self.task(scenario.provenance.task))

    def attended(self, user: User, scenario: Scenario, office: Counter) -> User:
        if self.manifest.solo:
            return Ticket(scenario.user.instructions)
        return Attended(user, office, self.pack) if office.office.customer is not None else user

    def expert(self, scenario: Mapping[str, Any]) -> GoldExpert | SoloExpert:
        task = self.task(str(scenario["provenance"]["task"]))
        return SoloExpert(task) if self.manifest.solo else GoldExpert(self.checkout, task)

    def tools(self) -> tuple[Mapping[str, Any], ...]:
        kind = self.manifest.kind
        tools = {tool: schema_of(desk, tool) for desk in reversed(kind.sides()) for tool in desk.tools()}
        return (*tools.values(), DONE_SCHEMA) if kind.solo else tuple(tools.values())

    def recorded(self, file: Path | None) -> Recorded:
        """Runs of tau-bench's on this domain."""
        if file is None:
            raise ScenarioError(
                f"{self._folder}: no chats are imported with tau2's tasks; name a file of tau-bench's runs"
            )
        return recorded(self.checkout, file)

    def task(self, task_id: str) -> Task:
        if task_id not in self._tasks:
            raw = self.checkout.tasks.get(task_id)
            if raw is None:
                raise ScenarioError(f"{self._folder}: there is no task {task_id!r}; {MANIFEST} and the tasks disagree")
            self._tasks[task_id] = read_task(raw, str(self._folder), self.manifest.kind)
        return self._tasks[task_id]

    def _scenario(self, task: Task, split: str) -> Scenario:
        kind = self.manifest.kind
        try:
            document = scenario_for(kind, self.checkout, task)
        except Refused as refused:
            raise ScenarioError(f"{self._folder}: task {task.id} {refused}") from None
        document |= {"split": split, "phrasing": "heldout" if split == "heldout" else "train"}
        return validate(Scenario, document, source=f"{self._folder}: task {task.id}")
