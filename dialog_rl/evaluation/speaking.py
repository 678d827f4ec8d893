"""A language model of this program as the voice of a simulated customer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from dialog_rl.episode import Message, Role, Step
from dialog_rl.lm.model import SpeakingModel
from dialog_rl.lm.rollouts import Action
from dialog_rl.lm.speaker import Speaker

Speak = Callable[[Sequence[Mapping[str, str]], int], str]
"""Chat messages (role, content) and a seed → what the model says next."""
LONGEST = 160
"""Tokens of one message of a customer."""


def speak_with(model: SpeakingModel, *, temperature: float = 1.0) -> Speak:
    """The model speaks as the assistant of the chat that it is shown; nothing where its context is full.

    It takes a model that follows instructions to play the part: those that come with the program know only the agent's.
    """

    def speak(chat: Sequence[Mapping[str, str]], seed: int) -> str:
        steps: list[Step] = []
        unobserved: list[Message] = []
        for said in chat:
            message = Message(role=Role(said["role"]), text=said["content"])
            if message.role is not Role.ASSISTANT:
                unobserved.append(message)
                continue
            observed, acted = model.renderer.observe(unobserved), model.renderer.action(message)
            logprobs = (0.0,) * len(acted)
            steps.append(Step(message=message, observation_ids=observed, action_ids=acted, logprobs=logprobs))
            unobserved = []
        speaker = Speaker(
            model.policy, model.renderer, seed=seed, max_length=model.policy.max_positions, max_action=LONGEST,
            temperature=temperature,
        )  # fmt: skip
        speaker.remember(steps)
        return next(part.message.text for part in speaker.speak(unobserved) if isinstance(part, Action))

    return speak
