"""`dialog-rl episodes`: what is in a log."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dialog_rl.cli import opening
from dialog_rl.cli.closing_up import close_up
from dialog_rl.cli.episode_import import import_
from dialog_rl.cli.forget import forget
from dialog_rl.cli.options import as_json, environment_options, open_environment
from dialog_rl.cli.output import emit, emit_json, note, style
from dialog_rl.config import Settings, resolve
from dialog_rl.episode import StopReason, to_json
from dialog_rl.errors import ConfigError, EpisodeLogError
from dialog_rl.text import printable, table

if TYPE_CHECKING:
    from dialog_rl.browsing.closely import Closely, StepClosely
    from dialog_rl.browsing.pages import Wanted
    from dialog_rl.browsing.stepping import Opened
    from dialog_rl.episode_log.log import EpisodeLog, Query

WHERE = "A run, a log file or a database URL. Default: the log written to last."
SPEAKER = {"customer": "cyan", "agent": "green", "call": "yellow", "answer": "bright_black"}


@click.group()
def episodes() -> None:
    """List, show, export, import and forget logged episodes."""


@contextmanager
def open_log(where: str | None) -> Iterator[EpisodeLog]:
    """A log to read. Raises EpisodeLogError saying which there are."""
    settings = resolve().settings
    from dialog_rl.episode_log.log import EpisodeLog

    with EpisodeLog.open(opening.find_log(settings, where), read_only=True) as log:
        yield log


def query_options(command: Any) -> Any:
    command = click.option("--text", metavar="WORDS", help="Only those in which this occurs.")(command)
    command = click.option("--policy", metavar="VERSION", help="Only those this version spoke in.")(command)
    command = click.option("--stop", type=click.Choice([str(s) for s in StopReason]), help="Only those ended so.")(
        command
    )
    command = click.option("--split", help="Only those of this split.")(command)
    return click.option("--pack", help="Only those of this pack.")(command)


def query(pack: str | None, split: str | None, stop: str | None, policy: str | None, text: str | None) -> Query:
    from dialog_rl.episode_log.log import Query

    return Query(pack=pack, split=split, stop=StopReason(stop) if stop else None, policy=policy, text=text or None)


def wanted_options(command: Any) -> Any:
    """`query_options`, and what only looking at each episode can tell."""
    rated = click.Choice(["good", "bad", "any", "none"])
    command = click.option("--rated", type=rated, help="Only those that people thought so of.")(command)
    command = click.option("--success/--failure", default=None, help="Only those that reached their goal, or did not.")(
        command
    )
    return query_options(command)


def wanted(success: bool | None, rated: str | None, **of_query: str | None) -> Wanted:
    from dialog_rl.browsing import pages

    return pages.asking(query(**of_query), success=success, rated=pages.Rated(rated) if rated else None)  # type: ignore[arg-type]


@episodes.command(name="list")
@click.argument("where", required=False)
@wanted_options
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="The last so many.")
@click.option("--before", type=click.IntRange(min=1), metavar="SEQ", help="Of those before this one: the next page.")
@as_json
def list_(where: str | None, limit: int, before: int | None, as_json: bool, **asked: Any) -> None:
    """List the episodes in WHERE, the newest last. WHERE is a run, a log file or a database URL; by default the log
    written to last.
    """
    from dialog_rl.browsing import pages

    with open_log(where) as log:
        only = wanted(**asked)
        found = pages.page(log, only, before=before, most=limit, look=sys.maxsize)
        total = None if only.by_looking else log.count(only.query)
        rows = [asdict(row) for row in reversed(found.rows)]
        if as_json:
            emit_json("episodes", {"log": log.name, "total": total, "next": found.next, "episodes": rows})
            return
        if not rows:
            emit(f"{log.name}: no episodes that fit")
            return
        emit(listing(rows))
        if found.next is not None:
            many = "those" if total is None else str(total)
            note(f"the last {len(rows)} of {many} in {log.name}; --limit shows more, --before {found.next} goes on")


def listing(rows: Sequence[Mapping[str, Any]]) -> str:
    headers = ["episode", "pack", "goal", "turns", "ended", "success", "rules broken", "rated"]
    cells = [
        [r["id"], r["pack"], r["goal"], r["turns"], r["stop"], _yes(r["success"]), r["violations"], _rated(r["rating"])]
        for r in rows
    ]
    return table(headers, cells, right=[3, 6, 7])


def _rated(value: float | None) -> str:
    return "" if value is None else f"{value:+.2g}"


def _yes(value: bool | None) -> str:
    return "–" if value is None else ("yes" if value else "no")


@episodes.command()
@click.argument("episode_id")
@click.argument("where", required=False)
@click.option("--turn", type=click.IntRange(min=0), help="Only this turn, counted from 0.")
@click.option("--points", is_flag=True, help="Only what went wrong: refused calls, broken rules, bad ratings.")
@click.option("--tokens", is_flag=True, help="Every action token with its log-probability, value and advantage.")
@environment_options
@as_json
def show(
    episode_id: str,
    where: str | None,
    turn: int | None,
    points: bool,
    tokens: bool,
    as_json: bool,
    config_file: Path | None,
    plugin: tuple[Path, ...],
    no_plugin: tuple[str, ...],
) -> None:
    """Show one episode of WHERE: who said what, what was called, how it ended, and how it is judged."""
    from dialog_rl.browsing.stepping import opened

    with open_log(where) as log:
        episode, ratings = log.get(episode_id), log.ratings(episode_id)
    found = opened(episode, ratings)
    if turn is not None and turn >= len(found.turns):
        raise EpisodeLogError(f"{episode_id} has {len(found.turns)} turns, counted from 0; there is no turn {turn}")
    closely = None
    if tokens:
        with open_environment(config_file, plugin, no_plugin) as (resolved, plugins):
            closely = close_up(resolved.settings, plugins, episode, ratings)
    if as_json:
        more = {"closely": asdict(closely)} if closely is not None else {}
        marks = [asdict(point) for point in found.points]
        rated = [to_json(rating) for rating in ratings]
        emit_json("episode", {"episode": to_json(episode), "ratings": rated, "points": marks, **more})
    elif points:
        for point in (*found.points, *(closely.drops if closely is not None else ())):
            emit(f"turn {point.turn}: {point.why}")
    else:
        tell(found, turn, closely)


def tell(found: Opened, turn: int | None, closely: Closely | None) -> None:
    episode = found.episode
    by = ", ".join(episode.policy_versions) or "?"
    emit(f"{episode.episode_id}  pack {episode.pack}  seed {episode.seed}  by {by}")
    for shown in found.turns if turn is None else found.turns[turn : turn + 1]:
        emit()
        for said in shown.lines:
            click.echo(line(said.who, said.text))
        for remark in (*(point.why for point in shown.points), *shown.opinions):
            emit(f"       !  {remark}")
        for step in closely.turns[shown.number] if closely is not None else ():
            emit()
            emit(tokens_of(step))
    if closely is not None:
        emit()
        note(closely.told)
    if turn is None:
        emit()
        for remark in found.verdict:
            emit(remark)


def tokens_of(step: StepClosely) -> str:
    """A table of one step's tokens."""
    paid = "" if step.reward is None else f", paid {step.reward:+.3g}"
    cells = [[repr(t.text)[1:-1], *(_figure(v) for v in (t.logprob, t.value, t.advantage))] for t in step.tokens]
    return table([f"token{paid}", "log-prob", "value", "advantage"], cells, right=[1, 2, 3])


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def line(who: str, text: str) -> str:
    indented = printable(text).replace("\n", "\n          ")
    return style(f"{who:>8}", fg=SPEAKER[who], bold=who == "agent") + f"  {indented}"


@episodes.command()
@click.argument("episode_id")
@click.argument("where", required=False)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Default: in runs/scenarios.")
def scenario(episode_id: str, where: str | None, out: Path | None) -> None:
    """Make a conversation of WHERE into a scenario file."""
    from dialog_rl.browsing import scenario_files

    with open_log(where) as log:
        episode = log.get(episode_id)
    path = out or scenarios_folder(resolve().settings) / scenario_files.file_name(episode_id)
    scenario_files.write(episode, path)
    emit(f"written to {path}")


def scenarios_folder(settings: Settings) -> Path:
    """Where scenario files made of conversations go."""
    return Path(settings.paths.runs) / "scenarios"


@episodes.command()
@click.argument("where", required=False)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write here instead of to stdout.")
@click.option("--format", "exporter", metavar="NAME", help="As a plugin's exporter writes them; needs --out.")
@query_options
@environment_options
def export(
    where: str | None,
    out: Path | None,
    exporter: str | None,
    config_file: Path | None,
    plugin: tuple[Path, ...],
    no_plugin: tuple[str, ...],
    **asked: Any,
) -> None:
    """Write episodes of WHERE as JSON Lines, one whole episode a line, or as an exporter does."""
    if exporter is not None:
        if out is None:
            raise ConfigError("--format needs --out FILE: an exporter writes a file")
        from dialog_rl.cli import extensions

        with open_environment(config_file, plugin, no_plugin) as (_, plugins), open_log(where) as log:
            found = [logged.episode for logged in log.episodes(query(**asked))]
            extensions.export(plugins.registry, exporter, found, out)
        note(f"{len(found)} episodes written to {out}")
        return
    count = 0
    with open_log(where) as log:
        with out.open("x", encoding="ascii") if out is not None else nullcontext(sys.stdout) as stream:
            for logged in log.episodes(query(**asked)):
                stream.write(json.dumps(to_json(logged.episode), allow_nan=False) + "\n")
                count += 1
    note(f"{count} episodes" + (f" written to {out}" if out is not None else ""))


episodes.add_command(forget)
episodes.add_command(import_)
