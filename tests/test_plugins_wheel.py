"""A stranger's plugin as a wheel: installed it is found and learnt from, removed it is gone, broken it is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dialog_rl.plugins.authoring import new_plugin
from tests.wheels import FreshEnvironment, build_wheel

ROOT = Path(__file__).parent.parent
REGISTER = "from dialog_rl import hookimpl\n\n@hookimpl\ndef {hook}(register):\n    register({name!r}, dict)\n"
BROKEN = {
    "broken_import": ("import nowhere_to_be_found\n", "it imports 'nowhere_to_be_found', which is not installed"),
    "broken_raises": ("import os\nos.no_such_thing\n", ""),
    "broken_api": ("dialog_rl_api = 7\n" + REGISTER.format(hook="register_rewards", name="late"), "dialog_rl_api = 7"),
    "broken_taken": (REGISTER.format(hook="register_rewards", name="task_success"), "'task_success'"),
    "broken_hook": (REGISTER.format(hook="register_reward", name="odd"), "did you mean 'register_rewards'?"),
}
"""Module → its source, and what is said of it without importing it."""
PYPROJECT = """[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "dialog-rl-broken"
version = "0.1.0"
[project.entry-points.dialog_rl]
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> FreshEnvironment:
    """Our wheel and nothing of the checkout, with a stranger's reward and five broken plugins."""
    folder = tmp_path_factory.mktemp("stranger")
    fresh = FreshEnvironment(folder)
    fresh.install(build_wheel(ROOT, folder / "ours"))
    new_plugin("courtesy", folder, package=True)
    fresh.install(build_wheel(folder / "dialog-rl-courtesy", folder / "theirs"))
    broken = folder / "broken"
    broken.mkdir()
    for name, (source, _) in BROKEN.items():
        (broken / f"{name}.py").write_text(source, encoding="utf-8")
    entries = [f'{name} = "{name}"\n' for name in BROKEN]
    files = '[tool.hatch.build.targets.wheel]\ninclude = ["*.py"]\n'
    (broken / "pyproject.toml").write_text("".join([PYPROJECT, *entries, files]), encoding="utf-8")
    fresh.install(build_wheel(broken, folder / "faulty"))
    return fresh


def listed(environment: FreshEnvironment) -> dict[str, dict[str, Any]]:
    done = environment.run("plugins", "list", "--json")
    assert done.returncode == 0, done.stderr
    return {plugin["name"]: plugin for plugin in json.loads(done.stdout)["plugins"]}


def test_it_is_found_beside_ours_and_runs_confined(environment: FreshEnvironment) -> None:
    found = listed(environment)
    assert {"rewards", "simulators", "scenarios", "courtesy"} <= set(found)
    assert found["courtesy"]["status"] == "confined" and not found["courtesy"]["problem"]


def test_broken_ones_are_named_with_what_is_wrong(environment: FreshEnvironment) -> None:
    found = listed(environment)
    for name, (_, problem) in BROKEN.items():
        assert problem in found[name]["problem"]
    said = environment.run("doctor").stdout
    assert [name for name in BROKEN if name not in said] == []


def test_it_is_trained_on_while_others_are_broken_and_gone_once_removed(environment: FreshEnvironment) -> None:
    train = ("train", "--dialogues", "2", "--batch", "2", "--reward", "courtesy=2", "--json")
    done = environment.run(*train, "--run", "with")
    assert done.returncode == 0, done.stderr
    first = json.loads(done.stdout.splitlines()[0])
    assert "courtesy" in json.dumps(first)
    assert [name for name in BROKEN if name not in done.stderr] == []
    environment.uninstall("dialog-rl-courtesy")
    assert "courtesy" not in listed(environment)
    gone = environment.run(*train, "--run", "without")
    assert gone.returncode == 2 and "no reward is named 'courtesy'; there is " in gone.stderr
