"""Agents side by side on customers that none of them has met: the same customers, with the same seeds, for everyone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from dialog_rl.conversation import Conversation
from dialog_rl.episode import Episode
from dialog_rl.evaluation import statistics
from dialog_rl.evaluation.gaming import Gaming
from dialog_rl.evaluation.statistics import Paired
from dialog_rl.evaluation.summaries import Key, Measure, Result, Summary, counts, reached, summarise
from dialog_rl.seeds import derive
from dialog_rl.sources import customers_there
from dialog_rl.staging import Customers, Stage

Play = Callable[[Iterable[Conversation]], Iterator[Episode]]
"""Drives conversations to their ends and yields the episodes in any order."""


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
    edit: str = ""
    """What the edit of the packs' rules is called, where their own are not in force."""

    def of(self, stage: Stage) -> int:
        """How many customers of a stage are met: all that there are, where they are fewer than wanted."""
        return customers_there(stage.pack, self.customers.split, self.goals)

    def described(self) -> dict[str, object]:
        """Who is met, for reports and logs."""
        return {
            "packs": [stage.pack.name for stage in self.stages],
            "simulator": ", ".join(sorted({stage.simulator_name for stage in self.stages})),
            "split": self.customers.split,
            "phrasing": self.customers.phrasing or self.customers.split,
            "goals": max((self.of(stage) for stage in self.stages), default=self.goals),
            "trials": self.trials,
            "seed": self.customers.seed,
            **({"noise": dict(self.customers.noise)} if self.customers.noise else {}),
            **({"twins": True} if self.customers.twins else {}),
            **({"policy_edit": self.edit} if self.edit else {}),
        }

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
    return compared(results, suite.described(), fluency=fluency, fluency_by=fluency_by, pay=pay)


def compared(
    results: Sequence[Result],
    described: Mapping[str, object],
    *,
    fluency: Measure | None = None,
    fluency_by: str = "",
    pay: Callable[[str, Sequence[Episode]], Gaming | None] = lambda name, episodes: None,
) -> Evaluation:
    """The same of results from wherever; `described` says who was met, as `Suite.described` does."""
    return Evaluation(
        suite=described,
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
    found: dict[Key, Episode] = {}
    for stage in suite.stages:
        for episode in contestant.play(stage)(suite.conversations(stage, contestant)):
            pack, number, trial = episode.episode_id.rsplit("/", 2)
            found[pack, int(number), int(trial)] = episode
            on_episode(contestant, episode)
    return Result(name=contestant.name, version=contestant.version, episodes=dict(sorted(found.items())))


def pair(first: Result, second: Result) -> Paired:
    """First against second, on the customers that the simulator broke for neither."""
    both = [
        key
        for key in first.episodes.keys() & second.episodes.keys()
        if all(counts(result.episodes[key]) for result in (first, second))
    ]
    grouped: dict[tuple[str, int], list[Key]] = {}
    for key in sorted(both):
        grouped.setdefault(key[:2], []).append(key)
    rows = [[[reached(r.episodes[k]) for k in keys] for keys in grouped.values()] for r in (first, second)]
    return statistics.compare(rows[0], rows[1])
