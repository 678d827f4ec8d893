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
    register(
        "politeness", "dialog_rl_rewards.politeness:Politeness", bounds=(0.0, 1.0),
        description="the share of replies with a polite word in them",
    )  # fmt: skip
    register(
        "safety", "dialog_rl_rewards.safety:Safety", bounds=(-10.0, 0.0),
        description="minus a penalty for leaks, abuse, obeying injected orders and misuse of tools",
    )  # fmt: skip
    register(
        "human_rating", "dialog_rl_rewards.human_rating:HumanRating", needs=("ratings",), bounds=(-1.0, 1.0),
        description="what people thought of a turn or of the whole; missing where nobody said",
    )  # fmt: skip
    register(
        "next_message", "dialog_rl_rewards.next_message:NextMessage", needs=("ratings",), bounds=(-1.0, 1.0),
        description="what the customer's next message says about the reply before it",
    )  # fmt: skip
    register(
        "reference_text", "dialog_rl_rewards.reference_text:ReferenceText", needs=("references", "ratings"),
        bounds=(0.0, 1.0), description="nearness to a reference reply: BLEU, chrF or ROUGE-L",
    )  # fmt: skip
    register(
        "judge", "dialog_rl_rewards.judge:Judge", bounds=(-1.0, 1.0),
        description="the verdict of another model on an OpenAI-compatible server, by majority of votes",
    )  # fmt: skip
    register(
        "learned", "dialog_rl_rewards.learned:Learned", needs=("reward_model",), bounds=(-3.0, 3.0),
        description="what a model of people's opinions thinks of each reply, or how like an expert's each step is",
    )  # fmt: skip
    register(
        "progress", "dialog_rl_rewards.progress:Progress", bounds=(-1.0, 1.0),
        description="shaping by how far the goal's actions are done; keeps the best policy best",
    )  # fmt: skip
