"""The ledger is a function of the log, however it was read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dialog_rl.episode import Episode, Message, Rating, Role, Step, StopReason, Turn
from dialog_rl.episode_log import learning
from dialog_rl.episode_log.learning import Chosen
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.online.ledger import Ledger


@pytest.fixture
def log(tmp_path: Path):
    with EpisodeLog.open(tmp_path / "log.sqlite") as opened:
        yield opened


def chat(episode_id: str = "c1", *, turns: int = 2, simulator: str = "person", version: str = "v1") -> Episode:
    step = Step(
        message=Message(role=Role.ASSISTANT, text="Hello."), observation_ids=(1, 2), action_ids=(3,), logprobs=(-0.5,),
        policy_version=version,
    )  # fmt: skip
    said = Turn(user=Message(role=Role.USER, text="hi"), steps=(step,))
    return Episode(
        episode_id=episode_id, pack="retail", scenario={"split": "validation"}, seed=1,
        system=Message(role=Role.SYSTEM, text="be kind"), turns=(said,) * turns, stop=StopReason.USER_LEFT,
        simulator=simulator, tokenizer="t1",
    )  # fmt: skip


def begin(log: EpisodeLog, episode: Episode) -> None:
    log.begin(replace(episode, turns=(), stop=StopReason.ABORTED))


def rate(log: EpisodeLog, value: float | None, *, turn: int | None = 0, rater: str = "ann", of: str = "c1") -> None:
    log.rate(Rating(episode_id=of, rater=rater, turn=turn, value=value))


def followed(log: EpisodeLog) -> Ledger:
    ledger = Ledger(own_run="learn")
    ledger.follow(log)
    return ledger


def test_a_conversation_is_told_of_from_its_beginning_to_its_end(log: EpisodeLog):
    begin(log, chat())
    facts = followed(log).waiting["c1"]
    assert facts.live and not facts.finished
    log.append(chat(), run="chat")
    facts = followed(log).waiting["c1"]
    assert facts.finished == 2 and facts.stop == "user_left" and facts.split == "validation" and facts.run == "chat"
    assert facts.versions == ("v1",) and facts.tokenizer == "t1" and facts.temperature == 1.0


def test_of_each_rater_and_turn_the_last_word_holds(log: EpisodeLog):
    log.append(chat())
    rate(log, 1.0)
    rate(log, -1.0, turn=1)
    rate(log, 0.5, rater="bob")
    rate(log, -0.5)
    held = followed(log).waiting["c1"].ratings
    assert [(r.rater, r.turn, r.value) for r in held] == [("ann", 1, -1.0), ("bob", 0, 0.5), ("ann", 0, -0.5)]


def test_a_withdrawn_rating_is_gone_and_not_zero(log: EpisodeLog):
    log.append(chat())
    rate(log, 1.0)
    rate(log, None)
    assert followed(log).waiting["c1"].ratings == ()


def test_a_rating_without_a_value_is_no_rating(log: EpisodeLog):
    log.append(chat())
    log.rate(Rating(episode_id="c1", rater="ann", turn=0, comment="hm"))
    assert followed(log).waiting["c1"].ratings == ()


def test_the_last_word_on_consent_and_quarantine_counts(log: EpisodeLog):
    log.append(chat())
    assert followed(log).waiting["c1"].consent is None
    log.consent("c1", train=True)
    log.consent("c1", train=False)
    learning.quarantine(log, "c1", "trolls")
    facts = followed(log).waiting["c1"]
    assert facts.consent is False and facts.quarantined == "trolls"
    learning.quarantine(log, "c1", "", lifted=True)
    assert followed(log).waiting["c1"].quarantined == ""


def test_what_was_used_is_not_waited_for_again_whatever_is_said_of_it(log: EpisodeLog):
    log.append(chat())
    ledger = followed(log)
    ledger.use([Chosen(episode_id="c1")], 3)
    rate(log, 1.0)
    assert ledger.follow(log) == 0
    assert not ledger.waiting and ledger.used == {"c1": 3}


def test_the_updaters_own_simulated_conversations_are_passed_over(log: EpisodeLog):
    log.append(chat("learn-000001-000", simulator="agenda"), run="learn")
    log.append(chat("sim-1", simulator="agenda"), run="simulate-1")
    waiting = followed(log).waiting
    assert set(waiting) == {"sim-1"} and not waiting["sim-1"].live


def test_a_ledger_taken_up_half_way_equals_one_that_read_the_whole_log(log: EpisodeLog):
    begin(log, chat())
    rate_events = 0
    for number in range(4):
        log.append(chat(f"c{number + 2}"))
        rate(log, 1.0 if number % 2 else -1.0, of=f"c{number + 2}")
        rate_events += 1
    ledger = Ledger(own_run="learn")
    for until in (1, 3, 6, log.last_seq()):
        ledger.follow(log, until=until)
        assert ledger.cursor == until
        ledger = Ledger.restored("learn", ledger.state())
    assert ledger == followed(log)


def test_what_comes_after_the_horizon_is_not_seen(log: EpisodeLog):
    log.append(chat())
    rate(log, 1.0)
    ledger = Ledger(own_run="learn")
    ledger.follow(log, until=1)
    assert ledger.waiting["c1"].ratings == ()


def test_what_people_think_of_a_version_is_noted_as_it_comes_in(log: EpisodeLog):
    begin(log, chat())
    rate(log, 1.0, turn=None)
    log.append(chat(), run="chat")
    rate(log, -1.0)
    rate(log, 0.5)
    log.append(chat("mixed", version="v2"))
    ledger = Ledger(own_run="learn")
    for until in range(1, log.last_seq() + 1):
        ledger.follow(log, until=until)
    assert ledger.opinions == {"v1": [1.0, -1.0, 0.5], "v2": []} == followed(log).opinions
