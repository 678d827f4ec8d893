"""The kit for plugin authors: what `plugins new` writes works as it stands, and passes its own tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dialog_rl.episode import StopReason, ToolCall
from dialog_rl.errors import ConfigError
from dialog_rl.plugins.authoring import new_plugin
from dialog_rl.plugins.conformance import check_reward
from dialog_rl.plugins.loading import load_plugins
from dialog_rl.plugins.rewards import build_rewards
from dialog_rl.scoring import RewardSpec
from dialog_rl.testing.episodes import make_episode
from dialog_rl.testing.scripted import ScriptedPolicy, ScriptedTools, ScriptedUser, converse


def test_a_new_file_is_a_plugin_that_passes_every_check(tmp_path: Path) -> None:
    (file,) = new_plugin("gratitude", tmp_path)
    with load_plugins(files=[file], found=[]) as plugins:
        spec = RewardSpec(use="gratitude")
        answers = check_reward(lambda: build_rewards(plugins.registry, [spec])[0])
        assert [answer for answer in answers if not answer.passed] == []
        (reward,) = build_rewards(plugins.registry, [spec])
        episode = make_episode(("hi", "Thank you!"), ("and", "no"))
        assert reward.function.score([episode])[0].value == 0.5


def test_a_new_package_passes_its_own_tests(tmp_path: Path) -> None:
    files = new_plugin("gratitude", tmp_path, package=True)
    root = tmp_path / "dialog-rl-gratitude"
    assert {str(path.relative_to(root)) for path in files} == {
        "pyproject.toml", "README.md", "dialog_rl_gratitude/__init__.py", "tests/test_gratitude.py",
    }  # fmt: skip
    path = os.pathsep.join([str(root), *sys.path])
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    kit = "dialog_rl.testing.pytest_plugin"
    done = subprocess.run(
        [*command, str(root), "-p", kit] if not _installed() else [*command, str(root)],
        cwd=root, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def _installed() -> bool:
    from importlib.metadata import entry_points

    return any(entry.value == "dialog_rl.testing.pytest_plugin" for entry in entry_points(group="pytest11"))


@pytest.mark.parametrize("name", ["Loud", "two words", "class", "../up", "", "1st"])
def test_a_name_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="not a plugin's name"):
        new_plugin(name, tmp_path)


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (file,) = new_plugin("mine", tmp_path)
    file.write_text("precious")
    with pytest.raises(ConfigError, match="there already"):
        new_plugin("mine", tmp_path)
    assert file.read_text() == "precious"


def test_a_scripted_conversation_is_an_episode_like_any_other() -> None:
    user, tools = ScriptedUser("hi", "bye"), ScriptedTools(find="found it")
    policy = ScriptedPolicy(ToolCall(name="find", arguments={"id": "7"}), "Here it is.")
    episode = converse(user, policy, tools)
    assert episode.stop is StopReason.USER_LEFT
    assert [turn.reply for turn in episode.turns] == ["Here it is.", ""]
    assert [message.text for message in policy.observed] == ["", "hi", "found it"]
    assert user.heard == ["Here it is."]
    assert [call.name for call in tools.calls] == ["find"]
