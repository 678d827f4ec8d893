"""A run of the updater made once more from the log: exactly as it was, or as if some conversations had never been had.

The plans in the log say what each update was made from and where it began, so the weights are a function of log, plans
and the first version alone. What has been forgotten is simply not there any more; an update that had nothing else to
learn from is passed over, and simulated customers are met again by the weights as they are now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from dialog_rl.episode_log import learning
from dialog_rl.episode_log.learning import Plan, Verdict
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.episode_log.records import Kind
from dialog_rl.errors import CheckpointError
from dialog_rl.lm.model import SpeakingModel
from dialog_rl.online.learn_config import LearnConfig
from dialog_rl.online.study import Material, Record, Study


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """The updates that lead to one training state, oldest first, and the version that the first began with."""

    base: str
    plans: tuple[Plan, ...]


def course_of(log: EpisodeLog, run: str, update: int) -> Course:
    """What led to the training state after an update. Raises CheckpointError if the log does not tell."""
    plans = {plan.update: plan for plan in learning.plans(log, run)}
    verdicts = {v.update: v for e in log.events(kinds=(Kind.VERDICT,)) if (v := _verdict(e.document)).run == run}
    path: list[Plan] = []
    start = f"update:{update}"
    while start != "update:0" and not start.startswith("version:"):
        plan = plans.get(int(start.removeprefix("update:")))
        if plan is None:
            raise CheckpointError(f"the log holds no plan of {start} of run {run!r}")
        outcome = verdicts[plan.update].reason if plan.update in verdicts else ""
        if outcome.startswith("withheld"):
            start = _home(plan.champion, verdicts)
            continue
        if not outcome.startswith("abandoned"):
            path.append(plan)
        start = plan.start
    base = start.removeprefix("version:") if start.startswith("version:") else plans[1].champion if plans else ""
    if not base:
        raise CheckpointError(f"the log holds no plan of run {run!r}, so there is nothing to make again")
    return Course(base=base, plans=tuple(reversed(path)))


def replay(
    course: Course,
    log: EpisodeLog,
    run: str,
    material: Callable[[str], Material],
    open_version: Callable[[str], Path],
    *,
    progress: Callable[[Record], object] = lambda record: None,
) -> Study:
    """Make the updates of a course once more; the study holds the weights and the optimizer's memory in the end.

    material: what to learn with, held to the anchor of that id. open_version: where a version lies. Nothing is logged.
    An update that comes to nothing this time is taken back and passed over.
    """
    study = _study(course.plans[0] if course.plans else None, material, course.base, run)
    study.load_weights(open_version(course.base))
    with TemporaryDirectory() as scratch:
        for number, plan in enumerate(_what_is_left(course, log)):
            before = Path(scratch) / str(number)
            study.save(before)
            config = LearnConfig.from_json(plan.config)
            if config != study.config:
                study = _study(plan, material, course.base, run)
                study.load(before)
            record = study.learn(plan, log)
            if record.outcome.startswith(("abandoned", "withheld")):
                study.load(before)
            progress(record)
    return study


def _study(plan: Plan | None, material: Callable[[str], Material], base: str, run: str) -> Study:
    config = LearnConfig.from_json(plan.config) if plan is not None else LearnConfig()
    return Study(material(plan.anchor if plan is not None else base), config, run, logs=False)


def _what_is_left(course: Course, log: EpisodeLog) -> Iterator[Plan]:
    """The plans without the conversations and ratings that are no longer in the log."""
    for plan in course.plans:
        ratings = {e.event_id for one in plan.episodes for e in log.events_of(one.episode_id) if e.kind == Kind.RATING}
        kept = [
            replace(one, ratings=tuple(name for name in one.ratings if name in ratings))
            for one in plan.episodes
            if one.episode_id in log
        ]
        was_rated = {one.episode_id for one in plan.episodes if one.ratings}
        kept = [one for one in kept if one.ratings or one.episode_id not in was_rated]
        live = sum(bool(one.ratings) for one in kept)
        if live:  # as many simulated customers as an update of so few would have met
            simulated = round(LearnConfig.from_json(plan.config).simulated * live)
            yield replace(plan, episodes=tuple(kept), simulated=max(0, simulated - (len(kept) - live)))


def _home(champion: str, verdicts: Mapping[int, Verdict]) -> str:
    """The training state that a champion was published from."""
    made = [update for update, verdict in verdicts.items() if verdict.promoted and verdict.version == champion]
    return f"update:{max(made)}" if made else f"version:{champion}"


def _verdict(document: Mapping[str, object]) -> Verdict:
    return learning.verdict_from(document)


def speaks_as(study: Study, model: SpeakingModel) -> bool:
    """Whether a study's weights are a model's, bit for bit."""
    mine, its = study.material.model.policy.state_dict(), model.policy.state_dict()
    return mine.keys() == its.keys() and all(bool((mine[name] == its[name]).all()) for name in mine)
