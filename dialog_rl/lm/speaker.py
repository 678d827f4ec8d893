"""The policy in one live conversation: its reply as it is spoken, stopped within a token when asked to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import cast

from dialog_rl.episode import Message, Step
from dialog_rl.lm.decoder import open_decoder
from dialog_rl.lm.model import SpeakingModel
from dialog_rl.lm.policy import Policy
from dialog_rl.lm.rollouts import Action, Renderer, Voice, longest_action, speak_on

UNDECODED = "\ufffd"
"""What a byte that does not yet make a character decodes to."""


def _never() -> bool:
    return False


class Aloud:
    """A reply as it can be said while it is being made: piece by piece, and nothing of a tool call."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer, self._said = renderer, ""

    def more(self, action_ids: Sequence[int], action: Action | None = None) -> str:
        """What can be said beyond what was, by the ids so far or the finished action. It may be nothing yet."""
        text = self._speakable(action_ids, action)
        if not text.startswith(self._said):
            return ""
        piece, self._said = text[len(self._said) :], text
        return piece

    def _speakable(self, action_ids: Sequence[int], action: Action | None) -> str:
        """White space and half characters at its end wait for what follows."""
        message = action.message if action is not None else self._renderer.parse(action_ids)
        if message.malformed or message.tool_call is not None:
            return ""
        return message.text if action is not None else message.text.rstrip().rstrip(UNDECODED).rstrip()


class Speaker:
    """One slot of a decoder. A sampled reply is drawn from the numbers that a rollout with the same seed would use."""

    def __init__(
        self,
        policy: Policy,
        renderer: Renderer,
        *,
        seed: int,
        max_length: int = 1024,
        max_action: int | None = None,
        temperature: float = 1.0,
    ) -> None:
        self._decoder = open_decoder(policy, slots=1, max_length=max_length)
        self._voice = Voice(self._decoder, 0, renderer, seed=seed, max_action=max_action or longest_action(renderer))
        self._renderer, self._temperature = renderer, temperature

    def remember(self, steps: Sequence[Step]) -> None:
        """Take up a conversation where it was left, by the ids of its steps. Only before anything was spoken.

        The next reply is drawn from the random numbers that it would have been drawn from without the break.
        """
        self._voice.remember(
            [i for step in steps for i in (*step.observation_ids, *step.action_ids)],
            drawn=sum(len(step.action_ids) for step in steps),
        )

    def speak(self, messages: Iterable[Message], *, cancelled: Callable[[], bool] = _never) -> Iterator[str | Action]:
        """Act in answer to what was not yet observed. Yields a spoken reply's text piece by piece, then the Action.

        The text of a tool call is not streamed. `cancelled` is asked before every token; a cancelled action has been
        forgotten when it is yielded, and the same messages may be spoken to again. Leaving the iteration early cancels.
        """
        action, finished, aloud = self._voice.observe(messages), False, Aloud(self._renderer)
        try:
            while action is None and not cancelled():
                action = self._voice.add(speak_on(self._decoder, [self._voice], temperature=self._temperature)[0])
                if piece := aloud.more(self._voice.action_ids, action):
                    yield piece
            finished = action is not None
        finally:
            if not finished:
                action = self._voice.cancel()
        yield cast("Action", action)


def speaks_alone(model: SpeakingModel, *, seed: int, temperature: float, history: Sequence[Step] = ()) -> Speaker:
    """A speaker with a decoder of its own, that takes up a conversation where `history` ends."""
    speaker = Speaker(
        model.policy, model.renderer, seed=seed, max_length=model.policy.max_positions, temperature=temperature
    )
    speaker.remember(history)
    return speaker
