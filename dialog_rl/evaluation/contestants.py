"""Who can be measured: the scripted expert, which is the ceiling; agents that deserve nothing, which should be the
floor; and versions of the policy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from dialog_rl import undeserving
from dialog_rl.conversation import Conversation
from dialog_rl.episode import Episode
from dialog_rl.evaluation.suites import Contestant, Play
from dialog_rl.lm.model import SpeakingModel
from dialog_rl.lm.rollouts import Rollouts, rollouts
from dialog_rl.staging import Stage

EXPERT = "expert"


def expert(name: str = EXPERT) -> Contestant:
    return Contestant(name=name, version=EXPERT, play=lambda stage: _scripted(EXPERT, stage.expert))


def floor(name: str) -> Contestant:
    """One of `undeserving.AGENTS`."""

    def agent(conversation: Conversation) -> Any:
        return undeserving.agent(name, conversation.scenario)

    return Contestant(name=name, version=name, play=lambda stage: _scripted(name, agent))


def _scripted(version: str, agent_for: Callable[[Conversation], Any]) -> Play:
    def play(conversations: Iterable[Conversation]) -> Iterator[Episode]:
        for conversation in conversations:
            agent = agent_for(conversation)
            while conversation.stopped is None:
                conversation.act(agent.act(conversation.unobserved()), policy_version=version)
            yield conversation.episode()

    return play


def policy_contestant(
    name: str,
    model: SpeakingModel,
    *,
    temperature: float = 1.0,
    slots: int = 32,
    cancelled: Callable[[], bool] = lambda: False,
    speak: Rollouts = rollouts,
) -> Contestant:
    """A version of the policy. `temperature` 0 takes the likeliest token. `speak`: here, or on other machines."""

    def play_of(stage: Stage) -> Play:
        def play(conversations: Iterable[Conversation]) -> Iterator[Episode]:
            return speak(
                model.policy, model.renderer, conversations, slots=slots, max_length=model.policy.max_positions,
                temperature=temperature, version=model.version, cancelled=cancelled,
            )  # fmt: skip

        return play

    return Contestant(
        name=name, version=model.version, play=play_of, temperature=temperature, tokenizer=model.renderer.fingerprint
    )
