"""Turns of a conversation with a person: one spoken by a voice, and those of a log taken up again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from dialog_rl.chat.events import Called, Delta, Proposed, Speaking, Stopped
from dialog_rl.chat.voice import CANCELLED, Spoken, Voice
from dialog_rl.conversation import Conversation, UserReply
from dialog_rl.episode import Message, Role, Step, Turn
from dialog_rl.errors import DialogRLError


class CannotGoOn(DialogRLError):
    """A logged conversation that cannot be taken up again as it was."""


SILENCE = Message(role=Role.USER, text="")
"""What somebody says who just leaves."""


class Person:
    """The User at the keyboard. Says what it was last told to say."""

    def __init__(self, says: UserReply) -> None:
        self.says = says

    def open(self) -> UserReply:
        return self.says

    def reply(self, message: Message) -> UserReply:
        return self.says


def speak_turn(
    voice: Voice, conversation: Conversation, version: str, cancelled: Callable[[], bool]
) -> Iterator[Speaking]:
    """Calls and reply to what the conversation's user said last. The reply is proposed, not yet settled.

    Ends without one if it was cancelled, or if the conversation has ended: the agent ended it, a limit, full context.
    """
    while conversation.stopped is None:
        spoken: Spoken | None = None
        for part in voice.speak(conversation.unobserved(), cancelled=cancelled):
            if isinstance(part, str):
                yield Delta(part)
            else:
                spoken = part
        if spoken is None or spoken.ending == CANCELLED:
            yield Stopped()
            return
        if spoken.message.tool_call is None and not spoken.message.malformed:
            yield Proposed(_step(spoken, version))
            return
        before = len(all_steps(conversation))
        spoken.settle(conversation, policy_version=version)
        yield from (Called(step) for step in all_steps(conversation)[before:])


def all_steps(conversation: Conversation) -> tuple[Step, ...]:
    """Everything the policy has done in it so far."""
    return (*(step for turn in conversation.turns for step in turn.steps), *conversation.steps)


def act(conversation: Conversation, step: Step) -> None:
    """Let a step happen that was taken before."""
    conversation.act(
        step.message,
        observation_ids=step.observation_ids,
        action_ids=step.action_ids,
        logprobs=step.logprobs,
        policy_version=step.policy_version,
    )


def replay(begin: Callable[[Person], Conversation], turns: Sequence[Turn]) -> tuple[Conversation, Person, Step]:
    """A conversation in which `turns` have happened, its person, and the last reply, which is not yet settled.

    Raises CannotGoOn if the back office answers otherwise than it did, or a turn was never answered.
    """
    person = Person(UserReply(message=turns[0].user))
    conversation = begin(person)
    for number, turn in enumerate(turns):
        if not turn.reply:
            raise CannotGoOn(f"turn {number} has no reply")
        for step in turn.steps[:-1]:
            act(conversation, step)
            if conversation.stopped is not None or conversation.steps[-1].result != step.result:
                raise CannotGoOn("the pack has changed since; the conversation can be read, but not continued")
        if number + 1 < len(turns):
            person.says = UserReply(message=turns[number + 1].user)
            act(conversation, turn.steps[-1])
    return conversation, person, turns[-1].steps[-1]


def _step(spoken: Spoken, version: str) -> Step:
    return Step(
        message=spoken.message,
        observation_ids=spoken.observation_ids,
        action_ids=spoken.action_ids,
        logprobs=spoken.logprobs,
        policy_version=version,
    )
