"""The rewards that come with dialog_rl, found through the same entry-point group as anybody's."""

from __future__ import annotations

from dialog_rl import hookimpl
from dialog_rl.hookspecs import Register

dialog_rl_api = 1


@hookimpl
def register_rewards(register: Register) -> None:
    register(
        "task_success", "dialog_rl_rewards.task_success:TaskSuccess", bounds=(-10.0, 10.0),
        description="the customer got what they came for: end state and what had to be said",
    )  # fmt: skip
    register(
        "policy_rules", "dialog_rl_rewards.policy_rules:PolicyRules", bounds=(-10.0, 0.0),
        description="minus a penalty for each violation of the shop's rules",
    )  # fmt: skip
    register(
        "turn_cost", "dialog_rl_rewards.turn_cost:TurnCost", bounds=(-100.0, 0.0),
        description="a small price for each of the customer's turns, each tool call and each refused call",
    )  # fmt: skip
    register(
        "fluency", "dialog_rl_rewards.fluency:Fluency", needs=("reference",), bounds=(-1.0, 0.0),
        description="minus what is unlike the reference policy, repeated, monotonous or broken",
    )  # fmt: skip
