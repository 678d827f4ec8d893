"""One file an algorithm, each behind the contract of `dialog_rl.rl.algorithm`, registered as anybody's would be."""

from __future__ import annotations

from dialog_rl.hookspecs import Register, hookimpl

dialog_rl_api = 1


@hookimpl
def register_algorithms(register: Register) -> None:
    made = "dialog_rl.rl.algorithms.options"
    register("ppo", f"{made}:ppo", description="clipped ratio, learned critic, GAE over tokens or steps")
    register("a2c", f"{made}:a2c", description="advantage actor-critic: PPO without ratio and clip, one pass")
    register("reinforce", f"{made}:reinforce", description="Monte-Carlo policy gradient; baseline none, mean or critic")
    register(
        "reinforce-pp", f"{made}:reinforce_pp", description="no critic; PPO's clip, returns whitened over the batch"
    )
    register("rloo", f"{made}:rloo", description="against the mean of the customer's other dialogues, one pass")
    register("grpo", f"{made}:grpo", description="PPO's clip, relative to the customer's other dialogues, no critic")
