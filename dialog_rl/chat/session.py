"""One conversation with a person: what was said is logged before it is answered, and the answer before it is settled.

The agent's last reply is kept back from the Conversation until it is known what the person says to it. So nothing
inside the state machine waits for a keyboard, and that reply can still be replaced.
"""

from __future__ import annotations

import getpass
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypedDict

from dialog_rl.chat.card import Card, card_of
from dialog_rl.chat.events import Ended, Event, Proposed, Replied, Swapped
from dialog_rl.chat.opinions import Opinions
from dialog_rl.chat.setting import LEARNABLE, Setting
from dialog_rl.chat.talk import says_something_new
from dialog_rl.chat.turns import SILENCE, CannotGoOn, Person, act, all_steps, replay, speak_turn
from dialog_rl.chat.voice import Voice, Voices, never
from dialog_rl.conversation import Conversation, UserReply
from dialog_rl.episode import Act, Episode, Message, Rating, Role, Step, StopReason, Turn
from dialog_rl.errors import ModelError, SupersededError
from dialog_rl.phrasing import says_yes

if TYPE_CHECKING:
    from dialog_rl.episode_log.log import EpisodeLog

RUN = "chat"
"""The run that conversations with people are logged under."""
WENT_ON = "went on as "
"""How the note of a conversation begins that was left for a branch of it."""


class ChatSession:
    """One conversation with a person. Not thread-safe, but for `opinions`, which touch nothing else."""

    def __init__(
        self,
        log: EpisodeLog,
        voices: Voices,
        setting: Setting,
        *,
        episode_id: str = "",
        started_at: float | None = None,
        rater: str = "",
        note: str = "",
    ) -> None:
        """note: what the episode is to say of itself, as where it branched off."""
        self.id = episode_id or f"chat-{time.strftime('%Y%m%dT%H%M%S')}-{uuid.uuid4().hex[:6]}"
        self.setting, self.log, self.voices = setting, log, voices
        self.opinions = Opinions(log, self.id, rater or getpass.getuser())
        self.turns: tuple[Turn, ...] = ()
        """The turns answered so far."""
        self.unanswered: Message | None = None
        """What the person said last, if it has no answer yet."""
        self.ended: Episode | None = None
        self.trains: bool | None = None
        """Whether the person lets it be learnt from; None if they have not said."""
        self.version = ""
        """The version that spoke last."""
        self._started = time.time() if started_at is None else started_at
        self._rater, self._note = rater, note
        self._tokenizer = ""
        self._begun = False
        self._conversation: Conversation | None = None
        self._person = Person(UserReply(message=SILENCE, leaves=True))
        self._pending: Step | None = None
        """The last reply, as long as the conversation has not been told what the person says to it."""
        self._voice: Voice | None = None

    @property
    def begun(self) -> bool:
        """Whether the log knows of it."""
        return self._begun

    @property
    def pack(self) -> str:
        return self.setting.stage.pack.name

    @property
    def kept_in(self) -> str:
        return self.log.name

    def card(self) -> Card:
        return card_of(self.setting.stage, self.setting.scenario, self.setting.seed)

    def begin(self) -> None:
        """Log that the conversation begins; the first message does this too. Raises EpisodeLogError."""
        if self._begun:
            return
        self._tokenizer = self._tokenizer or self.voices.tokenizer
        self.log.begin(self.setting.opening(**self._identity()))
        self._begun = True
        if self.trains is not None:
            self.log.consent(self.id, train=self.trains)

    def allow_training(self, allowed: bool) -> None:
        """Whether this conversation may be learnt from: the last word counts. Raises EpisodeLogError.

        One that has not begun is then spoken such that it can be: replies without chance are no sample of the policy.
        """
        if self._begun:
            self.log.consent(self.id, train=allowed)
        elif allowed:
            self.setting = replace(self.setting, temperature=LEARNABLE)
        self.trains = allowed

    @property
    def learnable(self) -> bool:
        """Whether the way it is spoken allows it to be learnt from."""
        return self.setting.temperature == LEARNABLE

    def say(self, text: str) -> None:
        """Log what the person says, before anything is done about it; `answer` is to follow.

        Saying once more what has not been answered yet changes nothing. Raises NotSent, EpisodeLogError.
        """
        if not says_something_new(self, text):
            return
        self.begin()
        yes = says_yes(text, self.setting.stage.pack.phrasing.understand)
        message = Message(role=Role.USER, text=text, acts=(Act(kind="affirm"),) if yes else ())
        self.log.user_said(self.id, len(self.turns), message)
        self.unanswered = message

    def answer(self, cancelled: Callable[[], bool] = never) -> Iterator[Event]:
        """The agent's answer to what was said last, as it is made. After a stop or a failure it may be asked for again.

        Raises ModelError, EpisodeLogError; the message then stays unanswered.
        """
        if self.unanswered is None:
            raise ValueError("there is nothing to answer")
        conversation = self._hand_over(self.unanswered)
        yield from self._follow_version()
        assert self._voice is not None
        try:
            for event in speak_turn(self._voice, conversation, self.version, cancelled):
                yield self._reply(event.step) if isinstance(event, Proposed) else event
        except Exception:
            self._voice = None  # it remembers what was never said; another one takes up the conversation
            raise
        if conversation.stopped is not None:
            yield self._close(conversation.stopped)
        elif self.unanswered is None and len(self.turns) >= self.setting.turns:
            yield self._close(StopReason.MAX_TURNS)

    def up_to(self, number: int) -> Episode:
        """As an episode that came no further than this turn; the whole one, if it ended with it."""
        if self.ended is not None and number == len(self.turns) - 1:
            return self.ended
        return replace(self.setting.opening(**self._identity()), turns=self.turns[: number + 1])

    def leave(self) -> Episode | None:
        """End the conversation and log it as an episode; None if the log never knew of it. Safe to repeat.

        It is one to learn from, unless the person left before the first answer.
        """
        if self._begun and self.ended is None:
            answered = bool(self.turns) or self.unanswered is None
            self._close(StopReason.USER_LEFT if answered else StopReason.ABORTED)
        return self.ended

    def abort(self, note: str = "") -> Episode | None:
        """End it as something that broke off, not to be learnt from."""
        if self._begun and self.ended is None:
            self._note = note or self._note
            self._close(StopReason.ABORTED)
        return self.ended

    def branch(self, turns: Sequence[Turn], say: str | None = None, *, episode_id: str = "") -> ChatSession:
        """Another conversation in which `turns` have happened, and then perhaps something else was said.

        What was thought of the turns in common goes along. This one is aborted, if it has not ended. Raises CannotGoOn.
        """
        common = sum(1 for one, other in zip(self.turns, turns, strict=False) if one == other)
        note = f"goes on from {self.id}, turn {common}"
        other = ChatSession(self.log, self.voices, self.setting, episode_id=episode_id, rater=self._rater, note=note)
        other.trains = self.trains
        other._take_up(turns, self._tokenizer)
        other.begin()
        for number, turn in enumerate(turns):
            self.log.user_said(other.id, number, turn.user)
            self.log.answered(other.id, number, turn)
        for number in range(common):
            if number in self.opinions.given:
                thought = self.opinions.of(number)
                other.opinions.change(number, **_thought(thought))
        if say is not None:
            other.say(say)
        self.abort(f"{WENT_ON}{other.id} from turn {common}")
        return other

    @classmethod
    def resumed(
        cls,
        log: EpisodeLog,
        voices: Voices,
        setting: Setting,
        kept: Episode,
        unanswered: Message | None,
        *,
        rater: str = "",
    ) -> ChatSession:
        """A conversation that never ended, as when the program was killed. Raises CannotGoOn."""
        if kept.system != setting.system:
            raise CannotGoOn("the pack has changed since; the conversation can be read, but not continued")
        session = cls(log, voices, setting, episode_id=kept.episode_id, started_at=kept.started_at, rater=rater)
        session._take_up(kept.turns, kept.tokenizer)
        session._begun, session.unanswered = True, unanswered
        session._recall()
        return session

    @classmethod
    def closed(
        cls, log: EpisodeLog, voices: Voices, setting: Setting, ended: Episode, *, rater: str = ""
    ) -> ChatSession:
        """A conversation that has ended: to be read, rated and branched off."""
        session = cls(log, voices, setting, episode_id=ended.episode_id, started_at=ended.started_at, rater=rater)
        session.turns = tuple(turn for turn in ended.turns if turn.steps)
        session._tokenizer, session._begun, session.ended = ended.tokenizer, True, ended
        session._recall()
        return session

    def _recall(self) -> None:
        """What was said about it before."""
        self.version = next((turn.steps[-1].policy_version for turn in self.turns[-1:]), "")
        self.trains = self.log.consented(self.id)
        named = self.log.named_ratings(self.id)
        self.opinions.remember((rating for _, rating in named), (name for name, _ in named))

    def _take_up(self, turns: Sequence[Turn], tokenizer: str) -> None:
        self.turns, self._tokenizer = tuple(turns), tokenizer
        if turns:
            self._conversation, self._person, self._pending = replay(self.converse, turns)
            self.version = self._pending.policy_version

    def _hand_over(self, message: Message) -> Conversation:
        """Tell the conversation what the person says, unless it knows."""
        self._person.says = UserReply(message=message)
        if self._conversation is None:
            self._conversation = self.converse(self._person)
        elif self._pending is not None:
            pending, self._pending = self._pending, None
            act(self._conversation, pending)
        return self._conversation

    def _follow_version(self) -> Iterator[Event]:
        """The version that should speak from this turn on. One with other tokens cannot take the conversation up."""
        assert self._conversation is not None
        version = self.voices.current()
        if self._voice is not None and (version == self.version or self.voices.tokenizer != self._tokenizer):
            return
        if self.voices.tokenizer != self._tokenizer:
            raise ModelError(f"version {version} writes in other tokens than this conversation; begin another one")
        history = all_steps(self._conversation)
        try:
            self._voice = self.voices.voice(
                version, seed=self.setting.seed, temperature=self.setting.temperature, history=history
            )
        except SupersededError:
            yield from self._follow_version()
            return
        before, self.version = self.version, version
        if before and before != version:
            yield Swapped(before, version)

    def _reply(self, step: Step) -> Replied:
        assert self._conversation is not None and self.unanswered is not None
        turn = Turn(user=self.unanswered, steps=(*self._conversation.steps, step))
        number = len(self.turns)
        self.log.answered(self.id, number, turn)
        self._pending, self.turns, self.unanswered = step, (*self.turns, turn), None
        return Replied(number, turn)

    def _close(self, reason: StopReason) -> Ended:
        """Bring the conversation to its end with all that was said, and log it."""
        last = UserReply(message=self.unanswered or SILENCE, leaves=True)
        if self._conversation is None:
            self._conversation = self.converse(Person(last))
        elif self._pending is not None:
            self._person.says = last
            act(self._conversation, self._pending)
            self._pending = None
        self._conversation.stop(reason)
        episode = self._conversation.episode()
        episode = replace(episode, stop=reason, note=self._note or episode.note)
        self.log.append(episode, run=RUN)
        self.turns = tuple(turn for turn in episode.turns if turn.steps)
        self.ended, self.unanswered = episode, None
        return Ended(episode)

    def converse(self, person: Person) -> Conversation:
        """It from its beginning, with somebody at the keyboard."""
        return self.setting.conversation(person, **self._identity())

    def _identity(self) -> _Identity:
        return {"episode_id": self.id, "tokenizer": self._tokenizer, "started_at": self._started}


class _Identity(TypedDict):
    episode_id: str
    tokenizer: str
    started_at: float


def _thought(rating: Rating) -> dict[str, object]:
    names = ("value", "tags", "comment", "correction", "extra")
    return {name: getattr(rating, name) for name in names}
