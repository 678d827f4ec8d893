"""Twelve hostile plugins wherever a plugin's code runs: the program lives, and no wrong number gets through."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dialog_rl.chat.session import ChatSession
from dialog_rl.conversation import Conversation
from dialog_rl.episode import Message, Role, StopReason
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.errors import PluginError, RewardError
from dialog_rl.hookspecs import HOOKS, KINDS, OBSERVERS
from dialog_rl.plugins.isolation import Call, Confinement
from dialog_rl.plugins.live import LiveRewards
from dialog_rl.plugins.loading import Plugins, load_plugins
from dialog_rl.plugins.rewards import build_rewards
from dialog_rl.scoring import OnFailure, Reward, RewardSpec, Score, score_episodes
from dialog_rl.testing.episodes import make_episode
from dialog_rl.text import unsafe
from tests.chat.scripted import ScriptedVoices, db, setting

PLUGIN = """
import ctypes, os, sys, time
from dialog_rl import hookimpl
from dialog_rl.conversation import UserReply
from dialog_rl.episode import Message, Role
from dialog_rl.scoring import Score

def misbehave(many=False):
    value = None
    {behaviour}
    return value

def at(place):
    return misbehave() if place == {place!r} else None

class Thing:
    def __init__(self): at("make")
    def score(self, episodes): return misbehave(many=True) if {place!r} == "score" else [0.0] * len(episodes)
    def measure(self, episodes): return misbehave() if {place!r} == "measure" else {{}}
    def start(self, scenario, seed): at("start"); return self
    def open(self): return at("open") or UserReply(message=Message(role=Role.USER, text="hello"))
    def reply(self, message): return misbehave()

{hooks}
at("import")
"""
BEHAVIOURS = {
    "raises": "raise RuntimeError('boom')",
    "SystemExit": "sys.exit(0)",
    "os._exit": "os._exit(0)",
    "segfault": "ctypes.string_at(0)",
    "endless loop": "\n    while True: pass",
    "C sleep": "ctypes.PyDLL(None).sleep(60)",
    "NaN": "value = [float('nan')] * 2 if many else float('nan')",
    "inf": "value = [float('inf')] * 2 if many else float('inf')",
    "1e308": "value = [1e308] * 2 if many else 1e308",
    "wrong length": "value = [1.0] * 7",
    "memory bomb": "\n    while True: value = [value, bytearray(50_000_000)]",
    "output flood": "\n    for _ in range(200): print('\\x1b]0;me\\x07\\x1b[2J' * 1000)\n    raise KeyboardInterrupt",
}
HANGING = ("endless loop", "C sleep")
VALUES = ("NaN", "inf", "1e308", "wrong length")
EPISODES = [make_episode(("hello", "hi"), episode_id=f"e{i}") for i in range(2)]
REGISTERING = {"register_rewards": "r", "register_metrics": "m", "register_user_simulators": "u"}


def hook_text(hook: str) -> str:
    argument = "cli" if hook == "register_commands" else "register" if hook in KINDS else ""
    lines = [f"@hookimpl\ndef {hook}({argument}):"]
    if hook in REGISTERING:
        lines.append(f"    register({REGISTERING[hook]!r}, Thing)")
    return "\n".join([*lines, f"    return at({hook!r})", ""])


def write_plugin(folder: Path, behaviour: str, place: str) -> Path:
    file = folder / "hostile.py"
    hooks = "\n".join(hook_text(hook) for hook in HOOKS)
    file.write_text(PLUGIN.format(behaviour=BEHAVIOURS[behaviour], place=place, hooks=hooks))
    return file


def confinement(behaviour: str, place: str) -> Confinement:
    """Short deadlines where the plugin hangs, long ones wherever it must get through on a busy machine."""
    hangs = behaviour in HANGING
    loading = 0.8 if place in ("import", *KINDS) else 5.0 if place == "make" else 60.0
    return Confinement(
        deadline=0.4 if hangs else 60.0, load_deadline=loading if hangs else 60.0, memory=400 << 20, reply=1 << 16
    )


class Good:
    def score(self, episodes):
        return [Score(value=0.5) for _ in episodes]


CALLS: list[tuple[Call, Confinement]] = []
"""Every call that a test has made of the plugin's process, its end included."""


@pytest.fixture(autouse=True)
def each_call_ends_within_its_deadline_and_a_second() -> Iterator[None]:
    CALLS.clear()
    yield
    for call, limits in CALLS:
        deadline = limits.load_deadline if call.verb in ("load", "make") else limits.deadline
        assert call.seconds < deadline + 1.0


def loaded(folder: Path, behaviour: str, place: str, limits: Confinement | None = None) -> Plugins:
    file, confined = write_plugin(folder, behaviour, place), limits or confinement(behaviour, place)
    return load_plugins(files=[file], found=[], confinement=confined, trace=lambda call: CALLS.append((call, confined)))


@pytest.mark.parametrize("place", ["import", *KINDS])
@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_at_loading_it_is_refused_in_time_or_does_no_harm(tmp_path: Path, behaviour: str, place: str) -> None:
    if behaviour in VALUES:
        loaded(tmp_path, behaviour, place).close()
    else:
        with pytest.raises(PluginError, match="hostile"):
            loaded(tmp_path, behaviour, place)


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_a_hostile_score_is_missing_with_a_reason_and_never_a_number(tmp_path: Path, behaviour: str) -> None:
    with loaded(tmp_path, behaviour, "score") as plugins:
        spec = RewardSpec(use="r", on_failure=OnFailure.ABSTAIN)
        rewards = [*build_rewards(plugins.registry, [spec]), Reward(name="good", function=Good())]
        scored = score_episodes(rewards, EPISODES)
    assert [s.reward for s in scored] == [0.5, 0.5]
    for s in scored:
        assert (s.components["r"].value, s.components["r"].failed) == (None, True)
        assert s.components["r"].reason
        assert not unsafe(s.components["r"].reason)


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_a_chat_goes_on_beside_a_hostile_reward(tmp_path: Path, behaviour: str) -> None:
    with EpisodeLog.open(db(tmp_path)) as log, loaded(tmp_path, behaviour, "score") as plugins:
        log.listener = plugins.hearing("chat", tmp_path)
        live = LiveRewards(plugins, [tmp_path / "hostile.py"], (RewardSpec(use="r"),))
        session = ChatSession(log, ScriptedVoices("hello", "good day"), setting(), rater="ann")
        session.begin()
        for message in ("hi", "and?"):
            session.say(message)
            list(session.answer())
            (opinion,) = live.of_last_turn(session.up_to(len(session.turns) - 1))
            assert (opinion.turn, opinion.so_far, opinion.failed) == (None, None, True)
            assert opinion.reason and not unsafe(str(opinion))
        session.opinions.change(0, value=1.0)
        session.leave()
        assert [turn.reply for turn in log.get(session.id).turns][:2] == ["hello", "good day"]
        assert [rating.value for rating in log.ratings(session.id)] == [1.0]


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_in_training_a_hostile_score_stops_the_run_by_name(tmp_path: Path, behaviour: str) -> None:
    with loaded(tmp_path, behaviour, "score") as plugins:
        rewards = build_rewards(plugins.registry, [RewardSpec(use="r")])
        with pytest.raises(RewardError, match="hostile|'r'"):
            score_episodes(rewards, EPISODES)


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_a_hostile_factory_or_metric_or_combiner_is_an_error_by_name(tmp_path: Path, behaviour: str) -> None:
    if behaviour not in VALUES:
        with loaded(tmp_path, behaviour, "make") as plugins, pytest.raises(PluginError, match="hostile"):
            build_rewards(plugins.registry, [RewardSpec(use="r")])
    with loaded(tmp_path, behaviour, "measure") as plugins, pytest.raises(PluginError):
        plugins.registry.metrics["m"].make({}).measure(EPISODES)
    with loaded(tmp_path, behaviour, "combine_rewards") as plugins, pytest.raises(RewardError):
        score_episodes([Reward(name="good", function=Good())], EPISODES, combine=plugins.combine)


@pytest.mark.parametrize("place", ["start", "open", "reply"])
@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_a_hostile_customer_ends_the_conversation_as_a_simulator_error(
    tmp_path: Path, behaviour: str, place: str
) -> None:
    class NoTools:
        def call(self, call):
            raise AssertionError

        def journal(self):
            return ()

        def ends_conversation(self, call):
            return False

    with loaded(tmp_path, behaviour, place) as plugins:
        simulator = plugins.registry.user_simulators["u"].make({})
        if place in ("start", "open") and not (place == "start" and behaviour in VALUES):
            with pytest.raises(PluginError):
                simulator.start({}, 1).open()
            return
        system = Message(role=Role.SYSTEM, text="")
        conversation = Conversation(
            episode_id="e", pack="p", scenario={}, seed=0, system=system, user=simulator.start({}, 1), tools=NoTools()
        )
        conversation.act(Message(role=Role.ASSISTANT, text="hi"))
    assert conversation.stopped is StopReason.USER_ERROR


@pytest.mark.parametrize("hook", OBSERVERS)
@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_a_hostile_observer_keeps_nobody_waiting(tmp_path: Path, behaviour: str, hook: str) -> None:
    facts = {"run": {}, "episode": EPISODES[0], "rating": None, "stats": {"loss": 1.0}, "version": "v", "error": ""}
    patient = Confinement(deadline=60.0, load_deadline=60.0, memory=400 << 20)
    with loaded(tmp_path, behaviour, hook, patient) as plugins:
        started = time.monotonic()
        plugins.notify(hook, **facts)
        assert time.monotonic() - started < 2.0
        worker = plugins.workers["hostile"]
        plugins.close()
        assert worker.pid is None
        assert time.monotonic() - started < 30.0  # far from the deadline: nobody waits for that at the end either


def test_every_behaviour_and_every_hook_is_tried() -> None:
    assert len(BEHAVIOURS) == 12
    assert set(HOOKS) == {*KINDS, *OBSERVERS, "combine_rewards", "register_commands"}
