"""What learning tells of itself: each fact once, in the log that it learns from."""

from __future__ import annotations

import pytest

from dialog_rl.episode_log import learning
from dialog_rl.episode_log.learning import Chosen, Plan, Used, Verdict
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.episode_log.records import Kind
from dialog_rl.episode_log.transfer import import_lines, lines
from dialog_rl.errors import EpisodeLogError

from . import made
from .conftest import Opener

PLAN = Plan(
    run="learn", update=1, horizon=7, why="8 rated conversations", start="update:0",
    episodes=(Chosen(episode_id="e1", ratings=("rating:r1", "rating:r2")),), simulated=3, config={"batch": 8},
)  # fmt: skip
USED = Used(run="learn", update=1, episode_id="e1", ratings=("rating:r1", "rating:r2"))
VERDICT = Verdict(
    run="learn", update=1, version="abc", promoted=True, passed=True, reason="no worse", evidence={"pairs": 120}
)


def test_what_was_told_is_read_back(log: EpisodeLog):
    log.append(made.episode())
    learning.tell(log, PLAN)
    learning.tell(log, USED, VERDICT)
    assert learning.plan_of(log, "learn", 1) == PLAN and learning.verdict_of(log, "learn", 1) == VERDICT
    assert learning.plans(log, "learn") == [PLAN] and learning.plan_of(log, "learn", 2) is None
    used = [event for event in log.events_of("e1") if event.kind == Kind.USED]
    assert [learning.used_from(event.document) for event in used] == [USED]


def test_telling_the_same_again_changes_nothing(log: EpisodeLog):
    log.append(made.episode())
    first = learning.tell(log, PLAN, USED, VERDICT)
    assert learning.tell(log, PLAN, USED, VERDICT) == first and log.last_seq() == 4


def test_two_updaters_cannot_both_plan_one_update(open_log: Opener):
    learning.tell(open_log(), PLAN)
    other = Plan(run="learn", update=1, horizon=9, why="idle", start="update:0", episodes=())
    with pytest.raises(EpisodeLogError, match="with another content"):
        learning.tell(open_log(), other)


def test_a_conversation_is_used_once_in_a_run(log: EpisodeLog):
    log.append(made.episode())
    learning.tell(log, USED)
    with pytest.raises(EpisodeLogError, match="with another content"):
        learning.tell(log, Used(run="learn", update=2, episode_id="e1"))
    learning.tell(log, Used(run="another", update=2, episode_id="e1"))


def test_nothing_is_promoted_without_a_version(log: EpisodeLog):
    with pytest.raises(EpisodeLogError, match="nothing was promoted without a version"):
        learning.tell(log, Verdict(run="learn", update=1, version="", promoted=True, reason="?"))


def test_a_conversation_that_is_not_there_cannot_be_used_or_quarantined(log: EpisodeLog):
    with pytest.raises(EpisodeLogError, match="there is no episode:e1"):
        learning.tell(log, USED)
    with pytest.raises(EpisodeLogError, match="there is no episode:e1 or begin:e1"):
        learning.quarantine(log, "e1", "trolls")


def test_a_process_confirms_a_version_once(log: EpisodeLog):
    assert learning.serving(log, "v1", "host:7") == learning.serving(log, "v1", "host:7")
    assert learning.serving(log, "v2", "host:7") != learning.serving(log, "v1", "host:8")


def test_an_exported_log_takes_its_receipts_along(log: EpisodeLog, tmp_path):
    log.append(made.episode())
    learning.tell(log, PLAN, USED, VERDICT)
    learning.quarantine(log, "e1", "trolls", event_id="q1")
    learning.serving(log, "v1", "host:7")
    exported = [line.encode() for line in lines(log)]
    with EpisodeLog.open(tmp_path / "copy.sqlite") as copy:
        assert import_lines(copy, exported, name="export").appended == 6
        assert [line.encode() for line in lines(copy)] == exported


def test_a_line_of_learning_that_is_not_as_it_should_be_is_refused(log: EpisodeLog, tmp_path):
    learning.tell(log, PLAN)
    (line,) = lines(log)
    with EpisodeLog.open(tmp_path / "copy.sqlite") as copy, pytest.raises(EpisodeLogError, match="line 1: .*horizon"):
        import_lines(copy, [line.replace('"horizon":7', '"horizon":"7"').encode()], name="export")
