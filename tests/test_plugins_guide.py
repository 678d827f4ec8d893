"""The guide for plugin authors says what is so: every hook with its arguments, code that runs, fixtures that exist."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import click
import pytest

from dialog_rl import hookspecs
from dialog_rl.cli.main import cli
from dialog_rl.config import Settings
from dialog_rl.plugins.conformance import check_reward
from dialog_rl.plugins.loading import load_plugins
from dialog_rl.plugins.rewards import build_rewards
from dialog_rl.scoring import RewardSpec

ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "plugins" / "README.md").read_text(encoding="utf-8")
TUTORIAL = (
    (ROOT / "README.md").read_text(encoding="utf-8").partition("## A reward in a minute")[2].partition("\n## ")[0]
)


def code(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)


@pytest.mark.parametrize("hook", hookspecs.HOOKS)
def test_every_hook_stands_in_the_guide_with_its_arguments(hook: str) -> None:
    arguments = ", ".join(inspect.signature(getattr(hookspecs, hook)).parameters)
    assert f"`{hook}({arguments})`" in GUIDE


def test_the_guide_names_no_hook_that_there_is_not() -> None:
    named = set(re.findall(r"`((?:register|on|combine)_\w+)\(", GUIDE))
    assert named == set(hookspecs.HOOKS)


def test_whatever_our_own_plugins_need_stands_in_the_guide() -> None:
    with load_plugins(found=None) as plugins:
        needs = {need for shelf in plugins.registry.shelves() for r in shelf.values() for need in r.needs}
    lent = set(re.findall(r"^\| `(\w+)` \| (?:rewards|simulators)", GUIDE, re.MULTILINE))
    assert needs - lent == {"references"}  # for programs that embed this one: no command has reference replies


def test_every_hook_says_what_it_is_for() -> None:
    assert [hook for hook in hookspecs.HOOKS if not getattr(hookspecs, hook).__doc__] == []


def test_the_reward_of_the_guide_loads_and_keeps_its_contract(tmp_path: Path) -> None:
    file = tmp_path / "thanks.py"
    file.write_text(code("python")[0])
    with load_plugins(files=[file], found=[]) as plugins:
        answers = check_reward(lambda: build_rewards(plugins.registry, [RewardSpec(use="thanks")])[0])
    assert [answer for answer in answers if not answer.passed] == []


def test_the_reward_of_the_tutorial_loads_and_keeps_its_contract(tmp_path: Path) -> None:
    (source,) = re.findall(r"```python\n(.*?)```", TUTORIAL, re.DOTALL)
    file = tmp_path / "polite.py"
    file.write_text(source)
    with load_plugins(files=[file], found=[]) as plugins:
        answers = check_reward(lambda: build_rewards(plugins.registry, [RewardSpec(use="polite")])[0])
    assert [answer for answer in answers if not answer.passed] == []


def test_every_command_of_the_tutorial_can_be_given() -> None:
    """Each is parsed as it stands, and not run."""
    lines = [line.partition("#")[0].split() for line in TUTORIAL.splitlines() if line.startswith("dialog-rl ")]
    assert len(lines) >= 5
    for _, *words in lines:
        command: click.Command = cli
        context = click.Context(cli)
        while isinstance(command, click.Group):
            found = command.get_command(context, words.pop(0))
            assert found is not None
            command = found
        command.make_context("tutorial", words, resilient_parsing=False)


def test_the_tests_of_the_guide_pass(tmp_path: Path) -> None:
    from dialog_rl.testing.episodes import make_episode

    space: dict = {}
    exec(code("python")[0] + code("python")[1], space)  # noqa: S102
    space["test_thanks_are_counted"](make_episode)


def test_the_settings_of_the_guide_are_settings() -> None:
    import tomllib

    settings = Settings.model_validate(tomllib.loads(code("toml")[0]))
    assert [reward.part for reward in settings.rewards] == ["summand", "constraint", "summand"]


def test_the_fixtures_of_the_guide_exist() -> None:
    kit = Path(__file__).parent.parent / "dialog_rl" / "testing" / "pytest_plugin.py"
    exist = set(re.findall(r'fixture\(name="(\w+)"\)', kit.read_text(encoding="utf-8")))
    listed = GUIDE[GUIDE.index("has the fixtures") :].partition(":")[0]
    assert set(re.findall(r"`(\w+)`", listed)) == exist


def test_the_limits_of_the_guide_are_the_limits() -> None:
    from dialog_rl.plugins.isolation import Confinement

    limits = Confinement()
    said = f"{limits.deadline:g} s a call, {limits.memory >> 30} GiB of memory, replies of {limits.reply >> 20} MiB"
    assert said in GUIDE
    assert limits.failures == 5 and "After five failures" in GUIDE
