"""What is exported is imported unchanged, and a line that is wrong is named and refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dialog_rl.episode import Rating, StopReason
from dialog_rl.episode_log import moving, transfer
from dialog_rl.episode_log.log import EpisodeLog, Query
from dialog_rl.errors import EpisodeLogError

from . import made


def fill(log: EpisodeLog) -> None:
    log.append_many([made.episode(f"e{n}", seed=n) for n in range(5)], run="r1")
    log.append(replace(made.episode("odd", pack="bank"), note="\ud800\x00\u202e 退款"), run="r2", split="test")
    log.rate(
        Rating(episode_id="odd", rater="ann", turn=1, value=-1.0, tags=("rude",), comment="\udfff", extra={"a": 1e-9})
    )
    log.consent("odd", train=True)
    opening = replace(made.episode("c1"), turns=(), stop=StopReason.ABORTED)
    log.begin(opening)
    log.user_said("c1", 0, made.user("hello?"))
    log.answered("c1", 0, made.turn("hello?"))
    log.rate(Rating(episode_id="c1", rater="ann", turn=0, value=1.0))


def lines(log: EpisodeLog) -> list[bytes]:
    return [line.encode() for line in transfer.lines(log)]


@pytest.fixture
def other(tmp_path: Path):
    with EpisodeLog.open(tmp_path / "other.sqlite") as opened:
        yield opened


def test_an_exported_log_is_imported_unchanged(log: EpisodeLog, other: EpisodeLog, tmp_path: Path):
    fill(log)
    assert transfer.export_file(log, tmp_path / "out.jsonl") == log.last_seq() == 12
    report = transfer.import_file(other, tmp_path / "out.jsonl")
    assert (report.appended, report.present, report.skipped) == (12, 0, {})
    assert moving.compare(log, other) == 12
    again = transfer.import_file(other, tmp_path / "out.jsonl")
    assert (again.appended, again.present) == (0, 12)


def test_an_export_with_a_query_has_those_episodes_and_what_was_said_of_them(log: EpisodeLog, other: EpisodeLog):
    fill(log)
    chosen = [line.encode() for line in transfer.lines(log, Query(run="r2"))]
    transfer.import_lines(other, chosen, name="x")
    assert [e.kind for e in other.events()] == ["episode", "rating", "consent"]
    assert other.get("odd") == log.get("odd") and other.ratings("odd") == log.ratings("odd")


def test_an_export_does_not_overwrite(log: EpisodeLog, tmp_path: Path):
    (tmp_path / "out.jsonl").write_text("precious")
    with pytest.raises(EpisodeLogError, match="exists"):
        transfer.export_file(log, tmp_path / "out.jsonl")
    assert (tmp_path / "out.jsonl").read_text() == "precious"


def altered(line: bytes, **changes: object) -> bytes:
    return json.dumps({**json.loads(line), **changes}).encode()


def in_body(line: bytes, **changes: object) -> bytes:
    document = json.loads(line)
    del document["sha256"]
    document["body"] |= changes
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (lambda line: line[:-20], "line 3: not a line of JSON"),
        (lambda line: b"[]", "line 3: "),
        (lambda line: b"\xff" + line, "line 3: not a line of JSON"),
        (lambda line: altered(line, log=2), "line 3: log: Input should be 1"),
        (lambda line: altered(line, extra=1), "line 3: extra: Extra inputs"),
        (lambda line: altered(line, sha256="0" * 64), "line 3: altered"),
        (lambda line: altered(line, event_id="episode:e9"), "line 3: the ids do not fit"),
        (lambda line: altered(line, episode_id="e9"), "line 3: the ids do not fit"),
        (lambda line: altered(line, run="a\x00"), "line 3: .* cannot be a run"),
        (lambda line: in_body(line, seed="7"), "line 3: 0.seed: Input should be a valid integer"),
        (lambda line: in_body(line, surprise=7), "line 3: 0.surprise: Unexpected keyword"),
        (lambda line: in_body(line, stop="tired"), "line 3: 0.stop: "),
        (lambda line: in_body(line, temperature=float("nan")), "line 3: 0.temperature: "),
        (lambda line: in_body(line, schema_version=99), "line 3: .*schema version 99"),
        (lambda line: b"[" * 100_000, "line 3: not a line of JSON"),
    ],
)
def test_a_wrong_line_is_named_and_nothing_of_it_is_shown(other: EpisodeLog, broken, says: str, tmp_path: Path):
    with EpisodeLog.open(tmp_path / "log.sqlite") as log:
        fill(log)
        exported = lines(log)
    exported[2] = broken(exported[2])
    with pytest.raises(EpisodeLogError, match=says) as caught:
        transfer.import_lines(other, exported, name="some.jsonl")
    assert "some.jsonl, line 3" in str(caught.value) and "on its way" not in str(caught.value)


def test_lines_of_an_unknown_kind_are_counted_and_passed_over(other: EpisodeLog):
    line = json.dumps({"log": 1, "event_id": "dream:1", "kind": "dream", "episode_id": "e1", "body": {}}).encode()
    assert transfer.import_lines(other, [line, b"\n", line], name="x").skipped == {"dream": 2}


def test_a_rating_of_an_unknown_turn_is_not_imported(log: EpisodeLog, other: EpisodeLog):
    fill(log)
    exported = lines(log)
    rating = next(n for n, line in enumerate(exported) if b'"kind":"rating"' in line)
    exported[rating] = in_body(exported[rating], turn=7)
    with pytest.raises(EpisodeLogError, match="there is no turn:odd:7"):
        transfer.import_lines(other, exported, name="x")


def test_a_log_moves_row_for_row_and_goes_on_where_it_was_cut_off(log: EpisodeLog, other: EpisodeLog):
    log.append_many([made.episode(f"m{n}", turns=0) for n in range(450)])
    fill(log)
    assert moving.move(log, other) == 462
    assert other.count(Query(policy="v1")) == 6
    log.append(made.episode("later"), run="r9")
    assert moving.move(log, other) == 1
    assert other.last_seq() == log.last_seq() and other.count(Query(run="r9")) == 1
    assert moving.move(log, other) == 0
    other.append(made.episode("next"))


def test_a_log_does_not_move_onto_another(log: EpisodeLog, other: EpisodeLog):
    fill(log)
    other.append(made.episode("mine"))
    with pytest.raises(EpisodeLogError, match="neither empty nor the beginning"):
        moving.move(log, other)
    assert other.count() == 1
