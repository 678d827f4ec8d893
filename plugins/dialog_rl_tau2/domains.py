"""The four domains of tau2: their files in a checkout, their records in full form, and their two sides at work."""

from __future__ import annotations

import inspect
import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dialog_rl.errors import ScenarioError
from dialog_rl.safe_yaml import MAX_DEPTH
from dialog_rl_tau2.airline import AirlineDesk
from dialog_rl_tau2.book import Desk, Refused, sha256_of
from dialog_rl_tau2.mock import MockCustomer, MockDesk
from dialog_rl_tau2.phone import Phone
from dialog_rl_tau2.phone_state import APN, DEVICE, SURROUNDINGS
from dialog_rl_tau2.retail import ORDER_FIELDS, RetailDesk
from dialog_rl_tau2.telecom import TelecomDesk

LARGEST_FILE = 32_000_000
"""Bytes of a records or task file beyond which it is refused unread."""
SIDES = ("assistant", "user")


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """One domain: where its files are, and what plays its two sides."""

    name: str
    records: tuple[str, ...]
    """Names its records may go by; the first that is there is taken."""
    tasks: tuple[str, ...]
    policy: tuple[str, ...]
    desk: type[Desk]
    full: Callable[[dict[str, Any]], dict[str, Any]]
    """Records as a file has them → table → id → row, with every field a row can have."""
    customer_records: tuple[str, ...] = ()
    customer: type[Desk] | None = None
    customer_full: Callable[[dict[str, Any]], dict[str, Any]] = dict
    solo_policy: tuple[str, ...] = ()
    listed: bool = False
    """Tables are lists in the records that are hashed."""
    solo: bool = False
    """The agent works alone, from a ticket, with the tools of both sides."""

    @property
    def key(self) -> str:
        """Of a pack: its folder, and what comes after tau2_ in its name."""
        return f"{self.name}_solo" if self.solo else self.name

    def alone(self) -> Domain:
        return replace(self, policy=self.solo_policy, solo=True)

    def sides(self) -> tuple[type[Desk], ...]:
        """Those whose tools the agent has."""
        return (self.desk, self.customer) if self.solo and self.customer is not None else (self.desk,)


def parameters_of(desk: type[Desk], tool: str) -> dict[str, inspect.Parameter]:
    """A tool's arguments by name."""
    return {name: p for name, p in inspect.signature(getattr(desk, tool)).parameters.items() if name != "self"}


_SCHEMAS: Mapping[str, Mapping[str, Any]] = {
    "str": {"type": "string"}, "int": {"type": "integer"}, "float": {"type": "number"}, "bool": {"type": "boolean"},
    "list[str]": {"type": "array", "items": {"type": "string"}},
    "list[dict[str, Any]]": {"type": "array", "items": {"type": "object"}}, "dict[str, Any]": {"type": "object"},
}  # fmt: skip


def schema_of(desk: type[Desk], tool: str) -> dict[str, Any]:
    """A tool as models are told of it."""
    arguments = parameters_of(desk, tool)
    return {"type": "function", "function": {
        "name": tool, "description": (getattr(desk, tool).__doc__ or "").strip(),
        "parameters": {
            "type": "object",
            "properties": {name: _SCHEMAS[str(p.annotation).removesuffix(" | None")] for name, p in arguments.items()},
            "required": [name for name, p in arguments.items() if p.default is p.empty],
        },
    }}  # fmt: skip


@dataclass(slots=True, kw_only=True)
class Office:
    """Both sides of one task at work."""

    domain: Domain
    desk: Desk
    customer: Desk | None
    _tools: dict[str, Desk] = field(default_factory=dict)

    def side(self, name: str) -> Desk:
        """The side a call names: "assistant" or "user"."""
        if name == "assistant":
            return self.desk
        if self.customer is None:
            raise ScenarioError(f"{self.domain.name}: the task calls the customer's side, and it has no tools")
        return self.customer

    def call(self, side: str, name: str, arguments: Mapping[str, Any]) -> tuple[str, bool]:
        """A tool's answer and whether it is an error; then each side learns what the other did."""
        answer = self.side(side).call(name, arguments)
        self.sync()
        return answer

    def run(self, side: str, name: str, arguments: Mapping[str, Any]) -> Any:
        """A tool or one of the methods that only tasks call. Raises Refused."""
        answer = self.side(side).run(name, arguments)
        self.sync()
        return answer

    def holds(self, assertion: Mapping[str, Any]) -> bool:
        try:
            found = self.side(assertion["env_type"]).run(assertion["func_name"], assertion.get("arguments") or {})
        except Refused:
            return False
        return bool(found) == assertion.get("assert_value", True)

    def sync(self) -> None:
        """What the company knows of a line shows on the phone; what was paid there shows at the company.

        Raises ScenarioError where the records are not of the shape that tau2's have.
        """
        try:
            self._sync()
        except (KeyError, TypeError, AttributeError, StopIteration) as e:
            what = f"{type(e).__name__}: {e}"
            raise ScenarioError(f"{self.domain.name}: these are not tau2's records: {what}") from None

    def _sync(self) -> None:
        if not isinstance(self.desk, TelecomDesk) or not isinstance(self.customer, Phone):
            return
        book = self.customer.book
        number = book.get("surroundings", "phone_number")
        line = self.desk.line_with_number(number) if number else None
        if line is None:
            return
        now = {
            "line_active": line["status"] == "Active", "roaming_allowed": line["roaming_enabled"],
            "mobile_data_usage_exceeded": self.desk.over_limit(line),
        }  # fmt: skip
        request = book.get("surroundings", "payment_request")
        if request is not None and request["paid"]:
            self.desk.set_bill_to_paid(request["bill_id"])
            now["payment_request"] = None
        elif (bill := self.desk.awaiting_payment(line)) is not None:
            now["payment_request"] = {"bill_id": bill["bill_id"], "amount_due": bill["total_due"], "paid": False}
        for key, value in now.items():
            if book.get("surroundings", key) != value:
                book.put("surroundings", key, value)

    def hashes(self) -> tuple[str, str | None]:
        """tau2's hashes of both sides' records."""
        state: Any = self.desk.book.state()
        if self.domain.listed:
            state = {table: list(rows.values()) for table, rows in state.items()}
        customer = None if self.customer is None else sha256_of(self.customer.book.state())
        return sha256_of(state), customer


def _mock(data: dict[str, Any]) -> dict[str, Any]:
    return data


def _retail(data: dict[str, Any]) -> dict[str, Any]:
    nothing = dict.fromkeys(ORDER_FIELDS)
    return {**data, "orders": {key: {**order, **nothing, **order} for key, order in data["orders"].items()}}


_LEG = ("flight_number", "origin", "destination", "date", "price")


def _airline(data: dict[str, Any]) -> dict[str, Any]:
    reservations = {
        key: {**row, "flights": [{name: leg[name] for name in _LEG} for leg in row["flights"]],
              "status": row.get("status")}
        for key, row in data["reservations"].items()
    }  # fmt: skip
    users = {key: {"user_id": key, **row, "payment_methods": {
        name: _method(method) for name, method in row["payment_methods"].items()
    }} for key, row in data["users"].items()}  # fmt: skip
    return {**data, "reservations": reservations, "users": users}


def _method(method: Mapping[str, Any]) -> dict[str, Any]:
    ordered = {"source": method["source"], "id": method["id"], **method}
    return {**ordered, "amount": float(method["amount"])} if "amount" in method else ordered


_TELECOM_KEYS = {
    "plans": "plan_id", "devices": "device_id", "lines": "line_id", "customers": "customer_id", "bills": "bill_id",
}  # fmt: skip
_TELECOM_OPTIONAL: Mapping[str, Mapping[str, Any]] = {
    "devices": {"imei": None, "activation_date": None, "last_esim_transfer_date": None},
    "lines": {
        "device_id": None, "contract_end_date": None, "last_plan_change_date": None,
        "last_sim_replacement_date": None, "suspension_start_date": None,
    },
    "customers": {"last_extension_date": None},
}  # fmt: skip


def _telecom(data: dict[str, Any]) -> dict[str, Any]:
    full: dict[str, Any] = {}
    for table, key in _TELECOM_KEYS.items():
        optional = _TELECOM_OPTIONAL.get(table, {})
        full[table] = {
            row[key]: {**_spaced(row), **{k: v for k, v in optional.items() if k not in row}} for row in data[table]
        }
    return full


def _spaced(row: Mapping[str, Any]) -> dict[str, Any]:
    """Points in time as tau2 writes them: a space between day and hour."""
    times = ("activation_date", "last_esim_transfer_date", "created_at")
    return {k: v.replace("T", " ") if k in times and isinstance(v, str) else v for k, v in row.items()}


def _phone(data: dict[str, Any]) -> dict[str, Any]:
    device = {**DEVICE, **data["device"]}
    device["active_apn_settings"] = {**APN, **device.get("active_apn_settings", {})}
    return {"device": device, "surroundings": {**SURROUNDINGS, **data.get("surroundings", {})}}


DOMAINS: Mapping[str, Domain] = {
    d.name: d
    for d in (
        Domain(
            name="mock", records=("db.json",), tasks=("tasks.json",), policy=("policy.md",), desk=MockDesk, full=_mock,
            customer_records=("user_db.json",), customer=MockCustomer, solo_policy=("policy_solo.md",),
        ),
        Domain(
            name="retail", records=("db.json",), tasks=("tasks.json",), policy=("policy.md",), desk=RetailDesk,
            full=_retail,
        ),
        Domain(
            name="airline", records=("db.json", "db.from_v1.json"), tasks=("tasks.json",), policy=("policy.md",),
            desk=AirlineDesk, full=_airline,
        ),
        Domain(
            name="telecom", records=("db.toml",),
            tasks=("tasks.json", "tasks_full.json", "tasks_base114.json", "tasks_small.json"),
            policy=("main_policy.md", "tech_support_manual.md"), desk=TelecomDesk, full=_telecom,
            customer_records=("user_db.toml",), customer=Phone, customer_full=_phone,
            solo_policy=("main_policy_solo.md", "tech_support_manual.md"), listed=True,
        ),
    )
}  # fmt: skip


def read_file(path: Path) -> Any:
    """A JSON or TOML file. Raises ScenarioError naming it."""
    try:
        size = path.stat().st_size
        text = path.read_text(encoding="utf-8") if size <= LARGEST_FILE else ""
    except OSError as e:
        raise ScenarioError(f"{path}: cannot be read: {e.strerror}") from None
    except UnicodeDecodeError as e:
        raise ScenarioError(f"{path}: not UTF-8 text: {e.reason} at byte {e.start}") from None
    if size > LARGEST_FILE:
        raise ScenarioError(f"{path}: more than {LARGEST_FILE // 1_000_000} MB; no tau2 file is so large")
    try:
        found = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except (ValueError, RecursionError) as e:
        raise ScenarioError(f"{path}: no {path.suffix[1:].upper()}: {e}") from None
    if is_deeper(found, MAX_DEPTH):
        raise ScenarioError(f"{path}: nested deeper than {MAX_DEPTH} levels; no tau2 file is so deep")
    return found


def is_deeper(value: Any, levels: int) -> bool:
    """Whether maps and lists lie within each other deeper than `levels`."""
    layer: list[Any] = [value] if isinstance(value, dict | list) else []
    for _ in range(levels):
        inner = (part for one in layer for part in (one.values() if isinstance(one, dict) else one))
        layer = [part for part in inner if isinstance(part, dict | list)]
    return bool(layer)
