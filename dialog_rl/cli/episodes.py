"""`dialog-rl episodes`: what is in a log."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dialog_rl.cli import opening
from dialog_rl.cli.forget import forget
from dialog_rl.cli.options import as_json
from dialog_rl.cli.output import emit, emit_json, note, style
from dialog_rl.config import resolve
from dialog_rl.episode import Episode, StopReason, to_json
from dialog_rl.errors import ScenarioError
from dialog_rl.text import one_line, printable, table

if TYPE_CHECKING:
    from dialog_rl.episode_log.log import EpisodeLog, LoggedEpisode

WHERE = "A run, a log file or a database URL. Default: the log written to last."
SPEAKER = {"customer": "cyan", "agent": "green", "call": "yellow", "answer": "bright_black"}


@click.group()
def episodes() -> None:
    """List, show, export and forget logged episodes."""


@contextmanager
def open_log(where: str | None) -> Iterator[EpisodeLog]:
    """A log to read. Raises EpisodeLogError saying which there are."""
    settings = resolve().settings
    from dialog_rl.episode_log.log import EpisodeLog

    with EpisodeLog.open(opening.find_log(settings, where), read_only=True) as log:
        yield log


def query_options(command: Any) -> Any:
    command = click.option("--policy", metavar="VERSION", help="Only those this version spoke in.")(command)
    command = click.option("--stop", type=click.Choice([str(s) for s in StopReason]), help="Only those ended so.")(
        command
    )
    command = click.option("--split", help="Only those of this split.")(command)
    return click.option("--pack", help="Only those of this pack.")(command)


def query(pack: str | None, split: str | None, stop: str | None, policy: str | None) -> Any:
    from dialog_rl.episode_log.log import Query

    return Query(pack=pack, split=split, stop=StopReason(stop) if stop else None, policy=policy)


@episodes.command(name="list")
@click.argument("where", required=False)
@query_options
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="The last so many.")
@as_json
def list_(
    where: str | None,
    pack: str | None,
    split: str | None,
    stop: str | None,
    policy: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List the episodes in WHERE: a run, a log file or a database URL. Default: the log written to last."""
    with open_log(where) as log:
        wanted = query(pack, split, stop, policy)
        total = log.count(wanted)
        last: list[LoggedEpisode] = []
        for logged in log.episodes(wanted):
            last = [*last[-limit + 1 :], logged] if limit > 1 else [logged]
        rows = [_row(logged) for logged in last]
        if as_json:
            emit_json("episodes", {"log": log.name, "total": total, "episodes": rows})
            return
        if not rows:
            emit(f"{log.name}: no episodes that fit")
            return
        headers = ["episode", "pack", "goal", "turns", "ended", "success", "rules broken"]
        cells = [
            [r["id"], r["pack"], r["goal"], r["turns"], r["stop"], _yes(r["success"]), r["violations"]] for r in rows
        ]
        emit(table(headers, cells, right=[3, 6]))
        if total > len(rows):
            note(f"the last {len(rows)} of {total} in {log.name}; --limit shows more")


def _row(logged: LoggedEpisode) -> dict[str, Any]:
    from dialog_rl import metrics

    episode = logged.episode
    return {
        "seq": logged.seq,
        "id": episode.episode_id,
        "run": logged.run,
        "split": logged.split,
        "pack": episode.pack,
        "goal": ", ".join(metrics.intents(episode)),
        "turns": len(episode.turns),
        "stop": str(episode.stop),
        "success": succeeded(episode),
        "violations": len(metrics.violations(episode)),
        "versions": list(episode.policy_versions),
    }


def succeeded(episode: Episode) -> bool | None:
    """None where the episode says of no goal what success would be, as after a chat about nothing in particular."""
    from dialog_rl import metrics

    if not episode.scenario.get("success"):
        return None
    try:
        return metrics.success(episode).reached
    except ScenarioError:
        return None


def _yes(value: bool | None) -> str:
    return "–" if value is None else ("yes" if value else "no")


@episodes.command()
@click.argument("episode_id")
@click.argument("where", required=False)
@as_json
def show(episode_id: str, where: str | None, as_json: bool) -> None:
    """Show one episode of WHERE: who said what, what was called, how it ended, and how it is judged."""
    with open_log(where) as log:
        episode = log.get(episode_id)
        ratings = log.ratings(episode_id)
    if as_json:
        emit_json("episode", {"episode": to_json(episode), "ratings": [to_json(r) for r in ratings]})
        return
    by = ", ".join(episode.policy_versions) or "?"
    emit(f"{episode.episode_id}  pack {episode.pack}  seed {episode.seed}  by {by}")
    emit()
    for who, text in spoken(episode):
        click.echo(line(who, text))
    emit()
    for remark in judged(episode):
        emit(remark)
    for rating in ratings:
        about = "the whole" if rating.turn is None else f"turn {rating.turn}"
        value = f"rated {rating.value:+g}" if rating.value is not None else "remarked on"
        emit(f"{value} by {one_line(rating.rater, 40)} ({about}) {one_line(rating.comment)}")


def spoken(episode: Episode) -> list[tuple[str, str]]:
    from dialog_rl.evaluation.report import transcript

    return transcript(episode)


def line(who: str, text: str) -> str:
    indented = printable(text).replace("\n", "\n          ")
    return style(f"{who:>8}", fg=SPEAKER[who], bold=who == "agent") + f"  {indented}"


def judged(episode: Episode) -> list[str]:
    """How it ended and how it is judged, a line a remark."""
    from dialog_rl import metrics

    remarks = [f"ended: {episode.stop}" + (f" ({one_line(episode.note)})" if episode.note else "")]
    reached = succeeded(episode)
    if reached is not None:
        s = metrics.success(episode)
        remarks.append(
            f"success: {_yes(reached)}; changes {s.right_changes} of {s.expected_changes} right, "
            f"{s.wrong_changes} wrong; told {s.told} of {s.to_tell}; forbidden actions {s.forbidden}"
        )
        remarks += [f"rule broken in turn {v.turn}: {v.rule}: {one_line(v.text)}" for v in metrics.violations(episode)]
    remarks += [f"changed: {c.path}: {c.before!r} → {c.after!r}" for c in episode.journal]
    return remarks


@episodes.command()
@click.argument("where", required=False)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write here instead of to stdout.")
@query_options
def export(
    where: str | None,
    out: Path | None,
    pack: str | None,
    split: str | None,
    stop: str | None,
    policy: str | None,
) -> None:
    """Write episodes of WHERE as JSON Lines, one whole episode a line."""
    count = 0
    with open_log(where) as log:
        with out.open("x", encoding="ascii") if out is not None else nullcontext(sys.stdout) as stream:
            for logged in log.episodes(query(pack, split, stop, policy)):
                stream.write(json.dumps(to_json(logged.episode), allow_nan=False) + "\n")
                count += 1
    note(f"{count} episodes" + (f" written to {out}" if out is not None else ""))


episodes.add_command(forget)
