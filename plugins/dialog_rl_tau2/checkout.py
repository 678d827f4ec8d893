"""A domain's folder in a checkout of tau2: its records read once, and both sides of a task made ready over them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dialog_rl.errors import ScenarioError
from dialog_rl_tau2.book import Book, Refused
from dialog_rl_tau2.domains import DOMAINS, Domain, Office, read_file


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    domain: Domain
    records: Mapping[str, Any]
    customer_records: Mapping[str, Any]
    tasks: Mapping[str, Mapping[str, Any]]

    def open(self, task: Mapping[str, Any]) -> Office:
        """Both sides as the task begins. Raises ScenarioError where its scene cannot be set."""
        start = task.get("initial_state") or {}
        added = (start.get("initialization_data") or {}).get("agent_data")
        office = self._office(_merged(self.records, added) if added else self.records, shared=bool(added))
        try:
            for action in start.get("initialization_actions") or ():
                office.run(action["env_type"], action["func_name"], action.get("arguments") or {})
        except Refused as refused:
            raise ScenarioError(f"task {task.get('id')}: its scene cannot be set: {refused}") from None
        for message in start.get("message_history") or ():
            for call in message.get("tool_calls") or ():
                office.call(call.get("requestor", "assistant"), call["name"], call.get("arguments") or {})
        return office

    def _office(self, records: Mapping[str, Any], *, shared: bool) -> Office:
        """`shared`: the customer's side works on the agent's records, as tau2 does where a task brings records."""
        desk = self.domain.desk(Book(records))
        make = self.domain.customer
        customer = make(desk.book if shared else Book(self.customer_records)) if make else None
        return Office(domain=self.domain, desk=desk, customer=customer)


def open_checkout(folder: Path, name: str) -> Checkout:
    """The domain `name` in `folder`, where tau2 keeps its domains. Raises ScenarioError naming what is missing."""
    if name not in DOMAINS:
        raise ScenarioError(f"tau2 has no domain {name!r} that is known here; there are: {', '.join(DOMAINS)}")
    return open_domain(folder / name, DOMAINS[name])


def open_domain(here: Path, domain: Domain) -> Checkout:
    """The domain in its folder. Raises ScenarioError naming what is missing."""
    try:
        records = domain.full(read_file(first_of(here, domain.records)))
        customer = domain.customer_full(read_file(first_of(here, domain.customer_records))) if domain.customer else {}
        for table, rows in [*records.items(), *customer.items()]:
            if not isinstance(rows, dict):
                raise TypeError(f"{table!r} is no table of rows by their ids")
        tasks = {task["id"]: task for task in read_file(first_of(here, domain.tasks))}
    except ScenarioError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError) as e:
        raise ScenarioError(f"{here}: these are not tau2's records or tasks: {type(e).__name__}: {e}") from None
    return Checkout(domain=domain, records=records, customer_records=customer, tasks=tasks)


def first_of(folder: Path, names: tuple[str, ...]) -> Path:
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise ScenarioError(f"{folder}: there is none of {', '.join(names)}")


def _merged(base: Mapping[str, Any], added: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in added.items():
        old = merged.get(key)
        merged[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged
