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
from dialog_rl_tau2.agenda import Refused, scenario_of
from dialog_rl_tau2.checkout import Checkout, open_domain
from dialog_rl_tau2.counter import Counter
from dialog_rl_tau2.customer import Attended
from dialog_rl_tau2.domains import schema_of
from dialog_rl_tau2.gold import GoldExpert
from dialog_rl_tau2.manifest import MANIFEST, Manifest, read_manifest
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
        return Counter(self.checkout, self.task(scenario.provenance.task))

    def attended(self, user: User, scenario: Scenario, office: Counter) -> User:
        return Attended(user, office, self.pack) if office.office.customer is not None else user

    def expert(self, scenario: Mapping[str, Any]) -> GoldExpert:
        return GoldExpert(self.checkout, self.task(str(scenario["provenance"]["task"])))

    def tools(self) -> tuple[Mapping[str, Any], ...]:
        desk = self.manifest.kind.desk
        return tuple(schema_of(desk, tool) for tool in desk.tools())

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
            document = scenario_of(kind.name, self.checkout, task, pack=self.pack.name)
        except Refused as refused:
            raise ScenarioError(f"{self._folder}: task {task.id} {refused}") from None
        document |= {"split": split, "phrasing": "heldout" if split == "heldout" else "train"}
        return validate(Scenario, document, source=f"{self._folder}: task {task.id}")
