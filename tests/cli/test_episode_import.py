"""`dialog-rl episodes import`: chats become episodes in a log, and a regression set that proves itself."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Run
from tests.test_chatlogs import MESSAGES

IDLE = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Hello!"}]


def written(home: Path) -> str:
    lines = [json.dumps({"messages": messages}) for messages in (MESSAGES, IDLE, MESSAGES)]
    (home / "chats.jsonl").write_text("\n".join(lines))
    return "chats.jsonl"


def test_chats_go_into_a_log_once(run: Run, home: Path) -> None:
    outcome = run("episodes", "import", written(home), "--log", "own.db", "--json")
    document = outcome.json()
    assert (document["chats"], document["episodes"], document["added"]) == (3, 2, 2)
    assert document["redacted"] == {"name": 2}
    assert run("episodes", "import", "chats.jsonl", "--log", "own.db", "--json").json()["added"] == 0
    assert "Ines" not in run("episodes", "export", "own.db").out


def test_a_draft_is_passed_by_the_recorded_agent_and_by_nobody_who_does_nothing(run: Run, home: Path) -> None:
    document = run("episodes", "import", written(home), "--run", "i", "--draft", "set", "--json").json()
    assert document["draft"]["scenarios"] == 1
    (reason,) = document["draft"]["refused"].values()
    assert "nothing in it can be checked" in reason
    scenario = json.loads((home / "set" / "chats.jsonl").read_text())["scenario"]
    assert scenario["success"]["actions"]["required"] == [{"tool": "cancel_order", "arguments": {"order_id": "4471"}}]
    assert [told["any_of"] for told in scenario["success"]["communicate"]] == [["35.20"]]
    outcome = run("evaluate", "expert", "--pack", "./set", "--simulator", "replayed", "--no-pay", "--json")
    (expert,) = outcome.json()["contestants"]
    assert (expert["success"]["hits"], expert["success"]["total"]) == (1, 1)


def test_a_draft_is_not_written_over(run: Run, home: Path) -> None:
    (home / "set").mkdir()
    outcome = run("episodes", "import", written(home), "--run", "i", "--draft", "set")
    assert outcome.code == 2 and "is there already" in outcome.error()
