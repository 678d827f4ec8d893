"""`train --sweep`: several settings, each a run of its own, of which the worse half is given up again and again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dialog_rl.cli import opening
from dialog_rl.cli.options import interruptible
from dialog_rl.cli.output import emit, emit_json, note
from dialog_rl.cli.train_runs import SWEEP_FILE, opened_run, write_run
from dialog_rl.cli.train_settings import train_config
from dialog_rl.config import Settings, Train
from dialog_rl.durable import write_file
from dialog_rl.errors import ConfigError
from dialog_rl.plugins.loading import Plugins
from dialog_rl.text import suggest

if TYPE_CHECKING:
    from dialog_rl.online.trainer import Trainer

Scores = dict[str, dict[str, float]]
"""Updates made → trial → success on validation customers."""


def sweep(
    settings: Settings,
    plugins: Plugins,
    given: Sequence[str],
    folder: Path | None,
    *,
    name: str | None = None,
    as_json: bool = False,
) -> None:
    """Run a sweep, or go on with the one in `folder`, and publish the best trial's weights."""
    from dialog_rl.online.halving import rungs, survivors

    if folder is None:
        trials = trials_of(settings.train, given)
        folder = opening.new_run(settings, name, "sweep")
        write_run(folder, settings.train, settings.rewards)
        scores: Scores = {}
        _keep(folder, trials, scores)
    else:
        document = json.loads((folder / SWEEP_FILE).read_text(encoding="utf-8"))
        trials, scores = document["trials"], document["scores"]
    left = tuple(trials)
    at = rungs(len(trials), train_config(settings.train).updates)
    for updates in at:
        of_rung = scores.setdefault(str(updates), {})
        for trial in left:
            if trial not in of_rung:
                with _at(settings, plugins, folder / trial, trials[trial], updates) as trainer:
                    of_rung[trial] = _success(trainer)
                _keep(folder, trials, scores)
                note(f"{_said(trials[trial])}: {100 * of_rung[trial]:.1f} % after {updates} updates")
        left = survivors({trial: of_rung[trial] for trial in left})
    best = left[0]
    with _at(settings, plugins, folder / best, trials[best], at[-1]) as trainer:
        version = trainer.publish(Path(settings.paths.runs) / opening.VERSIONS).id
    if as_json:
        emit_json(
            "sweep",
            {"sweep": str(folder), "trials": trials, "scores": scores, "best": trials[best], "version": version},
        )
        return
    for updates, of_rung in scores.items():
        for trial in sorted(of_rung, key=lambda one: -of_rung[one]):
            emit(f"{updates:>6} updates  {100 * of_rung[trial]:5.1f} %  {_said(trials[trial])}")
    emit(f"best: {_said(trials[best])}; version {version}")


def trials_of(train: Train, given: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Every combination of the values, by the name of its folder. Raises ConfigError about what is no setting."""
    values: dict[str, list[str]] = {}
    for one in given:
        key, equals, text = one.partition("=")
        if not equals or key not in Train.model_fields:
            hint = suggest(key, Train.model_fields)
            raise ConfigError(f"--sweep {one!r}: write SETTING=A,B,… with a setting of train{hint}")
        values[key] = [value.strip() for value in text.split(",") if value.strip()]
    combined = [dict(zip(values, chosen, strict=True)) for chosen in product(*values.values())]
    if len(combined) < 2:
        raise ConfigError("--sweep: nothing to compare; give at least two values")
    for changes in combined:
        changed(train, changes)
    return {f"trial-{number:02d}": changes for number, changes in enumerate(combined)}


def changed(train: Train, changes: Mapping[str, Any]) -> Train:
    """The settings with some of them replaced by what was written. Raises ConfigError."""
    try:
        return Train.model_validate({**train.model_dump(), **changes})
    except ValueError as e:
        raise ConfigError(f"--sweep: {' '.join(str(e).split()[:24])}") from None


@contextmanager
def _at(
    settings: Settings, plugins: Plugins, folder: Path, changes: Mapping[str, Any], updates: int
) -> Iterator[Trainer]:
    """A trial brought to so many updates, with a checkpoint there."""
    own = settings.model_copy(update={"train": changed(settings.train, changes)})
    folder.mkdir(parents=True, exist_ok=True)
    with opened_run(own, plugins, folder) as run, interruptible("Stopping; 'train --resume' goes on.") as stop:
        if run.trainer.done < updates:
            for progress in run.trainer.run(cancelled=stop):
                if progress.update >= updates:
                    break
            run.trainer.checkpoint()
        if not stop():
            yield run.trainer


def _success(trainer: Trainer) -> float:
    from dialog_rl.online.validation import success_of

    return success_of(trainer.model, trainer.stages, trainer.config.validation, slots=trainer.config.slots)


def _keep(folder: Path, trials: Mapping[str, Any], scores: Scores) -> None:
    text = json.dumps({"format": 1, "trials": trials, "scores": scores}, indent=1)
    write_file(folder / SWEEP_FILE, text.encode())


def _said(changes: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in changes.items())
