"""`dialog-rl config`: what the settings are, and where each came from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dialog_rl.cli.options import as_json
from dialog_rl.cli.output import emit, emit_json
from dialog_rl.config import Reward, resolve
from dialog_rl.text import table


@click.group()
def config() -> None:
    """Show settings and where they come from.

    Flags win over DIALOG_RL_* variables, these over the project's dialog_rl.toml (or [tool.dialog_rl] in
    pyproject.toml), this over the user's file, this over defaults.
    """


@config.command()
@click.option("--config", "config_file", type=click.Path(path_type=Path, dir_okay=False), help="Read this file.")
@click.option("--origin", is_flag=True, help="Say where each value came from.")
@as_json
def show(config_file: Path | None, origin: bool, as_json: bool) -> None:
    """Show every setting with the value that the other commands would run with from here."""
    from dialog_rl.cli.opening import configured_rewards
    from dialog_rl.cli.train_settings import in_force

    resolved = resolve(file=config_file)
    force = {f"train.{name}": value for name, value in in_force(resolved.settings.train).items()}
    force["rewards"] = configured_rewards(resolved.settings)
    found = [(key, force.get(key, value), source) for key, value, source in resolved.rows()]
    if as_json:
        emit_json("settings", {"settings": [{"key": k, "value": _plain(v), "origin": o} for k, v, o in found]})
        return
    headers = ["setting", "value", "from"] if origin else ["setting", "value"]
    emit(table(headers, [(k, _shown(v), o)[: len(headers)] for k, v, o in found]))


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    return value.model_dump() if isinstance(value, Reward) else value


def _shown(value: Any) -> str:
    if value is None or value == "":
        return "(unset)"
    if isinstance(value, tuple):
        return ", ".join(_shown(v) for v in value) or "(none)"
    if isinstance(value, Reward):
        return f"{value.name or value.use} × {value.weight:g}"
    return str(value)
