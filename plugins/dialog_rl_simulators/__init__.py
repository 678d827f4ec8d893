"""The user simulators that come with dialog_rl, found through the same entry-point group as anybody's."""

from __future__ import annotations

from dialog_rl import hookimpl
from dialog_rl.hookspecs import Register

dialog_rl_api = 1


@hookimpl
def register_scenario_sources(register: Register) -> None:
    register("chats", "dialog_rl_simulators.drafts:Drafts", description="recorded chats, said and answered again")


@hookimpl
def register_user_simulators(register: Register) -> None:
    register(
        "agenda", "dialog_rl_simulators.agenda:Agenda", needs=("pack",),
        description="works through the goal's items, and reads free text through the pack's phrase patterns",
    )  # fmt: skip
    register(
        "lm", "dialog_rl_simulators.spoken:LocalModel", needs=("pack", "speak"),
        description="a language model in this program plays the customer from the scenario",
    )  # fmt: skip
    register(
        "openai", "dialog_rl_simulators.spoken:OpenAI", needs=("pack",),
        description="any OpenAI-compatible server plays the customer from the scenario",
    )  # fmt: skip
    register(
        "replayed", "dialog_rl_simulators.replayed:Replayed", needs=("pack", "episodes"),
        description="a logged customer's messages again; an agenda takes over where the agent diverges",
    )  # fmt: skip
    register(
        "mixture", "dialog_rl_simulators.mixture:Mixture", needs=("simulators",),
        description="several simulators in given shares",
    )  # fmt: skip
