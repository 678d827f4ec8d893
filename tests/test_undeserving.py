from __future__ import annotations

import pytest

from dialog_rl import metrics, undeserving
from dialog_rl.episode import Episode
from dialog_rl.plugins.loading import load_plugins
from dialog_rl.staging import Customers, Stage, open_stage


@pytest.fixture(scope="module")
def stage() -> Stage:
    return open_stage(load_plugins().registry, "retail")


def played(stage: Stage, name: str) -> list[Episode]:
    found: list[Episode] = []
    for scenario, seed in Customers().scenarios(stage.pack, 20):
        conversation = stage.conversation(scenario, seed, episode_id=scenario.id)
        agent = undeserving.agent(name, conversation.scenario)
        while conversation.stopped is None:
            conversation.act(agent.act(conversation.unobserved()))
        found.append(conversation.episode())
    return found


@pytest.mark.parametrize("name", [undeserving.NOTHING, undeserving.CLAIMS, undeserving.REFUSES])
def test_who_only_talks_reaches_nothing_and_breaks_no_rule(stage: Stage, name: str) -> None:
    episodes = played(stage, name)
    assert not any(metrics.success(e).reached or metrics.violations(e) for e in episodes)


def test_the_shortcut_changes_what_is_right_and_breaks_a_rule_wherever_it_does(stage: Stage) -> None:
    episodes = played(stage, undeserving.SHORTCUT)
    changing = [e for e in episodes if e.scenario["success"]["db"].get("patch")]
    assert changing and all(metrics.success(e).gates["db"] and metrics.violations(e) for e in changing)


def test_in_another_language_it_is_said_in_that_language(stage: Stage) -> None:
    assert "办好" in undeserving.agent(undeserving.CLAIMS, {"language": "zh"}).act(()).text
