"""The parts that a service is made of, moment by moment: hosts that speak, the log, and who learns. No model, no clock.

A host makes steps as `lm.rollouts` and `lm.choir` do: those who have just been spoken to are heard in one batch, all
others say a token in another. What a step takes is measured; what people do is drawn from conversations that were held.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

Action = tuple[int, int]
"""Tokens that are heard, and tokens that are said then."""
Script = tuple[tuple[Action, ...], ...]
"""A conversation: of each turn its actions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Seconds of one core, unless said otherwise."""

    prefill: float
    """A step in which somebody is heard."""
    heard: float
    """Each token of it."""
    step: float
    """A step in which somebody speaks."""
    said: float
    """Each token of it."""
    commit: float
    """A commit to the log, by the clock on the wall."""
    event: float
    """Each event in it."""
    learnt: float
    """A conversation in an update."""


@dataclass(slots=True)
class Counts:
    """What a host did."""

    prefills: int = 0
    heard: int = 0
    steps: int = 0
    said: int = 0

    def seconds(self, costs: Costs) -> float:
        return (
            self.prefills * costs.prefill + self.heard * costs.heard + self.steps * costs.step + self.said * costs.said
        )


@dataclass(slots=True)
class Spoken:
    """What came of a host's work."""

    counts: Counts = field(default_factory=Counts)
    first_tokens: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    """When each message was sent, and the seconds to the first token of its answer."""
    busy: float = 0.0
    turns: int = 0
    ended: float = 0.0
    """When the last turn was complete."""


@dataclass(slots=True)
class _Talk:
    script: Script
    turn: int = 0
    action: int = 0
    said: int = 0
    """Tokens of the present action."""
    asked: float = 0.0

    @property
    def now(self) -> Action:
        return self.script[self.turn][self.action]


def host(
    calls: Iterable[tuple[float, Script]],
    costs: Costs,
    *,
    slots: int,
    think: float = 0.0,
    seed: int = 0,
    until: float = math.inf,
) -> Spoken:
    """One host: conversations that begin at given moments, in their order.

    think: mean seconds that a person takes to say the next thing, in which nobody holds a slot. 0: a simulated one, who
    answers at once and keeps the slot, as in rollouts. until: when nobody looks any longer.
    """
    chance, found, now = random.Random(seed), Spoken(), 0.0
    coming = [(moment, number, _Talk(script, asked=moment)) for number, (moment, script) in enumerate(calls)]
    heapq.heapify(coming)
    numbers = len(coming)
    waiting: deque[_Talk] = deque()
    active: list[_Talk] = []
    while (coming or waiting or active) and now <= until:
        if not active and not waiting:
            now = max(now, coming[0][0])
        while coming and coming[0][0] <= now:
            waiting.append(heapq.heappop(coming)[2])
        while waiting and len(active) < slots:
            active.append(waiting.popleft())
        took = _step(active, found.counts, costs)
        now += took
        found.busy += took
        for talk in list(active):
            if talk.said == 1 and talk.action == 0:
                found.first_tokens.append((talk.asked, now - talk.asked))
            if not _turned(talk):
                continue
            found.turns, found.ended = found.turns + 1, now
            if talk.turn < len(talk.script) and think == 0:
                talk.asked = now
                continue
            active.remove(talk)
            if talk.turn < len(talk.script):
                talk.asked, numbers = now + chance.expovariate(1 / think), numbers + 1
                heapq.heappush(coming, (talk.asked, numbers, talk))
    return found


def _step(active: Sequence[_Talk], counts: Counts, costs: Costs) -> float:
    """Everybody's next token; the seconds that it took."""
    fresh = [talk for talk in active if talk.said == 0]
    one = Counts(
        prefills=bool(fresh), heard=sum(talk.now[0] for talk in fresh), steps=len(fresh) < len(active),
        said=len(active) - len(fresh),
    )  # fmt: skip
    counts.prefills += one.prefills
    counts.heard += one.heard
    counts.steps += one.steps
    counts.said += one.said
    for talk in active:
        talk.said += 1
    return one.seconds(costs)


def _turned(talk: _Talk) -> bool:
    """Whether a talk's turn is complete; it then stands at the next one."""
    if talk.said < talk.now[1]:
        return False
    talk.said, talk.action = 0, talk.action + 1
    if talk.action < len(talk.script[talk.turn]):
        return False
    talk.turn, talk.action = talk.turn + 1, 0
    return True


def log(rate: float, costs: Costs, *, group: int = 256, seconds: float = 30.0, seed: int = 0) -> list[float]:
    """Seconds until each event is durable, with so many a second: whoever waits shares the next commit."""
    chance, now, moment = random.Random(seed), 0.0, 0.0
    arrivals: deque[float] = deque()
    while moment < seconds:
        moment += chance.expovariate(rate)
        arrivals.append(moment)
    waited: list[float] = []
    while arrivals:
        now = max(now, arrivals[0])
        batch: list[float] = []
        while arrivals and arrivals[0] <= now and len(batch) < group:
            batch.append(arrivals.popleft())
        now += costs.commit + costs.event * len(batch)
        waited += [now - came for came in batch]
    return waited


def learner(
    rate: float, costs: Costs, *, batch: int, most: int, speed: float, gate: float, seconds: float
) -> list[float]:
    """Seconds from each rated conversation's end to the verdict on what was learnt from it, at so many a second.

    batch, most: conversations an update, at least and at most. speed: of all who share one, a single one being 1.
    gate: what it takes, in seconds.
    """
    came: deque[float] = deque(number / rate for number in range(1, int(rate * seconds) + 1))
    now, waited = 0.0, list[float]()
    while len(came) >= batch:
        now = max(now, came[batch - 1])
        used: list[float] = []
        while came and came[0] <= now and len(used) < most:
            used.append(came.popleft())
        now += len(used) * costs.learnt / speed + gate
        waited += [now - one for one in used]
    return waited
