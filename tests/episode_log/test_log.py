"""The log gives back what it was given: bit for bit, once, in order."""

from __future__ import annotations

import json
import multiprocessing
import re
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from dialog_rl.episode import Episode, Rating, StopReason, to_json
from dialog_rl.episode_log.log import EpisodeLog, Query
from dialog_rl.errors import EpisodeLogError

from . import made


def exact(value: object, spell: Callable[[str], str] = str) -> str:
    """JSON values such that every bit shows: 1, 1.0, True, -0.0 and the order of keys all differ."""

    def walk(value: object) -> object:
        if isinstance(value, str):
            return spell(str(value))
        if isinstance(value, dict):
            return [(walk(k), walk(v)) for k, v in value.items()]
        return [walk(v) for v in value] if isinstance(value, list) else value

    return repr(walk(value))


def spell_pairs(text: str) -> str:
    """An independent statement of the one thing that may change: adjacent surrogates become what they spell."""

    def spell(pair: re.Match[str]) -> str:
        high, low = map(ord, pair.group())
        return chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))

    return re.sub("[\ud800-\udbff][\udc00-\udfff]", spell, text)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(made.episodes)
def test_any_episode_is_read_back_bit_for_bit(log: EpisodeLog, episode: Episode):
    episode = replace(episode, episode_id=f"e{log.last_seq()}")
    log.append(episode)
    assert exact(to_json(log.get(episode.episode_id))) == exact(to_json(episode), spell_pairs)


def test_every_float_survives_exactly(log: EpisodeLog):
    numbers = (-0.1 - 0.2, -5e-324, -1.7976931348623157e308, -1 / 3, -0.0)
    step = replace(made.turn(ids=5).steps[0], logprobs=numbers)
    original = replace(made.episode(), turns=(replace(made.turn(), steps=(step,)),))
    log.append(original)
    found = next(log.get("e1").steps).logprobs
    assert [p.hex() for p in found] == [p.hex() for p in numbers]


def test_appending_twice_is_appending_once(log: EpisodeLog):
    assert log.append(made.episode()) == log.append(made.episode(), run="another") == 1
    assert log.count() == 1 and log.last_seq() == 1


def test_the_same_id_with_another_content_is_refused_and_the_first_stays(log: EpisodeLog):
    log.append(made.episode(seed=1))
    with pytest.raises(EpisodeLogError, match="episode:e1 is in the log already, with another content"):
        log.append(made.episode(seed=2))
    assert log.get("e1").seed == 1


def test_many_are_appended_all_or_none(log: EpisodeLog):
    log.append(made.episode("e3", seed=1))
    with pytest.raises(EpisodeLogError, match="another content"):
        log.append_many([made.episode("e2"), made.episode("e3", seed=2)])
    assert "e2" not in log and log.count() == 1
    assert log.append_many([made.episode("e2"), made.episode("e3", seed=1), made.episode("e2")]) == (2, 1, 2)
    assert log.append_many([]) == ()


def test_episodes_come_in_order_after_a_cursor_and_over_page_borders(log: EpisodeLog):
    log.append_many([made.episode(f"e{n}", turns=0) for n in range(450)])
    found = list(log.episodes(since=10))
    assert [logged.seq for logged in found] == list(range(11, 451))
    assert [logged.episode.episode_id for logged in found] == [f"e{n}" for n in range(10, 450)]


def test_filters_choose_by_pack_split_run_stop_and_policy(log: EpisodeLog):
    log.append(made.episode("a", pack="bank"), run="r1")
    log.append(made.episode("b", split="heldout"), run="r1")
    log.append(made.episode("c", stop=StopReason.MAX_TURNS), run="r2")
    mixed = replace(made.episode("d"), turns=(made.turn(policy="v1"), made.turn(policy="v2")))
    log.append(mixed, run="r2", split="test")

    def ids(**wanted: object) -> str:
        query = Query(**wanted)  # type: ignore[arg-type]
        found = [logged.episode.episode_id for logged in log.episodes(query)]
        assert log.count(query) == len(found)
        return "".join(found)

    assert ids(pack="bank") == "a"
    assert ids(split="heldout") == "b" and ids(split="test") == "d" and ids(split="train") == "ac"
    assert ids(run="r1") == "ab" and ids(run="r2", stop=StopReason.USER_LEFT) == "d"
    assert ids(policy="v2") == "d" and ids(policy="v1") == "abcd" and ids(policy="v9") == ""


def test_an_absent_episode_is_a_typed_error(log: EpisodeLog):
    with pytest.raises(EpisodeLogError, match="no episode nobody"):
        log.get("nobody")


@pytest.mark.parametrize("bad", ["", "a\x00b", "a\ud800", "a\nb", "x" * 301, "\u202eabc"])
def test_an_id_that_could_not_be_a_key_everywhere_is_refused(log: EpisodeLog, bad: str):
    with pytest.raises(EpisodeLogError, match="cannot be an episode id"):
        log.append(made.episode(bad))


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_log_probability_that_is_no_number_is_refused(log: EpisodeLog, number: float):
    step = replace(made.turn(ids=1).steps[0], logprobs=(number,))
    with pytest.raises(EpisodeLogError, match="JSON"):
        log.append(replace(made.episode(), turns=(replace(made.turn(), steps=(step,)),)))
    assert log.count() == 0


def test_a_log_is_found_again_after_closing(tmp_path: Path):
    with EpisodeLog.open(tmp_path / "deep" / "log.sqlite") as log:
        log.append(made.episode())
    with EpisodeLog.open(tmp_path / "deep" / "log.sqlite", read_only=True) as log:
        assert log.get("e1") == made.episode()
        with pytest.raises(EpisodeLogError, match="read-only"):
            log.append(made.episode("e2"))


def test_an_altered_row_is_refused(tmp_path: Path):
    path = tmp_path / "log.sqlite"
    with EpisodeLog.open(path) as log:
        log.append(made.episode())
        with sqlite3.connect(path) as connection:
            connection.execute("UPDATE events SET body = replace(body, 'parcel', 'barrel')")
            connection.execute("UPDATE events SET body = replace(body, '#7', '#8')")
        connection.close()
        with pytest.raises(EpisodeLogError, match="episode:e1: altered on disk"):
            log.get("e1")


def test_a_rating_names_what_is_in_the_log(log: EpisodeLog):
    log.append(made.episode(turns=2))
    log.rate(Rating(episode_id="e1", rater="ann", turn=1, value=1.0, comment="gut \ud800\x00"))
    log.rate(Rating(episode_id="e1", rater="ann", value=-1.0))
    for wrong in (
        Rating(episode_id="e2", rater="ann", value=1.0),
        Rating(episode_id="e1", rater="ann", turn=2, value=1.0),
    ):
        with pytest.raises(EpisodeLogError, match="there is no"):
            log.rate(wrong)
    with pytest.raises(EpisodeLogError, match="from -1 to 1"):
        log.rate(Rating(episode_id="e1", rater="ann", value=5.0))
    assert {(r.turn, r.value) for r in log.ratings("e1")} == {(1, 1.0), (None, -1.0)}
    assert next(r for r in log.ratings("e1") if r.turn == 1).comment == "gut \ud800\x00"


def test_the_last_rating_by_sequence_holds_whatever_the_clock_says(log: EpisodeLog):
    log.append(made.episode())
    for value, clock in ((1.0, 3e9), (-1.0, 5.0), (0.5, -4.0)):
        log.rate(Rating(episode_id="e1", rater="ann", value=value, rated_at=clock))
    log.rate(Rating(episode_id="e1", rater="bob", value=-0.5))
    assert [(r.rater, r.value) for r in log.ratings("e1")] == [("ann", 0.5), ("bob", -0.5)]
    log.rate(Rating(episode_id="e1", rater="ann", value=None))
    assert [r.rater for r in log.ratings("e1")] == ["bob"]
    assert len(list(log.events(kinds=["rating"]))) == 5


def test_a_rating_without_a_value_holds_as_long_as_it_says_something(log: EpisodeLog):
    log.append(made.episode())
    log.rate(Rating(episode_id="e1", rater="ann", turn=0, correction="Good day!"))
    assert [r.correction for r in log.ratings("e1")] == ["Good day!"]
    log.rate(Rating(episode_id="e1", rater="ann", turn=0))
    assert log.ratings("e1") == ()


def test_a_rating_sent_twice_under_one_event_id_counts_once(log: EpisodeLog):
    log.append(made.episode())
    rating = Rating(episode_id="e1", rater="ann", value=1.0)
    assert log.rate(rating, event_id="client-7") == log.rate(rating, event_id="client-7")
    assert len(list(log.events(kinds=["rating"]))) == 1


def test_the_last_word_on_consent_holds(log: EpisodeLog):
    log.append(made.episode())
    assert log.consented("e1") is None
    log.consent("e1", train=True)
    assert log.consented("e1") is True
    log.consent("e1", train=False)
    assert log.consented("e1") is False
    with pytest.raises(EpisodeLogError):
        log.consent("e2", train=True)


def test_a_follower_sees_every_event_once_and_in_order(log: EpisodeLog):
    log.append(made.episode())
    log.rate(Rating(episode_id="e1", rater="ann", value=1.0))
    cursor = log.last_seq()
    log.append(made.episode("e2"))
    assert [(e.seq, e.kind) for e in log.events()] == [(1, "episode"), (2, "rating"), (3, "episode")]
    assert [e.episode_id for e in log.events(since=cursor)] == ["e2"]


def _use(log: EpisodeLog, answer: multiprocessing.SimpleQueue[str]) -> None:
    try:
        answer.put(f"{log.count()} episodes")
    except EpisodeLogError as e:
        answer.put(str(e))


def test_a_log_opened_before_a_fork_is_refused_in_the_child(log: EpisodeLog):
    context = multiprocessing.get_context("fork")
    answer = context.SimpleQueue()
    child = context.Process(target=_use, args=(log, answer))
    child.start()
    child.join(20)
    assert "opened before a fork" in answer.get()
    assert log.append(made.episode()) == 1


def test_bodies_are_plain_ascii_json(tmp_path: Path):
    with EpisodeLog.open(tmp_path / "log.sqlite") as log:
        log.append(replace(made.episode(), note="退款 \ud800 \x00"))
    with sqlite3.connect(tmp_path / "log.sqlite") as connection:
        (body,) = connection.execute("SELECT body FROM events").fetchone()
    connection.close()
    assert body.isascii() and "\x00" not in body and json.loads(body)["note"] == "退款 \ud800 \x00"
