"""ABCD's rules as customers: each has its actions, in their order, and nobody else is served."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from dialog_rl_abcd.importing import Abcd, Shop

from dialog_rl import metrics
from dialog_rl.episode import Episode, Message, Role, ToolCall
from dialog_rl.errors import ScenarioError
from dialog_rl.lint_sourced import EXPERT, FLOOR, play
from dialog_rl.plugins.loading import load_plugins
from dialog_rl.sources import Imported
from dialog_rl.staging import Stage, open_stage
from tests.tau2.small import install

DATA = os.environ.get("DIALOG_RL_DATA", "")
HERE = Path(DATA) / "abcd"
needs_data = pytest.mark.skipif(not (DATA and HERE.is_dir()), reason="DIALOG_RL_DATA does not name a folder with ABCD")

KB = {"lost": ["pull-up", "check-owner", "offer-refund"], "late": ["pull-up", "log-out-in"]}
ONTOLOGY = {
    "intents": {"subflows": {"parcel_issue": ["lost", "late"]}},
    "actions": {
        "kb_query": {"check-owner": ["customer_name", "order_id", "zip_code"]},
        "interaction": {"pull-up": ["customer_name"], "offer-refund": ["amount", "email"]},
        "faq_policy": {"log-out-in": []},
    },
    "values": {"enumerable": {"customer_name": ["Ada Low", "Bob May", "Cid Ray", "Dee Fox", "Eve Orr"]}},
}  # fmt: skip


def step(button: str, text: str, *subtext: str) -> dict[str, Any]:
    return {"button": button, "text": text, "subtext": list(subtext)}


GUIDELINES = {"Parcel Issue": {"description": "parcels", "subflows": {
    "Parcel Lost": {"instructions": ["Be kind.", "Say goodbye."], "actions": [
        step("Pull Up", "Ask for the name."), step("Check Owner", "Ask for", "Full name", "Zip code"),
        step("N/A", "Say it."), step("Offer Refund", "Enter the dollar amount."),
    ]},
    "Parcel Late": {"actions": [step("Log Out/In", "Again."), step("Pull Up", "Ask for the name.")]},
}}}  # fmt: skip
CHAT = {
    "convo_id": 7,
    "original": [["agent", "Hi!"], ["customer", "It is lost"], ["customer", "Help"], ["action", "Pulled up."],
                 ["agent", "Here you are"], ["customer", "Bye"]],
    "delexed": [{"targets": ["lost", "retrieve_utterance", None, [], 1]}, {"targets": ["lost", None, None, [], -1]},
                {"targets": ["lost", None, None, [], -1]},
                {"targets": ["lost", "take_action", "pull-up", ["ada low"], -1]},
                {"targets": ["lost", "retrieve_utterance", None, [], 2]}, {"targets": ["lost", None, None, [], -1]}],
}  # fmt: skip


def data_folder(root: Path, **documents: Any) -> Path:
    root.mkdir(parents=True)
    for name, document in {"kb": KB, "ontology": ONTOLOGY, "guidelines": GUIDELINES, **documents}.items():
        (root / f"{name}.json").write_text(json.dumps(document))
    return root


def brought(root: Path, **documents: Any) -> Imported:
    (one,) = Abcd().bring(data_folder(root / "data", **documents), root / "out")
    return one


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    install(monkeypatch, "abcd")
    return open_stage(load_plugins().registry, f"abcd:{brought(tmp_path).folder}")


def shop(root: Path, **documents: Any) -> Shop:
    return Abcd().open(brought(root, **documents).folder)


def conversed(stage: Stage, *wanted: ToolCall) -> Episode:
    """The first training customer with an agent who makes these calls and says that it is done."""
    scenario = stage.pack.source.scenario(0, split="train", phrasing="train")  # type: ignore[attr-defined]
    conversation = stage.conversation(scenario, 1, episode_id="e")
    left = list(wanted)
    while conversation.stopped is None:
        call = left.pop(0) if left else None
        text = str(call) if call else "That has been taken care of. Is there anything else?"
        conversation.act(Message(role=Role.ASSISTANT, text=text, tool_call=call))
    return conversation.episode()


def gold(stage: Stage) -> list[ToolCall]:
    scenario = stage.pack.source.scenario(0, split="train", phrasing="train")  # type: ignore[attr-defined]
    return [ToolCall(name=c.tool, arguments=c.arguments) for c in scenario.success.actions.required]


def test_every_subflow_is_served_by_its_actions_and_by_nothing_else(stage: Stage) -> None:
    played = play(stage)
    assert played.customers == 6 and not played.failed and len(played.reached[EXPERT]) == 6
    assert not any(played.reached[agent] for agent in FLOOR)


def test_a_query_is_told_all_that_the_guidelines_name_and_another_action_one_thing(stage: Stage) -> None:
    assert [sorted(call.arguments) for call in gold(stage)] == [
        ["customer_name"], ["customer_name", "zip_code"], ["amount"],
    ]  # fmt: skip


def test_the_order_counts(stage: Stage) -> None:
    first, second, third = gold(stage)
    assert metrics.success(conversed(stage, first, second, third)).reached
    assert not metrics.success(conversed(stage, second, first, third)).gates["actions"]


def test_a_query_that_does_not_agree_with_the_record_is_refused(stage: Stage) -> None:
    first, _, third = gold(stage)
    wrong = ToolCall(name="check-owner", arguments={**first.arguments, "zip_code": "1"})
    episode = conversed(stage, first, wrong, third)
    assert metrics.tool_errors(episode) == 1 and not metrics.success(episode).reached


def test_no_two_splits_share_a_customer(stage: Stage) -> None:
    source = stage.pack.source  # type: ignore[attr-defined]
    names = {split: {source.scenario(n, split=split, phrasing="train").initial.facts["customer_name"] for n in (0, 1)}
             for split in ("train", "validation", "heldout")}  # fmt: skip
    assert not names["train"] & names["validation"] and not names["train"] & names["heldout"]
    assert not names["validation"] & names["heldout"]


def test_guidelines_in_another_order_than_the_rules_are_named(tmp_path: Path) -> None:
    assert brought(tmp_path).remarks == (
        "1 guidelines name their actions in another order than kb.json, which counts: late",
    )


def test_the_guidelines_are_the_policy(stage: Stage) -> None:
    assert "## Parcel Lost" in stage.pack.policy_text and "1. Ask for the name." in stage.pack.policy_text


def test_chats_become_episodes_with_their_actions_as_calls(tmp_path: Path) -> None:
    found = shop(tmp_path, abcd_sample=[CHAT]).recorded(None)
    (episode,) = found.episodes
    assert [turn.user.text for turn in episode.turns] == ["It is lost\nHelp", "Bye"]
    called = [step.message.tool_call for step in episode.steps if step.message.tool_call is not None]
    assert [(call.name, call.arguments) for call in called] == [("pull-up", {"value1": "ada low"})]
    assert {f.name: f.value for f in found.figures} == {
        "conversations": 1, "actions in the order of the rules": 1, "all actions of the rules taken": 0,
    }  # fmt: skip


def test_a_folder_without_chats_says_so(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="no chats were imported"):
        shop(tmp_path).recorded(None)


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        ({"kb": {"lost": ["pull-up"]}}, "not ABCD's rules: KeyError: 'late'"),
        ({"kb": {**KB, "late": ["juggle"]}}, "juggle is no action of the ontology"),
        ({"ontology": []}, "not ABCD's rules: TypeError"),
        ({"abcd_sample": [{"convo_id": 1}]}, "chat 0: not a chat of ABCD's: KeyError: 'original'"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, documents: dict[str, Any], message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        brought(tmp_path, **documents)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="guidelines.json, kb.json, ontology.json missing"):
        Abcd().bring(tmp_path, tmp_path / "out")


@needs_data
@pytest.mark.slow
def test_all_55_subflows_reach_gold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (found,) = Abcd().bring(HERE, tmp_path / "out")
    assert set(found.splits.values()) == {55}
    install(monkeypatch, "abcd")
    played = play(open_stage(load_plugins().registry, f"abcd:{found.folder}"))
    assert len(played.reached[EXPERT]) == 165 and not played.failed
