"""Options as they are written on a command line become the settings of an algorithm."""

from __future__ import annotations

from typing import Any

import pytest

from dialog_rl.errors import ConfigError
from dialog_rl.plugins.loading import load_plugins
from dialog_rl.rl.algorithms.grpo import GRPO, GRPOConfig
from dialog_rl.rl.algorithms.ppo import PPO
from dialog_rl.rl.algorithms.ppo_config import PPOConfig
from dialog_rl.rl.algorithms.reinforce import Baseline, Reinforce, ReinforceConfig
from dialog_rl.rl.choices import Level

ALGORITHMS = load_plugins().registry.algorithms


def test_all_on_policy_algorithms_are_registered() -> None:
    assert set(ALGORITHMS) >= {"ppo", "a2c", "reinforce", "reinforce-pp", "rloo", "grpo"}


def test_an_algorithm_is_called_as_it_is_registered() -> None:
    assert all(ALGORITHMS[name].make({}).name == name for name in ALGORITHMS)


def test_which_algorithms_compare_dialogues_with_one_customer() -> None:
    assert {name for name in ALGORITHMS if ALGORITHMS[name].make({}).needs.groups} == {"rloo", "grpo"}


@pytest.mark.parametrize(
    ("name", "options", "made"),
    [
        ("ppo", {"level": "step", "lam": 0.5}, PPO(PPOConfig(level=Level.STEP, lam=0.5))),
        ("reinforce", {"baseline": "critic"}, Reinforce(ReinforceConfig(baseline=Baseline.CRITIC))),
        ("grpo", {"std_floor": None}, GRPO(GRPOConfig(std_floor=None))),
    ],
)
def test_options_reach_the_algorithm(name: str, options: dict[str, Any], made: object) -> None:
    assert ALGORITHMS[name].make(options) == made


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("reinforce", {"baseline": "median"}, "one of none, mean, critic"),
        ("ppo", {"clip": "wide"}, "must be a number"),
        ("ppo", {"clip": True}, "must be a number"),
        ("ppo", {"clipp": 0.1}, "did you mean 'clip'"),
        ("rloo", {"name": "mine"}, "is not an option"),
    ],
)
def test_an_option_that_is_wrong_is_refused_with_what_would_be_right(
    name: str, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        ALGORITHMS[name].make(options)
