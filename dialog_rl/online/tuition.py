"""Supervised phases between those of practice: the scripted expert serves like customers, and is imitated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from dialog_rl.conversation import Conversation
from dialog_rl.episode import Episode, Message
from dialog_rl.expert import Expert
from dialog_rl.goals import make_scenario
from dialog_rl.mistakes import NONE
from dialog_rl.rl.batch import EpisodeBatch
from dialog_rl.scoring import ScoredEpisode
from dialog_rl.seeds import derive, generator
from dialog_rl.staging import Stage

EXPERT = "expert"
"""The policy version that the expert's steps carry."""


class Renderer(Protocol):
    """What imitating needs of a chat format."""

    @property
    def fingerprint(self) -> str: ...

    @property
    def pad_id(self) -> int: ...

    def observe(self, messages: Iterable[Message]) -> tuple[int, ...]: ...

    def action(self, message: Message) -> tuple[int, ...]: ...


def lessons(
    stages: Sequence[Stage], renderer: Renderer, count: int, *, seed: int, phase: int, longest: int
) -> EpisodeBatch:
    """One phase's demonstrations, as rows to be imitated. Those longer than `longest` positions are left out."""
    scored: list[ScoredEpisode] = []
    for episode in _episodes(stages, renderer, count, derive(seed, "tuition", phase)):
        if sum(len(step.observation_ids) + len(step.action_ids) for step in episode.steps) <= longest:
            bare = (0.0,) * sum(1 for _ in episode.steps)
            scored.append(ScoredEpisode(episode=episode, components={}, reward=0.0, step_rewards=bare))
    return EpisodeBatch.from_scored([], renderer.pad_id, replayed=scored)


def _episodes(stages: Sequence[Stage], renderer: Renderer, count: int, root: int) -> Iterator[Episode]:
    for number in range(count):
        stage, seed = stages[number % len(stages)], derive(root, number)
        scenario = make_scenario(stage.pack, seed, split="train", phrasing="train")
        conversation = stage.conversation(
            scenario, seed, episode_id=f"tuition-{number}", tokenizer=renderer.fingerprint
        )
        yield demonstrate(conversation, Expert(stage.pack, generator(seed, EXPERT), NONE), renderer)


def demonstrate(conversation: Conversation, expert: Expert, renderer: Renderer) -> Episode:
    """Let the expert speak to the end, in the ids that the policy would have for what it says."""
    while conversation.stopped is None:
        heard = conversation.unobserved()
        observed, message = renderer.observe(heard), expert.act(heard)
        ids = renderer.action(message)
        conversation.act(
            message, observation_ids=observed, action_ids=ids, logprobs=(0.0,) * len(ids), policy_version=EXPERT
        )
    return conversation.episode()
