"""`dialog-rl scenarios chats`: conversations that others have recorded, measured, and kept as episodes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dialog_rl.cli.options import as_json, environment_options, open_environment
from dialog_rl.cli.output import emit, emit_json, note
from dialog_rl.errors import ScenarioError
from dialog_rl.text import table

if TYPE_CHECKING:
    from dialog_rl.sources import Figure, Recorded


@click.command()
@click.argument("pack")
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--log", type=click.Path(path_type=Path, dir_okay=False), help="Keep them in this log.")
@environment_options
@as_json
def chats(
    pack: str,
    file: Path | None,
    log: Path | None,
    as_json: bool,
    config_file: Path | None,
    plugin: tuple[Path, ...],
    no_plugin: tuple[str, ...],
) -> None:
    """Measure the conversations recorded for an imported PACK: in FILE, or those imported with it.

    Where their tool calls are recorded they are made again with our tools. With --log they are kept as episodes without
    tokens and log-probabilities: to read and to export; reinforcement leaves them alone.
    """
    from dialog_rl.sources import Recordings, SourcedPack
    from dialog_rl.staging import find_pack

    with open_environment(config_file, plugin, no_plugin) as (_, plugins):
        opened = find_pack(plugins.registry, pack)
        if not isinstance(opened, SourcedPack) or not isinstance(opened.source, Recordings):
            raise ScenarioError(f"{pack}: nothing is recorded for this pack; `scenarios import` makes packs with chats")
        found = opened.source.recorded(file)
    if log is not None:
        _keep(found, opened.name, log)
    if as_json:
        from dataclasses import asdict

        figures = [asdict(figure) for figure in found.figures]
        emit_json("chats", {"pack": opened.name, "figures": figures, "remarks": list(found.remarks)})
        return
    _tell(found)


def _keep(found: Recorded, pack: str, log: Path) -> None:
    from dialog_rl.episode_log.log import EpisodeLog

    with EpisodeLog.open(log) as opened:
        opened.append_many(list(found.episodes), run=f"recorded-{pack}")
    note(f"{len(found.episodes)} conversations kept in {log}")


def _tell(found: Recorded) -> None:
    headers = ["recorded conversations", "here", "published", ""]
    emit(table(headers, [[f.name, _shown(f.value), _published(f), f.note] for f in found.figures], right=[1, 2]))
    for remark in found.remarks:
        note(remark)


def _shown(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


def _published(figure: Figure) -> str:
    return "" if figure.published is None else _shown(figure.published)
