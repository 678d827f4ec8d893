"""Recorded chats through our tools: what was paid is paid again, and what was not is not."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from dialog_rl_tau2.chats import recorded
from dialog_rl_tau2.checkout import Checkout, open_checkout

from dialog_rl.episode import StopReason
from dialog_rl.errors import ScenarioError
from tests.tau2.small import data_folder

DATA = os.environ.get("DIALOG_RL_DATA", "")
CHATS = Path(DATA) / "tau1" / "gpt-4o-airline.visible.json"


@pytest.fixture
def mock(tmp_path: Path) -> Checkout:
    return open_checkout(data_folder(tmp_path / "data"), "mock")


def called(title: str) -> dict[str, Any]:
    arguments = json.dumps({"user_id": "u1", "title": title})
    return {"role": "assistant", "content": None, "tool_calls": [
        {"function": {"name": "create_task", "arguments": arguments}},
    ]}  # fmt: skip


def chat(*told: dict[str, Any], reward: float, leaves: bool = True, outputs: tuple[str, ...] = ()) -> dict[str, Any]:
    wanted = {"name": "create_task", "kwargs": {"user_id": "u1", "title": "Milk"}}
    task = {"user_id": "u1", "actions": [wanted], "instruction": "You want milk.", "outputs": list(outputs)}
    last = {"role": "user", "content": "Thanks ###STOP###" if leaves else "And then?"}
    opening = {"role": "user", "content": "Milk, please"}
    return {"task_id": 3, "trial": 1, "reward": reward, "info": {"task": task}, "traj": [
        {"role": "system", "content": "Help."}, opening, *told, last,
    ]}  # fmt: skip


def agreement(checkout: Checkout, folder: Path, *runs: dict[str, Any]) -> float:
    (folder / "runs.json").write_text(json.dumps(list(runs)))
    return {f.name: f.value for f in recorded(checkout, folder / "runs.json").figures}["recorded reward is ours too"]


ANSWER = {"role": "tool", "content": "{}"}
SAID = {"role": "assistant", "content": "Done, that is 1,204.50."}


def test_a_chat_that_did_what_was_wanted_is_paid(mock: Checkout, tmp_path: Path) -> None:
    assert agreement(mock, tmp_path, chat(called("Milk"), ANSWER, SAID, reward=1.0)) == 1
    assert agreement(mock, tmp_path, chat(called("Rice"), ANSWER, SAID, reward=1.0)) == 0


def test_what_had_to_be_told_counts(mock: Checkout, tmp_path: Path) -> None:
    assert agreement(mock, tmp_path, chat(called("Milk"), ANSWER, SAID, reward=1.0, outputs=("1204.50",))) == 1
    assert agreement(mock, tmp_path, chat(called("Milk"), ANSWER, SAID, reward=0.0, outputs=("1205",))) == 1


def test_a_chat_that_nobody_ended_is_not_paid(mock: Checkout, tmp_path: Path) -> None:
    assert agreement(mock, tmp_path, chat(called("Milk"), ANSWER, SAID, reward=0.0, leaves=False)) == 1


def test_episodes_say_again_what_was_said_and_have_no_tokens(mock: Checkout, tmp_path: Path) -> None:
    (tmp_path / "runs.json").write_text(json.dumps([chat(called("Milk"), ANSWER, SAID, reward=1.0)]))
    (episode,) = recorded(mock, tmp_path / "runs.json").episodes
    assert [message.text for message in episode.messages()][1:5:3] == ["Milk, please", "Done, that is 1,204.50."]
    assert episode.stop is StopReason.USER_LEFT
    assert not any(step.action_ids or step.logprobs for step in episode.steps)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "a list of tau-bench's runs is expected, found dict"),
        ([{"task_id": 1}], "run 0: not a run of tau-bench's: KeyError: 'info'"),
    ],
)
def test_another_file_is_refused_by_name(mock: Checkout, tmp_path: Path, document: Any, message: str) -> None:
    (tmp_path / "runs.json").write_text(json.dumps(document))
    with pytest.raises(ScenarioError, match=message):
        recorded(mock, tmp_path / "runs.json")


@pytest.mark.skipif(not CHATS.is_file(), reason="DIALOG_RL_DATA does not name a folder with tau-bench's chats")
@pytest.mark.slow
def test_a_strong_agents_chats_are_paid_as_they_were() -> None:
    found = recorded(open_checkout(Path(DATA) / "tau2", "airline"), CHATS)
    figures = {figure.name: figure.value for figure in found.figures}
    assert figures["conversations"] == 80 and figures["recorded reward is ours too"] >= 0.98
