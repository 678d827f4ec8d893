"""`dialog-rl reward`: what a reward makes of episodes that there are, before anything is trained on it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dialog_rl.cli import lending, opening
from dialog_rl.cli.options import as_json, environment_options, key_values, open_environment
from dialog_rl.cli.output import emit, emit_json, note
from dialog_rl.config import Settings
from dialog_rl.errors import ConfigError, EpisodeLogError
from dialog_rl.text import one_line, table

if TYPE_CHECKING:
    from dialog_rl.episode import Episode, Rating
    from dialog_rl.evaluation.curves import Violations
    from dialog_rl.plugins.loading import Plugins
    from dialog_rl.plugins.trial import Distribution, Judged, Trial
    from dialog_rl.scoring import Reward

BAR = 40


@click.group()
def reward() -> None:
    """Try rewards on logged episodes, and see what runs made of them."""


@reward.command(name="list")
@environment_options
@as_json
def list_(config_file: Path | None, plugin: tuple[Path, ...], no_plugin: tuple[str, ...], as_json: bool) -> None:
    """List the rewards there are, and which of them the settings use."""
    with open_environment(config_file, plugin, no_plugin) as (resolved, plugins):
        used = {spec.use for spec in resolved.settings.rewards}
        rows = [
            {"name": r.name, "plugin": r.plugin, "used": r.name in used, "bounds": r.bounds, "about": r.description}
            for r in sorted(plugins.registry.rewards.values(), key=lambda r: r.name)
        ]
    if as_json:
        emit_json("rewards", {"rewards": rows})
        return
    cells = [[row["name"], row["plugin"], "yes" if row["used"] else "", row["about"]] for row in rows]
    emit(table(["reward", "plugin", "used", "about"], cells))


@reward.command(name="try")
@click.argument("name")
@click.argument("where", required=False)
@click.option("--option", "options", multiple=True, metavar="KEY=VALUE", help="An option of the reward; VALUE is JSON.")
@click.option("--last", type=click.IntRange(min=1), default=500, show_default=True, help="The last so many episodes.")
@click.option("--show", type=click.IntRange(min=0), default=3, show_default=True, help="Best and worst to show.")
@environment_options
@as_json
def try_(
    name: str,
    where: str | None,
    options: tuple[str, ...],
    last: int,
    show: int,
    config_file: Path | None,
    plugin: tuple[Path, ...],
    no_plugin: tuple[str, ...],
    as_json: bool,
) -> None:
    """Score the last episodes of WHERE with the reward NAME: a run, a log, or a .jsonl of exported episodes.

    Shows the distribution, the best and the worst, how far it agrees with task success and with people's ratings, and
    what it pays for that success does not.
    """
    from dialog_rl.plugins.rewards import build_rewards
    from dialog_rl.plugins.trial import try_reward
    from dialog_rl.scoring import RewardSpec

    with open_environment(config_file, plugin, no_plugin) as (resolved, plugins):
        episodes, ratings = _episodes(resolved.settings, where, last)
        lent = _lent(name, plugins, resolved.settings, ratings)
        spec = RewardSpec(use=name, options=key_values(options, "--option"))
        (built,) = build_rewards(plugins.registry, [spec], resources=lent)
        trial = try_reward(built, episodes, ratings, show=show)
    if as_json:
        emit_json("trial", {**asdict(trial), "hacks": [{**asdict(h), "text": str(h)} for h in trial.hacks]})
        return
    for line in describe(trial):
        emit(line)


@reward.command()
@click.argument("name")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("--option", "options", multiple=True, metavar="KEY=VALUE", help="An option of the reward; VALUE is JSON.")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), default=Path("violations.png"), show_default=True
)
@environment_options
@as_json
def violations(
    name: str,
    runs: tuple[str, ...],
    options: tuple[str, ...],
    out: Path,
    config_file: Path | None,
    plugin: tuple[Path, ...],
    no_plugin: tuple[str, ...],
    as_json: bool,
) -> None:
    """Draw how often RUNs broke what the reward NAME forbids, while they learned: a line a run.

    Every logged episode is scored again, so a run can be shown that was not held to the constraint.
    """
    from dialog_rl.evaluation.curves import draw_violations
    from dialog_rl.plugins.rewards import build_rewards
    from dialog_rl.scoring import RewardSpec

    with open_environment(config_file, plugin, no_plugin) as (resolved, plugins):
        spec = RewardSpec(use=name, options=key_values(options, "--option"))
        lent = _lent(name, plugins, resolved.settings, {})
        (built,) = build_rewards(plugins.registry, [spec], resources=lent)
        curves = [_violations_of(opening.find_run(resolved.settings, run), built, resolved.settings) for run in runs]
    draw_violations(curves, out, title=f"what {name} forbids, while learning")
    if as_json:
        emit_json("violations", {"reward": name, "file": str(out), "runs": [asdict(curve) for curve in curves]})
        return
    for curve in curves:
        emit(f"{curve.name}: {100 * curve.rates[0]:.1f} % at first, {100 * curve.rates[-1]:.1f} % in the last update")
    emit(f"Curves: {out}")


def _violations_of(folder: Path, built: Reward, settings: Settings) -> Violations:
    """The curve of one run, with the target that it was held to, if it was."""
    from dialog_rl.cli.train import read_run
    from dialog_rl.episode_log.log import EpisodeLog
    from dialog_rl.evaluation.review import violations_of
    from dialog_rl.online import training_record

    updates = training_record.read(folder)
    if not updates:
        raise ConfigError(f"{folder}: no update has been recorded in it, so there is nothing to draw")
    held = [r for r in read_run(folder, settings).rewards if r.use == built.name and r.part == "constraint"]
    with EpisodeLog.open(folder / opening.LOG, read_only=True) as log:
        episodes = sorted((logged.episode for logged in log.episodes()), key=lambda episode: episode.episode_id)
    return violations_of(folder.name, updates, episodes, built, target=held[0].target if held else None)


def _lent(name: str, plugins: Plugins, settings: Settings, ratings: Mapping[str, Sequence[Rating]]) -> dict[str, Any]:
    """What there is for a reward that needs something: ratings, and models if it asks for one."""
    lent: dict[str, Any] = {"ratings": lambda batch: [ratings.get(e.episode_id, ()) for e in batch]}
    asks = {"reference", "reward_model"} & set(plugins.registry.rewards[name].needs)
    return lent | (lending.reference(settings) if asks else {})


def _episodes(settings: Settings, where: str | None, last: int) -> tuple[list[Episode], Mapping[str, Sequence[Rating]]]:
    """The last episodes and their ratings."""
    if where is not None and where.endswith(".jsonl"):
        return _exported(Path(where))[-last:], {}
    from dialog_rl.episode_log.log import EpisodeLog

    with EpisodeLog.open(opening.find_log(settings, where), read_only=True) as log:
        episodes = [logged.episode for logged in log.episodes()][-last:]
        if not episodes:
            raise EpisodeLogError(f"{log.name}: no episodes to try it on; 'dialog-rl simulate' makes some")
        ratings = {e.episode_id: found for e in episodes if (found := log.ratings(e.episode_id))}
        note(f"{len(episodes)} episodes of {log.name}")
    return episodes, ratings


def _exported(path: Path) -> list[Episode]:
    from dialog_rl.episode import episode_from_json

    episodes: list[Episode] = []
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                episodes.append(episode_from_json(json.loads(line)))
            except (ValueError, KeyError, TypeError) as e:
                raise EpisodeLogError(f"{path}, line {number}: not an episode: {e}") from e
    if not episodes:
        raise EpisodeLogError(f"{path}: no episodes in it")
    return episodes


def describe(trial: Trial) -> list[str]:
    """The trial for a terminal, a line each."""
    milliseconds = 1000 * trial.seconds / trial.episodes
    lines = [f"{trial.reward} on {trial.episodes} episodes, {milliseconds:.2f} ms each; abstained on {trial.abstained}"]
    if trial.distribution is None:
        return [*lines, "It abstained on every episode: training on it alone would learn nothing."]
    lines += ["", *_histogram(trial.distribution), ""]
    lines += [f"agreement with success      {_rho(trial.with_success)}   {_prefers(trial.prefers_success)}"]
    rated = f"over {trial.rated} rated episodes" if trial.rated else "nobody rated these episodes"
    lines += [f"agreement with ratings      {_rho(trial.with_ratings)}   {rated}", ""]
    lines += [line for one in trial.best for line in _shown("best ", one)]
    lines += [line for one in trial.worst for line in _shown("worst", one)]
    if trial.hacks:
        lines += ["", "What it pays for and success does not (a policy will find it):"]
        lines += [f"  ! {hack}" for hack in trial.hacks]
    else:
        lines += ["", "No counted behaviour pays that success does not share."]
    return lines


def _histogram(found: Distribution) -> list[str]:
    low, quarter, middle, upper, high = found.quantiles
    most = max(count for _, count in found.bins)
    bars = [f"{edge:9.3f} {'█' * round(BAR * count / most):<{BAR}} {count}" for edge, count in found.bins]
    spread = f"mean {found.mean:.3f}  sd {found.deviation:.3f}"
    return [*bars, f"{spread}  min {low:.3f}  quartiles {quarter:.3f} {middle:.3f} {upper:.3f}  max {high:.3f}"]


def _rho(value: float | None) -> str:
    return "   –  " if value is None else f"{value:+.2f}"


def _prefers(value: float | None) -> str:
    if value is None:
        return "no success and failure to compare"
    return f"a success is paid more than a failure {100 * value:.0f} % of the time"


def _shown(title: str, one: Judged) -> list[str]:
    place = f"{one.episode}" + (f" turn {one.turn}" if one.turn else "")
    outcome = "" if one.success is None else ("  (success)" if one.success else "  (failure)")
    return [
        f"{title} {one.value:+.3f}  {place}{outcome}  {one_line(one.reason, 70)}",
        f"          customer  {one_line(one.user, 90)}",
        f"             agent  {one_line(one.reply, 90)}",
    ]
