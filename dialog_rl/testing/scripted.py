"""A customer and an agent who say what they were told to say, and the conversation they have."""

from __future__ import annotations

from collections.abc import Sequence

from dialog_rl.conversation import Conversation, Limits, UserReply
from dialog_rl.episode import Change, Episode, Message, Role, ToolCall


class ScriptedUser:
    """Says its lines in order, whatever it hears, and leaves with the last one."""

    def __init__(self, *lines: str) -> None:
        if not lines:
            raise ValueError("a scripted user needs at least one line")
        self._lines = list(lines)
        self.heard: list[str] = []

    def open(self) -> UserReply:
        return self._next()

    def reply(self, message: Message) -> UserReply:
        self.heard.append(message.text)
        return self._next()

    def _next(self) -> UserReply:
        text = self._lines.pop(0)
        return UserReply(message=Message(role=Role.USER, text=text), leaves=not self._lines)


class ScriptedPolicy:
    """Takes its actions in order; a string is a reply, a ToolCall a call. Says "…" when it has run out."""

    def __init__(self, *actions: str | ToolCall) -> None:
        self._actions = list(actions)
        self.observed: list[Message] = []

    def act(self, observed: Sequence[Message]) -> Message:
        self.observed += observed
        action = self._actions.pop(0) if self._actions else "…"
        if isinstance(action, ToolCall):
            return Message(role=Role.ASSISTANT, text=action.name, tool_call=action)
        return Message(role=Role.ASSISTANT, text=action)


class ScriptedTools:
    """Answers each tool by name with a fixed text; an unknown tool is refused."""

    def __init__(self, **answers: str) -> None:
        self._answers = answers
        self.calls: list[ToolCall] = []

    def call(self, call: ToolCall) -> Message:
        self.calls.append(call)
        known = call.name in self._answers
        text = self._answers.get(call.name, f"error: no tool {call.name}")
        return Message(role=Role.TOOL, text=text, error=not known)

    def journal(self) -> tuple[Change, ...]:
        return ()

    def ends_conversation(self, call: ToolCall) -> bool:
        return False


def converse(user: ScriptedUser, policy: ScriptedPolicy, tools: ScriptedTools | None = None) -> Episode:
    """The episode that comes of it, through the same state machine as every other."""
    conversation = Conversation(
        episode_id="scripted",
        pack="scripted",
        scenario={},
        seed=0,
        system=Message(role=Role.SYSTEM, text=""),
        user=user,
        tools=tools or ScriptedTools(),
        limits=Limits(turns=50, calls=50),
        simulator="scripted",
    )
    while conversation.stopped is None:
        conversation.act(policy.act(conversation.unobserved()))
    return conversation.episode()
