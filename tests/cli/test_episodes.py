"""Episodes of a log from the command line: found, shown, closely too, and made into scenario files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dialog_rl.episode_log.log import EpisodeLog
from tests.browsing.made import TROUBLED, episode, log, rated

Run = Callable[..., Any]


@pytest.fixture
def kept(home: Path) -> Path:
    """A run `r` with five episodes, of which the second is rated and the sixth went wrong."""
    (home / "runs" / "r").mkdir(parents=True)
    with log(home / "runs" / "r" / "episodes.db") as there:
        there.append(episode(6, *TROUBLED, done=False), run="r")
        there.rate(rated("e2", -1.0))
    return home / "runs" / "r" / "episodes.db"


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ((), ["e1", "e2", "e3", "e4", "e5", "e6"]), (("--success",), ["e1", "e3", "e5"]), (("--rated", "bad"), ["e2"]),
        (("--failure", "--policy", "v1"), ["e6"]), (("--text", "who are you"), ["e6"]),
        (("--limit", "2"), ["e5", "e6"]), (("--stop", "max_turns"), []),
    ],
)  # fmt: skip
def test_episodes_are_listed_by_what_they_are(run: Run, kept: Path, options: tuple[str, ...], found: list[str]) -> None:
    told = run("episodes", "list", "r", *options, "--json").json()
    assert [row["id"] for row in told["episodes"]] == found


def test_the_page_before_begins_where_this_one_ends(run: Run, kept: Path) -> None:
    last = run("episodes", "list", "--limit", "4", "--json").json()
    before = run("episodes", "list", "--limit", "4", "--before", str(last["next"]), "--json").json()
    assert [row["id"] for row in before["episodes"]] == ["e1", "e2"] and before["next"] is None
    assert f"--before {last['next']} goes on" in run("episodes", "list", "--limit", "4").err


def test_one_turn_is_shown_with_what_went_wrong_in_it(run: Run, kept: Path) -> None:
    shown = run("episodes", "show", "e6", "--turn", "0").out
    assert "who are you?" in shown and "tool error" in shown and "Your name" not in shown
    assert "there is no turn 9" in run("episodes", "show", "e6", "--turn", "9").error()


def test_points_alone_are_a_line_each(run: Run, kept: Path) -> None:
    lines = run("episodes", "show", "e6", "--points").out.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["turn 0", "turn 1"]
    assert run("episodes", "show", "e1", "--points").out == ""


def test_tokens_are_shown_by_number_where_their_version_is_gone(run: Run, kept: Path) -> None:
    told = run("episodes", "show", "e1", "--tokens", "--json").json()["closely"]
    ((step,), _) = told["turns"]
    assert [token["text"] for token in step["tokens"]] == ["5", "6"] and step["tokens"][0]["logprob"] == -0.5
    assert (
        step["tokens"][0]["value"] is None
        and step["reward"] > 0
        and "tokens are shown by their numbers" in told["told"]
    )


def test_values_and_advantages_come_from_the_version_that_spoke(run: Run, with_base: Path) -> None:
    run("simulate", "--version", "base", "--count", "1", "--run", "s")
    told = run("episodes", "show", "s-000000", "s", "--tokens", "--json").json()
    tokens = [token for turn in told["closely"]["turns"] for step in turn for token in step["tokens"]]
    sampled = [i for turn in told["episode"]["turns"] for step in turn["steps"] for i in step["action_ids"]]
    assert len(tokens) == len(sampled) and all(token["value"] is not None for token in tokens)
    assert "GAE with γ 1 and λ 0.95" in told["closely"]["told"]


def test_a_conversation_becomes_a_scenario_file(run: Run, kept: Path, home: Path) -> None:
    assert "written to" in run("episodes", "scenario", "e1").out
    written = json.loads((home / "runs" / "scenarios" / "e1.scenario.json").read_text())
    assert written["id"] == "from-e1"
    assert "is there already" in run("episodes", "scenario", "e1").error()


def test_a_hundred_episodes_more_cost_a_page_nothing(home: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "runs" / "r").mkdir(parents=True)
    log(home / "runs" / "r" / "episodes.db", 120).close()
    read: list[str] = []
    ratings = EpisodeLog.ratings
    monkeypatch.setattr(EpisodeLog, "ratings", lambda log, name: read.append(name) or ratings(log, name))
    run("episodes", "list", "r", "--limit", "5")
    assert len(read) == 5


def test_a_customer_who_was_written_down_calls_again(run: Run, home: Path) -> None:
    run("simulate", "--version", "expert", "--count", "1", "--run", "s")
    run("episodes", "scenario", "s-000000", "s", "--out", "again.json")
    played = run("simulate", "--version", "expert", "--scenario", "again.json", "--run", "t", "--json").json()
    assert (played["episodes"], played["reached"]) == (1, 1)
    shown = [run("episodes", "show", f"{name}-000000", name, "--json").json()["episode"] for name in "st"]
    assert shown[1]["scenario"]["id"] == "from-s-000000"
    assert shown[1]["scenario"]["user"] == shown[0]["scenario"]["user"]
    elsewhere = run("simulate", "--version", "expert", "--scenario", "again.json", "--pack", "banking")
    assert elsewhere.code == 2 and "is a customer of retail, not of banking" in elsewhere.error()
