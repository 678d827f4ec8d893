"""A text environment as somebody to talk to: its observations are what is said, the agent's replies are its actions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dialog_rl.conversation import Conversation, Limits, UserReply
from dialog_rl.environments.extra import gymnasium
from dialog_rl.environments.rewards import PAID
from dialog_rl.episode import Change, Message, Role, ToolCall
from dialog_rl.errors import ConfigError

PREFIX = "gym:"
"""Before an id where packs are named: `--pack gym:dialog_rl/Doors-v0`."""
SOLVED, RETURN = "environment/solved", "environment/return"
_SEEDS = 2**31


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvSource:
    """Conversations with fresh copies of one environment. Its seed is the customer's, so a group meets the same one."""

    name: str
    make: Callable[[], Any]
    brief: str = ""
    turns: int = 32
    """Replies after which a conversation is cut off."""
    solved_at: float = 1.0
    """The return from which on the environment counts as solved: that is its episodes' success."""

    def conversation_of(
        self, customer: int, seed: int, *, episode_id: str, tokenizer: str, temperature: float
    ) -> Conversation:
        user = EnvUser(self.make(), customer % _SEEDS, self.solved_at)
        scenario = {
            "schema": 1, "id": f"{self.name}-{customer % _SEEDS}", "pack": self.name,
            "success": {
                "db": {"patch": [{"path": SOLVED, "before": False, "after": True}]}, "ignore_paths": [RETURN],
            },
        }  # fmt: skip
        return Conversation(
            episode_id=episode_id, pack=self.name, scenario=scenario, seed=seed,
            system=Message(role=Role.SYSTEM, text=self.brief), user=user, tools=Office(user),
            limits=Limits(turns=self.turns), simulator="gymnasium", tokenizer=tokenizer, temperature=temperature,
        )  # fmt: skip


def source_of(name: str) -> EnvSource:
    """The environment of an id as it is named beside packs. Raises ConfigError."""
    import dialog_rl.environments.registered  # noqa: F401 - our own ids

    env_id = name.removeprefix(PREFIX)
    try:
        made = gymnasium.make(env_id)
    except gymnasium.error.Error as e:
        raise ConfigError(f"{name}: {' '.join(str(e).split())}") from None
    inner: Any = made.unwrapped
    if not isinstance(made.observation_space, gymnasium.spaces.Text):
        raise ConfigError(f"{name}: it shows {made.observation_space}, not text; wrap it so that it does")
    if not isinstance(made.action_space, gymnasium.spaces.Text | gymnasium.spaces.Discrete):
        raise ConfigError(f"{name}: its actions are {made.action_space}, neither text nor numbers from a list")
    made.close()
    return EnvSource(
        name=name, make=lambda: gymnasium.make(env_id), brief=str(getattr(inner, "brief", "")),
        solved_at=float(getattr(inner, "solved_at", 1.0)),
    )  # fmt: skip


class EnvUser:
    """Plays the environment with the agent's words. One that is no action of it is answered, and changes nothing."""

    def __init__(self, env: Any, seed: int, solved_at: float) -> None:
        self._env, self._seed, self._solved_at = env, seed, solved_at
        self.earned = 0.0

    @property
    def solved(self) -> bool:
        return self.earned >= self._solved_at

    def open(self) -> UserReply:
        shown, _ = self._env.reset(seed=self._seed)
        return UserReply(message=Message(role=Role.USER, text=str(shown)))

    def reply(self, message: Message) -> UserReply:
        action = self._action(message.text)
        if action is None:
            return UserReply(message=Message(role=Role.USER, text="That is no action here.", facts={PAID: 0.0}))
        shown, paid, terminated, truncated, _ = self._env.step(action)
        self.earned += float(paid)
        over = bool(terminated or truncated)
        if over:
            self._env.close()
        return UserReply(message=Message(role=Role.USER, text=str(shown), facts={PAID: float(paid)}), leaves=over)

    def _action(self, text: str) -> Any:
        space = self._env.action_space
        if isinstance(space, gymnasium.spaces.Discrete):
            number = int(text) if text.strip().lstrip("-").isdecimal() else None
            return number if number is not None and space.contains(number) else None
        return text if space.contains(text) else None


class Office:
    """An environment has no tools; its journal says what became of it."""

    def __init__(self, user: EnvUser) -> None:
        self._user = user

    def call(self, call: ToolCall) -> Message:
        return Message(role=Role.TOOL, text=f"error: there is no tool {call.name!r} here", error=True)

    def journal(self) -> tuple[Change, ...]:
        earned = Change(path=RETURN, before=0.0, after=self._user.earned)
        return (earned, Change(path=SOLVED, before=False, after=True)) if self._user.solved else (earned,)

    def ends_conversation(self, call: ToolCall) -> bool:
        return False
