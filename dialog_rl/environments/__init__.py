"""Gymnasium both ways: our scenarios as environments, and text environments as somebody to talk to.

`envs` and `registered` need gymnasium (the extra `gym`); this module does not, so that rewards can be found without it.
"""

from __future__ import annotations

from dialog_rl.hookspecs import Register, hookimpl

dialog_rl_api = 1


@hookimpl
def register_rewards(register: Register) -> None:
    register(
        "env_return", "dialog_rl.environments.rewards:EnvReturn", bounds=(-1e6, 1e6),
        description="what a gymnasium environment paid, step by step",
    )  # fmt: skip
