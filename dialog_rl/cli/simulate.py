"""`dialog-rl simulate`: simulated customers talk to the agent, and every episode is logged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dialog_rl.cli import lending, opening
from dialog_rl.cli.evaluate import open_contestants
from dialog_rl.cli.options import as_json, environment_options, interruptible, open_environment
from dialog_rl.cli.output import Progress, emit, emit_json, note
from dialog_rl.episode import Episode, StopReason
from dialog_rl.errors import ConfigError
from dialog_rl.scenario import SPLITS, Scenario
from dialog_rl.seeds import derive

if TYPE_CHECKING:
    from dialog_rl.conversation import Conversation
    from dialog_rl.evaluation.suites import Contestant
    from dialog_rl.plugins.loading import Plugins
    from dialog_rl.staging import Stage

WRITE_EVERY = 64
"""Episodes a transaction: what a crash can lose."""


@click.command()
@click.option("--pack", "packs", multiple=True, metavar="NAME|DIR", help="Pack; several, or 'all'. Default: retail.")
@click.option("--version", "agent__version", metavar="VERSION", help="Who answers; 'expert' for the scripted one.")
@click.option("--count", type=click.IntRange(min=1), default=100, show_default=True, help="Conversations in all.")
@click.option("--split", type=click.Choice(SPLITS), default="train", show_default=True)
@click.option("--scenario", "written", multiple=True, type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="Only this customer, as 'episodes scenario' wrote them; several.")  # fmt: skip
@click.option("--simulator", default="agenda", show_default=True, help="Who plays the customers.")
@lending.simulator_flags
@click.option("--temperature", "evaluate__temperature", type=click.FloatRange(min=0), help="Of the sampling.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--run", "name", metavar="NAME", help="Name of the run. Default: simulate-1, simulate-2, …")
@environment_options
@as_json
def simulate(
    packs: tuple[str, ...],
    count: int,
    split: str,
    written: tuple[Path, ...],
    simulator: str,
    simulator_options: tuple[str, ...],
    voice: str | None,
    seed: int,
    name: str | None,
    as_json: bool,
    config_file: Path | None,
    plugin: tuple[Path, ...],
    no_plugin: tuple[str, ...],
    **flags: Any,
) -> None:
    """Let simulated customers talk to the agent, and log every episode.

    The log is in the run's folder: 'dialog-rl episodes list' shows it.
    """
    with open_environment(config_file, plugin, no_plugin, **flags) as (resolved, plugins):
        settings = resolved.settings
        cast = lending.Cast(settings, plugins, simulator, simulator_options, voice)
        met = _read(written)
        named = packs or tuple(dict.fromkeys(scenario.pack for scenario in met)) or ("retail",)
        stages = cast.only_stages(opening.all_packs(plugins, named))
        _require_packs(met, stages)
        count = len(met) or count
        with interruptible("Stopping; what has ended is kept.") as cancelled:
            (speaker,) = open_contestants(settings, (settings.agent.version,), cancelled)
            folder = opening.new_run(settings, name, "simulate")
            reached = outgrown = 0
            with Progress("simulating", count) as progress, _Logged(folder, plugins) as log:
                for number, stage in enumerate(stages):
                    mine = _known(stage, met) if met else _made(stage, range(number, count, len(stages)), seed, split)
                    for episode in speaker.play(stage)(_conversations(stage, speaker, mine, seed, folder.name)):
                        if cancelled():
                            break
                        log.add(episode)
                        reached += _reached(episode)
                        outgrown += episode.stop is StopReason.CONTEXT_FULL
                        progress.at(log.count, f"success {100 * reached / log.count:.0f} %")
    if outgrown:
        note(f"{outgrown} of {log.count} conversations outgrew the model: its positions, or model.context, are too few")
    _tell(folder, log.count, reached, speaker.version, as_json=as_json)


def _read(files: Sequence[Path]) -> list[Scenario]:
    from dialog_rl.browsing import scenario_files

    return [scenario_files.read(file) for file in files]


def _require_packs(met: Sequence[Scenario], stages: Sequence[Stage]) -> None:
    there = [stage.pack.name for stage in stages]
    for scenario in met:
        if scenario.pack not in there:
            raise ConfigError(f"{scenario.id} is a customer of {scenario.pack}, not of {', '.join(there)}: see --pack")


def _known(stage: Stage, met: Sequence[Scenario]) -> Iterator[tuple[int, Scenario]]:
    """Of scenarios that were written down, those of one pack, by their number."""
    return ((number, scenario) for number, scenario in enumerate(met) if scenario.pack == stage.pack.name)


def _made(stage: Stage, numbers: Sequence[int], seed: int, split: str) -> Iterator[tuple[int, Scenario]]:
    from dialog_rl.goals import make_scenario

    for own_number, number in enumerate(numbers):
        own = derive(seed, "simulate", number)
        yield number, make_scenario(stage.pack, own, split=split, number=own_number)


def _conversations(
    stage: Stage, speaker: Contestant, customers: Iterable[tuple[int, Scenario]], seed: int, run: str
) -> Iterator[Conversation]:
    for number, scenario in customers:
        yield stage.conversation(
            scenario,
            derive(seed, "simulate", number),
            episode_id=f"{run}-{number:06d}",
            tokenizer=speaker.tokenizer,
            temperature=speaker.temperature,
        )


class _Logged:
    """Appends episodes to a run's log, a few at a time."""

    def __init__(self, folder: Path, plugins: Plugins) -> None:
        from dialog_rl.episode_log.log import EpisodeLog

        self._log = EpisodeLog.open(folder / opening.LOG)
        self._log.listener = plugins.hearing(folder.name, folder)
        self._run = folder.name
        self._waiting: list[Episode] = []
        self.count = 0

    def __enter__(self) -> _Logged:
        return self

    def __exit__(self, *_: object) -> None:
        self._write()
        self._log.close()

    def add(self, episode: Episode) -> None:
        self._waiting.append(episode)
        self.count += 1
        if len(self._waiting) >= WRITE_EVERY:
            self._write()

    def _write(self) -> None:
        self._log.append_many(self._waiting, run=self._run)
        self._waiting.clear()


def _reached(episode: Episode) -> bool:
    from dialog_rl import metrics

    return metrics.success(episode).reached


def _tell(folder: Path, count: int, reached: int, version: str, *, as_json: bool) -> None:
    if as_json:
        emit_json(
            "simulation",
            {
                "run": folder.name,
                "log": str(folder / opening.LOG),
                "version": version,
                "episodes": count,
                "reached": reached,
            },
        )
        return
    emit(f"{count} episodes in {folder / opening.LOG}; {reached} customers got what they came for")
    emit(f"Look at them: dialog-rl episodes list {folder.name}")
