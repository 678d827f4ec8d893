"""A task of tau2 as it is written in its files, checked: what the customer wants, how it begins, what counts."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dialog_rl.errors import ScenarioError
from dialog_rl.scenario import Document, validate
from dialog_rl_tau2.book import Desk
from dialog_rl_tau2.domains import Domain

DEFAULT_BASES = ("DB", "COMMUNICATE")
"""What counts where a task does not say."""
Side = Literal["assistant", "user"]
Basis = Literal["DB", "ENV_ASSERTION", "ACTION", "COMMUNICATE", "NL_ASSERTION"]


class Part(Document):
    """A piece of a task; tau2's files carry keys of other programs too, which are passed over."""

    model_config = {"extra": "ignore", "frozen": True}


class GoldAction(Part):
    action_id: str
    requestor: Side = "assistant"
    name: str
    arguments: Mapping[str, Any] = {}
    compare_args: tuple[str, ...] | None = None
    """The arguments that must be equal for a call to count as this one; all of them if None."""


class Call(Part):
    """Something that is done to set the scene, or asserted when all is over."""

    env_type: Side
    func_name: str
    arguments: Mapping[str, Any] = {}
    assert_value: bool = True


class Start(Part):
    initialization_data: Mapping[str, Any] | None = None
    initialization_actions: tuple[Call, ...] | None = None
    message_history: tuple[Mapping[str, Any], ...] | None = None


class Criteria(Part):
    actions: tuple[GoldAction, ...] | None = None
    env_assertions: tuple[Call, ...] | None = None
    communicate_info: tuple[str, ...] | None = None
    nl_assertions: tuple[str, ...] | None = None
    reward_basis: tuple[Basis, ...] = DEFAULT_BASES


class Instructions(Part):
    reason_for_call: str | None = None
    known_info: str | None = None
    unknown_info: str | None = None
    task_instructions: str | None = None


class Customer(Part):
    persona: str | None = None
    instructions: Instructions | str


class TaskDocument(Part):
    id: str
    user_scenario: Customer
    ticket: str | None = None
    """What an agent that works alone is told in a customer's place."""
    initial_state: Start | None = None
    evaluation_criteria: Criteria | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    document: TaskDocument
    raw: Mapping[str, Any]

    @property
    def id(self) -> str:
        return self.document.id

    @property
    def start(self) -> Start:
        return self.document.initial_state or Start()

    @property
    def criteria(self) -> Criteria:
        return self.document.evaluation_criteria or Criteria()

    @property
    def reason(self) -> str:
        """What the customer calls for, in tau2's words to whoever plays them."""
        told = self.document.user_scenario.instructions
        return (told if isinstance(told, str) else told.reason_for_call) or ""

    @property
    def known(self) -> str:
        told = self.document.user_scenario.instructions
        return "" if isinstance(told, str) else told.known_info or ""

    @property
    def brief(self) -> str:
        """All that tau2 tells whoever plays the customer."""
        customer = self.document.user_scenario
        told = customer.instructions
        parts = [told] if isinstance(told, str) else [
            told.reason_for_call, told.known_info, told.unknown_info, told.task_instructions,
        ]  # fmt: skip
        return "\n\n".join(part for part in (customer.persona, *parts) if part)


def read_task(raw: Any, place: str, domain: Domain) -> Task:
    """One entry of a task file. Raises ScenarioError naming file, task and key, and the nearest right name."""
    name = raw.get("id") if isinstance(raw, Mapping) else None
    where = f"{place}: task {name}" if isinstance(name, str) else place
    document = validate(TaskDocument, raw, source=where)
    task = Task(document=document, raw=raw)
    for n, action in enumerate(task.criteria.actions or ()):
        _check_tool(domain, action.requestor, action.name, f"{where}: 'evaluation_criteria.actions.{n}.name'")
    for n, call in enumerate(task.start.initialization_actions or ()):
        _check_method(domain, call, f"{where}: 'initial_state.initialization_actions.{n}.func_name'")
    for n, call in enumerate(task.criteria.env_assertions or ()):
        _check_method(domain, call, f"{where}: 'evaluation_criteria.env_assertions.{n}.func_name'")
    return task


def read_tasks(raw: Any, path: Path, domain: Domain) -> dict[str, Task]:
    """A task file's tasks by id. Raises ScenarioError."""
    if not isinstance(raw, list):
        raise ScenarioError(f"{path}: a list of tasks is expected, found {type(raw).__name__}")
    tasks: dict[str, Task] = {}
    for n, entry in enumerate(raw):
        task = read_task(entry, f"{path}: entry {n}", domain)
        if task.id in tasks:
            raise ScenarioError(f"{path}: entry {n}: there is a task {task.id!r} already")
        tasks[task.id] = task
    return tasks


def _side(domain: Domain, side: str) -> Any:
    return domain.desk if side == "assistant" else domain.customer


def _check_tool(domain: Domain, side: str, name: str, where: str) -> None:
    desk = _side(domain, side)
    tools = desk.tools() if desk is not None else {}
    if name not in tools:
        raise ScenarioError(f"{where}: {name!r} is no tool of {domain.name}'s {side}{_nearest(name, tools)}")


def _check_method(domain: Domain, call: Call, where: str) -> None:
    desk = _side(domain, call.env_type)
    methods = [m for m in dir(desk) if not m.startswith("_") and m not in dir(Desk)] if desk is not None else []
    if call.func_name not in methods:
        found = f"{call.func_name!r} is nothing that {domain.name}'s {call.env_type} can do"
        raise ScenarioError(f"{where}: {found}{_nearest(call.func_name, methods)}")


def _nearest(wrong: str, right: Any) -> str:
    close = difflib.get_close_matches(wrong, list(right), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
