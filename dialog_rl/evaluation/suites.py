"""Agents side by side on customers that none of them has met: the same customers, with the same seeds, for everyone."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dialog_rl import metrics
from dialog_rl.conversation import Conversation
from dialog_rl.episode import Episode, StopReason
from dialog_rl.evaluation import statistics
from dialog_rl.evaluation.gaming import Gaming
from dialog_rl.evaluation.statistics import Interval, Paired, Share
from dialog_rl.seeds import derive
from dialog_rl.sources import customers_there
from dialog_rl.staging import Customers, Stage

Play = Callable[[Iterable[Conversation]], Iterator[Episode]]
"""Drives conversations to their ends and yields the episodes in any order."""

Measure = Callable[[Sequence[Episode]], Sequence[float | None]]
"""A figure an episode; None where it does not apply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    name: str
    """How reports call it: anchor, champion, expert, …"""
    play: Callable[[Stage], Play]
    """How it plays the customers of one stage."""
    version: str = ""
    temperature: float = 1.0
    """At which it samples; episodes say so."""
    tokenizer: str = ""
    """Fingerprint of what its token ids mean; empty for an agent without tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """Who is met: of each stage's pack the first `goals` customers of a split, each `trials` times."""

    stages: tuple[Stage, ...]
    customers: Customers = Customers()
    goals: int = 400
    trials: int = 1

    def of(self, stage: Stage) -> int:
        """How many customers of a stage are met: all that there are, where they are fewer than wanted."""
        return customers_there(stage.pack, self.customers.split, self.goals)

    def conversations(self, stage: Stage, contestant: Contestant) -> Iterator[Conversation]:
        """The conversations that a contestant is to play, saying how it will."""
        for number, (scenario, seed) in enumerate(self.customers.scenarios(stage.pack, self.goals)):
            for trial in range(self.trials):
                trial_seed = derive(seed, "trial", trial) if trial else seed
                yield stage.conversation(
                    scenario,
                    trial_seed,
                    episode_id=f"{stage.pack.name}/{number}/{trial}",
                    tokenizer=contestant.tokenizer,
                    temperature=contestant.temperature,
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one contestant did, by (pack, customer, trial)."""

    name: str
    version: str
    episodes: Mapping[tuple[str, int, int], Episode]

    def usable(self) -> list[Episode]:
        """Without the episodes that the simulator broke: nobody's success and nobody's failure, but counted."""
        return [e for e in self.episodes.values() if e.stop is not StopReason.USER_ERROR]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    name: str
    version: str
    episodes: int
    broken: int
    """Left out because the user simulator failed."""
    success: Share
    benchmark: Share
    """What the benchmarks that packs were imported from would call success; of none in packs of our own."""
    by_basis: Mapping[str, Share]
    """Of that, each thing that they demand: records, what must be said, what must hold."""
    unjudged: Mapping[str, int]
    """What they demand too and cannot be told without a judge: in how many episodes."""
    success_interval: Interval
    """Wilson's, for as many independent tries as the customers' spread is worth."""
    pass_hat: tuple[Interval, ...]
    """pass^1, pass^2, … up to the number of trials."""
    by_pack: Mapping[str, Share]
    by_intent: Mapping[str, Share]
    """An episode with two items counts for both."""
    impossible: Share
    """Successes among goals that had to be refused."""
    violations: Share
    """Episodes in which a policy rule was broken."""
    violations_by_rule: Mapping[str, int]
    turns: Interval
    tool_errors: Interval
    misunderstood: Interval
    """Replies an episode that the simulated customer could not make sense of."""
    tokens: Interval
    """Action tokens an episode; 0 for an agent without a tokenizer."""
    fluency: Interval
    """In [-1, 0]; NaN where it was not measured."""
    stops: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    suite: Mapping[str, object]
    """Which customers were met, for reports."""
    results: tuple[Result, ...]
    summaries: tuple[Summary, ...]
    comparisons: Mapping[tuple[str, str], Paired] = field(default_factory=dict)
    """Later contestant against each earlier one."""
    gaming: tuple[Gaming, ...] = ()
    """Of each contestant that does not always succeed: how far what it is paid follows success."""
    fluency_by: str = ""
    """The reference model whose likelihoods are part of the fluency; empty if none was asked."""


def evaluate(
    contestants: Sequence[Contestant],
    suite: Suite,
    *,
    fluency: Measure | None = None,
    on_episode: Callable[[Contestant, Episode], None] = lambda contestant, episode: None,
) -> Evaluation:
    """Let every contestant meet every customer of the suite. `on_episode` hears of each as it ends."""
    return side_by_side([meet(contestant, suite, on_episode) for contestant in contestants], suite, fluency=fluency)


def side_by_side(
    results: Sequence[Result],
    suite: Suite,
    *,
    fluency: Measure | None = None,
    fluency_by: str = "",
    pay: Callable[[str, Sequence[Episode]], Gaming | None] = lambda name, episodes: None,
) -> Evaluation:
    """Results on one suite, whenever they were got, compared. `pay` looks for what the rewards would make of each."""
    return Evaluation(
        suite={
            "packs": [stage.pack.name for stage in suite.stages],
            "simulator": ", ".join(sorted({stage.simulator_name for stage in suite.stages})),
            "split": suite.customers.split,
            "phrasing": suite.customers.phrasing or suite.customers.split,
            "goals": max((suite.of(stage) for stage in suite.stages), default=suite.goals),
            "trials": suite.trials,
            "seed": suite.customers.seed,
        },
        results=tuple(results),
        summaries=tuple(summarise(result, fluency) for result in results),
        comparisons={
            (late.name, early.name): pair(late, early)
            for i, late in enumerate(results)
            for early in results[:i]
        },
        gaming=tuple(found for result in results if (found := pay(result.name, result.usable())) is not None),
        fluency_by=fluency_by,
    )  # fmt: skip


def meet(
    contestant: Contestant,
    suite: Suite,
    on_episode: Callable[[Contestant, Episode], None] = lambda contestant, episode: None,
) -> Result:
    """What one contestant does with the suite's customers."""
    found: dict[tuple[str, int, int], Episode] = {}
    for stage in suite.stages:
        for episode in contestant.play(stage)(suite.conversations(stage, contestant)):
            pack, number, trial = episode.episode_id.rsplit("/", 2)
            found[pack, int(number), int(trial)] = episode
            on_episode(contestant, episode)
    return Result(name=contestant.name, version=contestant.version, episodes=dict(sorted(found.items())))


def reached(episode: Episode) -> bool:
    return metrics.success(episode).reached


def summarise(result: Result, fluency: Measure | None = None) -> Summary:
    """Every figure of one contestant. `fluency` gives a value an episode in [-1, 0]."""
    episodes = result.usable()
    succeeded = {id(episode): reached(episode) for episode in episodes}
    broken_rules = {id(episode): metrics.violations(episode) for episode in episodes}
    rows = _rows(result)
    success = share(succeeded[id(e)] for e in episodes)
    refusals = [e for e in episodes if must_refuse(e)]
    theirs = [(found, e.scenario["benchmark"]) for e in episodes if (found := metrics.benchmark(e)) is not None]
    values = [v for v in fluency(episodes) if v is not None] if fluency is not None else []
    return Summary(
        name=result.name,
        version=result.version,
        episodes=len(episodes),
        broken=len(result.episodes) - len(episodes),
        success=success,
        benchmark=share(found.reached for found, _ in theirs),
        by_basis=_by_basis(theirs),
        unjudged=dict(Counter(name for _, wanted in theirs for name in wanted.get("unjudged", ()))),
        success_interval=_success_interval(rows),
        pass_hat=_pass_hat(rows),
        by_pack=_by(episodes, lambda e: (e.pack,), succeeded),
        by_intent=_by(episodes, intents_of, succeeded),
        impossible=share(succeeded[id(e)] for e in refusals),
        violations=share(bool(broken_rules[id(e)]) for e in episodes),
        violations_by_rule=dict(Counter(v.rule for e in episodes for v in broken_rules[id(e)])),
        turns=statistics.mean_interval([float(len(e.turns)) for e in episodes]),
        tool_errors=statistics.mean_interval([float(metrics.tool_errors(e)) for e in episodes]),
        misunderstood=statistics.mean_interval([float(metrics.misunderstandings(e)) for e in episodes]),
        tokens=statistics.mean_interval([float(sum(len(s.action_ids) for s in e.steps)) for e in episodes]),
        fluency=statistics.mean_interval(values),
        stops=dict(Counter(str(e.stop) for e in result.episodes.values())),
    )


def _by_basis(theirs: Sequence[tuple[metrics.Success, Mapping[str, Any]]]) -> dict[str, Share]:
    gates = sorted({gate for found, wanted in theirs for gate in wanted.get("gate", found.gates)})
    return {
        gate: share(found.gates[gate] for found, wanted in theirs if gate in wanted.get("gate", found.gates))
        for gate in gates
    }


def share(outcomes: Iterable[bool]) -> Share:
    found = list(outcomes)
    return Share(hits=sum(found), total=len(found))


def intents_of(episode: Episode) -> tuple[str, ...]:
    """The intents of the goal, each once, under the pack's name where packs share them."""
    return tuple(dict.fromkeys(f"{episode.pack}: {intent}" for intent in metrics.intents(episode)))


def must_refuse(episode: Episode) -> bool:
    goal = episode.scenario.get("user", {}).get("goal") or {}
    return any(item.get("refusal") for item in goal.get("items", ()))


def pair(first: Result, second: Result) -> Paired:
    """First against second, on the customers that the simulator broke for neither."""
    both = [
        key
        for key in first.episodes.keys() & second.episodes.keys()
        if StopReason.USER_ERROR not in (first.episodes[key].stop, second.episodes[key].stop)
    ]
    grouped: dict[tuple[str, int], list[tuple[str, int, int]]] = {}
    for key in sorted(both):
        grouped.setdefault(key[:2], []).append(key)
    rows = [[[reached(r.episodes[k]) for k in keys] for keys in grouped.values()] for r in (first, second)]
    return statistics.compare(rows[0], rows[1])


def _rows(result: Result) -> list[list[bool]]:
    """Successes by customer, trials in order."""
    rows: dict[tuple[str, int], list[bool]] = {}
    for (pack, number, _), episode in result.episodes.items():
        if episode.stop is not StopReason.USER_ERROR:
            rows.setdefault((pack, number), []).append(reached(episode))
    return list(rows.values())


def _success_interval(rows: Sequence[Sequence[bool]]) -> Interval:
    trials = max((len(row) for row in rows), default=1)
    return statistics.clustered([sum(row) / len(row) for row in rows], trials)


def _pass_hat(rows: Sequence[Sequence[bool]]) -> tuple[Interval, ...]:
    trials = min((len(row) for row in rows), default=0)
    return tuple(
        statistics.clustered([statistics.pass_hat_k(sum(row), len(row), k) for row in rows])
        for k in range(1, trials + 1)
    )


def _by(
    episodes: Sequence[Episode], groups: Callable[[Episode], Sequence[str]], succeeded: Mapping[int, bool]
) -> dict[str, Share]:
    found: dict[str, list[bool]] = {}
    for episode in episodes:
        for group in groups(episode):
            found.setdefault(group, []).append(succeeded[id(episode)])
    return {group: share(outcomes) for group, outcomes in sorted(found.items())}


def is_known(interval: Interval) -> bool:
    return not math.isnan(interval.value)
