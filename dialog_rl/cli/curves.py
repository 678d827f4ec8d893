"""`dialog-rl curves`: what runs say of themselves, side by side in one picture."""

from __future__ import annotations

from pathlib import Path

import click

from dialog_rl.cli.options import as_json
from dialog_rl.cli.output import emit, emit_json
from dialog_rl.config import resolve
from dialog_rl.errors import ConfigError


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), default=Path("curves.png"), show_default=True,
              help="The picture, PNG.")  # fmt: skip
@click.option("--title", default="Success while learning", show_default=True)
@click.option("--ceiling", type=click.FloatRange(0, 1), help="A dotted line: the expert's success.")
@click.option("--config", "config_file", type=click.Path(path_type=Path, dir_okay=False), help="Read this file.")
@as_json
def curves(
    runs: tuple[str, ...], out: Path, title: str, ceiling: float | None, config_file: Path | None, as_json: bool
) -> None:
    """Draw the learning curves of training runs, by name or folder, into one picture."""
    from dialog_rl.evaluation.curves import Curve, draw
    from dialog_rl.online import training_record

    root = Path(resolve(file=config_file).settings.paths.runs)
    found: list[Curve] = []
    for run in runs:
        folder = Path(run) if Path(run).is_dir() else root / run
        updates = training_record.read(folder)
        if not updates:
            raise ConfigError(f"{folder}: no update is recorded there; a run's folder has a {training_record.METRICS}")
        found.append(Curve(name=folder.name, updates=updates))
    draw(found, out, title=title, ceiling=ceiling)
    if as_json:
        last = [
            {"run": curve.name, **{key: curve.updates[-1][key] for key in ("dialogues", "success")}} for curve in found
        ]
        emit_json("curves", {"picture": str(out), "runs": last})
        return
    emit(str(out))
