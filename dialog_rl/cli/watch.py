"""`dialog-rl watch`: a run as it goes on, from outside: on the whole terminal, line by line, or once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dialog_rl.cli import opening
from dialog_rl.cli.options import as_json
from dialog_rl.cli.output import emit, emit_json, has_a_screen, note
from dialog_rl.config import Settings, resolve, user_file
from dialog_rl.errors import ConfigError, EpisodeLogError, TrainingError
from dialog_rl.text import table

if TYPE_CHECKING:
    from dialog_rl.online.seen import Seen, Watched

LEARN = "learn"
"""The run of the updater, which may be watched before it has begun."""
_EVERY = 1.0
"""Seconds between two looks."""
_NOTES = 20
"""The latest of each kind that are told."""


@click.command()
@click.argument("run", required=False)
@click.option("--log", metavar="RUN|FILE|URL", help="Of 'learn': the log it follows. Default: that of your chats.")
@click.option("--plain", is_flag=True, help="A line an update, until the run ends; for pipes and screen readers.")
@click.option("--once", is_flag=True, help="Say how it stands, and end.")
@click.option("--config", "config_file", type=click.Path(path_type=Path, dir_okay=False), help="Read this file.")
@as_json
def watch(run: str | None, log: str | None, plain: bool, once: bool, config_file: Path | None, as_json: bool) -> None:
    """Watch a run of 'train' or 'learn' while it goes on, or afterwards.

    RUN is a name or a folder; without one, the run that was written to last. Its files are only read, so it goes on
    whether it is watched or not. On a terminal: plots; elsewhere, and with --plain, a line an update.
    """
    settings = resolve(file=config_file).settings
    with watched(settings, run, log) as found:
        if once:
            tell(found.look(), as_json=as_json)
        elif plain or as_json or not has_a_screen():
            follow(found, as_json=as_json)
        else:
            _on_screen(found)


@contextmanager
def watched(settings: Settings, name: str | None, log: str | None) -> Iterator[Watched]:
    """What is to be watched. Raises ConfigError if there is no such run."""
    from dialog_rl.online import seen_training

    folder = _folder(settings, name)
    if log is not None or _is_updaters(folder) or (folder.name == LEARN and not seen_training.is_training(folder)):
        with _learning(settings, folder, log) as found:
            yield found
    elif seen_training.is_training(folder):
        yield seen_training.TrainingWatch(folder, opening.stores(settings))
    else:
        raise ConfigError(f"{folder} is no run of train or learn: there is no {seen_training.SETTINGS} in it")


def _folder(settings: Settings, name: str | None) -> Path:
    runs = Path(settings.paths.runs)
    if name is None:
        written = sorted(runs.glob("*/metrics.jsonl"), key=lambda path: path.stat().st_mtime)
        if not written:
            raise ConfigError(f"there is no run in {runs}/ yet; 'dialog-rl train' and 'dialog-rl learn' make them")
        return written[-1].parent
    return runs / LEARN if name == LEARN else opening.find_run(settings, name)


def _is_updaters(folder: Path) -> bool:
    """Whether `learn` has its state there."""
    from dialog_rl.online.course import CHECKPOINTS, STATE

    return any(folder.glob(f"{CHECKPOINTS}/*/{STATE}"))


@contextmanager
def _learning(settings: Settings, folder: Path, log: str | None) -> Iterator[Watched]:
    from dialog_rl.cli.updating import Wanted
    from dialog_rl.episode_log.log import EpisodeLog
    from dialog_rl.online.seen_learning import LearningWatch

    where = Wanted(run=folder.name, log=log, packs=(), config={}, gate={}).where(settings)
    if "://" not in where and not Path(where).is_file():
        raise EpisodeLogError(f"there is no log at {where} yet: nobody has talked; 'dialog-rl chat' makes one")
    with EpisodeLog.open(where, read_only=True) as opened:
        yield LearningWatch(folder, opened, opening.stores(settings))


def tell(seen: Seen, *, as_json: bool) -> None:
    """How a run stands."""
    if as_json:
        emit_json("watch", seen.document())
        return
    emit(f"{seen.name}: {seen.progress}; {seen.alive}: {seen.told}")
    rows = [(chart.title, line.name, chart.told(line.last)) for chart in seen.charts for line in chart.lines]
    emit(table(["", "", "running mean"], rows, right=[2]))
    for notes in seen.notes:
        emit()
        emit(f"{notes.title}:")
        for one in notes.notes[:_NOTES]:
            emit(f"  {'! ' if one.bad else ''}{one.text}")


def follow(found: Watched, *, as_json: bool) -> None:
    """A line an update, and a remark whenever the run begins, falls silent or ends. Raises TrainingError if it broke
    off.
    """
    from dialog_rl.online.seen import Alive

    alive: Alive | None = None
    while True:
        seen = found.look()
        for update in found.news():
            if as_json:
                emit_json("update", {"run": seen.name, "record": update.record})
            else:
                emit(update.told)
        if seen.alive is Alive.GONE:
            raise TrainingError(f"{seen.name}: {seen.told}")
        if seen.alive is not alive:
            alive = seen.alive
            note(f"{seen.name}: {seen.alive}: {seen.told}")
        if seen.alive.over:
            return
        time.sleep(_EVERY)


def _on_screen(found: Watched) -> None:
    from dialog_rl.tui import watch as dashboard
    from dialog_rl.tui.preferences import FILE, Preferences

    code, last_word = dashboard.run(found, Preferences(user_file().parent / FILE))
    if last_word:
        note(last_word)
    if code:
        raise SystemExit(code)
