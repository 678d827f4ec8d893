"""`dialog-rl episodes import`: a shop's own chat logs as demonstrations, replayed customers and draft scenarios."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dialog_rl.cli import opening
from dialog_rl.cli.options import as_json, environment_options, open_environment
from dialog_rl.cli.output import counted, emit, emit_json, note
from dialog_rl.errors import EpisodeLogError

if TYPE_CHECKING:
    from dialog_rl.chatlogs import Brought
    from dialog_rl.episode import Episode
    from dialog_rl.pack import Pack
    from dialog_rl.plugins.loading import Plugins


@click.command(name="import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--pack", default="retail", show_default=True, metavar="NAME|DIR", help="Whose tools and words they are of."
)
@click.option(
    "--log", type=click.Path(path_type=Path, dir_okay=False), help="Into this log. Default: that of a new run."
)
@click.option("--run", "name", metavar="NAME", help="Name of the new run. Default: import-1, import-2, …")
@click.option("--draft", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
              help="Draft a pack of scenarios from them: a regression set.")  # fmt: skip
@click.option("--redact/--no-redact", default=True, show_default=True,
              help="Take out mails, phones, cards, addresses and names.")  # fmt: skip
@environment_options
@as_json
def import_(
    files: tuple[Path, ...],
    pack: str,
    log: Path | None,
    name: str | None,
    draft: Path | None,
    redact: bool,
    as_json: bool,
    config_file: Path | None,
    plugin: tuple[Path, ...],
    no_plugin: tuple[str, ...],
) -> None:
    """Take over chats from FILES: .jsonl or .json with OpenAI's messages, .csv with a message a row.

    They go into a log, and from there wherever episodes go. With --draft each chat becomes a scenario as well: the
    customer says again what they said, the back office answers as it did, and the calls that changed something and the
    numbers that were told count as success. Each is played by the recorded agent and by one that does nothing; what
    proves nothing is left out, with the reason.
    """
    with open_environment(config_file, plugin, no_plugin) as (resolved, plugins):
        from dialog_rl.chatlogs import brought, read_chats
        from dialog_rl.staging import find_pack

        base = find_pack(plugins.registry, pack)
        chats = [(str(file), chat) for file in files for chat in read_chats(file)]
        found = [
            brought(chat, pack=base.name, system=base.file.brief, redact=redact, name=file) for file, chat in chats
        ]
        kept = list({one.episode.episode_id: one for one in found if one is not None}.values())
        if not kept:
            raise EpisodeLogError(f"{files[0]}: no chat in which a customer says anything")
        place = log or opening.new_run(resolved.settings, name, "import") / opening.LOG
        added = _logged(place, [one.episode for one in kept])
        drafted = _draft(plugins, [one.episode for one in kept], base, draft) if draft is not None else None
    _tell(len(chats), kept, place, added, drafted, as_json=as_json)


def _logged(place: Path, episodes: list[Episode]) -> int:
    """How many were not there yet."""
    from dialog_rl.episode_log.log import EpisodeLog

    with EpisodeLog.open(place) as log:
        new = [episode for episode in episodes if episode.episode_id not in log]
        log.append_many(new, run="imported")
    return len(new)


def _draft(plugins: Plugins, episodes: list[Episode], base: Pack, out: Path) -> dict[str, Any]:
    """The drafts that hold: which the recorded agent passes, and one that does nothing does not."""
    from dialog_rl.lint_sourced import FLOOR, play
    from dialog_rl.staging import open_stage
    from dialog_rl.undeserving import AGENTS

    importer = plugins.registry.scenario_sources["chats"].make({})
    made = importer.draft(episodes, base, out)
    refused = dict(made.refused)
    if made.splits["heldout"]:
        stage = open_stage(plugins.registry, str(out.resolve()), "replayed")
        played = play(stage)
        undeserved = {task: f"an agent that {AGENTS[who]} passes it" for who in FLOOR for task in played.reached[who]}
        why = {**undeserved, **played.failed}
        ids = {str(e.scenario["provenance"]["task"]): e.episode_id for e in episodes}
        importer.leave_out(out, {ids[task]: reason for task, reason in why.items()})
        refused |= {ids[task]: reason for task, reason in why.items()}
    return {"folder": str(out), "scenarios": len(episodes) - len(refused), "refused": refused}


def _tell(
    chats: int, kept: list[Brought], place: Path, added: int, drafted: dict[str, Any] | None, *, as_json: bool
) -> None:
    taken_out = Counter[str]()
    for one in kept:
        taken_out.update(one.redacted)
    if as_json:
        figures = {"chats": chats, "episodes": len(kept), "added": added, "log": str(place)}
        emit_json("import", {**figures, "redacted": dict(taken_out), "draft": drafted})
        return
    emit(f"{counted(chats, 'chat')}, {added} new in {place}")
    if taken_out:
        emit("taken out: " + ", ".join(f"{kind} {count}" for kind, count in sorted(taken_out.items())))
        note("no list of names is whole: look through what was kept before you share it")
    if drafted is not None:
        emit(f"{counted(drafted['scenarios'], 'scenario')} in {drafted['folder']}")
        for reason, count in Counter(drafted["refused"].values()).most_common():
            emit(f"{count} left out: {reason}")
        emit(f"Try them: dialog-rl evaluate champion --simulator replayed --pack {drafted['folder']}/")
