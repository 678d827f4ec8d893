"""`dialog-rl report`: one page about what lies in logs, with what its figures are worth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dialog_rl.cli import opening
from dialog_rl.cli.judging import Judge
from dialog_rl.cli.options import as_json, environment_options, open_environment
from dialog_rl.cli.output import emit, emit_json, note
from dialog_rl.cli.pages import beside_of, require_known, write
from dialog_rl.config import Settings
from dialog_rl.episode import Episode, Rating
from dialog_rl.errors import EpisodeLogError

if TYPE_CHECKING:
    from dialog_rl.evaluation.gathering import Met
    from dialog_rl.evaluation.summaries import Result

ENDS = ("at the beginning", "at the end")


@click.command()
@click.argument("where", nargs=-1)
@click.option("--out", "outs", multiple=True, type=click.Path(path_type=Path, dir_okay=False),
              help="The page: .html, or .md for Markdown; several for both. Default: report.html.")  # fmt: skip
@click.option("--title", help="Of the page. Default: what was looked at.")
@click.option("--pack", help="Only the conversations of this pack.")
@click.option("--last", type=click.IntRange(min=1), help="Only the last so many of each log.")
@click.option("--talks", type=click.IntRange(min=0), default=4, show_default=True, help="Customers shown.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Which of them.")
@click.option("--pay/--no-pay", default=True, show_default=True,
              help="What the settings' rewards would pay; needs the model that they are measured by.")  # fmt: skip
@click.option("--values/--no-values", default=True, show_default=True,
              help="How well the value head of each version knows how it will end; needs the version.")  # fmt: skip
@environment_options
@as_json
def report(
    where: tuple[str, ...],
    outs: tuple[Path, ...],
    title: str | None,
    pack: str | None,
    last: int | None,
    talks: int,
    seed: int,
    pay: bool,
    values: bool,
    as_json: bool,
    config_file: Path | None,
    plugin: tuple[Path, ...],
    no_plugin: tuple[str, ...],
) -> None:
    """Write one page about the conversations in WHERE: runs, log files or database URLs, side by side.

    Who spoke is told apart by evaluation, run and version; of a training run, the first fifth of its dialogues stands
    beside the last. Agents that met the same customers are compared on these. The page needs nothing but itself: no
    script, nothing fetched. Default: the log written to last.
    """
    with open_environment(config_file, plugin, no_plugin) as (resolved, plugins):
        settings = resolved.settings
        require_known(*outs)
        found = [_read(settings, one, pack, last) for one in where or (None,)]
        from dialog_rl.evaluation.gathering import described, gather

        results = gather(met for one in found for met in one.met)
        if not results:
            raise EpisodeLogError(f"{', '.join(one.name for one in found)}: no conversations that fit")
        note(", ".join(f"{result.name}: {len(result.episodes)}" for result in results))
        speaks = any(episode.tokenizer for result in results for episode in result.episodes.values())
        judge = Judge(settings, plugins, speaks=speaks and pay, pay=pay, ratings=_Said(found))
        evaluation = judge.compare_described(results, described(results))
        beside = beside_of(
            settings, evaluation, judge, values=values, minutes=_minutes(results, found), talks=talks, seed=seed,
            learning=found[0].updates if len(found) == 1 else (),
        )  # fmt: skip
    from dialog_rl.evaluation import chapters

    page = chapters.whole(evaluation, beside, title=title or f"Report on {', '.join(one.title for one in found)}")
    written = write(page, outs or (Path("report.html"),))
    if as_json:
        from dialog_rl.evaluation.report import as_document

        calibrations = [asdict(one) for one in beside.calibrations]
        more = {"calibration": calibrations, "versions": list(beside.history), "pages": [str(path) for path in written]}
        emit_json("report", {**as_document(evaluation), **more})
        return
    for path in written:
        emit(str(path))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Log:
    """What was read of one log."""

    name: str
    title: str
    met: Sequence[Met]
    ratings: Mapping[str, tuple[Rating, ...]]
    seconds: Mapping[str, float]
    """How long conversations with people took, by episode."""
    updates: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
    """The record of a training run."""


class _Said:
    """What people said of episodes, from whichever log they are in."""

    def __init__(self, logs: Sequence[_Log]) -> None:
        self._by_episode = {key: said for log in logs for key, said in log.ratings.items()}

    def __call__(self, episodes: Sequence[Episode]) -> list[tuple[Rating, ...]]:
        return [self._by_episode.get(episode.episode_id, ()) for episode in episodes]


def _read(settings: Settings, where: str | None, pack: str | None, last: int | None) -> _Log:
    from dialog_rl.episode_log.log import EpisodeLog, Query
    from dialog_rl.episode_log.records import Kind
    from dialog_rl.evaluation.gathering import Met
    from dialog_rl.online import training_record

    place = opening.find_log(settings, where)
    folder = Path(place).parent
    updates = training_record.read(folder) if "://" not in place and Path(place).name == opening.LOG else []
    with EpisodeLog.open(place, read_only=True) as log:
        met = [Met(episode=logged.episode, run=logged.run) for logged in log.episodes(Query(pack=pack))]
        met = met[-last:] if last is not None else met
        ids = {one.episode.episode_id for one in met}
        begun: dict[str, float] = {}
        seconds: dict[str, float] = {}
        rated: set[str] = set()
        for event in log.events(kinds=[Kind.BEGIN, Kind.EPISODE, Kind.RATING]):
            if event.kind == Kind.BEGIN:
                begun[event.episode_id] = event.recorded_at
            elif event.kind == Kind.RATING:
                rated.add(event.episode_id)
            elif event.episode_id in begun:
                seconds[event.episode_id] = event.recorded_at - begun[event.episode_id]
        ratings = {key: log.ratings(key) for key in rated & ids}
    name = folder.name if Path(place).name == opening.LOG and "://" not in place else log.name
    return _Log(
        name=log.name, title=Path(name).name if "://" not in name else name, met=list(_ends(met, updates)),
        ratings=ratings, seconds=seconds, updates=updates,
    )  # fmt: skip


def _ends(met: Sequence[Met], updates: Sequence[Mapping[str, Any]]) -> Iterator[Met]:
    """Of a training run the first fifth and the last, as two who spoke; else all as they are."""
    if not updates:
        yield from met
        return
    from dialog_rl.evaluation.gathering import EVALUATED, Met
    from dialog_rl.evaluation.review import SHARE

    count = max(1, round(SHARE * len(met)))
    for name, part in zip(ENDS, (met[:count], met[-count:]), strict=True):
        for one in part:
            yield Met(episode=one.episode, run=name.removeprefix(EVALUATED), mixed=True)


def _minutes(results: Sequence[Result], found: Sequence[_Log]) -> dict[str, Any]:
    """How long conversations with people took, by who spoke."""
    from dialog_rl.evaluation.statistics import mean_interval

    seconds = {key: value for log in found for key, value in log.seconds.items()}
    minutes: dict[str, Any] = {}
    for result in results:
        known = [seconds[e.episode_id] / 60 for e in result.episodes.values() if e.episode_id in seconds]
        if known:
            minutes[result.name] = mean_interval(known)
    return minutes
