"""Customers beyond the agenda: spoken by a model, replayed from a log, mixed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dialog_rl_simulators.mixture import Mixture
from dialog_rl_simulators.replayed import Replayed
from dialog_rl_simulators.spoken import STOP, LocalModel, instructions

from dialog_rl.episode import Message, Role, StopReason, to_json
from dialog_rl.errors import ConfigError, PluginError, ScenarioError
from dialog_rl.expert import Expert
from dialog_rl.pack import Pack
from dialog_rl.plugins.loading import Plugins
from dialog_rl.seeds import generator
from dialog_rl.staging import Customers, Stage, open_stage

from .test_judge import Server


@pytest.fixture(scope="module")
def plugins() -> Plugins:
    import dialog_rl_scenarios
    import dialog_rl_simulators

    plugins = Plugins()
    plugins.add("simulators", dialog_rl_simulators)
    plugins.add("scenarios", dialog_rl_scenarios)
    return plugins


@pytest.fixture(scope="module")
def stage(plugins: Plugins) -> Stage:
    return open_stage(plugins.registry, "retail")


def customers(stage: Stage, count: int):
    return list(Customers(split="train").scenarios(stage.pack, count))


def play(stage: Stage, user, scenario, seed, agent=None):
    conversation = stage.conversation_with(user, scenario, seed, episode_id=scenario.id, simulator="test")
    agent = agent or Expert(stage.pack, generator(seed, "expert"))
    while conversation.stopped is None:
        conversation.act(agent.act(conversation.unobserved()))
    return conversation.episode()


class Mute:
    """An agent that never says anything a customer could use."""

    def act(self, observed):
        return Message(role=Role.ASSISTANT, text="The weather is lovely.")


def test_the_model_is_told_the_goal_and_not_the_answers(stage: Stage) -> None:
    for scenario, _ in customers(stage, 20):
        text = instructions(scenario)
        goal = scenario.user.goal
        assert goal is not None
        for item in goal.items:
            assert item.intent.replace("_", " ") in text
            told = {*goal.known.values(), *item.inform.values()}
            assert all(value in text for value in item.inform.values())
            assert not any(v in text for v in item.request.values() if len(v) > 3 and not any(v in t for t in told))


def test_a_spoken_customer_remembers_the_chat_with_roles_reversed(stage: Stage) -> None:
    heard: list[list[dict[str, str]]] = []
    lines = iter(["Hi, where is my parcel?", f"Thanks, bye. {STOP}"])

    def speak(chat, seed):
        heard.append([dict(m) for m in chat])
        return next(lines)

    ((scenario, seed),) = customers(stage, 1)
    user = LocalModel(pack=stage.pack, speak=speak).start(scenario, seed)
    assert user.open().message.text == "Hi, where is my parcel?"
    last = user.reply(Message(role=Role.ASSISTANT, text="It is on its way."))
    assert (last.message.text, last.leaves) == ("Thanks, bye.", True)
    assert [m["role"] for m in heard[1]] == ["system", "user", "assistant", "user"]
    assert heard[1][3]["content"] == "It is on its way."


def test_a_model_that_says_nothing_hangs_up(stage: Stage) -> None:
    ((scenario, seed),) = customers(stage, 1)
    assert LocalModel(pack=stage.pack, speak=lambda chat, seed: "  ").start(scenario, seed).open().leaves


def test_a_pack_says_itself_how_a_model_is_to_play_its_customers(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "guidelines.md").write_text("Be brief.\n")
    pack = Pack(stage.pack.file, stage.pack.phrasing, "", tmp_path)
    heard: list[str] = []
    ((scenario, seed),) = customers(stage, 1)
    simulator = LocalModel(pack=pack, speak=lambda chat, seed: heard.append(chat[0]["content"]) or "Hi")
    assert not simulator.start(scenario, seed).open().leaves
    assert heard == [instructions(scenario, "Be brief.")] and heard[0].startswith("Be brief.\n")


@pytest.mark.parametrize("end", ["###STOP###", "###TRANSFER###", "###OUT-OF-SCOPE###"])
def test_every_word_that_ends_a_conversation_ends_it_unheard(stage: Stage, end: str) -> None:
    ((scenario, seed),) = customers(stage, 1)
    said = LocalModel(pack=stage.pack, speak=lambda chat, seed: f"Bye {end}").start(scenario, seed).open()
    assert (said.message.text, said.leaves) == ("Bye", True)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


def test_a_server_plays_the_customer(plugins: Plugins, stage: Stage, server: Server) -> None:
    def answer(body, headers):
        text = f"Goodbye {STOP}" if len(body["messages"]) > 4 else "I want to know where my order is."
        return 200, {"choices": [{"message": {"content": text}}]}

    server.answer = answer
    options = {"url": server.url, "model": "m", "attempts": 1}
    simulator = plugins.registry.user_simulators["openai"].make(options, {"pack": stage.pack})
    ((scenario, seed),) = customers(stage, 1)
    episode = play(stage, simulator.start(scenario, seed), scenario, seed)
    assert episode.stop is StopReason.USER_LEFT
    assert server.requests[0]["messages"][0]["content"] == instructions(scenario)
    assert len({request["seed"] for request in server.requests}) == len(server.requests) >= 2


def test_a_server_that_fails_ends_the_conversation_as_the_simulators_fault(
    plugins: Plugins, stage: Stage, server: Server
) -> None:
    ((scenario, seed),) = customers(stage, 1)
    options = {"url": server.url, "model": "m", "attempts": 1}
    simulator = plugins.registry.user_simulators["openai"].make(options, {"pack": stage.pack})
    server.answer = lambda body, _: (200, {"choices": [{"message": {"content": "hello"}}]})
    user = simulator.start(scenario, seed)
    conversation = stage.conversation_with(user, scenario, seed, episode_id="e", simulator="openai")
    server.answer = lambda body, _: (500, {})
    conversation.act(Message(role=Role.ASSISTANT, text="hello"))
    assert conversation.stopped is StopReason.USER_ERROR
    with pytest.raises(PluginError, match="HTTP 500"):
        simulator.start(scenario, seed).open()


def test_a_replayed_customer_says_the_same_to_the_same_agent(stage: Stage, tmp_path: Path) -> None:
    logged = [play(stage, stage.simulator.start(s, seed), s, seed) for s, seed in customers(stage, 12)]
    file = tmp_path / "logged.jsonl"
    file.write_text("\n".join(json.dumps(to_json(episode)) for episode in logged))
    simulator = Replayed(pack=stage.pack, file=str(file))
    for (scenario, seed), before in zip(customers(stage, 12), logged, strict=True):
        again = play(stage, simulator.start(scenario, seed), scenario, seed)
        assert [t.user.text for t in again.turns] == [t.user.text for t in before.turns]
        assert again.journal == before.journal


def test_before_an_agent_who_diverges_an_agenda_takes_over_or_the_customer_leaves(stage: Stage) -> None:
    ((scenario, seed),) = customers(stage, 1)
    logged = play(stage, stage.simulator.start(scenario, seed), scenario, seed)
    leaving = Replayed(pack=stage.pack, episodes=[logged], afterwards="leave").start(scenario, seed)
    episode = play(stage, leaving, scenario, seed, Mute())
    assert episode.turns[-1].user.acts[0].kind == "diverged"
    patient = Replayed(pack=stage.pack, episodes=[logged]).start(scenario, seed)
    other = play(stage, patient, scenario, seed, Mute())
    assert len(other.turns) > 2 or "diverged" not in {a.kind for t in other.turns for a in t.user.acts}


def test_replaying_what_was_never_logged_is_refused_by_name(stage: Stage) -> None:
    ((scenario, seed),) = customers(stage, 1)
    with pytest.raises(ScenarioError, match="no logged episode"):
        Replayed(pack=stage.pack, episodes=[]).start(scenario, seed)
    with pytest.raises(ConfigError, match="needs a log"):
        Replayed(pack=stage.pack)
    with pytest.raises(ConfigError, match=r"absent\.jsonl"):
        Replayed(pack=stage.pack, file="absent.jsonl")


def test_a_mixture_keeps_its_shares_and_depends_on_the_seed_alone() -> None:
    class Named:
        def __init__(self, name: str) -> None:
            self.name = name

        def start(self, scenario: Any, seed: int) -> Any:
            return self.name

    mixture = Mixture(simulators=lambda name, options: Named(name), shares={"a": 3, "b": 1, "never": 0})
    first = [mixture.start(None, seed) for seed in range(2000)]  # type: ignore[arg-type]
    assert first == [mixture.start(None, seed) for seed in range(2000)]  # type: ignore[arg-type]
    counts = Counter(str(name) for name in first)
    assert set(counts) == {"a", "b"}
    assert counts["a"] / 2000 == pytest.approx(0.75, abs=0.04)


def test_a_mixture_is_made_of_registered_simulators(plugins: Plugins) -> None:
    stage = open_stage(plugins.registry, "retail", "mixture", {"shares": {"agenda": 1.0}})
    ((scenario, seed),) = customers(stage, 1)
    episode = play(stage, stage.simulator.start(scenario, seed), scenario, seed)
    assert episode.stop.terminated
    with pytest.raises(ConfigError, match="part of itself"):
        open_stage(plugins.registry, "retail", "mixture", {"shares": {"mixture": 1.0}})
    with pytest.raises(ConfigError, match="shares of a mixture"):
        open_stage(plugins.registry, "retail", "mixture", {"shares": {"agenda": -1.0}})
