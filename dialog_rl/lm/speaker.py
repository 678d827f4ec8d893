"""The policy in one live conversation: its reply as it is spoken, stopped within a token when asked to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import cast

from dialog_rl.episode import Message, Step
from dialog_rl.lm.decoder import open_decoder
from dialog_rl.lm.policy import Policy
from dialog_rl.lm.rollouts import Action, Renderer, Voice, longest_action, speak_on

UNDECODED = "\ufffd"
"""What a byte that does not yet make a character decodes to."""


def _never() -> bool:
    return False


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
        action = self._voice.observe(messages)
        streamed, finished = "", False
        try:
            while action is None and not cancelled():
                action = self._voice.add(speak_on(self._decoder, [self._voice], temperature=self._temperature)[0])
                text = self._speakable(action)
                if text.startswith(streamed) and text != streamed:
                    yield text[len(streamed) :]
                    streamed = text
            finished = action is not None
        finally:
            if not finished:
                action = self._voice.cancel()
        yield cast("Action", action)

    def _speakable(self, action: Action | None) -> str:
        """What can be said aloud so far. White space and half characters at its end wait for what follows."""
        message = action.message if action is not None else self._renderer.parse(self._voice.action_ids)
        if message.malformed or message.tool_call is not None:
            return ""
        return message.text if action is not None else message.text.rstrip().rstrip(UNDECODED).rstrip()
