"""What every pack that comes with the program must be able to show."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import dialog_rl_scenarios
import pytest
from dialog_rl_simulators.agenda import Agenda

from dialog_rl import metrics
from dialog_rl.episode import Episode
from dialog_rl.expert import Expert
from dialog_rl.goals import make_scenario
from dialog_rl.mistakes import TRAINEE, Mistakes
from dialog_rl.pack import Pack, load_pack
from dialog_rl.scenario import Scenario, validate
from dialog_rl.seeds import generator
from dialog_rl.staging import Stage, document

FOLDER = Path(dialog_rl_scenarios.__file__).parent
PACKS = ("retail", "telecom", "banking", "retail_zh")
INTENTS = {"retail": 8, "telecom": 6, "banking": 6, "retail_zh": 8}
SOME = 60


@cache
def pack(name: str) -> Pack:
    return load_pack(FOLDER / name)


def play(name: str, seed: int, split: str, mistakes: Mistakes | None = None) -> Episode:
    stage = Stage(pack=pack(name), simulator=Agenda(pack=pack(name)), simulator_name="agenda")
    scenario = make_scenario(pack(name), seed, split=split)
    conversation = stage.conversation(scenario, seed, episode_id=scenario.id)
    expert = Expert(pack(name), generator(seed, "expert"), *([mistakes] if mistakes else []))
    while conversation.stopped is None:
        conversation.act(expert.act(conversation.unobserved()))
    return conversation.episode()


def leaves(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [leaf for v in value.values() for leaf in leaves(v)]
    return [leaf for v in value for leaf in leaves(v)] if isinstance(value, list | tuple) else [str(value)]


@pytest.mark.parametrize("split", ["train", "validation", "heldout"])
@pytest.mark.parametrize("name", PACKS)
def test_the_expert_reaches_every_goal_and_breaks_no_rule(name: str, split: str) -> None:
    played = [play(name, seed, split) for seed in range(SOME)]
    assert [e.episode_id for e in played if not metrics.success(e).reached] == []
    assert [metrics.violations(e) for e in played if metrics.violations(e)] == []


@pytest.mark.parametrize("name", PACKS)
def test_a_trainee_reaches_some_goals_and_misses_others(name: str) -> None:
    reached = [metrics.success(play(name, seed, "train", TRAINEE)).reached for seed in range(SOME)]
    assert 0.4 * SOME < sum(reached) < 0.95 * SOME


@pytest.mark.parametrize("name", PACKS)
def test_conversations_are_short_enough_for_the_small_model(name: str) -> None:
    """Its context is 1,024 pieces, about four characters each with room to spare."""
    assert max(sum(len(m.text) for m in play(name, seed, "heldout").messages()) for seed in range(SOME)) < 3000


@pytest.mark.parametrize("name", PACKS)
def test_a_pack_has_the_intents_and_circumstances_that_it_promises(name: str) -> None:
    intents = pack(name).file.intents
    assert len(intents) >= INTENTS[name]
    variants = [v for intent in intents.values() for v in intent.variants.values()]
    assert any(v.foreign for v in variants)
    assert sum(bool(v.refuse) and not v.foreign for v in variants) >= 4
    assert any(intent.mutable for intent in intents.values())
    assert any(intent.hints for intent in intents.values())


@pytest.mark.parametrize("name", PACKS)
def test_some_goal_needs_a_look_up_of_what_another_look_up_found(name: str) -> None:
    linked = [
        intent
        for intent, body in pack(name).file.intents.items()
        for step in body.plan
        if any(str(v).startswith("$") and not str(v).startswith("$slots.") for v in step.arguments.values())
    ]
    assert linked


@pytest.mark.parametrize("name", PACKS)
def test_some_goal_needs_the_help_articles_and_each_topic_finds_its_own(name: str) -> None:
    from dialog_rl.help_search import best_article

    file = pack(name).file
    facts = {fact: f"<{fact}>" for fact in file.facts}
    for variant in file.intents["help"].variants.values():
        wanted = next(iter(variant.communicate.values())).removeprefix("$facts.")
        assert f"<{wanted}>" in best_article(pack(name), variant.slots["topic"], facts)


@pytest.mark.parametrize("pool", ["first_names", "last_names"])
@pytest.mark.parametrize("name", PACKS)
def test_customers_of_different_splits_share_no_name(name: str, pool: str) -> None:
    splits = [set(leaves(values)) for values in pack(name).file.pools[pool].values()]
    assert len(splits) == 3
    assert sum(map(len, splits)) == len(set().union(*splits))


@pytest.mark.parametrize("name", ["telecom", "banking"])
def test_pools_that_are_split_share_nothing(name: str) -> None:
    for pool, values in pack(name).file.pools.items():
        if isinstance(values, Mapping):
            splits = [set(leaves(split)) for split in values.values()]
            assert sum(map(len, splits)) == len(set().union(*splits)), pool


@pytest.mark.parametrize("name", PACKS)
def test_a_scenario_is_a_document_that_can_be_written_and_read_back(name: str) -> None:
    for seed in range(20):
        scenario = make_scenario(pack(name), seed)
        written = json.loads(json.dumps(document(scenario)))
        assert validate(Scenario, written, source="here") == scenario


@pytest.mark.parametrize("name", PACKS)
def test_numbers_that_customers_read_out_have_digits_only(name: str) -> None:
    for seed in range(20):
        goal = make_scenario(pack(name), seed).user.goal
        assert goal is not None
        told = {s: v for item in goal.items for s, v in item.inform.items() if s.endswith("_id")}
        assert all(v.isdigit() and 4 <= len(v) <= 6 for v in told.values())


@pytest.mark.parametrize("name", ["retail", "telecom", "banking"])
def test_openings_are_as_varied_as_promised(name: str) -> None:
    for occasion, listed in pack(name).phrasing.customer.open.items():
        topic = "/" in occasion
        assert len(listed["train"]) >= (4 if topic else 5), occasion
        assert len(listed["heldout"]) >= 3, occasion
