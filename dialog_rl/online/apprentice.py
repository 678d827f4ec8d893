"""Demonstrations for a base model: the scripted expert as a trainee, serving simulated customers of all packs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

from dialog_rl.conversation import Conversation
from dialog_rl.episode import Episode, Role
from dialog_rl.expert import Expert
from dialog_rl.goals import make_scenario
from dialog_rl.lm.demonstrations import Demonstration, in_processes
from dialog_rl.mistakes import CAREFUL, NONE, TRAINEE, Mistakes
from dialog_rl.plugins.loading import load_plugins
from dialog_rl.plugins.rewards import build_rewards
from dialog_rl.scoring import Reward, RewardSpec, score_episodes
from dialog_rl.seeds import derive, generator
from dialog_rl.staging import Stage, open_stage

DEFAULT_REWARDS = (
    RewardSpec(use="task_success"),
    RewardSpec(use="policy_rules", weight=0.5),
    RewardSpec(use="turn_cost"),
    RewardSpec(use="fluency", weight=0.1),
)
"""Success pays 1; a broken rule costs a quarter of it, a turn a hundredth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Apprenticeship:
    """What is demonstrated, as plain values that another process can be told."""

    packs: tuple[str, ...]
    """Names or folders; they take turns."""
    seed: int = 0
    mistakes: Mistakes = TRAINEE
    careful: float = 0.5
    """Share of the conversations on a good day: what a trainee can do, and does not always do."""
    two_items: float = 0.4
    """Share of the customers who want two things: long conversations need more practice than they get."""
    split: str = "train"


def demonstrations(
    what: Apprenticeship, *, processes: int = 1, first: int = 0, count: int = 1_000_000_000
) -> Iterator[Demonstration]:
    """Demonstration after demonstration, the same for the same apprenticeship, however many processes make them."""
    yield from in_processes(partial(demonstrate, what), range(first, first + count), processes=processes)


def demonstrate(what: Apprenticeship, number: int) -> Demonstration:
    """The trainee's conversation of one number, and what it earned."""
    pack = what.packs[number % len(what.packs)]
    stage, rewards = _stage(pack)
    seed = derive(what.seed, "demonstration", number)
    scenario = make_scenario(stage.pack, seed, split=what.split, phrasing="train", two_items=what.two_items)
    conversation = stage.conversation(scenario, seed, episode_id=f"demonstration-{number}")
    rng = generator(seed, "expert")
    expert = Expert(
        stage.pack, rng, CAREFUL if rng.random() < what.careful and what.mistakes != NONE else what.mistakes
    )
    episode = converse(conversation, expert)
    scored = score_episodes(rewards, [episode])
    messages = list(episode.messages())
    if messages[-1].role is Role.USER:
        messages.append(expert.act((messages[-1],)))  # a simulated customer does not wait for the goodbye, people do
    return Demonstration(
        messages=tuple(messages), episode_return=scored[0].reward, pack=pack, slips=frozenset(expert.slipped),
    )  # fmt: skip


def converse(conversation: Conversation, agent: Expert) -> Episode:
    """Let a text-level agent speak a conversation to its end."""
    while conversation.stopped is None:
        conversation.act(agent.act(conversation.unobserved()))
    return conversation.episode()


@lru_cache(maxsize=16)
def _stage(pack: str) -> tuple[Stage, Sequence[Reward]]:
    plugins = load_plugins()
    return open_stage(plugins.registry, str(Path(pack)) if "/" in pack else pack), build_rewards(
        plugins.registry, DEFAULT_REWARDS
    )
