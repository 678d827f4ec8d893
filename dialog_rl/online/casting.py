"""Who calls: a run's conversations by their number, from packs and from whatever else conversations can be made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from dialog_rl import metrics
from dialog_rl.conversation import Conversation
from dialog_rl.episode import Episode
from dialog_rl.goals import make_scenario
from dialog_rl.online.practice import Practice
from dialog_rl.pack import Pack
from dialog_rl.scenario import Scenario
from dialog_rl.seeds import derive, generator
from dialog_rl.staging import Stage

TRIES = 64
"""Customers looked at for one with the intent that is to be practised."""


class Source(Protocol):
    """Anything else than a pack that conversations come from."""

    @property
    def name(self) -> str: ...

    def conversation_of(
        self, customer: int, seed: int, *, episode_id: str, tokenizer: str, temperature: float
    ) -> Conversation:
        """With the customer of one seed; the conversation's own randomness follows from the other."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Casting:
    """Conversations by number. The same customer comes `group` times in a row: same goal, records and manner of
    speaking, but each conversation has slips and sampling of its own."""

    sources: Sequence[Stage | Source]
    seed: int
    practice: Practice
    group: int = 1

    def conversations(
        self, first: int, count: int, *, run: str, tokenizer: str, temperature: float
    ) -> Iterator[Conversation]:
        for number in range(first, first + count):
            customer = number // self.group
            source = self.sources[customer % len(self.sources)]
            seed = derive(self.seed, "train", number)
            lead = derive(self.seed, "train", customer * self.group)
            name = episode_id(run, number)
            if isinstance(source, Stage):
                scenario = self._scenario(source.pack, lead)
                yield source.conversation(
                    scenario, seed, episode_id=name, tokenizer=tokenizer, temperature=temperature
                )  # fmt: skip
            else:
                yield source.conversation_of(
                    lead, seed, episode_id=name, tokenizer=tokenizer, temperature=temperature
                )  # fmt: skip

    def hear(self, episodes: Iterable[Episode]) -> None:
        """What became of an update's conversations."""
        self.practice.learn(
            (_arm(e.pack, intent), metrics.success(e).reached) for e in episodes for intent in _first(e)
        )

    def _scenario(self, pack: Pack, seed: int) -> Scenario:
        names = {_arm(pack.file.name, intent): intent for intent in pack.file.intents}
        chosen = self.practice.choose(list(names), generator(seed, "practice"))
        if not chosen:
            return make_scenario(pack, seed, split="train", phrasing="train")
        for attempt in range(TRIES):
            # A customer of the usual kind, who may want a second thing as well.
            scenario = make_scenario(pack, derive(seed, "attempt", attempt), split="train", phrasing="train")
            goal = scenario.user.goal
            if goal is not None and goal.items[0].intent == names[chosen]:
                return scenario
        return make_scenario(pack, seed, split="train", phrasing="train", intent=names[chosen])


def name_of(source: Stage | Source) -> str:
    return source.pack.name if isinstance(source, Stage) else source.name


def episode_id(run: str, number: int) -> str:
    return f"{run}-{number:07d}"


def _arm(pack: str, intent: str) -> str:
    return f"{pack}: {intent}"


def _first(episode: Episode) -> tuple[str, ...]:
    return metrics.intents(episode)[:1]
