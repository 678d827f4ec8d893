"""Another answer to the same message, spoken aside and compared blind: which one is whose is told after the vote."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from dialog_rl.chat.events import Proposed, Stopped
from dialog_rl.chat.session import ChatSession
from dialog_rl.chat.turns import Person, act, all_steps, replay, speak_turn
from dialog_rl.chat.voice import never
from dialog_rl.conversation import Conversation, UserReply
from dialog_rl.episode import Turn, to_json
from dialog_rl.errors import DialogRLError
from dialog_rl.seeds import derive

ATTEMPTS = 4
"""How often another answer is asked for before it is accepted that there is no other."""
PAIR = "pair"
"""Where a rating's extra keeps what was compared."""


class NoOtherAnswer(DialogRLError):
    """There is nothing to compare."""


class Vote(StrEnum):
    FIRST = "first"
    SECOND = "second"
    TIE = "tie"
    BOTH_BAD = "both_bad"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    number: int
    """Which turn."""
    said: Turn
    other: Turn
    said_is_first: bool
    """By a coin, so that the place tells nothing."""

    @property
    def first(self) -> Turn:
        return self.said if self.said_is_first else self.other

    @property
    def second(self) -> Turn:
        return self.other if self.said_is_first else self.said

    def prefers_other(self, vote: Vote) -> bool:
        return vote is (Vote.SECOND if self.said_is_first else Vote.FIRST)


def another_answer(
    session: ChatSession,
    number: int,
    *,
    version: str = "",
    cancelled: Callable[[], bool] = never,
    coin: Callable[[], bool] = lambda: random.SystemRandom().random() < 0.5,
) -> Pair | None:
    """A turn and another answer to it: by another version, or sampled anew from the one that speaks now.

    None if it was cancelled. Nothing of it is logged. Raises NoOtherAnswer if there is none, CannotGoOn, ModelError.
    """
    said = session.turns[number]
    version = version or session.voices.current()
    same = version == said.steps[-1].policy_version
    temperature = (session.setting.temperature or 1.0) if same else session.setting.temperature
    for attempt in range(ATTEMPTS if temperature else 1):
        conversation = _about_to_answer(session, number)
        seed = derive(session.setting.seed, "another answer", number, attempt)
        voice = session.voices.voice(version, seed=seed, temperature=temperature, history=all_steps(conversation))
        for event in speak_turn(voice, conversation, version, cancelled):
            if isinstance(event, Stopped):
                return None
            if isinstance(event, Proposed) and event.step.message.text != said.reply:
                other = Turn(user=said.user, steps=(*conversation.steps, event.step))
                return Pair(number=number, said=said, other=other, said_is_first=coin())
    raise NoOtherAnswer("there is no other answer: it came out the same, or not at all")


def settle(session: ChatSession, pair: Pair, vote: Vote) -> ChatSession:
    """Log which of the two is better. The conversation goes on with that one, if nothing was said after it.

    Returns the conversation to go on with: a branch, if the other answer took the place of the one that was given.
    """
    is_last = pair.number == len(session.turns) - 1 and session.unanswered is None and session.ended is None
    chosen, other = "said" if vote in (Vote.FIRST, Vote.SECOND) else str(vote), pair.other
    if pair.prefers_other(vote):
        if is_last:
            session, other = session.branch((*session.turns[: pair.number], pair.other)), pair.said
        else:
            chosen = "other"
    compared = {"chosen": chosen, "other": to_json(other)}
    extra = {**session.opinions.of(pair.number).extra, PAIR: compared}
    session.opinions.change(pair.number, extra=extra)
    return session


def _about_to_answer(session: ChatSession, number: int) -> Conversation:
    """The conversation as it was when the turn's message had just been said."""
    said = UserReply(message=session.turns[number].user)
    if number == 0:
        return session.converse(Person(said))
    conversation, person, last = replay(session.converse, session.turns[:number])
    person.says = said
    act(conversation, last)
    return conversation
