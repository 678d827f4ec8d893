"""MultiWOZ for those who have its data: goals as customers, databases as the back office, dialogues as recordings."""

from __future__ import annotations

from dialog_rl import hookimpl
from dialog_rl.hookspecs import Register

dialog_rl_api = 1


@hookimpl
def register_scenario_sources(register: Register) -> None:
    register(
        "multiwoz", "dialog_rl_multiwoz.importing:MultiWoz", description="MultiWOZ 2.1: goals, databases, dialogues"
    )
