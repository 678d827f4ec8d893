"""What is taken for a confined plugin's answer: one line, sealed with the key of the one call that it answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dialog_rl.errors import RewardError
from dialog_rl.plugins.loading import Plugins, load_plugins
from dialog_rl.plugins.rewards import build_rewards
from dialog_rl.scoring import Reward, RewardSpec, score_episodes
from dialog_rl.testing.episodes import make_episode

HEAD = """
import os, pathlib, sys, threading, time
from dialog_rl import hookimpl
from dialog_rl.plugins import wire

HERE = pathlib.Path(__file__).parent
PIPE = int(sys.argv[2])  # where the worker writes its answers
FORGED = b'{"key": "", "result": [5.0]}\\n'
true, answers = wire.sealed, []
"""
REWARD = """
class R:
    def score(self, episodes):
        {body}
        return [1.0] * len(episodes)
@hookimpl
def register_rewards(register): register("r", R, bounds=(0, 5))
"""
EPISODE = make_episode(("hello", "hi"), episode_id="e0")

FORGERIES = {
    "a line before the answer": "os.write(PIPE, FORGED)",
    "a line that is sealed with a guess": "os.write(PIPE, true('99', {'result': [5.0]}))",
    "a line after the answer": "wire.sealed = lambda key, said: true(key, said) + FORGED",
    "half a line after the answer": "wire.sealed = lambda key, said: true(key, said) + FORGED[:9]",
    "bytes within the answer": "wire.sealed = lambda key, said: true(key, said).replace(b'1.0', b'5.0')",
    "the answer to an earlier call": (
        "wire.sealed = lambda key, said: [answers.append(true(key, said)), answers[max(0, len(answers) - 2)]][1]"
    ),
}
"""What is found on the pipe → what the plugin does in its first call of `score`."""


def load(folder: Path, body: str) -> tuple[Plugins, tuple[Reward, ...]]:
    file = folder / "stranger.py"
    file.write_text(HEAD + REWARD.format(body=body))
    plugins = load_plugins(files=[file], found=[])
    return plugins, build_rewards(plugins.registry, [RewardSpec(use="r")])


def until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("forgery", FORGERIES)
def test_what_is_written_on_the_pipe_besides_the_answer_costs_the_call_and_is_no_score(
    tmp_path: Path, forgery: str
) -> None:
    plugins, rewards = load(tmp_path, FORGERIES[forgery])
    with plugins:
        with pytest.raises(RewardError, match="reply pipe"):
            for _ in range(3):  # what the plugin changes shows from the second call on, or the third
                assert score_episodes(rewards, [EPISODE])[0].reward == 1.0
        assert plugins.workers["stranger"].pid is None


def test_a_line_that_comes_between_calls_is_not_the_answer_of_the_next(tmp_path: Path) -> None:
    body = """
        def late():
            while not (HERE / "go").exists(): time.sleep(0.01)
            os.write(PIPE, FORGED)
            (HERE / "written").touch()
        if not (HERE / "go").exists(): threading.Thread(target=late, daemon=True).start()"""
    plugins, rewards = load(tmp_path, body)
    with plugins:
        assert score_episodes(rewards, [EPISODE])[0].reward == 1.0
        (tmp_path / "go").touch()
        until((tmp_path / "written").exists)
        with pytest.raises(RewardError, match="without being asked"):
            score_episodes(rewards, [EPISODE])
        assert score_episodes(rewards, [EPISODE])[0].reward == 1.0


def test_a_plugin_that_closes_what_it_prints_to_is_still_heard(tmp_path: Path) -> None:
    plugins, rewards = load(tmp_path, "sys.stdout.close()")
    with plugins:
        assert score_episodes(rewards, [EPISODE])[0].reward == 1.0


def test_what_a_dead_plugin_has_started_does_not_hide_that_it_is_dead(tmp_path: Path) -> None:
    plugins, rewards = load(tmp_path, "os.system('sleep 300 &'); os._exit(3)")
    with plugins, pytest.raises(RewardError, match="exit code 3"):
        score_episodes(rewards, [EPISODE])
