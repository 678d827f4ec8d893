"""Who can be measured: the scripted expert, which is the ceiling, and versions of the policy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from dialog_rl.conversation import Conversation
from dialog_rl.episode import Episode
from dialog_rl.evaluation.suites import Contestant, Play
from dialog_rl.lm.model import SpeakingModel
from dialog_rl.lm.rollouts import rollouts
from dialog_rl.staging import Stage

EXPERT = "expert"


def expert(name: str = EXPERT) -> Contestant:
    return Contestant(name=name, version=EXPERT, play=_expert_play)


def _expert_play(stage: Stage) -> Play:
    def play(conversations: Iterable[Conversation]) -> Iterator[Episode]:
        for conversation in conversations:
            agent = stage.expert(conversation)
            while conversation.stopped is None:
                conversation.act(agent.act(conversation.unobserved()), policy_version=EXPERT)
            yield conversation.episode()

    return play


def policy_contestant(
    name: str,
    model: SpeakingModel,
    *,
    temperature: float = 1.0,
    slots: int = 32,
    cancelled: Callable[[], bool] = lambda: False,
) -> Contestant:
    """A version of the policy. `temperature` 0 takes the likeliest token."""

    def play_of(stage: Stage) -> Play:
        def play(conversations: Iterable[Conversation]) -> Iterator[Episode]:
            return rollouts(
                model.policy, model.renderer, conversations, slots=slots, max_length=model.policy.max_positions,
                temperature=temperature, version=model.version, cancelled=cancelled,
            )  # fmt: skip

        return play

    return Contestant(
        name=name, version=model.version, play=play_of, temperature=temperature, tokenizer=model.renderer.fingerprint
    )
