"""`dialog-rl offline`: learning from a log alone, from rewards or from what people said."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dialog_rl.cli import lending, opening
from dialog_rl.cli.options import as_json, environment_options, open_environment
from dialog_rl.cli.output import Progress, emit, emit_json
from dialog_rl.config import Settings, resolve
from dialog_rl.errors import ConfigError

if TYPE_CHECKING:
    from dialog_rl.lm.model import SpeakingModel
    from dialog_rl.scoring import ScoredEpisode

START = click.option("--from", "start", default="base", show_default=True, metavar="VERSION", help="Begin with it.")
SEED = click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
PAY = 'Pay by it: [[rewards]] use = "learned", options = {{ model = "{}" }} in dialog_rl.toml'
PAY_AT_ONCE = """Pay by it, each step by itself, in dialog_rl.toml:
[train]
gamma = 0.0
[[rewards]]
use = "learned"
options = {{ model = "{}", per_step = true }}"""
CONFIG = click.option(
    "--config", "config_file", type=click.Path(path_type=Path, dir_okay=False), help="Read this file."
)


@click.group()
def offline() -> None:
    """Learn from logged conversations alone, without a single new one."""


@offline.command()
@click.argument("log", required=False)
@START
@click.option("--epochs", type=click.IntRange(min=1), default=6, show_default=True)
@click.option("--beta", type=click.FloatRange(min=0), default=8.0, show_default=True,
              help="Nats that an advantage of 1 adds to a token.")  # fmt: skip
@click.option("--expectile", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.7, show_default=True)
@click.option("--conservative", type=click.FloatRange(min=0), default=0.1, show_default=True)
@click.option("--learning-rate", type=click.FloatRange(min=0, min_open=True), default=1e-3, show_default=True)
@SEED
@environment_options
@as_json
def ilql(
    log: str | None, start: str, epochs: int, beta: float, expectile: float, conservative: float, learning_rate: float,
    seed: int, as_json: bool, config_file: Path | None, plugin: tuple[Path, ...], no_plugin: tuple[str, ...],
) -> None:  # fmt: skip
    """Learn action values from LOG (a run, a file or a URL), and publish a version that speaks by them."""
    with open_environment(config_file, plugin, no_plugin) as (resolved, plugins):
        settings = resolved.settings
        model = opening.open_model(settings, start)
        scored = _scored(settings, plugins, log)
        from dialog_rl.offline.ilql import OfflineConfig, decode_by, learn
        from dialog_rl.rl.ilql import ILQLConfig

        rule = ILQLConfig(expectile=expectile, conservative=conservative, learning_rate=learning_rate)
        config = OfflineConfig(epochs=epochs, beta=beta, seed=seed, ilql=rule)
        curve: list[dict[str, float]] = []
        learnt: Any = None  # learn raises where there is nothing to learn from
        with Progress("learning") as progress:
            for heads, found in learn(model, scored, config):
                learnt = heads
                curve.append({name: float(loss) for name, loss in found._asdict().items()})
                progress.at(len(curve), "  ".join(f"{name} {loss:.4f}" for name, loss in curve[-1].items()))
        decode_by(model.policy, learnt, beta=beta)
        facts = {"algorithm": "ilql", "episodes": len(scored), "epochs": epochs, "beta": beta, "seed": seed}
        version = _publish(settings, model, facts)
    if as_json:
        emit_json("offline", {"version": version, **facts, "losses": curve})
        return
    emit(f"{len(scored)} logged episodes, {len(curve)} steps; version {version}")
    emit(f"Measure it: dialog-rl evaluate {start} {version}")


def _scored(settings: Settings, plugins: Any, log: str | None) -> list[ScoredEpisode]:
    """What is in the log for training, with what it earned."""
    from dialog_rl.combination import Combination
    from dialog_rl.episode_log.log import EpisodeLog

    place = opening.find_log(settings, log)
    with EpisodeLog.open(place, read_only=True) as opened:
        episodes = [e.episode for e in opened.episodes() if e.split != "heldout" and e.episode.simulator != "person"]
    if not episodes:
        raise ConfigError(f"{place}: holds no simulated episode for training; 'dialog-rl simulate' makes some")
    return list(Combination(opening.open_rewards(settings, plugins, lending.reference(settings))).score(episodes))


@offline.command()
@click.argument("rule", type=click.Choice(["dpo", "kto", "sft", "hindsight"]))
@click.argument("log", required=False)
@START
@click.option("--epochs", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--learning-rate", type=click.FloatRange(min=0, min_open=True), default=3e-5, show_default=True)
@click.option("--beta", type=click.FloatRange(min=0, min_open=True), default=0.1, show_default=True)
@SEED
@CONFIG
@as_json
def people(
    rule: str, log: str | None, start: str, epochs: int, learning_rate: float, beta: float, seed: int,
    config_file: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Learn from what people said in LOG: pairs (dpo), thumbs (kto), corrections (sft) or hints (hindsight).

    Conversations whose person did not allow it are left out.
    """
    settings = resolve(file=config_file).settings
    model = opening.open_model(settings, start)
    from dialog_rl.offline.tuning import RULES, TuningConfig

    said, refused = _judgements(settings, log)
    kind, tune = RULES[rule]
    config = TuningConfig(epochs=epochs, learning_rate=learning_rate, beta=beta, seed=seed)
    tuned = tune(model, getattr(said, kind), config)
    version = _publish(settings, model, {"algorithm": rule, kind: tuned.used, "epochs": epochs, "seed": seed})
    if as_json:
        emit_json("offline", {"version": version, "rule": rule, kind: tuned.used, "losses": list(tuned.losses),
                              "not_allowed": refused})  # fmt: skip
        return
    first, last = tuned.losses[0], tuned.losses[-1]
    emit(f"{tuned.used} {kind}, {refused} conversations not allowed; loss {first:.4f} at first, {last:.4f} at last")
    emit(f"version {version}; measure it: dialog-rl evaluate {start} {version}")


@offline.command()
@click.argument("log", required=False)
@START
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write it to.")
@SEED
@CONFIG
@as_json
def reward(
    log: str | None, start: str, out: Path, seed: int, config_file: Path | None, as_json: bool
) -> None:  # fmt: skip
    """Fit a reward model to people's pairs, or else their ratings, in LOG; the reward 'learned' then pays by it."""
    if out.exists():
        raise ConfigError(f"{out} is there already; name a folder that is not")
    settings = resolve(file=config_file).settings
    model = opening.open_model(settings, start)
    from dataclasses import asdict

    from dialog_rl.offline.reward_model import fit

    said, refused = _judgements(settings, log)
    made = fit(model, said, seed=seed)
    made.save(out)
    report = made.report
    if as_json:
        emit_json("reward_model", {"folder": str(out), **asdict(report), "not_allowed": refused})
        return
    emit(
        f"fitted to {report.fitted} {report.kind}, right about {100 * report.accuracy:.1f} % "
        f"of {report.held_out} others"
    )
    if report.calibration_error is not None:
        emit(f"calibration error {report.calibration_error:.3f}")
    emit(PAY.format(out))


@offline.command()
@click.argument("expert")
@click.argument("log")
@START
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write it to.")
@SEED
@CONFIG
@as_json
def imitation(
    expert: str, log: str, start: str, out: Path, seed: int, config_file: Path | None, as_json: bool
) -> None:  # fmt: skip
    """Fit a reward that pays for what EXPERT would do rather than LOG; 'learned' then pays by it.

    Both are runs, files or URLs. EXPERT may hold anybody's conversations, as 'simulate --version expert' or 'episodes
    import' logs them; LOG those of the version that is to learn.
    """
    if out.exists():
        raise ConfigError(f"{out} is there already; name a folder that is not")
    settings = resolve(file=config_file).settings
    model = opening.open_model(settings, start)
    from dataclasses import asdict

    from dialog_rl.lm.precision import bf16_pays
    from dialog_rl.offline.imitation import ImitationConfig, fit_likeness

    model.policy.autocast = bf16_pays(model.policy.device)
    made = fit_likeness(
        model, _allowed(settings, expert), _allowed(settings, log), ImitationConfig(seed=seed),
        progress=lambda line: click.echo(line, err=True),
    )  # fmt: skip
    made.save(out)
    report = made.report
    if as_json:
        emit_json("reward_model", {"folder": str(out), **asdict(report)})
        return
    emit(f"fitted to {report.fitted} steps, and tells who took it of {100 * report.accuracy:.1f} % of "
         f"{report.held_out} others")  # fmt: skip
    emit(PAY_AT_ONCE.format(out))


def _allowed(settings: Settings, log: str) -> list[Any]:
    from dialog_rl.episode_log.log import EpisodeLog
    from dialog_rl.offline.judgements import allowed

    with EpisodeLog.open(opening.find_log(settings, log), read_only=True) as opened:
        return [logged.episode for logged in opened.episodes() if allowed(opened, logged)]


def _judgements(settings: Settings, log: str | None) -> tuple[Any, int]:
    from dialog_rl.episode_log.log import EpisodeLog
    from dialog_rl.offline.judgements import read

    with EpisodeLog.open(opening.find_log(settings, log), read_only=True) as opened:
        said = read(opened)
    return said, said.refused


def _publish(settings: Settings, model: SpeakingModel, facts: dict[str, Any]) -> str:
    from dialog_rl.lm import versions

    origin = versions.Origin(
        parent=model.version, fingerprint=model.renderer.fingerprint, trained_on=facts, created_by="offline"
    )
    return versions.publish(Path(settings.paths.runs) / opening.VERSIONS, model.save, origin).id
