"""A data folder as tau2 has them, small and made up: tasks of users, and a telephone that does not work."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint, distribution, entry_points
from pathlib import Path
from typing import Any

import pytest

from dialog_rl.plugins import discovery
from dialog_rl.plugins.loading import load_plugins
from dialog_rl.staging import Stage, open_stage

USERS = {"u1": {"user_id": "u1", "name": "Ada", "tasks": ["task_1"]}}
TASKS = {"task_1": {"task_id": "task_1", "title": "Tea", "description": None, "status": "pending"}}
NOTIFICATIONS: dict[str, Any] = {"notifications": {}}

TELECOM = """
[[plans]]
plan_id = "P1"
name = "Plan"
data_limit_gb = 5.0
price_per_month = 10.0
data_refueling_price_per_gb = 2.0
[[devices]]
device_id = "D1"
device_type = "phone"
model = "One"
is_esim_capable = false
activated = true
activation_date = "2024-01-01T10:00:00"
[[lines]]
line_id = "L1"
phone_number = "555-1"
status = "Active"
plan_id = "P1"
data_used_gb = 1.0
data_refueling_gb = 0.0
roaming_enabled = false
contract_end_date = "2026-01-01"
[[customers]]
customer_id = "C1"
full_name = "Ada"
date_of_birth = "1990-01-01"
phone_number = "555-1"
line_ids = ["L1"]
bill_ids = ["B1"]
created_at = "2024-01-01T10:00:00"
[[bills]]
bill_id = "B1"
customer_id = "C1"
issue_date = "2025-02-01"
total_due = 0.0
status = "Draft"
line_items = []
"""
PHONE = """
[device]
sim_card_missing = false
sim_card_status = "active"
airplane_mode = false
network_connection_status = "connected"
network_technology_connected = "5G"
network_signal_strength = "excellent"
battery_level = 80
data_enabled = true
roaming_enabled = false
network_mode_preference = "4g_5g_preferred"
data_saver_mode = false
wifi_enabled = false
wifi_connected = false
wifi_signal_strength = "none"
wifi_calling_enabled = false
wifi_calling_mms_over_wifi = false
vpn_connected = false
[device.active_apn_settings]
apn_name = "internet"
[device.app_statuses.messaging]
permissions = {sms = true, storage = false}
"""


def task(name: str, **criteria: Any) -> dict[str, Any]:
    """A task of the mock domain. Keys of `criteria` are evaluation_criteria's."""
    told = {"reason_for_call": "You want your list changed.", "known_info": "You are u1."}
    return {
        "id": name, "user_scenario": {"instructions": told},
        "evaluation_criteria": {"actions": [], **criteria},
    }  # fmt: skip


def create(title: str = "Milk") -> dict[str, Any]:
    return {"action_id": "a", "name": "create_task", "arguments": {"user_id": "u1", "title": title}}


def tasks() -> list[dict[str, Any]]:
    """Enough for every split; the last two cannot be played."""
    held = {"env_type": "assistant", "func_name": "assert_task_status"}
    return [
        task("make", actions=[create()], reward_basis=["DB"]),
        task("told", actions=[create("Rice")], communicate_info=["1204.50"]),
        task("vacuous", reward_basis=["DB", "NL_ASSERTION"], nl_assertions=["The agent is kind"]),
        task("handed", actions=[_transfer()], reward_basis=["DB", "ACTION"]),
        task(
            "held", actions=[create()], reward_basis=["ENV_ASSERTION"],
            env_assertions=[{**held, "arguments": {"task_id": "task_2", "expected_status": "pending"}}],
        ),
        {**task("begun", actions=[create()]), "initial_state": {"message_history": [{"role": "user"}]}},
        {**task("words"), "evaluation_criteria": {"nl_assertions": ["It went well"]}},
    ]  # fmt: skip


def _transfer() -> dict[str, Any]:
    given = {"summary": "It cannot be done."}
    return {"action_id": "t", "name": "transfer_to_human_agents", "arguments": given, "compare_args": []}


def phone_tasks() -> list[dict[str, Any]]:
    user = {"env_type": "user", "arguments": {}}
    return [{
        **task(
            f"phone-{n}", actions=[{"action_id": "d", "requestor": "user", "name": "toggle_data", "arguments": {}}],
            reward_basis=["ENV_ASSERTION"],
            env_assertions=[{**user, "func_name": "assert_mobile_data_status", "arguments": {"expected_status": True}}],
        ),
        "initial_state": {"initialization_actions": [
            {**user, "func_name": "set_user_info", "arguments": {"name": "Ada", "phone_number": "555-1"}},
            {**user, "func_name": "turn_data_off"},
        ]},
    } for n in range(5)]  # fmt: skip


def data_folder(root: Path, below: str = "", *, mock: Any = None, phone: Any = None, split: Any = None) -> Path:
    """`root` with the domains in it, `below` it where a checkout has them. `mock` and `phone` are other tasks."""
    here = root / below / "mock"
    here.mkdir(parents=True)
    _write(here / "db.json", {"users": USERS, "tasks": TASKS})
    _write(here / "user_db.json", NOTIFICATIONS)
    _write(here / "tasks.json", tasks() if mock is None else mock)
    if split is not None:
        _write(here / "split_tasks.json", split)
    (here / "policy.md").write_text("Help users with their tasks.")
    telecom = root / below / "telecom"
    telecom.mkdir()
    (telecom / "db.toml").write_text(TELECOM)
    (telecom / "user_db.toml").write_text(PHONE)
    _write(telecom / "tasks.json", phone_tasks() if phone is None else phone)
    for name in ("main_policy.md", "tech_support_manual.md"):
        (telecom / name).write_text("Mend telephones.")
    return root


def _write(path: Path, document: Any) -> None:
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")


def install(monkeypatch: pytest.MonkeyPatch, name: str = "tau2") -> None:
    """Let the plugin be found as an installed one, also where the installation is older than its entry point."""
    entries = list(entry_points(group="dialog_rl"))
    if all(entry.name != name for entry in entries):
        ours = EntryPoint(name, f"dialog_rl_{name}", "dialog_rl")
        vars(ours).update(dist=distribution("dialog_rl"))
        monkeypatch.setattr(discovery, "entry_points", lambda group: [*entries, ours])


def stage_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    install(monkeypatch)
    return open_stage(load_plugins().registry, f"tau2:{folder}")
