"""Many live conversations in one decoder: whoever has something to say takes part in the next step, and no step waits.

A conversation keeps its slot, and so its keys and values, between turns, until the slot is needed for another one; it
is then read again by its ids. In fp32 what is said does not depend on who else speaks: see `dialog_rl.lm.decoder`.
"""

from __future__ import annotations

import queue
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from dialog_rl.episode import Message, Role, Step
from dialog_rl.lm.decoder import open_decoder
from dialog_rl.lm.model import SpeakingModel
from dialog_rl.lm.policy import Policy
from dialog_rl.lm.rollouts import Action, Ending, Renderer, Voice, longest_action, speak_on
from dialog_rl.lm.slots import SlotDecoder
from dialog_rl.lm.speaker import Aloud

_LISTEN = 0.05
"""Seconds after which somebody who waits for a token asks again whether it is still wanted."""
_RECENT = 2
"""Models whose choirs are kept: the one that speaks, and the one whose last turns are being finished."""


_CANCELLED = Action(message=Message(role=Role.ASSISTANT, text="", malformed="cancelled"), ending=Ending.CANCELLED)


def _never() -> bool:
    return False


@dataclass(slots=True)
class Figures:
    """What a choir has done."""

    steps: int = 0
    tokens: int = 0
    evicted: int = 0
    """Slots that were taken from a conversation between two turns of it."""


@dataclass(slots=True, eq=False)
class _Part:
    """One action in the making."""

    singer: Singer
    messages: Sequence[Message]
    heard: queue.SimpleQueue[int | Action | Exception] = field(default_factory=queue.SimpleQueue)
    given_up: bool = False
    failed: bool = False


class Singer:
    """A conversation's place in a choir; speaks as a `Speaker` does, and draws the same tokens."""

    def __init__(self, choir: Choir, *, seed: int, temperature: float, history: Sequence[Step]) -> None:
        self._choir, self.seed, self.temperature = choir, seed, temperature
        self.voice: Voice | None = None
        """Its slot; None while it has none."""
        self.ids = [i for step in history for i in (*step.observation_ids, *step.action_ids)]
        """Everything heard and said so far."""
        self.drawn = sum(len(step.action_ids) for step in history)

    def speak(self, messages: Sequence[Message], *, cancelled: Callable[[], bool] = _never) -> Iterator[str | Action]:
        """As `Speaker.speak`. Raises what the model raises, for all who were speaking."""
        part = _Part(self, tuple(messages))
        ids: list[int] = []
        action: Action | None = None
        aloud = Aloud(self._choir.renderer)
        self._choir.ask(part)
        try:
            while action is None and not cancelled():
                heard = _listen(part)
                if isinstance(heard, int):
                    ids.append(heard)
                else:
                    action = heard
                if (ids or action) and (piece := aloud.more(ids, action)):
                    yield piece
        finally:
            if action is None:
                action = self._choir.give_up(part)
        yield action


class Choir:
    """One decoder, and the thread that takes its steps while anybody speaks."""

    def __init__(self, policy: Policy, renderer: Renderer, *, slots: int, max_action: int | None = None) -> None:
        self.renderer, self.slots = renderer, slots
        self.figures = Figures()
        self._policy, self._max_action = policy, max_action or longest_action(renderer)
        self._lock = threading.Lock()
        self._asking: deque[_Part] = deque()
        self._speaking: dict[int, _Part] = {}
        self._decoder: SlotDecoder | None = None
        self._free: list[int] = []
        self._resting: OrderedDict[Singer, None] = OrderedDict()
        """Who holds a slot and does not speak, who has been silent longest first."""
        self._runs = self._retired = False

    def singer(self, *, seed: int, temperature: float, history: Sequence[Step] = ()) -> Singer:
        return Singer(self, seed=seed, temperature=temperature, history=history)

    @property
    def speaking(self) -> int:
        """How many speak at this moment."""
        return len(self._speaking)

    @property
    def resting(self) -> int:
        """How many hold a slot between two turns."""
        return len(self._resting)

    def ask(self, part: _Part) -> None:
        """Let a part begin with the next step that has a slot for it."""
        with self._lock:
            self._asking.append(part)
            if not self._runs:
                self._runs = True
                threading.Thread(target=self._sing, name="choir", daemon=True).start()

    def give_up(self, part: _Part) -> Action:
        """Have a part cancelled: with the next step it has never been."""
        part.given_up = True
        heard: int | Action | Exception = 0
        while isinstance(heard, int) and not part.failed:
            heard = part.heard.get()
        if not isinstance(heard, Action):
            return _CANCELLED
        if heard.ending is not Ending.CANCELLED:  # it had just been finished
            with self._lock:
                self._forget(part.singer, heard)
        return _CANCELLED

    def retire(self) -> None:
        """Keep no slots once nobody speaks."""
        with self._lock:
            self._retired = True
            if not self._runs:
                self._let_go()

    def _sing(self) -> None:
        while True:
            with self._lock:
                self._let_in()
                if not self._speaking:
                    self._runs = False
                    if self._retired:
                        self._let_go()
                    return
                parts = list(self._speaking.values())
            self._step(parts)

    def _step(self, parts: list[_Part]) -> None:
        assert self._decoder is not None
        voices = [part.singer.voice for part in parts if part.singer.voice is not None]
        try:
            drawn = speak_on(self._decoder, voices, temperature=[part.singer.temperature for part in parts])
            actions = [voice.add(sample) for voice, sample in zip(voices, drawn, strict=True)]
        except Exception as e:  # whatever it is, those who wait for their tokens must hear of it
            with self._lock:
                self._let_go()
                self._speaking.clear()
            for part in parts:
                part.heard.put(e)
            return
        self.figures.steps += 1
        self.figures.tokens += len(parts)
        for part, sample, action in zip(parts, drawn, actions, strict=True):
            if action is not None:
                with self._lock:
                    self._finish(part, action)
            else:
                part.heard.put(sample.token)

    def _let_in(self) -> None:
        """Cancel what was given up, and give slots to those who ask for one, in their order."""
        for slot, part in [(s, p) for s, p in self._speaking.items() if p.given_up]:
            assert part.singer.voice is not None
            del self._speaking[slot]
            self._resting[part.singer] = None
            part.heard.put(part.singer.voice.cancel())
        waiting: deque[_Part] = deque()
        while self._asking:
            part = self._asking.popleft()
            if part.given_up:
                part.heard.put(_CANCELLED)
            elif (voice := self._seated(part.singer)) is None:
                waiting.append(part)
            else:
                self._speaking[voice.slot] = part
                try:
                    action = voice.observe(part.messages)
                except Exception as e:  # what cannot be rendered concerns nobody else
                    del self._speaking[voice.slot]
                    self._unseat(part.singer)
                    part.heard.put(e)
                    continue
                if action is not None:
                    self._finish(part, action)
        self._asking = waiting

    def _seated(self, singer: Singer) -> Voice | None:
        """The singer's voice in its own slot, a free one, or that of who has been silent longest; None if all speak."""
        if singer.voice is not None:
            self._resting.pop(singer, None)
            return singer.voice
        if self._decoder is None:
            self._decoder = open_decoder(self._policy, slots=self.slots, max_length=self._policy.max_positions)
            self._free = list(range(self.slots))
        if not self._free:
            if not self._resting:
                return None
            self._unseat(next(iter(self._resting)))
            self.figures.evicted += 1
        singer.voice = Voice(
            self._decoder, self._free.pop(), self.renderer, seed=singer.seed, max_action=self._max_action
        )
        singer.voice.remember(singer.ids, drawn=singer.drawn)
        return singer.voice

    def _finish(self, part: _Part, action: Action) -> None:
        singer = part.singer
        assert singer.voice is not None
        del self._speaking[singer.voice.slot]
        self._resting[singer] = None
        singer.ids += [*action.observation_ids, *action.action_ids]
        singer.drawn += len(action.action_ids)
        part.heard.put(action)

    def _forget(self, singer: Singer, action: Action) -> None:
        """Let an action never have been."""
        del singer.ids[len(singer.ids) - len(action.observation_ids) - len(action.action_ids) :]
        singer.drawn -= len(action.action_ids)
        if singer.voice is not None:
            self._unseat(singer)

    def _unseat(self, singer: Singer) -> None:
        assert singer.voice is not None
        self._resting.pop(singer, None)
        self._free.append(singer.voice.slot)
        singer.voice = None

    def _let_go(self) -> None:
        """Of the decoder and of all slots."""
        for singer in [*self._resting, *(part.singer for part in self._speaking.values())]:
            singer.voice = None
        self._resting.clear()
        self._decoder, self._free = None, []


class Choirs:
    """A choir for each model that speaks. What an earlier one has begun is finished there, and then its slots go."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._lock = threading.Lock()
        self._choirs: OrderedDict[str, Choir] = OrderedDict()
        self._past = Figures()

    def __call__(self, model: SpeakingModel, *, seed: int, temperature: float, history: Sequence[Step] = ()) -> Singer:
        """A singer in the model's choir, that takes up a conversation where `history` ends."""
        with self._lock:
            choir = self._choirs.get(model.version)
            if choir is None:
                for earlier in self._choirs.values():
                    earlier.retire()
                choir = self._choirs[model.version] = Choir(model.policy, model.renderer, slots=self.slots)
                while len(self._choirs) > _RECENT:
                    self._past = _sum(self._past, self._choirs.popitem(last=False)[1].figures)
        return choir.singer(seed=seed, temperature=temperature, history=history)

    def figures(self) -> tuple[Figures, int, int]:
        """What all have done, how many speak, and how many hold a slot between two turns."""
        with self._lock:
            choirs = list(self._choirs.values())
            done = self._past
        for choir in choirs:
            done = _sum(done, choir.figures)
        return done, sum(c.speaking for c in choirs), sum(c.resting for c in choirs)


def _listen(part: _Part) -> int | Action | None:
    """What comes next of a part, if it comes soon."""
    try:
        heard = part.heard.get(timeout=_LISTEN)
    except queue.Empty:
        return None
    if isinstance(heard, Exception):
        part.failed = True
        raise heard
    return heard


def _sum(one: Figures, other: Figures) -> Figures:
    return replace(
        one, steps=one.steps + other.steps, tokens=one.tokens + other.tokens, evicted=one.evicted + other.evicted
    )
