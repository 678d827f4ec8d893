"""`dialog-rl episodes forget`: take conversations out of the log, and out of the weights that learnt from them."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dialog_rl import durable
from dialog_rl.cli import opening, updating
from dialog_rl.cli.options import as_json, environment_options, open_environment
from dialog_rl.cli.output import counted, emit, emit_json, note
from dialog_rl.config import Settings
from dialog_rl.errors import ConfigError
from dialog_rl.plugins.loading import Plugins
from dialog_rl.text import one_line

if TYPE_CHECKING:
    from dialog_rl.episode_log.forgetting import Forgotten
    from dialog_rl.episode_log.log import EpisodeLog
    from dialog_rl.online.study import Material
    from dialog_rl.online.unlearning import Unlearnt

_DAY = 86_400.0


@click.command()
@click.argument("episode_ids", nargs=-1, metavar="[ID]...")
@click.option("--rater", "raters", multiple=True, metavar="NAME", help="All ratings that somebody gave.")
@click.option(
    "--older-than", type=click.FloatRange(min=0), metavar="DAYS", help="Conversations that ended before that."
)
@click.option("--log", metavar="RUN|FILE|URL", help="Default: that of your chats.")
@click.option("--run", default="learn", show_default=True, metavar="NAME", help="Of the updater that learnt from it.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@environment_options
@as_json
def forget(
    episode_ids: tuple[str, ...],
    raters: tuple[str, ...],
    older_than: float | None,
    log: str | None,
    run: str,
    yes: bool,
    as_json: bool,
    config_file: Path | None,
    plugin: tuple[Path, ...],
    no_plugin: tuple[str, ...],
) -> None:
    """Forget conversations for good: in the log, in what was exported from it, and in the weights.

    What branched off them goes too. If an update had learnt from them, the run is made again without them; versions
    that knew are removed, and the last champion that did not speaks. The new weights become champion by
    'versions promote --gate'. Files that you made elsewhere, and a database server's own backups, are yours to remove.
    """
    wanted = updating.Wanted(run=run, log=log, packs=(), config={}, gate={})
    with open_environment(config_file, plugin, no_plugin) as (resolved, plugins):
        settings = updating.with_threads(resolved.settings)
        from dialog_rl.episode_log.log import EpisodeLog

        opening.prepare_torch(settings)
        with EpisodeLog.open(wanted.where(settings)) as opened:
            names = _chosen(opened, episode_ids, older_than)
            if not names and not raters and not episode_ids and older_than is None:
                raise ConfigError(
                    "name conversations, a rater, or an age; 'dialog-rl episodes list' shows what there is"
                )
            _confirm(names, raters, yes)
            found, unlearnt = _forget(settings, plugins, wanted, opened, names, raters)
    if as_json:
        emit_json("forgotten", {"forgotten": asdict(found), "unlearnt": asdict(unlearnt)})
        return
    for line in _told(found, unlearnt):
        emit(line)


def _chosen(log: EpisodeLog, episode_ids: tuple[str, ...], older_than: float | None) -> tuple[str, ...]:
    """The conversations named, those that are too old, and what branched off them."""
    from dialog_rl.episode_log.forgetting import related

    old: list[str] = []
    if older_than is not None:
        old = list(log.ended_before(time.time() - older_than * _DAY))
    return related(log, [*episode_ids, *old])


def _confirm(names: tuple[str, ...], raters: tuple[str, ...], yes: bool) -> None:
    what = [counted(len(names), "conversation"), *(f"all ratings of {one_line(name, 40)}" for name in raters)]
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigError(f"this would forget {' and '.join(what)} for good; say so with --yes")
    click.confirm(f"Forget {' and '.join(what)} for good?", abort=True, err=True)


def _forget(
    settings: Settings,
    plugins: Plugins,
    wanted: updating.Wanted,
    log: EpisodeLog,
    names: tuple[str, ...],
    raters: tuple[str, ...],
) -> tuple[Forgotten, Unlearnt]:
    """In the log, beside it, and in the run's weights, while no updater is at work."""
    from dialog_rl.episode_log import forgetting
    from dialog_rl.online.unlearning import own_words, unlearn

    folder, root = wanted.folder(settings), opening.stores(settings)[0]
    with updating.held(settings, wanted, log, shadow=False, patience=0.0) as lease:
        found = forgetting.forget(log, names, raters)
        forgetting.forget(log, own_words(log, wanted.run, found))
        if log.database.is_sqlite:
            for path in _copies(Path(log.name).parent, set(found.episodes)):
                note(f"removed {path}")
        return found, unlearn(
            folder,
            root,
            log,
            lambda anchor: _material(settings, plugins, wanted, anchor),
            fence=lease.token,
            progress=lambda record: note(f"update {record.update} made again"),
        )


def _material(settings: Settings, plugins: Plugins, wanted: updating.Wanted, anchor: str) -> Material:
    config = updating.learn_config(wanted.config)
    store = updating.open_store(settings, config, wanted.run)
    return replace(updating.material(settings, plugins, wanted, store), anchor=store.open(anchor))


def _copies(folder: Path, gone: set[str]) -> Iterator[Path]:
    """Remove what a folder of chats holds of conversations beside the log: exports, names, an unsent draft."""
    for path in (folder / "exports").glob("*"):
        if any(path.name.startswith(name) for name in gone):
            path.unlink()
            yield path
    names = folder / "names.json"
    if names.is_file():
        given: dict[str, Any] = json.loads(names.read_text(encoding="utf-8"))
        kept = {name: title for name, title in given.items() if name not in gone}
        if kept != given:
            durable.write_file(names, json.dumps(kept).encode())


def _told(found: Forgotten, unlearnt: Unlearnt) -> Iterator[str]:
    yield f"forgotten: {counted(len(found.episodes), 'conversation')}, {counted(found.ratings, 'rating')} of others"
    if not unlearnt.since:
        yield "no update had learnt from it"
        return
    yield f"learnt from since update {unlearnt.since}; made again without it: version {unlearnt.version}"
    yield f"let it speak: dialog-rl versions promote {unlearnt.version} --gate --reason 'made again'"
    for version in unlearnt.removed:
        yield f"removed: {version}"
    for version in unlearnt.in_use:
        yield f"still in use, to be removed: {version}; run this again once no process speaks with it"
