"""`dialog-rl slots`: which words of a message are which value, learnt from examples and then from reward."""

from __future__ import annotations

from pathlib import Path

import click

from dialog_rl.cli import opening
from dialog_rl.cli.options import as_json, environment_options, open_environment
from dialog_rl.cli.output import emit, emit_json, note
from dialog_rl.text import table


@click.command()
@click.option("--pack", "packs", multiple=True, metavar="NAME|DIR", help="Pack; several, or 'all'. Default: retail.")
@click.option("--examples", type=click.IntRange(min=8), default=150, show_default=True, help="Messages with tags.")
@click.option("--practice", type=click.IntRange(min=8), default=600, show_default=True, help="Messages for the reward.")
@click.option("--held-out", type=click.IntRange(min=8), default=400, show_default=True, help="Messages to measure on.")
@click.option("--epochs", type=click.IntRange(min=1), default=8, show_default=True, help="Of either phase.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@environment_options
@as_json
def slots(
    packs: tuple[str, ...], examples: int, practice: int, held_out: int, epochs: int, seed: int, as_json: bool,
    config_file: Path | None, plugin: tuple[Path, ...], no_plugin: tuple[str, ...],
) -> None:  # fmt: skip
    """Teach a tagger the values in customers' messages: from examples, then by policy gradient.

    The reward is entity-level F1. Both are measured on customers and wording that neither phase has met.
    """
    with open_environment(config_file, plugin, no_plugin) as (resolved, plugins):
        stages = opening.open_stages(plugins, opening.all_packs(plugins, packs or ("retail",)))
        opening.prepare_torch(resolved.settings)
        from dialog_rl.offline.slots import study

        note("customers are speaking …")
        found = study(stages, examples=examples, practice=practice, held_out=held_out, epochs=epochs, seed=seed)
    if as_json:
        from dataclasses import asdict

        emit_json("slots", asdict(found))
        return
    after = {row.kind: row for row in found.after}
    rows: list[tuple[object, ...]] = []
    for row in found.before:
        other = after.get(row.kind, row)
        name = found.slots[row.kind] if row.kind >= 0 else "all"
        rows.append((name, row.support, *(f"{100 * x:.1f}" for x in (
            row.precision, row.recall, row.f1, other.precision, other.recall, other.f1))))  # fmt: skip
    headers = ("slot", "entities", "precision", "recall", "F1", "precision", "recall", "F1 after reward")
    emit(table(headers, rows, right=range(1, len(headers))))
    emit(f"{examples} examples, then {practice} messages by reward; measured on {held_out}, seed {seed}")
