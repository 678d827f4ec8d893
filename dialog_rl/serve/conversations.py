"""The conversations that are held over HTTP: found again or begun, one request at a time in each, ended when left."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from dialog_rl.chat.card import Card
from dialog_rl.chat.events import Delta, Ended, Event, Replied
from dialog_rl.chat.room import ChatRoom
from dialog_rl.chat.session import ChatSession
from dialog_rl.chat.setting import LEARNABLE
from dialog_rl.chat.talk import about_learning
from dialog_rl.episode import Episode, StopReason, Turn
from dialog_rl.errors import DialogRLError
from dialog_rl.serve.asking import Ask, Taken
from dialog_rl.serve.keys import Owner
from dialog_rl.serve.matching import Held, Matching, Said, Whose
from dialog_rl.serve.refusals import Refused
from dialog_rl.text import one_line

logger = logging.getLogger(__name__)

UNKNOWN = "unknown: it was not spoken here, so only the last message was read"
ANSWERED = "answered: this is the answer that was made before"
BRANCHED = "changed: the conversation goes on from there as another one"


class Conversations:
    """Safe from many threads. What it knows is in the log: after a restart, open conversations go on."""

    def __init__(
        self,
        room: ChatRoom,
        packs: tuple[str, ...],
        *,
        idle: float,
        keep: int = 512,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """packs: that may be asked for, the first one where none is. idle: seconds until one that is left counts as
        ended. keep: so many are held in memory between turns; the others are read from the log.
        """
        self.room, self.packs = room, packs
        self._idle, self._keep, self._clock = idle, keep, clock
        self._lock = threading.Lock()
        self._known = Matching()
        for opened in room.log.open_conversations():
            if whose := Whose.told_by(opened.episode.episode_id, opened.episode.pack):
                said = [_said(turn) for turn in opened.episode.turns]
                self._known.add(Held(id=opened.episode.episode_id, whose=whose, said=said, busy=False, touched=clock()))

    def begin(self, ask: Ask, owner: Owner) -> ChatSession:
        """A new conversation, before anything is said: the log hears of it with the first message. Raises Refused."""
        whose = self._whose(ask, owner)
        held = Held(id=whose.new_id(), whose=whose, busy=False, touched=self._clock())
        held.session = session = self._new(held, ask, owner)
        if ask.train is not None:
            session.allow_training(ask.train)
        with self._lock:
            self._known.add(held)
        return session

    def answer(self, ask: Ask, owner: Owner, cancelled: Callable[[], bool]) -> Iterator[Taken | Event]:
        """Find or begin the conversation, and let the agent answer. Raises Refused and what `ChatSession` raises.

        A turn that is cancelled or fails stays unanswered: the same request again answers it.
        """
        whose = self._whose(ask, owner)
        held, turns = self._take(ask, whose)
        aloud: list[str] = []
        answered: Turn | None = None
        try:
            if (again := self._answered_before(held, ask, owner, turns)) is not None:
                yield from again
                return
            history = UNKNOWN if ask.history and turns is None and not ask.conversation else ""
            if turns is not None and (turns < len(held.said) or held.ended is not None):
                held, history = self._branched(held, ask, owner, turns), BRANCHED
            session = self._session(held, ask, owner)
            if session.unanswered is not None and session.unanswered.text != ask.said:
                held = self._branched(held, ask, owner, len(held.said))
                session = self._session(held, ask, owner)
            number, tokens = len(session.turns), _tokens(session.turns)
            session.say(ask.said)
            for count, event in enumerate(session.answer(cancelled)):
                if count == 0:
                    yield Taken(held.id, number, session.version, tokens, history)
                if isinstance(event, Delta):
                    aloud.append(event.text)
                elif isinstance(event, Replied):
                    answered = event.turn
                elif isinstance(event, Ended):
                    held.ended = event.episode.stop
                    answered = answered or event.episode.turns[-1]
                yield event
        finally:
            sent = "".join(aloud) if ask.stream or answered is None else answered.reply
            self._put_back(held, (ask.said, sent) if answered is not None else None)

    def end(self, conversation: str, owner: Owner) -> Episode:
        """Let the user leave, which makes it an episode. Raises Refused if there is none, or it is being answered."""
        with self._lock:
            held = self._own(conversation, owner)
            held.busy = True
        try:
            episode = self._reopened(held, owner).leave()
            if episode is None:
                raise Refused("nothing was said in it yet", code="not_begun")
            held.ended = episode.stop
            return episode
        finally:
            self._put_back(held, None)

    def allow_training(self, conversation: str, owner: Owner, *, train: bool) -> str:
        """Whether a conversation may be learnt from, from here on. Returns what that means, in words."""
        if Whose.told_by(conversation, "") is None or f"-{owner.tag}-" not in conversation:
            raise Refused(f"there is no episode {one_line(conversation, 80)!r}", status=404, code="not_found")
        with self._lock:
            held = self._known.get(conversation)
            session = held.session if held is not None else None
        if session is not None:
            session.allow_training(train)
            return about_learning(session)
        self.room.log.consent(conversation, train=train)
        return "noted"

    def card(self, episode: Episode) -> Card | None:
        """In whose place the user speaks; None if the pack is not served."""
        return self.room.card(episode) if episode.pack in self.packs else None

    def open_of(self, owner: Owner) -> list[str]:
        """The conversations of an owner that go on."""
        with self._lock:
            return [held.id for held in self._known if held.whose.owner == owner.tag and held.ended is None]

    def __len__(self) -> int:
        return len(self._known)

    def sweep(self) -> int:
        """End what was left long ago, and let go of what is only held for speed. Returns how many ended."""
        now = self._clock()
        with self._lock:
            resting = sorted((h for h in self._known if not h.busy), key=lambda h: h.touched)
            left = [h for h in resting if now - h.touched >= self._idle]
            for held in left:
                held.busy = True
            in_memory = [(h, h.session) for h in resting if h.session is not None and not h.busy]
            for held, session in in_memory[: max(0, len(in_memory) - self._keep)]:
                if not session.begun:
                    self._known.drop(held)  # nothing was said in it, so the log cannot bring it back
                held.session = None
        for held in left:
            try:
                if held.ended is None:
                    self._reopened(held).leave()
            except DialogRLError as e:
                logger.warning("%s cannot be ended: %s", held.id, type(e).__name__)
            with self._lock:
                self._known.drop(held)
        return len(left)

    def _answered_before(self, held: Held, ask: Ask, owner: Owner, turns: int | None) -> list[Taken | Event] | None:
        """The last turn once more, for a client that names it and says the same: it did not hear the answer."""
        if ask.turn is None or turns is None or held.ended is not None:
            return None
        if turns != len(held.said) - 1 or held.said[-1][0] != ask.said:
            return None
        turn = self._reopened(held, owner).turns[turns]
        version = turn.steps[-1].policy_version
        return [Taken(held.id, turns, version, 0, ANSWERED), Delta(turn.reply), Replied(turns, turn)]

    def _whose(self, ask: Ask, owner: Owner) -> Whose:
        if ask.pack and ask.pack not in self.packs:
            raise Refused(
                f"there is no pack {one_line(ask.pack, 60)!r} here; there are: {', '.join(self.packs)}",
                status=404, code="pack_not_found", param="model",
            )  # fmt: skip
        return Whose.of(owner, ask.user, ask.customer, ask.pack or self.packs[0])

    def _take(self, ask: Ask, whose: Whose) -> tuple[Held, int | None]:
        """The conversation in hand, and how many of its turns the history is; None for a new one, or one by its id."""
        with self._lock:
            if ask.conversation:
                held, turns = self._named(ask, whose)
            else:
                found = self._known.find(whose, ask.history) if ask.history else None
                if found is None:
                    held = Held(id=whose.new_id(), whose=whose, fresh=True)
                    self._known.add(held)
                    return held, None
                held, turns = found
            if held.busy:
                raise Refused("this conversation is being answered", status=409, code="busy", wait=1)
            gone_on_with = (None, StopReason.ABORTED, *([StopReason.USER_LEFT] if ask.turn is not None else []))
            if held.ended not in gone_on_with and turns == len(held.said):
                raise Refused(
                    f"the conversation has ended ({held.ended}); begin another one: send the last message alone",
                    code="conversation_ended", param="messages",
                )  # fmt: skip
            held.busy = True
            return held, turns

    def _named(self, ask: Ask, whose: Whose) -> tuple[Held, int]:
        held = self._known.get(ask.conversation)
        if held is None:
            held = self._recalled(ask.conversation)
        if held is None or held.whose.owner != whose.owner:
            raise Refused(
                f"no conversation {one_line(ask.conversation, 80)!r} is going on",
                status=404, code="not_found", param="conversation",
            )  # fmt: skip
        history = list(ask.history)
        if history and history != held.said[: len(history)]:
            raise Refused(
                "the history is not that of this conversation; leave it out, or the conversation's id",
                code="history_mismatch", param="messages",
            )  # fmt: skip
        turns = len(history) if history else len(held.said) if ask.turn is None else ask.turn
        if turns > len(held.said) or ask.turn not in (None, turns):
            raise Refused(
                f"there is no turn {ask.turn} to be said; the conversation has {len(held.said)}",
                code="no_such_turn", param="metadata",
            )  # fmt: skip
        return held, turns

    def _recalled(self, conversation: str) -> Held | None:
        """One that the log alone remembers: it ended long ago, or another host of the same log held it."""
        opened = self.room.log.open_conversation(conversation)
        if opened is None and conversation not in self.room.log:
            return None
        episode = opened.episode if opened is not None else self.room.log.get(conversation)
        whose = Whose.told_by(conversation, episode.pack)
        if whose is None:
            return None
        said = [_said(turn) for turn in episode.turns if turn.steps]
        held = Held(id=conversation, whose=whose, said=said, busy=False, touched=self._clock())
        held.ended = episode.stop if opened is None else None
        self._known.add(held)
        return held

    def _own(self, conversation: str, owner: Owner) -> Held:
        held = self._known.get(conversation)
        if held is None or held.whose.owner != owner.tag or held.ended is not None:
            raise Refused(f"no conversation {one_line(conversation, 80)!r} is going on", status=404, code="not_found")
        if held.busy:
            raise Refused("this conversation is being answered", status=409, code="busy", wait=1)
        return held

    def _session(self, held: Held, ask: Ask, owner: Owner) -> ChatSession:
        """The conversation itself: begun, at hand, or as the log has it."""
        if held.session is None and held.fresh:
            held.session = self._new(held, ask, owner)
        session = self._reopened(held, owner)
        if ask.train is not None and ask.train != session.trains:
            session.allow_training(ask.train)
        if ask.temperature is not None and ask.temperature != session.setting.temperature:
            raise Refused(
                f"this conversation was begun at temperature {session.setting.temperature:g}, and goes on so",
                param="temperature",
            )
        return session

    def _new(self, held: Held, ask: Ask, owner: Owner) -> ChatSession:
        return self.room.new(
            held.whose.pack, ask.customer, free=ask.free or ask.customer is None, episode_id=held.id,
            rater=ask.user or owner.name, temperature=LEARNABLE if ask.train else ask.temperature, seed=ask.seed,
        )  # fmt: skip

    def _reopened(self, held: Held, owner: Owner | None = None) -> ChatSession:
        if held.session is None:
            rater = owner.name if owner is not None else ""
            opened = self.room.log.open_conversation(held.id)
            if opened is not None:
                held.session = self.room.resume(opened.episode, opened.unanswered, rater=rater)
            else:
                held.session = self.room.reread(self.room.log.get(held.id), rater=rater)
        return held.session

    def _branched(self, held: Held, ask: Ask, owner: Owner, turns: int) -> Held:
        """Another conversation that shares the first turns of one, and takes its place in this request."""
        session = self._reopened(held, owner)
        session.opinions.remember(self.room.log.ratings(session.id))
        other = Held(id=held.whose.new_id(), whose=held.whose, said=held.said[:turns])
        other.session = session.branch(session.turns[:turns], episode_id=other.id)
        held.ended = held.ended or StopReason.ABORTED
        with self._lock:
            self._known.add(other)
        self._put_back(held, None)
        return other

    def _put_back(self, held: Held, said: Said | None) -> None:
        with self._lock:
            if said is not None:
                self._known.grow(held, said)
            held.busy, held.touched = False, self._clock()
            if held.fresh and (held.session is None or not held.session.begun):
                self._known.drop(held)  # the log does not know of it
            held.fresh = False


def _said(turn: Turn) -> Said:
    return turn.user.text, turn.reply


def _tokens(turns: Sequence[Turn]) -> int:
    return sum(len(step.observation_ids) + len(step.action_ids) for turn in turns for step in turn.steps)
