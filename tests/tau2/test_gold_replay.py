"""tau2's gold calls through our tools: every answer, error, hash and assertion as recorded from tau2 itself."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from dialog_rl_tau2.checkout import open_checkout

DATA = os.environ.get("DIALOG_RL_DATA", "")
needs_data = pytest.mark.skipif(not DATA, reason="DIALOG_RL_DATA does not name a folder with tau2's data")


def differences(domain: str) -> tuple[int, list[str]]:
    """How many tasks were replayed, and what was not as recorded."""
    checkout = open_checkout(Path(DATA) / "tau2", domain)
    recorded = json.loads((Path(DATA) / "derived" / f"{domain}.cassette.json").read_text(encoding="utf-8"))
    wrong: list[str] = []
    for wanted in recorded["tasks"]:
        wrong += [f"{wanted['id']}: {what}" for what in _wrong(checkout, wanted)]
    return len(recorded["tasks"]), wrong


def _wrong(checkout: Any, wanted: dict[str, Any]) -> list[str]:
    task = checkout.tasks[wanted["id"]]
    office = checkout.open(task)
    wrong = [] if office.hashes() == tuple(wanted["hash_before"]) else ["records before"]
    for call in wanted["calls"]:
        answer = office.call(call["requestor"], call["name"], call["arguments"])
        if answer != (call["result"], call["error"]):
            wrong.append(f"{call['name']} answers {answer}")
    if office.hashes() != tuple(wanted["hash_after"]):
        wrong.append("records after")
    held = [office.holds(assertion) for assertion in task["evaluation_criteria"].get("env_assertions") or ()]
    return wrong if held == wanted["env_assertions"] else [*wrong, f"assertions {held}"]


@needs_data
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("domain", "tasks"), [("mock", 10), ("retail", 74), ("airline", 30), ("telecom", 74)])
def test_gold_calls_do_what_they_did_in_tau2(domain: str, tasks: int) -> None:
    assert differences(domain) == (tasks, [])
