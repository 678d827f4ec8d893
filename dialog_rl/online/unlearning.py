"""After something was forgotten: weights that never knew it, and nothing left that did.

The run is made again from its plans without what is gone. Versions and training states that had learnt from it are
removed, and the champion before them speaks until the gate has let the new weights pass. The log tells what was
forgotten and how far a run has heeded it, so what was cut off is done when it is asked for again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from dialog_rl import durable
from dialog_rl.episode_log import learning
from dialog_rl.episode_log.forgetting import Forgotten
from dialog_rl.episode_log.log import EpisodeLog, Query
from dialog_rl.episode_log.records import Kind, LoggedEvent
from dialog_rl.errors import CheckpointError
from dialog_rl.faults import fp
from dialog_rl.lm import journal, promotions, versions
from dialog_rl.lm.journal import ANCHOR, CANDIDATE, CHAMPION
from dialog_rl.online.course import CHECKPOINTS, HOMES, Course, TrainingStates, read_state, write_state
from dialog_rl.online.learn_config import LearnConfig
from dialog_rl.online.ledger import Ledger
from dialog_rl.online.replaying import course_of, replay
from dialog_rl.online.study import Material, Record, Study, environment

WHY = "it had learnt from what was forgotten"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlearnt:
    since: int = 0
    """The first update that had learnt from what is gone; 0 if none had."""
    version: str = ""
    """The weights made again without it; empty if none had to be."""
    removed: tuple[str, ...] = ()
    """Versions that are gone."""
    in_use: tuple[str, ...] = ()
    """Versions that a process still speaks with: they go when this is done again, once it has swapped or ended."""


def unlearn(
    folder: Path,
    root: Path,
    log: EpisodeLog,
    material: Callable[[str], Material],
    *,
    fence: int,
    progress: Callable[[Record], object] = lambda record: None,
) -> Unlearnt:
    """Make a run as if what was forgotten had never been in the log. Safe to repeat; the updater's lease must be held.

    folder: the run's. root: the store of versions. material: what to learn with, held to an anchor.
    """
    states = TrainingStates(folder)
    latest, _ = states.latest()
    if latest is None:
        return Unlearnt()
    state, run = read_state(latest.path), folder.name
    course = Course(**state["course"])
    told = list(log.events(kinds=(Kind.FORGOTTEN,)))
    since = _since([event for event in told if event.seq > course.heeded], run)
    known = _known(log, run, told)
    course = replace(
        course,
        start=f"update:{course.update}",
        champion=_champion_without(root, known, run),
        homes={version: home for version, home in course.homes.items() if version not in known},
        record=_kept(course.record, log),
        refused=0,
        settled=course.update,
        heeded=max((event.seq for event in told), default=0),
    )
    study = _study(latest.path, course, log, run, root, material, since, progress)
    made = versions.publish(root, study.material.model.save, _origin(study, course)) if since else None
    fp("unlearning.made_again")
    removed, in_use = _remove(root, folder, known, since)
    _commit(states, study, course, _without(state["ledger"], run, log), fence)
    fp("unlearning.committed")
    _remove_earlier(folder, course.update)
    version = made.id if made is not None else ""
    return Unlearnt(since=since, version=version, removed=removed, in_use=in_use)


def own_words(log: EpisodeLog, run: str, found: Forgotten) -> tuple[str, ...]:
    """Simulated conversations that a run spoke with weights which had learnt from what is gone."""
    since = min((update for name, update in found.updates if name == run), default=0)
    numbered = re.compile(rf"{re.escape(run)}-(\d{{6}})-\d{{3}}")
    ids = (logged.episode.episode_id for logged in log.episodes(Query(run=run))) if since else ()
    return tuple(name for name in ids if (match := numbered.fullmatch(name)) and int(match[1]) > since)


def _since(told: Sequence[LoggedEvent], run: str) -> int:
    """The first update of a run that had learnt from what was forgotten; 0 if none had."""
    return min((n for event in told for name, n in event.document["updates"] if name == run), default=0)


def _known(log: EpisodeLog, run: str, told: Sequence[LoggedEvent]) -> tuple[str, ...]:
    """Versions that a run made from what was forgotten later."""
    judged = [(e.seq, learning.verdict_from(e.document)) for e in log.events(kinds=(Kind.VERDICT,))]
    found: dict[str, None] = {}
    for event in told:
        since = _since([event], run)
        for seq, verdict in judged:
            if since and seq < event.seq and verdict.run == run and verdict.update >= since and verdict.version:
                found[verdict.version] = None
    return tuple(found)


def _champion_without(root: Path, known: Sequence[str], run: str) -> str:
    """The champion; the last one that knew nothing, if it is one of those that did."""
    standing = journal.standing(root)
    if standing.get(CANDIDATE) in known:
        promotions.withdraw(root, CANDIDATE, reason=WHY, by=run)
    if standing[CHAMPION] not in known:
        return standing[CHAMPION]
    before = [p.version for p in journal.read(root) if p.alias == CHAMPION and p.event.moves and p.version]
    good = next((v for v in reversed(before) if v not in known and (root / v / versions.MANIFEST).exists()), "")
    if not good:
        raise CheckpointError(f"{root}: no champion that knew nothing of it is kept; promote a version first")
    promotions.promote(root, CHAMPION, good, reason=f"{standing[CHAMPION]} is removed: {WHY}", by=run)
    return good


def _study(
    latest: Path,
    course: Course,
    log: EpisodeLog,
    run: str,
    root: Path,
    material: Callable[[str], Material],
    since: int,
    progress: Callable[[Record], object],
) -> Study:
    """The training state after the last update: as it is, or made again if it had learnt from what is gone."""
    if since:
        return replay(course_of(log, run, course.update), log, run, material, lambda v: root / v, progress=progress)
    plans = learning.plans(log, run)
    config = LearnConfig.from_json(plans[-1].config) if plans else LearnConfig()
    study = Study(material(journal.standing(root)[ANCHOR]), config, run, logs=False)
    study.load(latest)
    return study


def _origin(study: Study, course: Course) -> versions.Origin:
    return versions.Origin(
        parent=course.champion,
        fingerprint=study.material.model.renderer.fingerprint,
        trained_on={"run": study.run, "update": course.update, "made_again": True},
        created_by="episodes forget",
    )


def _kept(record: Mapping[str, Any], log: EpisodeLog) -> dict[str, Any]:
    """The record of the last update, without the names of what is gone."""
    return {**record, "episodes": [one for one in record.get("episodes", ()) if one["episode_id"] in log]}


def _without(state: Mapping[str, Any], run: str, log: EpisodeLog) -> Ledger:
    """A ledger without the conversations and ratings that are no longer in the log."""
    ledger = Ledger.restored(run, state)
    there = {event.event_id for event in log.events(kinds=(Kind.RATING,))}
    talked = {event.episode_id for event in log.events(kinds=(Kind.BEGIN,))}
    ledger.used = {name: update for name, update in ledger.used.items() if name in log}
    ledger.waiting = {
        name: replace(facts, ratings=tuple(held for held in facts.ratings if held.event_id in there))
        for name, facts in ledger.waiting.items()
        if name in talked or name in log
    }
    return ledger


def _remove(root: Path, folder: Path, known: Sequence[str], since: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Remove versions, and the training states of champions, that knew. Those that went, and those still in use."""
    for path in (folder / HOMES).glob("0*"):
        if since and int(path.name[:8]) >= since:
            durable.remove_tree(path)
    present = [version for version in known if (root / version).exists()]
    removed = tuple(version for version in present if promotions.remove(root, version))
    return removed, tuple(version for version in present if version not in removed)


def _commit(states: TrainingStates, study: Study, course: Course, ledger: Ledger, fence: int) -> None:
    def fill(folder: Path) -> None:
        study.save(folder)
        state = {"run": study.run, "fence": fence, "environment": environment()}
        write_state(folder, {**state, "ledger": ledger.state(), "course": asdict(course)})

    states.commit(course.update, fill, _origin(study, course))


def _remove_earlier(folder: Path, update: int) -> None:
    """All checkpoints but the one just made: of the same update there is no other."""
    for path in (folder / CHECKPOINTS).glob("0*"):
        if int(path.name[:8]) != update:
            durable.remove_tree(path)
