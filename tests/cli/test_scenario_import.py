from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.multiwoz.small import data_folder as only_validation
from tests.tau2.small import data_folder, install, phone_tasks, task

Run = Callable[..., Any]


@pytest.fixture
def data(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    install(monkeypatch)
    return data_folder(home / "checkout", "data/tau2/domains")


def test_an_import_says_how_many_can_be_played_and_why_the_others_cannot(run: Run, data: Path) -> None:
    outcome = run("scenarios", "import", "tau2", "checkout")
    assert outcome.code == 0
    assert "tau2_mock: 1 left out: begins in the middle of a conversation (message_history)" in outcome.out
    packs = {p["pack"]: p for p in run("scenarios", "import", "tau2", "checkout", "--json").json()["packs"]}
    assert (packs["tau2_mock"]["tasks"], packs["tau2_mock"]["playable"]) == (7, 5)
    assert packs["tau2_mock"]["does_nothing"] == {"ours": 0, "theirs": 1}
    assert packs["tau2_telecom"]["expert"] == {"ours": 5, "theirs": 5}


def test_what_an_import_proposes_to_try_works(run: Run, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "multiwoz")
    only_validation(data / "mw")
    proposed = {
        name: run("scenarios", "import", name, str(folder)).out.partition("Try one:  dialog-rl ")[2].split()
        for name, folder in (("tau2", data), ("multiwoz", data / "mw"))
    }
    assert "--split" not in proposed["tau2"] and proposed["multiwoz"][-2:] == ["--split", "validation"]
    assert [run(*words).code for words in proposed.values()] == [0, 0]


def test_an_imported_pack_can_be_listed_shown_linted_simulated_and_evaluated(run: Run, data: Path) -> None:
    run("scenarios", "import", "tau2", "checkout", "--out", "packs")
    assert "packs/telecom" in run("scenarios", "list", "packs").out
    assert "create_task" in run("scenarios", "show", "packs/mock").out
    assert "create_task" in run("scenarios", "show", "packs/mock", "--customer", "0", "--split", "train").out
    assert run("scenarios", "lint", "tau2:packs/mock").code == 0
    played = run("simulate", "--pack", "tau2:packs/telecom", "--version", "expert", "--count", "3", "--json")
    assert played.json()["reached"] == 3
    outcome = run("evaluate", "expert", "--pack", "packs/mock", "--split", "train", "--no-pay")
    assert outcome.code == 0 and "success by their rules" in outcome.out


def test_what_only_playing_shows_is_left_out_too(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    settings = {"apn_settings": {"apn_name": "internet"}}
    written = [{"action_id": "w", "requestor": "user", "name": "set_apn_settings", "arguments": settings}]
    connected = {
        "env_type": "user",
        "func_name": "assert_service_status",
        "arguments": {"expected_status": "connected"},
    }
    unsaid = task("unsaid", actions=written, env_assertions=[connected], reward_basis=["ENV_ASSERTION"])
    broken = [{"env_type": "user", "func_name": "break_apn_settings"}]
    phone = [*phone_tasks(), {**unsaid, "initial_state": {"initialization_actions": broken}}]
    data_folder(home / "data", phone=phone)
    outcome = run("scenarios", "import", "tau2", "data", "--json")
    assert outcome.code == 0, outcome.err
    packs = {p["pack"]: p for p in outcome.json()["packs"]}
    assert (packs["tau2_telecom"]["tasks"], packs["tau2_telecom"]["playable"]) == (6, 5)
    assert "missing: facts" in packs["tau2_telecom"]["refused"]["unsaid"]
    assert (
        run("simulate", "--pack", "tau2/telecom", "--version", "expert", "--count", "9", "--json").json()["reached"]
        == 9
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("tau2", "nowhere"), "nowhere: no such folder; a checkout of tau2-bench is wanted"),
        (("tau3", "checkout"), "did you mean 'tau2'?"),
    ],
)
def test_what_cannot_be_imported_is_one_clear_line(run: Run, data: Path, arguments: Any, message: str) -> None:
    outcome = run("scenarios", "import", *arguments)
    assert outcome.code == 2 and message in outcome.error()


def test_a_pack_of_ones_own_is_none_of_tau2(run: Run, data: Path) -> None:
    run("scenarios", "new", "workshop")
    outcome = run("scenarios", "show", "tau2:workshop")
    assert outcome.code == 2 and "not of 'tau2'" in outcome.error()


def test_recorded_chats_are_measured_and_kept(run: Run, data: Path, home: Path) -> None:
    run("scenarios", "import", "tau2", "checkout", "--out", "packs")
    task = {"actions": [], "instruction": "You want nothing.", "outputs": []}
    said = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]
    left = {"role": "user", "content": "###STOP###"}
    (home / "runs.json").write_text(
        json.dumps([{"task_id": 1, "reward": 1.0, "info": {"task": task}, "traj": [*said, left]}])
    )
    outcome = run("scenarios", "chats", "packs/mock", "runs.json", "--log", "kept.db", "--json")
    assert {"name": "recorded reward is ours too", "value": 1.0, "published": None, "note": ""} in outcome.json()[
        "figures"
    ]
    assert "Hi" in run("episodes", "show", "tau-mock-1-0", "kept.db").out


def test_a_pack_of_ones_own_has_no_recorded_chats(run: Run, data: Path) -> None:
    outcome = run("scenarios", "chats", "retail")
    assert outcome.code == 2 and "nothing is recorded for this pack" in outcome.error()
