"""The worlds of tau2-bench, for those who have its data: records, tools of both sides, tasks as scenarios, grading."""

from __future__ import annotations

from dialog_rl import hookimpl
from dialog_rl.hookspecs import Register

dialog_rl_api = 1


@hookimpl
def register_scenario_sources(register: Register) -> None:
    register("tau2", "dialog_rl_tau2.importing:Tau2", description="tau2-bench: mock, retail, airline and telecom")
