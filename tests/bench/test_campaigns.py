"""The campaigns in small; `dialog-rl bench … --full` runs them in the size that is claimed."""

from __future__ import annotations

from pathlib import Path

import pytest

from dialog_rl.bench import campaign_checkpoints, campaign_updater
from dialog_rl.bench.campaign_checkpoints import Accepted, damage_checkpoints
from dialog_rl.bench.campaign_updater import Differs, kill_at_every_point, kill_while_learning
from dialog_rl.lm import versions
from dialog_rl.online import updater
from dialog_rl.online.ledger import Ledger
from tests.crashing import campaign_size


@pytest.mark.timeout(0)
def test_an_updater_killed_at_random_ends_as_one_that_never_was(tmp_path: Path) -> None:
    tally = kill_while_learning(tmp_path, campaign_size(4, campaign_updater.FULL), seed=20_27)
    assert tally.kills >= 4 and tally.runs >= 1


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_an_updater_killed_at_any_point_ends_as_one_that_never_was(tmp_path: Path) -> None:
    prefix = "updater." if campaign_size(0, 1) == 0 else ""
    points = list(kill_at_every_point(tmp_path, chats=3, prefix=prefix))
    assert {p.split(":")[0] for p in points} >= {
        "updater.planned", "updater.spoken", "updater.learnt", "updater.before_commit", "updater.committed",
        "updater.told", "updater.published", "updater.judged", "updater.home_kept", "updater.promoted",
        "updater.settled",
    }  # fmt: skip


def test_the_campaign_notices_a_conversation_that_is_used_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ledger, "use", lambda self, chosen, update: None)  # in the children as well: they are forked
    with pytest.raises(Exception, match="job ended with 1|used"):
        campaign_updater.kill_while_learning(tmp_path, 1, seed=1)


def test_the_campaign_notices_an_optimizer_that_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = updater.Study.load

    def forgetful(self: updater.Study, folder: Path) -> None:
        load(self, folder)
        self.load_weights(folder)

    monkeypatch.setattr(updater.Study, "load", forgetful)
    with pytest.raises(Differs, match="tensors"):
        list(kill_at_every_point(tmp_path, chats=6, prefix="updater.planned"))


def test_no_damaged_checkpoint_is_taken_up(tmp_path: Path) -> None:
    tally = damage_checkpoints(tmp_path, campaign_size(200, campaign_checkpoints.FULL), seed=20_28)
    assert tally.rejected == tally.mutations and len(tally.by_kind) == 10


def test_the_campaign_notices_when_nothing_is_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def trusting(folder: Path) -> versions.Version:
        return versions.Version(path=folder, manifest=versions.read_manifest(folder))

    monkeypatch.setattr(versions, "verify", trusting)
    with pytest.raises(Accepted):
        damage_checkpoints(tmp_path, 50, seed=1)


def test_a_campaign_is_run_by_its_name(capfd: pytest.CaptureFixture[str]) -> None:
    from dialog_rl.bench import campaigns

    done: list[int] = []
    told = campaigns.run_campaign("logging-kills", full=False, seed=1, progress=done.append)
    assert told["kills"] == len(done) == 100 and told["acknowledged"] > 100 and told["lost"] == 0
