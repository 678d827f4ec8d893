"""The commands that let somebody speak, with the scripted expert and with a model too small to make sense."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dialog_rl.episode_log.log import EpisodeLog

Run = Callable[..., Any]

SMALL_RUN = ("--dialogues", "8", "--batch", "4", "--run", "small")


# simulate, episodes


def test_what_is_simulated_is_logged_listed_shown_and_exported(run: Run, home: Path) -> None:
    done = run("simulate", "--version", "expert", "--count", "5", "--run", "five", "--json")
    assert done.code == 0 and done.json()["episodes"] == 5 and done.json()["reached"] == 5
    listed = run("episodes", "list", "five", "--json").json()
    assert listed["total"] == 5 and all(row["success"] for row in listed["episodes"])
    name = listed["episodes"][0]["id"]
    shown = run("episodes", "show", name, "five")
    assert shown.code == 0 and "customer" in shown.out and "success: yes" in shown.out
    exported = run("episodes", "export", "five")
    documents = [json.loads(line) for line in exported.out.splitlines()]
    assert len(documents) == 5 and run("episodes", "show", name, "five", "--json").json()["episode"] in documents


def test_the_log_written_to_last_is_meant_where_none_is_named(run: Run, home: Path) -> None:
    run("simulate", "--version", "expert", "--count", "2", "--run", "first")
    assert run("episodes", "list", "--json").json()["log"].endswith("first/episodes.db")


def test_episodes_are_chosen_by_what_they_are(run: Run, home: Path) -> None:
    run("simulate", "--version", "expert", "--count", "4", "--run", "r")
    assert run("episodes", "list", "r", "--pack", "banking", "--json").json()["total"] == 0
    assert run("episodes", "list", "r", "--policy", "expert", "--json").json()["total"] == 4
    assert run("episodes", "list", "r", "--limit", "1", "--json").json()["total"] == 4


def test_an_export_does_not_overwrite(run: Run, home: Path) -> None:
    run("simulate", "--version", "expert", "--count", "1", "--run", "r")
    (home / "out.jsonl").write_text("mine")
    assert run("episodes", "export", "r", "--out", "out.jsonl").code == 1
    assert (home / "out.jsonl").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("episodes", "list"), 1, "no episode log in runs/"),
        (("episodes", "list", "nothing"), 1, "no episode log 'nothing'"),
        (("episodes", "show", "x", "r"), 1, "no episode x"),
        (("replay", "x", "r"), 1, "no episode x"),
        (("simulate", "--version", "nobody"), 5, "version 'nobody'"),
        (("simulate", "--version", "./nowhere"), 5, "nowhere"),
        (("simulate", "--version", "../../etc/x"), 5, "x"),
        (("simulate", "--version", "expert", "--run", "r"), 2, "is there already"),
        (("simulate", "--version", "expert", "--run", "../out"), 2, "no name for a run"),
        (("simulate", "--version", "expert", "--simulator", "agend"), 2, "did you mean 'agenda'"),
        (("train", "--resume", "r"), 2, "no training run"),
        (("train", "--overlap", "--learners", "2"), 2, "leave out --ray and --learners"),
        (("train", "--resume", "r", "--dialogues", "3"), 2, "keeps the settings it began with"),
        (("train", "--from", "nobody"), 5, "version 'nobody'"),
        (("train", "--config", "none.toml"), 2, "none.toml: cannot be read"),
        (("evaluate", "expert", "--plugin", "none.py", "--goals", "1"), 3, "none.py"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_one_clear_line(
    run: Run, home: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    if "r" in arguments:
        run("simulate", "--version", "expert", "--count", "1", "--run", "r")
    outcome = run(*arguments)
    assert (outcome.code, outcome.out) == (code, "") and words in outcome.error()


# evaluate


def test_the_expert_is_measured_and_reported(run: Run, home: Path) -> None:
    outcome = run("evaluate", "expert", "--goals", "12", "--trials", "2", "--report", "report.md")
    assert outcome.code == 0 and "pass^2" in outcome.out and "12 heldout customers" in outcome.out
    report = (home / "report.md").read_text()
    assert report.startswith("# Evaluation") and "| success |" in report


def test_a_figure_that_is_not_met_is_exit_code_4(run: Run, with_base: Path) -> None:
    outcome = run("evaluate", "base", "--goals", "2", "--min-success", "0.5")
    assert outcome.code == 4 and "not the 50.0 % required" in outcome.error() and "success" in outcome.out
    assert run("evaluate", "expert", "--goals", "2", "--min-success", "0.5").code == 0


def test_versions_stand_side_by_side(run: Run, with_base: Path) -> None:
    found = run("evaluate", "base", "expert", "--goals", "3", "--log", "kept.db", "--json").json()
    assert [c["name"] for c in found["contestants"]] == ["base", "expert"]
    (comparison,) = found["comparisons"]
    assert (comparison["first"], comparison["second"], comparison["pairs"]) == ("expert", "base", 3)
    assert run("episodes", "list", "kept.db", "--json").json()["total"] == 6
    assert run("evaluate", "base", "expert", "--goals", "3", "--log", "kept.db").code == 0


# train


def test_a_run_can_be_stopped_and_goes_on_to_the_same_weights(run: Run, with_base: Path, interrupt: Any) -> None:
    whole = run("train", *SMALL_RUN[:-1], "whole", "--json")
    assert whole.code == 0
    version = json.loads(whole.out.splitlines()[-1])["version"]
    with interrupt():
        stopped = run("train", *SMALL_RUN)
    assert stopped.code == 130 and "train --resume small" in stopped.err
    resumed = run("train", "--resume", "small", "--json")
    assert resumed.code == 0 and "going on after update 1 of 2" in resumed.err
    assert json.loads(resumed.out.splitlines()[-1])["version"] == version


def test_a_run_keeps_its_settings_beside_what_comes_of_them(run: Run, with_base: Path) -> None:
    assert run("train", *SMALL_RUN, "--seed", "5", "--kl", "0.1").code == 0
    document = json.loads((with_base / "runs" / "small" / "run.json").read_text())
    assert document["train"]["seed"] == 5 and document["train"]["kl"] == 0.1
    assert len(document["train"]["version"]) == 16  # an id, not a name that may mean another version tomorrow
    assert run("episodes", "list", "small", "--json").json()["total"] == 8


def test_flags_reach_the_trainer() -> None:
    from dialog_rl.cli.train_settings import train_config
    from dialog_rl.config import Train
    from dialog_rl.online.train_config import TrainConfig

    assert train_config(Train()) == TrainConfig()
    given = train_config(Train(dialogues=7, batch=3, learning_rate=1e-3, kl=0.3, lam=0.5, level="step", seed=9))
    assert (given.dialogues, given.batch, given.seed, given.learner.seed) == (7, 3, 9, 9)
    assert (given.learner.learning_rate, given.learner.kl.coef, given.ppo.lam, given.ppo.level) == (
        1e-3,
        0.3,
        0.5,
        "step",
    )


# demo


def test_the_demo_ends_with_a_report_and_a_curve(run: Run, with_base: Path) -> None:
    outcome = run("demo", "--dialogues", "4", "--goals", "2", "--run", "show", "--config", _small_batches(with_base))
    assert outcome.code == 0 and "3. After" in outcome.out
    folder = with_base / "runs" / "show"
    assert (folder / "learning.png").read_bytes().startswith(b"\x89PNG")
    assert "# What the agent learned" in (folder / "report.md").read_text()
    assert "<h1>What the agent learned</h1>" in (folder / "report.html").read_text()


def _small_batches(home: Path) -> str:
    (home / "small.toml").write_text("[train]\nbatch = 4\n")
    return "small.toml"


# replay


def test_a_logged_episode_comes_out_again_bit_for_bit(run: Run, with_base: Path) -> None:
    run("simulate", "--version", "base", "--count", "2", "--run", "r")
    run("simulate", "--version", "expert", "--count", "1", "--run", "e")
    for name, where in (("r-000000", "r"), ("r-000001", "r"), ("e-000000", "e")):
        outcome = run("replay", name, where)
        assert outcome.code == 0 and "bit for bit" in outcome.out


def test_an_episode_says_at_which_temperature_and_in_which_tokens_it_was_spoken(run: Run, with_base: Path) -> None:
    run("simulate", "--version", "base", "--count", "1", "--run", "cold", "--temperature", "0")
    episode = run("episodes", "show", "cold-000000", "cold", "--json").json()["episode"]
    assert episode["temperature"] == 0 and len(episode["tokenizer"]) == 16
    assert run("replay", "cold-000000", "cold").code == 0


def test_another_version_is_shown_from_the_turn_that_differs(run: Run, with_base: Path) -> None:
    run("simulate", "--version", "base", "--count", "1", "--run", "r")
    outcome = run("replay", "r-000000", "r", "--version", "expert")
    assert outcome.code == 0 and "as logged:" in outcome.out and "this time:" in outcome.out
    document = run("replay", "r-000000", "r", "--version", "expert", "--json").json()
    assert document["identical"] is False and document["first_difference"] == 0


def test_logged_actions_are_played_again_where_their_version_is_gone(run: Run, with_base: Path) -> None:
    run("simulate", "--version", "base", "--count", "1", "--run", "r")
    for folder in (with_base / "runs" / "versions").glob("[0-9a-f]*"):
        folder.rename(with_base / folder.name)
    outcome = run("replay", "r-000000", "r")
    assert outcome.code == 0 and "with the logged actions" in outcome.out


def test_a_pack_in_a_folder_is_named_and_one_that_has_changed_since_makes_the_replay_fail(run: Run, home: Path) -> None:
    run("scenarios", "new", "workshop")
    run("simulate", "--pack", "./workshop", "--version", "expert", "--count", "1", "--run", "r")
    assert "--pack" in run("replay", "r-000000", "r").error()
    assert run("replay", "r-000000", "r", "--pack", "./workshop").code == 0
    pack = home / "workshop" / "pack.yaml"
    pack.write_text(pack.read_text().replace("{bike: $repair.bike", "{number: $repair.id, bike: $repair.bike"))
    changed = run("replay", "r-000000", "r", "--pack", "./workshop")
    assert changed.code == 1 and "did not come out the same" in changed.error() and "this time:" in changed.out


# chat


def talk(run: Run, monkeypatch: pytest.MonkeyPatch, said: str, *arguments: str) -> Any:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(said.encode("utf-8", "surrogateescape"))))
    return run("chat", "--plain", "--version", "base", *arguments)


def test_a_chat_is_kept_with_its_rating(run: Run, with_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = talk(run, monkeypatch, "hello\n/good\n/quit\n", "--customer", "1", "--temperature", "1")
    assert outcome.code == 0 and "You are a customer of" in outcome.out
    with EpisodeLog.open(with_base / "runs" / "chat" / "episodes.db") as log:
        (logged,) = (one.episode for one in log.episodes())
        assert logged.turns[0].user.text == "hello" and logged.simulator == "person"
        if "rated" in outcome.err:
            assert [rating.value for rating in log.ratings(logged.episode_id)] == [1.0]


def test_a_chat_is_replayed_with_the_persons_own_words(
    run: Run, with_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, said in enumerate(("hello\nmy name is Ann\n/quit\n", "", "hello\n")):
        talk(run, monkeypatch, said, "--customer", str(number), "--temperature", "1")
    listed = run("episodes", "list", "chat", "--json").json()["episodes"]
    assert len(listed) == 3
    for row in listed:
        outcome = run("replay", row["id"], "chat")
        assert outcome.code == 0 and "bit for bit" in outcome.out, outcome


def test_a_message_of_a_megabyte_is_refused_and_nothing_is_lost(
    run: Run, with_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = talk(run, monkeypatch, "x" * 1_000_000 + "\nhello\n/quit\n", "--customer", "1")
    assert outcome.code == 0 and "1,000,000 characters; at most 2,000 fit. Nothing was sent." in outcome.err
    with EpisodeLog.open(with_base / "runs" / "chat" / "episodes.db") as log:
        (logged,) = (one.episode for one in log.episodes())
    assert logged.turns[0].user.text == "hello"


def test_bytes_that_are_no_text_do_not_end_a_chat(run: Run, with_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert talk(run, monkeypatch, "\udcff\udcfe hi\n/help\n/nonsense\n", "--customer", "1").code == 0


def test_an_input_that_ends_is_a_customer_who_leaves(
    run: Run, with_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert talk(run, monkeypatch, "", "--customer", "1").code == 0


# doctor


def test_doctor_passes_a_sound_installation_and_names_a_flipped_byte(run: Run, with_base: Path) -> None:
    sound = run("doctor", "--json")
    assert sound.code == 0 and sound.json()["ok"]
    (weights,) = (with_base / "runs" / "versions").glob("*/model.safetensors")
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    broken = run("doctor")
    assert broken.code == 1 and "FAIL" in broken.out and "model.safetensors" in broken.out
