"""tau2's solo mode: an agent alone with a ticket and everybody's tools."""

from __future__ import annotations

from pathlib import Path

import pytest
from dialog_rl_tau2.importing import Tau2
from dialog_rl_tau2.solo import NOBODY

from dialog_rl import metrics
from dialog_rl.episode import Episode, StopReason, ToolCall
from dialog_rl.lint_sourced import EXPERT, findings, play
from dialog_rl.sources import Imported
from dialog_rl.staging import Stage, manual_of
from tests.tau2.small import create, data_folder, phone_tasks, stage_of, task
from tests.tau2.test_playing import conversed

TICKET = "Somebody's mobile data is off. Turn it on."
TASKS = [
    {**task("make", actions=[create()]), "ticket": "Make a task called Milk for u1."},
    {**task("told", actions=[create("Rice")], communicate_info=["12"]), "ticket": "Make Rice and say 12."},
    task("bare", actions=[create()]),
]


@pytest.fixture
def brought(tmp_path: Path) -> dict[str, Imported]:
    data = data_folder(tmp_path / "data", mock=TASKS, phone=[{**one, "ticket": TICKET} for one in phone_tasks()])
    (data / "mock" / "policy_solo.md").write_text("Work alone.")
    (data / "telecom" / "main_policy_solo.md").write_text("Mend telephones alone.")
    return {one.folder.name: one for one in Tau2().bring(data, tmp_path / "out")}


@pytest.fixture
def phone(brought: dict[str, Imported], monkeypatch: pytest.MonkeyPatch) -> Stage:
    return stage_of(brought["telecom_solo"].folder, monkeypatch)


def alone(stage: Stage, *tools: str) -> Episode:
    return conversed(stage, "phone-0", *(ToolCall(name=tool, arguments={}) for tool in tools))


def test_a_domain_with_rules_for_an_agent_alone_is_imported_for_one_too(brought: dict[str, Imported]) -> None:
    assert set(brought) == {"mock", "mock_solo", "telecom", "telecom_solo"}


def test_what_nobody_alone_can_be_asked_is_refused_with_the_reason(brought: dict[str, Imported]) -> None:
    refused = brought["mock_solo"].refused
    assert "nobody to say it to" in refused["told"] and "has no ticket" in refused["bare"]
    assert set(refused) == {"told", "bare"} and not brought["mock"].refused


def test_the_gold_actions_of_both_sides_reach_every_goal_and_doing_nothing_none(phone: Stage) -> None:
    played = play(phone)
    assert len(played.reached[EXPERT]) == len(played.paid[EXPERT]) == played.customers == 5 and not findings(phone)


def test_the_ticket_is_all_that_is_said_and_done_ends_it(phone: Stage) -> None:
    episode = alone(phone, "toggle_data", "done")
    assert [turn.user.text for turn in episode.turns] == [TICKET]
    assert episode.stop is StopReason.AGENT_DONE and metrics.success(episode).reached


def test_saying_that_it_is_done_without_doing_it_is_no_success(phone: Stage) -> None:
    assert not metrics.success(alone(phone, "done")).reached


def test_words_reach_nobody(phone: Stage) -> None:
    episode = conversed(phone, "phone-0", "Please turn on mobile data.", ToolCall(name="done", arguments={}))
    assert episode.turns[1].user.text == NOBODY and not metrics.success(episode).reached


def test_with_a_customer_there_the_agent_cannot_reach_for_their_telephone(
    brought: dict[str, Imported], monkeypatch: pytest.MonkeyPatch
) -> None:
    attended = stage_of(brought["telecom"].folder, monkeypatch)
    (first, *_) = conversed(attended, "phone-0", ToolCall(name="toggle_data", arguments={}), "Goodbye.").steps
    assert first.result is not None and first.result.error


def test_the_manual_names_the_tools_of_both_sides_and_how_to_end(phone: Stage) -> None:
    manual = manual_of(phone.pack)
    assert {"toggle_data", "get_customer_by_phone", "done"} <= {tool["function"]["name"] for tool in manual.tools}
    assert manual.policy.startswith("Mend telephones alone.")
