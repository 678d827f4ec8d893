"""A pack's customers as `gymnasium.Env`: an action is a whole message, or a single token.

What a conversation earns is known at its end, so the last step is paid all of it, by the rewards of training.
"""

from __future__ import annotations

import json
import string
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from dialog_rl.conversation import Conversation
from dialog_rl.environments.extra import gymnasium
from dialog_rl.episode import Message, Role, ToolCall
from dialog_rl.goals import make_scenario
from dialog_rl.lm.renderer import EmbeddedRenderer
from dialog_rl.lm.rollouts import MAX_ACTION
from dialog_rl.scoring import Reward, score_episodes
from dialog_rl.seeds import derive
from dialog_rl.staging import Stage

CALL = "/call "
"""A text action that begins so is a tool call: `/call look_up_order {"order": "1234"}`."""
LONGEST = 4096
"""Characters of an observation or an action."""
_SEEDS = 2**31


class AnyText(gymnasium.spaces.Text):
    """Any text up to a length; samples are made of plain letters."""

    def __init__(self, max_length: int = LONGEST) -> None:
        super().__init__(max_length, min_length=0, charset=string.ascii_letters + string.digits + " ")

    def contains(self, x: Any) -> bool:
        return isinstance(x, str) and len(x) <= self.max_length


class PackEnv(gymnasium.Env):
    """What both kinds of action share: who calls, when it is over, what it was worth."""

    metadata = {"render_modes": ["ansi"], "render_fps": 1}

    def __init__(
        self, stage: Stage, rewards: Sequence[Reward], *, split: str = "train", render_mode: str | None = None
    ) -> None:
        self.render_mode = render_mode
        self._stage, self._rewards, self._split = stage, rewards, split
        self._conversation: Conversation | None = None
        self._said: list[str] = []

    def _call(self, seed: int | None, tokenizer: str = "") -> Conversation:
        """Another customer, drawn from the environment's own generator."""
        super().reset(seed=seed)
        number = int(self.np_random.integers(_SEEDS))
        customer = derive(number, "environment")
        phrasing = "heldout" if self._split == "heldout" else "train"
        scenario = make_scenario(self._stage.pack, customer, split=self._split, phrasing=phrasing)
        self._conversation = self._stage.conversation(
            scenario, customer, episode_id=f"{self._stage.pack.name}-{number}", tokenizer=tokenizer
        )
        self._said = []
        return self._conversation

    @property
    def conversation(self) -> Conversation:
        """Raises gymnasium's ResetNeeded before the first `reset`."""
        if self._conversation is None or self._conversation.stopped is not None:
            raise gymnasium.error.ResetNeeded("the conversation is over; call reset() first")
        return self._conversation

    def _outcome(self, conversation: Conversation) -> tuple[float, bool, bool]:
        """Reward, terminated, truncated, after an action."""
        if conversation.stopped is None:
            return 0.0, False, False
        (scored,) = score_episodes(self._rewards, [conversation.episode()]) or [None]
        earned = scored.reward + sum(scored.step_rewards) if scored is not None else 0.0
        return float(earned), conversation.stopped.terminated, not conversation.stopped.terminated

    def _hear(self, messages: Sequence[Message]) -> str:
        text = "\n".join(message.text for message in messages)[:LONGEST]
        self._said.append(text)
        return text

    def render(self) -> str | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        return "\n".join(self._said) if self.render_mode == "ansi" else None


class TextEnv(PackEnv):
    """An action is a reply, or a tool call written as CALL says; an observation is what came of it."""

    def __init__(self, stage: Stage, rewards: Sequence[Reward], **how: Any) -> None:
        super().__init__(stage, rewards, **how)
        self.observation_space, self.action_space = AnyText(), AnyText()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        return self._hear(self._call(seed).unobserved()), {}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        conversation = self.conversation
        self._said.append(f"> {action}")
        conversation.act(message_of(action))
        reward, terminated, truncated = self._outcome(conversation)
        return self._hear(conversation.unobserved()), reward, terminated, truncated, {}


class TokenEnv(PackEnv):
    """An action is one token of a model's vocabulary; an observation is the whole conversation so far, padded."""

    def __init__(
        self, stage: Stage, rewards: Sequence[Reward], renderer: EmbeddedRenderer, *, max_length: int = 1024, **how: Any
    ) -> None:
        super().__init__(stage, rewards, **how)
        self._renderer, self._max_length = renderer, max_length
        size = len(renderer.tokenizer)
        self.action_space = gymnasium.spaces.Discrete(size)
        self.observation_space = gymnasium.spaces.Box(0, size - 1, (max_length,), np.int64)
        self._ids: list[int] = []
        self._observed: tuple[int, ...] = ()
        self._action: list[int] = []

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        self._ids, self._action = [], []
        self._observe(self._call(seed, self._renderer.fingerprint))
        return self._shown(), {"length": len(self._ids)}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        conversation = self.conversation
        self._ids.append(int(action))
        self._action.append(int(action))
        if action == self._renderer.end_id or len(self._action) >= MAX_ACTION:
            ids = tuple(self._action)
            conversation.act(
                self._renderer.parse(ids), observation_ids=self._observed, action_ids=ids, logprobs=(0.0,) * len(ids)
            )
            self._action = []
            if conversation.stopped is None:
                self._observe(conversation)
        reward, terminated, truncated = self._outcome(conversation)
        full = len(self._ids) >= self._max_length
        return self._shown(), reward, terminated, truncated or (full and not terminated), {"length": len(self._ids)}

    def _observe(self, conversation: Conversation) -> None:
        heard = conversation.unobserved()
        self._hear(heard)
        self._observed = self._renderer.observe(heard)
        self._ids.extend(self._observed)

    def _shown(self) -> np.ndarray:
        ids = self._ids[: self._max_length]
        return np.array(ids + [self._renderer.pad_id] * (self._max_length - len(ids)), dtype=np.int64)


def message_of(action: str) -> Message:
    """A text action as the agent's message; a call that cannot be read is a malformed one that says why."""
    if not action.startswith(CALL):
        return Message(role=Role.ASSISTANT, text=action)
    name, _, written = action.removeprefix(CALL).strip().partition(" ")
    try:
        arguments = json.loads(written or "{}")
    except (ValueError, RecursionError) as e:
        return Message(role=Role.ASSISTANT, text=action, malformed=f"the arguments of {name} are not JSON: {e}")
    if not isinstance(arguments, dict):
        return Message(role=Role.ASSISTANT, text=action, malformed=f"the arguments of {name} must be an object")
    call = ToolCall(name=name, arguments=cast("dict[str, Any]", arguments))
    return Message(role=Role.ASSISTANT, text=action, tool_call=call)
