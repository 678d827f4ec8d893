"""MultiWOZ's goals played, its dialogues judged: what is right is paid, and what is missing is not."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from dialog_rl_multiwoz.corpus import briefing, spoken
from dialog_rl_multiwoz.importing import Cambridge, MultiWoz
from dialog_rl_multiwoz.tables import Tables, read_tables

from dialog_rl import metrics, undeserving
from dialog_rl.episode import Episode, ToolCall
from dialog_rl.errors import ScenarioError
from dialog_rl.plugins.loading import load_plugins
from dialog_rl.sources import Imported
from dialog_rl.staging import Customers, Stage, open_stage
from tests.multiwoz.small import data_folder, dialogue, dinner, served
from tests.tau2.small import install

DATA = os.environ.get("DIALOG_RL_DATA", "")
HERE = Path(DATA) / "multiwoz"
needs_data = pytest.mark.skipif(
    not (DATA and HERE.is_dir()), reason="DIALOG_RL_DATA does not name a folder with MultiWOZ"
)


def brought(root: Path, **dialogues: dict[str, Any]) -> Imported:
    (one,) = MultiWoz().bring(data_folder(root / "data", **dialogues), root / "out")
    return one


def opened(root: Path, **dialogues: dict[str, Any]) -> Cambridge:
    return MultiWoz().open(brought(root, **dialogues).folder)


def staged(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    install(monkeypatch, "multiwoz")
    return open_stage(load_plugins().registry, f"multiwoz:{folder}")


def played(stage: Stage, agent: str = "", count: int = 1) -> list[Episode]:
    found: list[Episode] = []
    for scenario, seed in Customers(split="validation").scenarios(stage.pack, count):
        conversation = stage.conversation(scenario, seed, episode_id=scenario.id)
        speaker = undeserving.agent(agent, conversation.scenario) if agent else stage.expert(conversation)
        while conversation.stopped is None:
            conversation.act(speaker.act(conversation.unobserved()))
        found.append(conversation.episode())
    return found


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    return read_tables(data_folder(tmp_path / "tables") / "db")


# -- the goal


def test_a_goal_falls_back_when_there_is_none_and_when_it_is_full(tmp_path: Path) -> None:
    scenario = opened(tmp_path).scenario(0, split="validation", phrasing="train")
    items = scenario.user.goal.items if scenario.user.goal else ()
    assert [(item.intent, item.refusal) for item in items] == [
        ("find_restaurant", "none"), ("find_restaurant", ""), ("book_restaurant", "full"), ("book_restaurant", ""),
    ]  # fmt: skip
    assert [change.after for change in scenario.success.db.patch or ()] == ["monday", "saint mary's", "2", "19:00"]


def test_the_expert_serves_the_goal_and_who_deserves_nothing_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = staged(brought(tmp_path).folder, monkeypatch)
    assert [metrics.success(e).reached for e in played(stage)] == [True]
    assert not any(metrics.success(e).reached for name in undeserving.AGENTS for e in played(stage, name))


def test_a_goal_that_nothing_fits_is_refused_by_name(tmp_path: Path) -> None:
    goal = dinner(info={"food": "thai", "area": "south"})
    found = brought(tmp_path, A=dialogue(goal), B=served())
    assert found.splits == {"validation": 1} and "no restaurant fits its goal" in found.refused["A"]


def test_a_taxi_goes_between_the_two_places_that_were_found(tmp_path: Path) -> None:
    goal = {
        "hotel": {"info": {"area": "east"}}, "attraction": {"info": {"type": "museum"}},
        "taxi": {"info": {"leaveAt": "09:00"}, "reqt": ["car type", "phone"]},
    }  # fmt: skip
    scenario = opened(tmp_path, D=dialogue(goal)).scenario(0, split="validation", phrasing="train")
    called = scenario.success.db.from_actions[-1]
    assert called.arguments == {"departure": "inn", "destination": "museum of tea", "leaveAt": "09:00"}


def test_a_taxi_between_places_unknown_is_refused(tmp_path: Path) -> None:
    goal = {"hotel": {"info": {"area": "east"}}, "taxi": {"info": {"leaveAt": "09:00"}, "reqt": ["phone"]}}
    assert "between two places, and 1" in brought(tmp_path, D=dialogue(goal)).refused["D"]


# -- the back office


@pytest.mark.parametrize(
    ("domain", "wanted", "names"),
    [
        ("restaurant", {"name": "Saint  mary 's"}, ["saint mary's"]),
        ("restaurant", {"food": "thai", "area": "dontcare"}, ["The Nest", "saint mary's"]),
        ("hotel", {"type": "guest house"}, ["inn"]),
        ("train", {"leaveAt": "07:30"}, ["TR0008", "TR0009"]),
        ("train", {"arriveBy": "08:30"}, ["TR0008", "TR0007"]),
    ],
)
def test_what_fits_is_found_however_it_is_written(
    tables: Tables, domain: str, wanted: dict[str, str], names: list[str]
) -> None:
    assert [tables.key(domain, row) for row in tables.fitting(domain, wanted)] == names


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        (ToolCall(name="find_restaurant", arguments={"colour": "red"}), "no argument colour; there are: area"),
        (ToolCall(name="book_restaurant", arguments={"name": "inn"}), "people is missing"),
        (ToolCall(name="find_ships", arguments={}), "no tool find_ships"),
    ],
)
def test_a_wrong_call_is_answered_in_words(tmp_path: Path, call: ToolCall, answer: str) -> None:
    source = opened(tmp_path)
    office = source.office(source.scenario(0, split="validation", phrasing="train"))
    found = office.call(call)
    assert found.error and answer in found.text and not office.journal()


# -- the dialogues


def figures(source: Cambridge, file: Path | None = None) -> dict[str, float]:
    return {figure.name: figure.value for figure in source.recorded(file).figures}


@pytest.mark.parametrize(
    ("said", "inform", "success"),
    [
        (served(), 100, 100),
        (served(phone=False), 100, 0),
        (served(reference=False), 100, 0),
        (served(area="north"), 0, 0),
    ],
    ids=["right", "phone untold", "reference untold", "another place"],
)
def test_inform_and_success_are_as_published(
    tmp_path: Path, said: dict[str, Any], inform: float, success: float
) -> None:
    found = figures(opened(tmp_path, D=said))
    assert (found["inform"], found["success"]) == (inform, success)
    assert found["combined"] == (inform + success) / 2 + 100


def test_other_answers_are_judged_by_their_words(tmp_path: Path) -> None:
    pytest.importorskip("sacrebleu")
    source = opened(tmp_path)
    right = ["Saint Mary's, 01223000002", {"response": "Your reference is [value_reference]"}]
    for answers, wanted in ((right, 100), (["Hello", "Bye"], 0)):
        (tmp_path / "answers.json").write_text(json.dumps({"d1": answers}))
        found = figures(source, tmp_path / "answers.json")
        assert (found["inform"], found["success"]) == (wanted, wanted) and found["BLEU"] < 100


def test_dialogues_become_episodes_in_plain_words_without_tokens(tmp_path: Path) -> None:
    (episode,) = opened(tmp_path).recorded(None).episodes
    assert [turn.user.text for turn in episode.turns] == ["thai food, please", "book it"]
    assert not any(step.action_ids or step.logprobs for step in episode.steps) and not episode.tokenizer


def test_words_are_as_people_write_them() -> None:
    assert spoken("I do n't mind , saint john 's .") == "I don't mind, saint john's."
    assert briefing(dinner()) == "You want chinese food"


# -- the folder


def test_one_file_is_divided_as_its_lists_say(tmp_path: Path) -> None:
    data = data_folder(tmp_path / "data")
    (data / "mw_val.json").rename(data / "data.json")
    with pytest.raises(ScenarioError, match="valListFile.txt is missing"):
        MultiWoz().bring(data, tmp_path / "out")
    (data / "valListFile.txt").write_text("")
    (data / "testListFile.txt").write_text("D1.json\n")
    (found,) = MultiWoz().bring(data, tmp_path / "out")
    assert found.splits == {"train": 0, "validation": 0, "heldout": 1}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("mw_val.json", "[]", "dialogues by their ids are expected, found list"),
        ("mw_val.json", '{"A": {"goal": {}}}', "A: not a dialogue of MultiWOZ 2.1: KeyError: 'log'"),
        ("mw_val.json", "{", "no JSON"),
        ("db/train_db.json", "{}", "a list of rows with 'trainID' is expected"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    data = data_folder(tmp_path / "data")
    (data / name).write_text(text)
    with pytest.raises(ScenarioError, match=message):
        MultiWoz().bring(data, tmp_path / "out")


@needs_data
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_recorded_answers_are_worth_what_is_published_and_200_goals_are_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (found,) = MultiWoz().bring(HERE, tmp_path / "out")
    recorded = figures(MultiWoz().open(found.folder))
    assert abs(recorded["inform"] - 93.7) < 2 and abs(recorded["success"] - 90.9) < 2
    episodes = played(staged(found.folder, monkeypatch), count=200)
    assert sum(metrics.success(e).reached for e in episodes) == 200
