"""The pytest plugin: fixtures for the tests of plugin authors, active wherever dialog_rl is installed.

make_episode: a factory of episodes; plugins: an empty plugin manager of the test's own; scripted_user, scripted_policy,
scripted_tools and converse: a conversation without a model; check_reward: puts the contract's questions to a reward.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from dialog_rl.episode import Episode
    from dialog_rl.plugins.conformance import Check
    from dialog_rl.plugins.loading import Plugins

# Imported inside the fixtures: this module is loaded in every test run of whoever has dialog_rl installed.


@pytest.fixture(name="make_episode")
def _make_episode() -> Callable[..., Episode]:
    """`make_episode(("hello", "hi"), ("bye",))`: see dialog_rl.testing.episodes."""
    from dialog_rl.testing.episodes import make_episode

    return make_episode


@pytest.fixture(name="plugins")
def _plugins() -> Iterator[Plugins]:
    """A plugin manager with nothing in it: `plugins.add("mine", module)`, then `plugins.registry.rewards["mine"]`."""
    from dialog_rl.plugins.loading import Plugins

    with Plugins() as plugins:
        yield plugins


@pytest.fixture(name="scripted_user")
def _scripted_user() -> Callable[..., Any]:
    from dialog_rl.testing.scripted import ScriptedUser

    return ScriptedUser


@pytest.fixture(name="scripted_policy")
def _scripted_policy() -> Callable[..., Any]:
    from dialog_rl.testing.scripted import ScriptedPolicy

    return ScriptedPolicy


@pytest.fixture(name="scripted_tools")
def _scripted_tools() -> Callable[..., Any]:
    from dialog_rl.testing.scripted import ScriptedTools

    return ScriptedTools


@pytest.fixture(name="converse")
def _converse() -> Callable[..., Episode]:
    """`converse(scripted_user("hi", "bye"), scripted_policy("hello"))`: the episode of that conversation."""
    from dialog_rl.testing.scripted import converse

    return converse


@pytest.fixture(name="check_reward")
def _check_reward() -> Callable[..., list[Check]]:
    """`check_reward(MyReward)`: fails with every question of the contract that the reward does not answer well.

    `bounds` are those it registers with; `episodes` replace the made-up ones.
    """
    from dialog_rl.plugins.conformance import check_reward
    from dialog_rl.scoring import Reward

    def check(
        factory: Callable[[], Any], *, bounds: tuple[float, float] = (-100.0, 100.0), episodes: Sequence[Episode] = ()
    ) -> list[Check]:
        answers = check_reward(lambda: Reward(name="reward", function=factory(), bounds=bounds), episodes)
        wrong = [f"{answer.name}: {answer.detail}" for answer in answers if not answer.passed]
        if wrong:
            pytest.fail("the reward does not keep its contract:\n  " + "\n  ".join(wrong), pytrace=False)
        return answers

    return check
