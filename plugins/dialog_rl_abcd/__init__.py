"""ABCD for those who have its data: a customer for each of its 55 subflows, and its chats as recordings."""

from __future__ import annotations

from dialog_rl import hookimpl
from dialog_rl.hookspecs import Register

dialog_rl_api = 1


@hookimpl
def register_scenario_sources(register: Register) -> None:
    register("abcd", "dialog_rl_abcd.importing:Abcd", description="ABCD: 55 subflows, their rules, and chats")
