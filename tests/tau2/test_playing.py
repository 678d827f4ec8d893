"""An imported domain played: who knows gets there, who does nothing does not; what tau2 pays is told beside."""

from __future__ import annotations

from pathlib import Path

import pytest
from dialog_rl_tau2.importing import Tau2

from dialog_rl import metrics
from dialog_rl.episode import Episode, Message, Role, StopReason, ToolCall
from dialog_rl.errors import ScenarioError
from dialog_rl.expert import Expert
from dialog_rl.goals import make_scenario
from dialog_rl.lint_sourced import CLAIMING, EXPERT, IDLE, findings, play
from dialog_rl.seeds import generator
from dialog_rl.staging import Customers, Stage
from tests.tau2.small import data_folder, stage_of


@pytest.fixture
def stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Stage]:
    Tau2().bring(data_folder(tmp_path / "data"), tmp_path / "out")
    return {name: stage_of(tmp_path / "out" / name, monkeypatch) for name in ("mock", "telecom")}


def conversed(stage: Stage, task: str, *said: str | ToolCall) -> Episode:
    """One task's conversation with an agent who says and calls these things; the last again and again."""
    source = stage.pack.source  # type: ignore[attr-defined]
    number, split = next((ids.index(task), split) for split, ids in source.manifest.splits.items() if task in ids)
    conversation = stage.conversation(source.scenario(number, split=split, phrasing="train"), 1, episode_id=task)
    waiting = list(said)
    while conversation.stopped is None:
        what = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        call = what if isinstance(what, ToolCall) else None
        conversation.act(Message(role=Role.ASSISTANT, text=str(what), tool_call=call))
    return conversation.episode()


def make_milk(title: str = "Milk") -> ToolCall:
    return ToolCall(name="create_task", arguments={"user_id": "u1", "title": title})


DONE = "That is done. Is there anything else?"


@pytest.mark.parametrize("name", ["mock", "telecom"])
def test_the_gold_actions_reach_every_goal_and_doing_nothing_none(stages: dict[str, Stage], name: str) -> None:
    played = play(stages[name])
    assert played.customers == 5 and not played.failed
    assert len(played.reached[EXPERT]) == len(played.paid[EXPERT]) == 5
    assert not played.reached[IDLE] and not played.reached[CLAIMING]


def test_lint_names_the_tasks_that_tau2_pays_for_doing_nothing(stages: dict[str, Stage]) -> None:
    found = findings(stages["mock"])
    assert {f.place for f in found} == {"tasks vacuous"} and {f.severity for f in found} == {"warning"}


def test_the_right_call_succeeds_whoever_makes_it(stages: dict[str, Stage]) -> None:
    judged = metrics.success(conversed(stages["mock"], "make", make_milk(), "Shall I go on?", DONE))
    assert judged.reached


def test_another_title_is_another_end_of_the_records(stages: dict[str, Stage]) -> None:
    episode = conversed(stages["mock"], "make", make_milk("Mulk"), "Shall I go on?", DONE)
    assert not metrics.success(episode).gates["db"]
    theirs = metrics.benchmark(episode)
    assert theirs is not None and not theirs.reached


def test_one_change_too_many_fails(stages: dict[str, Stage]) -> None:
    episode = conversed(stages["mock"], "make", make_milk(), make_milk(), "Shall I go on?", DONE)
    assert metrics.success(episode).wrong_changes > 0


def test_what_must_be_told_counts_by_both_rules(stages: dict[str, Stage]) -> None:
    silent = conversed(stages["mock"], "told", make_milk("Rice"), "Shall I go on?", DONE)
    assert not metrics.success(silent).gates["communicate"]


def test_an_assertion_is_judged_by_how_things_end(stages: dict[str, Stage]) -> None:
    episode = conversed(stages["mock"], "held", make_milk("Anything"), "Shall I go on?", DONE)
    assert metrics.success(episode).gates["facts"]
    assert not metrics.success(conversed(stages["mock"], "held", "...")).gates["facts"]


def test_handing_over_ends_the_conversation_and_counts_where_it_was_wanted(stages: dict[str, Stage]) -> None:
    episode = conversed(stages["mock"], "handed", ToolCall(name="transfer_to_human_agents", arguments={"summary": "x"}))
    assert episode.stop is StopReason.AGENT_DONE and metrics.success(episode).reached


def test_a_customer_does_what_they_are_told_and_says_what_came_of_it(stages: dict[str, Stage]) -> None:
    episode = conversed(stages["telecom"], "phone-0", "Please turn on mobile data.", DONE)
    assert episode.turns[1].user.text.startswith("Mobile Data is now ON.")
    assert metrics.success(episode).reached


def test_a_switch_that_stands_as_it_should_is_left_alone(stages: dict[str, Stage]) -> None:
    episode = conversed(stages["telecom"], "phone-0", "Please turn off airplane mode.", "...")
    assert all(act.kind != "did" for turn in episode.turns for act in turn.user.acts)


def test_a_customer_sees_for_themselves_whether_it_works(stages: dict[str, Stage]) -> None:
    episode = conversed(stages["telecom"], "phone-0", DONE)
    assert episode.turns[1].user.text == "It still does not work."
    assert not metrics.success(episode).reached


def test_the_same_customers_are_met_by_number_and_no_more_than_there_are(stages: dict[str, Stage]) -> None:
    met = [scenario.provenance.task for scenario, _ in Customers(split="train").scenarios(stages["telecom"].pack, 99)]
    assert met == ["phone-0", "phone-1", "phone-2"]


def test_a_split_without_customers_says_which_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Tau2().bring(data_folder(tmp_path / "data", split={"train": ["make"], "test": []}), tmp_path / "out")
    stage = stage_of(tmp_path / "out" / "mock", monkeypatch)
    with pytest.raises(ScenarioError, match="no heldout customers; there are: train 1"):
        make_scenario(stage.pack, 0, split="heldout")


def test_the_scripted_expert_says_that_it_has_no_plans_here(stages: dict[str, Stage]) -> None:
    with pytest.raises(ScenarioError, match="no plans to walk"):
        Expert(stages["mock"].pack, generator(0, "expert"))


def test_a_logged_conversation_is_had_again_from_its_own_scenario(stages: dict[str, Stage]) -> None:
    logged = conversed(stages["mock"], "make", make_milk(), "Shall I go on?", DONE)
    again = stages["mock"].again(logged)
    assert again.unobserved()[1].text == logged.turns[0].user.text


def test_a_models_manual_has_the_rules_and_every_tool(stages: dict[str, Stage]) -> None:
    conversation = stages["mock"].conversation(make_scenario(stages["mock"].pack, 0), 0, episode_id="e")
    manual = conversation.unobserved()[0].manual
    assert manual is not None and manual.policy == "Help users with their tasks."
    assert {tool["function"]["name"] for tool in manual.tools} >= {"create_task", "get_users"}
