from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from dialog_rl.errors import ConfigError, ScenarioError
from dialog_rl.expert import Expert
from dialog_rl.plugins.loading import Plugins, load_plugins
from dialog_rl.seeds import generator
from dialog_rl.staging import Customers, Stage, document, find_pack, open_stage, pack_folder, scenario_of


@pytest.fixture(scope="module")
def plugins() -> Iterator[Plugins]:
    with load_plugins() as loaded:
        yield loaded


@pytest.fixture(scope="module")
def stage(plugins: Plugins) -> Stage:
    return open_stage(plugins.registry, "retail")


def play(stage: Stage, number: int):
    scenario, seed = next(iter(Customers().scenarios(stage.pack, 1, first=number)))
    return run(stage.conversation(scenario, seed, episode_id=f"e{number}"), stage)


def run(conversation, stage: Stage):
    agent = Expert(stage.pack, generator(conversation.seed, "expert"))
    while conversation.stopped is None:
        conversation.act(agent.act(conversation.unobserved()))
    return conversation.episode()


def test_an_episode_holds_all_that_is_needed_to_play_it_again(stage: Stage) -> None:
    for number in range(8):
        episode = play(stage, number)
        assert run(stage.again(episode), stage) == episode


def test_the_scenario_in_an_episode_is_plain_json_and_can_be_read_back(stage: Stage) -> None:
    scenario, _ = next(iter(Customers().scenarios(stage.pack, 1)))
    episode = play(stage, 0)
    assert json.loads(json.dumps(episode.scenario)) == episode.scenario == document(scenario)
    assert scenario_of(episode) == scenario


def test_customers_are_the_same_whoever_asks_and_wherever_they_begin(stage: Stage) -> None:
    ten = list(Customers().scenarios(stage.pack, 10))
    assert list(Customers().scenarios(stage.pack, 4, first=6)) == ten[6:]


def test_splits_do_not_share_customers(stage: Stage) -> None:
    names = {
        split: {s.user.goal.known["name"] for s, _ in Customers(split=split).scenarios(stage.pack, 60) if s.user.goal}
        for split in ("train", "validation", "heldout")
    }
    assert not names["train"] & names["heldout"] and not names["train"] & names["validation"]


def test_a_pack_is_found_by_name_and_by_folder(plugins: Plugins) -> None:
    folder = pack_folder(plugins.registry, "retail")
    assert find_pack(plugins.registry, str(folder)).name == find_pack(plugins.registry, "retail").name == "retail"


def test_an_unknown_pack_or_simulator_is_named_with_what_there_is(plugins: Plugins, tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="no pack 'retial'.*retail"):
        find_pack(plugins.registry, "retial")
    with pytest.raises(ScenarioError, match="pack.yaml"):
        find_pack(plugins.registry, str(tmp_path) + "/none")
    with pytest.raises(ConfigError, match="agenda"):
        open_stage(plugins.registry, "retail", "agend")


def test_twins_are_the_same_customers_in_another_language(plugins: Plugins) -> None:
    packs = [find_pack(plugins.registry, name) for name in ("retail", "retail_zh")]
    for (one, seed), (other, same) in zip(*(Customers(twins=True).scenarios(pack, 60) for pack in packs), strict=True):
        told = [[(i.intent, i.refusal, i.inform.get("order_id")) for i in s.user.goal.items] for s in (one, other)]
        orders = [
            {key: (row["customer_id"], row["status"], row["price"]) for key, row in s.initial.records["orders"].items()}
            for s in (one, other)
        ]
        assert told[0] == told[1] and orders[0] == orders[1] and one.user.persona == other.user.persona
        assert (seed, one.language, other.language) == (same, "en", "zh")
        assert [c.tool for c in one.success.db.from_actions] == [c.tool for c in other.success.db.from_actions]
