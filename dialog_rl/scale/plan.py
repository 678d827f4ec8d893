"""How many of each part serve so many conversations a day, by simulation, and what is assumed in saying so."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dialog_rl.scale import simulation
from dialog_rl.scale.simulation import Costs, Script

DAY = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumed:
    """What nobody has measured."""

    peak: float = 3.0
    """Times the day's mean, in its busiest hour; it is this hour that is served."""
    think: float = 20.0
    """Mean seconds until a person says the next thing."""
    first_token: float = 1.0
    """Seconds within which 95 of 100 answers are to begin."""
    load: float = 0.8
    """Share of the time in which a host may work, so that it recovers from a rush."""
    ack: float = 0.1
    """Seconds within which 99 of 100 events are to be durable."""
    slots: int = 32
    """Turns that a host makes at once."""
    rated: float = 0.05
    """Share of the conversations that are rated and may be learnt from."""
    batch: int = 8
    most: int = 256
    """Conversations an update, at least and at most."""
    gate_talks: int = 800
    """Conversations that a gate lets be spoken: 400 pairs."""
    gate_workers: int = 8
    """Cores that speak them."""
    scaling: float = 0.9
    """What each further learner adds to an update."""
    most_learners: int = 8
    pace: float = 0.9
    """Share of what learners can do that is asked of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    conversations: int
    """A day."""
    hosts: int
    """Cores that speak."""
    host_load: float
    """Share of the busiest hour in which each of them works."""
    first_token_p95: float
    logs: int
    """Log databases among which conversations are divided."""
    ack_p99: float
    learners: int
    """Cores that learn."""
    learnt: float
    """Share of the rated conversations that they learn from."""
    staleness_p50: float
    """Seconds from a conversation's end until what was learnt from it may speak, or is refused."""
    staleness_p95: float


def plan(conversations: int, scripts: Sequence[Script], costs: Costs, assumed: Assumed, *, seed: int = 0) -> Plan:
    """The fewest of each part with which the busiest hour is as it should be."""
    rate = conversations * assumed.peak / DAY
    hosts = _fewest(lambda n: _serves(*_host(rate / n, scripts, costs, assumed, seed), assumed))
    firsts, load = _host(rate / hosts, scripts, costs, assumed, seed)
    events = rate * (2 * sum(map(len, scripts)) / len(scripts) + 2)
    logs = _fewest(lambda n: _quantile(simulation.log(events / n, costs, seed=seed), 0.99) <= assumed.ack)
    learners, learnt, waited = _learners(conversations * assumed.rated / DAY, scripts, costs, assumed)
    return Plan(
        conversations=conversations, hosts=hosts, host_load=load, first_token_p95=_quantile(firsts, 0.95), logs=logs,
        ack_p99=_quantile(simulation.log(events / logs, costs, seed=seed), 0.99), learners=learners, learnt=learnt,
        staleness_p50=_quantile(waited, 0.5), staleness_p95=_quantile(waited, 0.95),
    )  # fmt: skip


def document(plans: Sequence[Plan], costs: Costs, assumed: Assumed) -> dict[str, Any]:
    return {"plans": [asdict(one) for one in plans], "measured": asdict(costs), "assumed": asdict(assumed)}


def _serves(firsts: Sequence[float], load: float, assumed: Assumed) -> bool:
    return load <= assumed.load and _quantile(firsts, 0.95) <= assumed.first_token


def _host(
    rate: float, scripts: Sequence[Script], costs: Costs, assumed: Assumed, seed: int
) -> tuple[list[float], float]:
    """First tokens and load of one host that gets so many calls a second, once as many are there as will be."""
    chance, moment, calls = random.Random(seed), 0.0, list[tuple[float, Script]]()
    longest = assumed.think * max(map(len, scripts))
    seconds = max(4 * longest, 200 / rate)
    while moment < seconds:
        moment += chance.expovariate(rate)
        calls.append((moment, chance.choice(scripts)))
    found = simulation.host(calls, costs, slots=assumed.slots, think=assumed.think, seed=seed, until=seconds)
    settled = [waited for asked, waited in found.first_tokens if asked > seconds / 2]
    return settled or [waited for _, waited in found.first_tokens], found.busy / seconds


def _learners(rate: float, scripts: Sequence[Script], costs: Costs, assumed: Assumed) -> tuple[int, float, list[float]]:
    """The fewest that keep pace, the share that they learn from, and the staleness.

    One gate at a time decides what speaks, so more learners do not always help: then some conversations are left out.
    """
    counts = simulation.host(((0.0, script) for script in scripts), costs, slots=assumed.slots).counts
    gate = counts.seconds(costs) / len(scripts) * assumed.gate_talks / assumed.gate_workers
    workers, share = 1, 0.0
    while True:
        speed = 1 + assumed.scaling * (workers - 1)
        fastest = assumed.most / (assumed.most * costs.learnt / speed + gate)
        share = min(1.0, assumed.pace * fastest / rate)
        if share == 1.0 or workers >= assumed.most_learners:
            break
        workers += 1
    learnt = rate * share
    waited = simulation.learner(
        learnt, costs, batch=assumed.batch, most=assumed.most, speed=speed, gate=gate,
        seconds=max(DAY / 6, 40 * assumed.batch / learnt),
    )  # fmt: skip
    return workers, share, waited


def _fewest(enough: Callable[[int], bool]) -> int:
    """The least number that is enough, where all larger ones are."""
    high = 1
    while not enough(high):
        high *= 2
    low = high // 2
    while high - low > max(1, high // 64):
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0
