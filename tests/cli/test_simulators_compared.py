"""`evaluate --simulators`: the same customers played by several kinds, two of them planted to be at fault."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]

CUSTOMER = """
from dialog_rl import hookimpl
from dialog_rl.conversation import UserReply
from dialog_rl.episode import Act, Message, Role


def says(text, *acts, leaves=False):
    return UserReply(message=Message(role=Role.USER, text=text, acts=acts), leaves=leaves)


class Planted:
    def start(self, scenario, seed):
        return self

    def open(self):
        return says("hello", Act(kind="intent"))

    def reply(self, message):
        return says({words}, leaves={leaves})


@hookimpl
def register_user_simulators(register):
    register("{name}", Planted)
"""


@pytest.fixture
def planted(home: Path) -> Callable[[str, str, str], str]:
    def write(name: str, words: str, leaves: str) -> str:
        (home / f"{name}.py").write_text(CUSTOMER.format(name=name, words=words, leaves=leaves))
        return f"{name}.py"

    return write


def test_planted_customers_are_blamed_for_what_they_do(run: Run, planted: Callable[..., str]) -> None:
    deaf = planted("deaf", '"what?", Act(kind="confused")', "False")
    liar = planted("liar", '"it is 99999", Act(kind="inform", slot="order_id", value="99999")', "True")
    found = run(
        "evaluate", "expert", "--goals", "5", "--simulators", "agenda,deaf,liar", "--plugin", deaf, "--plugin", liar,
        "--json",
    ).json()  # fmt: skip
    assert found["kind"] == "evaluations"
    by_simulator = {one["simulator"]: one["by_side"] for one in found["failures"]}
    assert by_simulator == {
        "agenda": {"agent": 0, "lost_customer": 0, "unruly_customer": 0},
        "deaf": {"agent": 0, "lost_customer": 5, "unruly_customer": 0},
        "liar": {"agent": 0, "lost_customer": 0, "unruly_customer": 5},
    }
    moved = {(m["simulator"], m["against"]): m["paired"]["difference"]["value"] for m in found["moves"]}
    assert moved == {("deaf", "agenda"): -1.0, ("liar", "agenda"): -1.0, ("liar", "deaf"): 0.0}


def test_customers_met_before_can_be_replayed_and_mixed(run: Run, home: Path) -> None:
    outcome = run(
        "evaluate", "expert", "--goals", "6", "--simulators", "agenda,replayed,mixture",
        "--simulator-option", 'mixture.shares={"agenda": 1, "replayed": 1}', "--report", "report.md",
    )  # fmt: skip
    assert outcome.code == 0 and "played by agenda, replayed and mixture" in outcome.out
    assert "Whose fault failures were" in (home / "report.md").read_text()


def test_a_log_can_be_replayed(run: Run, home: Path) -> None:
    run("evaluate", "expert", "--goals", "3", "--log", "kept.db")
    options = ("--simulators", "replayed", "--simulator-option", "replayed.file=kept.db")
    assert run("evaluate", "expert", "--goals", "3", *options, "--min-success", "1").code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--simulators", "agenda,agend"), "did you mean 'agenda'"),
        (("--simulators", ","), "write one or more names"),
        (("--simulators", "replayed"), "needs a log or exported episodes"),
        (("--simulator-option", "agenda"), "write KEY=VALUE"),
        (("--simulator-option", "file=x"), "write SIMULATOR.OPTION=VALUE"),
        (("--simulator-option", "replayed.file=x"), "'replayed' is not used here; used: agenda"),
        (("--simulator-option", "agenda.file=x"), "'file' is not an option of user_simulators 'agenda'"),
        (("--simulators", "replayed", "--simulator-option", "replayed.file=no.db"), "no.db: there is no such log"),
    ],
)  # fmt: skip
def test_what_cannot_be_played_is_one_clear_line(run: Run, home: Path, arguments: tuple[str, ...], words: str) -> None:
    outcome = run("evaluate", "expert", "--goals", "1", *arguments)
    assert outcome.code == 2 and words in outcome.error()


def test_the_figure_required_must_be_met_with_every_simulator(run: Run, planted: Callable[..., str]) -> None:
    deaf = planted("deaf", '"what?", Act(kind="confused")', "False")
    asked = ("evaluate", "expert", "--goals", "2", "--plugin", deaf, "--min-success", "0.5")
    outcome = run(*asked, "--simulators", "deaf,agenda")
    assert outcome.code == 4 and "0.0 % of its deaf customers" in outcome.error()


def test_a_model_of_the_program_can_play_the_customers(run: Run, with_base: Path) -> None:
    found = run(
        "evaluate", "expert", "--goals", "2", "--simulators", "agenda,lm", "--speaker", "base", "--json"
    ).json()  # fmt: skip
    assert found["failures"][1]["simulator"] == "lm" and found["failures"][1]["conversations"] == 2
    refused = run("evaluate", "expert", "--goals", "1", "--simulators", "lm")
    assert refused.code == 2 and "--speaker" in refused.error()


def test_simulate_takes_options_of_one_simulator(run: Run, home: Path) -> None:
    options = ("--simulator", "mixture", "--simulator-option", 'mixture.shares={"agenda": 1}')
    assert run("simulate", "--version", "expert", "--count", "2", "--run", "r", *options).code == 0
    several = run("simulate", "--version", "expert", "--count", "2", "--run", "s", "--simulator", "agenda,replayed")
    assert several.code == 2 and "one simulator at a time" in several.error()
