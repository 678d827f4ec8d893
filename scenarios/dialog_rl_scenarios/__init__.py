"""Scenario packs that come with dialog_rl: one folder a pack, found like anybody's plugin."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from dialog_rl import hookimpl
from dialog_rl.hookspecs import Register

dialog_rl_api = 1


@hookimpl
def register_scenario_packs(register: Register) -> None:
    for file in sorted(Path(__file__).parent.glob("*/pack.yaml")):
        register(file.parent.name, partial(Path, file.parent), description=f"the pack in {file.parent.name}/")
