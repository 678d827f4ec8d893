"""`dialog-rl serve`: the agent over HTTP, for other front ends; logged, rated and learnt from as chats are."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dialog_rl.cli import opening
from dialog_rl.cli.options import environment_options, open_environment
from dialog_rl.cli.output import note
from dialog_rl.cli.speaking import CHAMPION, ModelVoices, of_the_champion
from dialog_rl.cli.updating import CHATS
from dialog_rl.config import Settings
from dialog_rl.errors import ConfigError
from dialog_rl.plugins.loading import Plugins
from dialog_rl.staging import Stage

if TYPE_CHECKING:
    from dialog_rl.chat.voice import Voices
    from dialog_rl.episode_log.log import EpisodeLog
    from dialog_rl.lm.choir import Choirs
    from dialog_rl.serve.app import Service


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at. Others need --keys.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0: any that is free.")
@click.option("--keys", type=click.Path(path_type=Path, dir_okay=False), help="File with a name and a key a line.")
@click.option("--pack", "packs", multiple=True, metavar="NAME|DIR|all", help="To be asked for; the first by default.")
@click.option("--version", "agent__version", metavar="VERSION", help="Who answers. Default: champion, followed.")
@click.option("--log", metavar="FILE|URL", help="Where conversations are kept. Default: that of your chats.")
@click.option("--temperature", type=click.FloatRange(0, 2), default=0.0, show_default=True, help="0: no chance in it.")
@click.option("--slots", type=click.IntRange(1, 1024), default=32, show_default=True, help="Turns made at once.")
@click.option("--waiting", type=click.IntRange(min=0), default=256, show_default=True, help="Turns that may wait.")
@click.option(
    "--rate", type=click.FloatRange(min=0), default=1200, show_default=True, help="Requests a minute of a key."
)
@click.option("--timeout", type=click.FloatRange(min=1), default=120, show_default=True, help="Seconds for a turn.")
@click.option(
    "--idle", type=click.FloatRange(min=1), default=1800, show_default=True, help="Seconds until one has left."
)
@click.option(
    "--drain", type=click.FloatRange(min=1), default=30, show_default=True, help="Seconds for turns at the end."
)
@environment_options
def serve(
    host: str,
    port: int,
    keys: Path | None,
    packs: tuple[str, ...],
    log: str | None,
    config_file: Path | None,
    plugin: tuple[Path, ...],
    no_plugin: tuple[str, ...],
    **given: Any,
) -> None:
    """Serve the agent to any client of OpenAI's chat completions.

    POST /v1/chat/completions and GET /v1/models, beside /v1/episodes, /v1/ratings, /v1/receipts and /v1/consent. Ctrl-C
    or SIGTERM lets turns under way be finished; conversations go on after a restart.
    """
    try:
        from dialog_rl.serve import keys as door_keys
        from dialog_rl.serve import running
        from dialog_rl.serve.app import application
    except ImportError as e:
        raise ConfigError(f"serving needs {e.name}: pip install 'dialog_rl[serve]'") from None
    known = door_keys.read_keys(keys) if keys else door_keys.Keys()
    door_keys.require_safe(host, known)
    flags = {"agent__version": given.pop("agent__version")}
    with open_environment(config_file, plugin, no_plugin, **flags) as (resolved, plugins):
        settings = resolved.settings
        where = log or str(Path(settings.paths.runs) / CHATS / opening.LOG)
        from dialog_rl.episode_log.log import EpisodeLog

        with EpisodeLog.open(where) as opened:
            opened.listener = plugins.hearing(CHATS, Path(settings.paths.runs) / CHATS)
            service = _service(settings, plugins, opened, packs or ("retail", "all"), known, given)
            version = service.room.voices.current()
            server = running.Server(
                application(service), host, port, drain=given["drain"],
                listening=lambda url: note(f"version {version} listens at {url}/v1"),
            )  # fmt: skip
            running.serve_until_signalled(server)


def _service(
    settings: Settings, plugins: Plugins, log: EpisodeLog, packs: tuple[str, ...], keys: Any, given: dict[str, Any]
) -> Service:
    opening.prepare_torch(settings)
    from dialog_rl.chat.room import ChatRoom
    from dialog_rl.lm.choir import Choirs
    from dialog_rl.online.looking_in import rules_of
    from dialog_rl.serve.app import Service, ServiceConfig
    from dialog_rl.serve.door import Limits

    named = [name for pack in packs for name in opening.all_packs(plugins, (pack,))]
    stages = {stage.pack.name: stage for stage in opening.open_stages(plugins, tuple(dict.fromkeys(named)))}

    @cache
    def stage(pack: str) -> Stage:
        return stages[pack] if pack in stages else opening.open_stages(plugins, (pack,))[0]

    choirs = Choirs(slots=given["slots"])
    folder = Path(settings.paths.runs) / CHATS
    room = ChatRoom(folder, log, _voices(settings, log, choirs), stage, temperature=given["temperature"])
    config = ServiceConfig(
        packs=tuple(stages),
        name=settings.agent.version,
        at_once=given["slots"],
        waiting=given["waiting"],
        turn_seconds=given["timeout"],
        idle_seconds=given["idle"],
        limits=Limits(a_minute=given["rate"]),
    )
    rules = lambda: rules_of(opening.stores(settings))  # noqa: E731
    return Service(room, config, keys, rules=rules, gauges=lambda: _gauges(choirs))


def _voices(settings: Settings, log: EpisodeLog, choirs: Choirs) -> Voices:
    if settings.agent.version == CHAMPION:
        return of_the_champion(settings, log, process="serve", speaks=choirs)
    return ModelVoices(opening.open_model(settings, settings.agent.version), speaks=choirs)


def _gauges(choirs: Choirs) -> dict[str, float]:
    done, speaking, resting = choirs.figures()
    return {
        "decoder_steps_total": done.steps, "decoder_tokens_total": done.tokens, "slots_evicted_total": done.evicted,
        "slots_speaking": speaking, "slots_resting": resting,
    }  # fmt: skip
