"""The user simulators that come with dialog_rl, found through the same entry-point group as anybody's."""

from __future__ import annotations

from dialog_rl import hookimpl
from dialog_rl.hookspecs import Register

dialog_rl_api = 1


@hookimpl
def register_user_simulators(register: Register) -> None:
    register(
        "agenda", "dialog_rl_simulators.agenda:Agenda", needs=("pack",),
        description="works through the goal's items, and reads free text through the pack's phrase patterns",
    )  # fmt: skip
