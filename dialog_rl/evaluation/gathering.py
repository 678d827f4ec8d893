"""What lies in logs as an evaluation: who spoke, with whom, and which customers several of them met."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dialog_rl.episode import Episode, short
from dialog_rl.evaluation.summaries import Key, Result

EVALUATED = "evaluate-"
"""Before a contestant's name, in the run under which `evaluate --log` keeps its conversations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Met:
    """One logged conversation and the run that it came with."""

    episode: Episode
    run: str
    mixed: bool = False
    """Several versions spoke in this run, and it is one who spoke all the same."""


def gather(met: Iterable[Met]) -> tuple[Result, ...]:
    """The conversations by who spoke, in the order in which they first spoke.

    The same scenario is the same customer, and the same seed the same conversation with them, whoever has it: so
    agents that were measured apart can be compared on the customers that both met.
    """
    kept = list(met)
    names = _names(kept)
    numbers: dict[tuple[str, str], int] = {}
    trials: dict[tuple[str, str], list[int]] = {}
    found: dict[str, dict[Key, Episode]] = {}
    versions: dict[str, str] = {}
    for one in kept:
        episode, name = one.episode, names[_speaker(one)]
        customer = (episode.pack, str(episode.scenario.get("id") or episode.episode_id))
        number = numbers.setdefault(customer, sum(pack == episode.pack for pack, _ in numbers))
        seeds = trials.setdefault(customer, [])
        if episode.seed not in seeds:
            seeds.append(episode.seed)
        found.setdefault(name, {})[episode.pack, number, seeds.index(episode.seed)] = episode
        versions[name] = next(iter(episode.policy_versions), "")
    return tuple(
        Result(name=name, version=versions[name], episodes=dict(sorted(of.items()))) for name, of in found.items()
    )


def described(results: Sequence[Result]) -> dict[str, object]:
    """Who was met, as `suites.Suite.described` says it."""
    episodes = [episode for result in results for episode in result.episodes.values()]
    keys = {key for result in results for key in result.episodes}
    packs = sorted({episode.pack for episode in episodes})
    return {
        "packs": packs,
        "simulator": _and(episode.simulator for episode in episodes),
        "split": _and(str(episode.scenario.get("split", "train")) for episode in episodes),
        "phrasing": _and(str(episode.scenario.get("phrasing", "train")) for episode in episodes),
        "goals": max((len({k[1] for k in keys if k[0] == pack}) for pack in packs), default=0),
        "trials": max((k[2] + 1 for k in keys), default=1),
        "seed": None,
    }


def _and(words: Iterable[str]) -> str:
    return " and ".join(sorted(set(words)))


Speaker = tuple[str, str, str]
"""Run, version, and which suite of an evaluation."""


def _speaker(one: Met) -> Speaker:
    parts = one.episode.episode_id.split("/")
    suite = parts[2] if one.run.startswith(EVALUATED) and len(parts) > 3 else ""
    return one.run, "" if suite or one.mixed else next(iter(one.episode.policy_versions), ""), suite


def _names(met: Sequence[Met]) -> Mapping[Speaker, str]:
    """What each is called: as it was in its evaluation, by its run where that tells it apart, else by its version."""
    speakers = list(dict.fromkeys(map(_speaker, met)))
    plain = [_name(speaker, speakers) for speaker in speakers]
    seen: dict[str, int] = {}
    names: dict[Speaker, str] = {}
    for speaker, name in zip(speakers, plain, strict=True):
        seen[name] = seen.get(name, 0) + 1
        names[speaker] = name if plain.count(name) == 1 else f"{name} ({seen[name]})"
    return names


def _name(speaker: Speaker, speakers: Sequence[Speaker]) -> str:
    run, version, suite = speaker
    if suite:
        return run.removeprefix(EVALUATED)
    of_run = [other for other in speakers if other[0] == run]
    if run and len(of_run) == 1:
        return run
    who = short(version) or "somebody"
    return who if len({other[0] for other in speakers}) == 1 else f"{run} {who}"
