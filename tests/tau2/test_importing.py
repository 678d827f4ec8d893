from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from dialog_rl_tau2 import domains
from dialog_rl_tau2.importing import Tau2
from dialog_rl_tau2.manifest import read_manifest

from dialog_rl.errors import ScenarioError
from tests.tau2.small import create, data_folder, task, tasks


def brought(root: Path, **made: Any) -> dict[str, Any]:
    """Domain → what became of it."""
    return {one.folder.name: one for one in Tau2().bring(data_folder(root / "data", **made), root / "out")}


@pytest.mark.parametrize("below", ["", "domains", "tau2", "tau2/domains", "data/tau2/domains"])
def test_a_checkout_and_every_folder_on_the_way_to_its_domains_will_do(tmp_path: Path, below: str) -> None:
    assert set(brought(tmp_path, below=below)) == {"mock", "telecom"}


@pytest.mark.parametrize("place", ["data/simulation_guidelines.md", "data/user_simulator/simulation_guidelines.md"])
def test_who_plays_the_customers_is_told_how(tmp_path: Path, place: str) -> None:
    data = data_folder(tmp_path / "data", "domains")
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text("Play the customer.")
    (found, *_) = Tau2().bring(data, tmp_path / "out")
    assert Tau2().open(found.folder).pack.guidelines == "Play the customer."


def test_one_domain_can_be_named_alone(tmp_path: Path) -> None:
    found = Tau2().bring(data_folder(tmp_path / "data") / "mock", tmp_path / "out")
    assert [one.folder.name for one in found] == ["mock"]


def test_what_cannot_be_played_is_refused_with_the_reason(tmp_path: Path) -> None:
    refused = brought(tmp_path)["mock"].refused
    assert "message_history" in refused["begun"] and "need a judge" in refused["words"]
    assert set(refused) == {"begun", "words"}


def test_a_task_whose_gold_actions_do_not_meet_its_assertions_is_refused(tmp_path: Path) -> None:
    wrong = {"env_type": "assistant", "func_name": "assert_number_of_tasks"}
    wrong["arguments"] = {"user_id": "u1", "expected_number": 9}  # type: ignore[assignment]
    refused = brought(tmp_path, mock=[task("t", actions=[create()], env_assertions=[wrong])])["mock"].refused
    assert refused == {"t": "after its own gold actions not all of its assertions hold"}


def test_what_tau2_holds_out_is_held_out(tmp_path: Path) -> None:
    split = {"train": ["make", "told"], "test": ["held", "vacuous"]}
    brought(tmp_path, split=split)
    assert read_manifest(tmp_path / "out" / "mock").splits["heldout"] == ("held", "vacuous")


def test_without_test_tasks_some_are_held_out_and_it_is_said(tmp_path: Path) -> None:
    found = brought(tmp_path, split={"train": [t["id"] for t in tasks()], "test": ["far", "away"]})["mock"]
    assert found.splits["heldout"] == 1 and "none of the 2 tasks that tau2 holds out" in found.remarks[0]


def test_an_imported_folder_can_be_written_again_and_a_foreign_one_is_left_alone(tmp_path: Path) -> None:
    brought(tmp_path)
    Tau2().bring(tmp_path / "data", tmp_path / "out")
    (tmp_path / "mine" / "mock").mkdir(parents=True)
    (tmp_path / "mine" / "mock" / "diary.txt").write_text("mine")
    with pytest.raises(ScenarioError, match="was not imported"):
        Tau2().bring(tmp_path / "data", tmp_path / "mine")


def test_a_folder_without_domains_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"data/tau2/domains, .* for mock/ with tasks.json and db.json"):
        Tau2().bring(tmp_path, tmp_path / "out")


@pytest.mark.parametrize("name", ["db.json", "tasks.json", "user_db.json", "policy.md"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    data = data_folder(tmp_path / "data")
    (data / "mock" / name).unlink()
    with pytest.raises(ScenarioError, match=f"there is none of .*{name}"):
        Tau2().bring(data, tmp_path / "out")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"actions": [{**create(), "name": "creat_task"}]}, r"actions.0.name'.*did you mean 'create_task'"),
        ({"actions": [{**create(), "requestor": "cat"}]}, r"actions.0.requestor'"),
        ({"actions": [{**create(), "arguments": [1]}]}, r"actions.0.arguments'"),
        ({"actions": 7}, r"actions'"),
        ({"reward_basis": ["MOOD"]}, r"reward_basis.0'.*'DB'"),
        (
            {"env_assertions": [{"env_type": "assistant", "func_name": "assert_task_statsu"}]},
            r"env_assertions.0.func_name'.*did you mean 'assert_task_status'",
        ),
        ({"env_assertions": [{"env_type": "assistant", "func_name": "run"}]}, "nothing that mock's assistant can do"),
    ],
)
def test_what_is_wrong_in_a_task_is_named_by_file_task_and_key(
    tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(ScenarioError, match=f"tasks.json: entry 0: task t: .*{message}"):
        brought(tmp_path, mock=[task("t", **changed)])


@pytest.mark.parametrize("text", [b"", b"{", b"[" * 5000, b"[7]", b'[{"id": 3}]', b"\xff", b'{"tasks": {"a": NaN}}}'])
@pytest.mark.parametrize("name", ["tasks.json", "db.json"])
def test_a_file_that_is_no_such_thing_is_an_error_that_names_it(tmp_path: Path, name: str, text: bytes) -> None:
    data = data_folder(tmp_path / "data")
    (data / "mock" / name).write_bytes(text)
    with pytest.raises(ScenarioError, match="mock"):
        Tau2().bring(data, tmp_path / "out")


def test_a_huge_file_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(domains, "LARGEST_FILE", 100)
    with pytest.raises(ScenarioError, match=r"tasks.json: more than 0 MB"):
        brought(tmp_path)


def test_nesting_is_limited(tmp_path: Path) -> None:
    deep: Any = 1
    for _ in range(30):
        deep = [deep]
    with pytest.raises(ScenarioError, match="nested deeper than 20"):
        brought(tmp_path, mock=[{**task("t"), "extra": deep}])


def test_records_of_another_shape_are_an_error_in_words(tmp_path: Path) -> None:
    data = data_folder(tmp_path / "data")
    (data / "telecom" / "db.toml").write_text("plans = 5\n")
    with pytest.raises(ScenarioError, match="these are not tau2's records"):
        Tau2().bring(data, tmp_path / "out")


def test_a_manifest_of_another_domain_is_refused(tmp_path: Path) -> None:
    brought(tmp_path)
    path = tmp_path / "out" / "mock" / "tau2.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "domain": "banking"}))
    with pytest.raises(ScenarioError, match="'banking' is none of mock"):
        Tau2().open(path.parent)
