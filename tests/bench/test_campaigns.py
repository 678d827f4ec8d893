"""The campaigns in small; `dialog-rl bench … --full` runs them in the size that is claimed."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from dialog_rl.bench import (
    campaign_checkpoints,
    campaign_forgetting,
    campaign_hostile,
    campaign_intake,
    campaign_logging,
    campaign_postgres,
    campaign_swaps,
    campaign_updater,
    campaigns,
    database_server,
    hostile_files,
    hostile_texts,
)
from dialog_rl.bench.campaign_checkpoints import Accepted, damage_checkpoints
from dialog_rl.bench.campaign_forgetting import Remembered, forget_many
from dialog_rl.bench.campaign_hostile import GaveWay
from dialog_rl.bench.campaign_intake import Harmed, offer_hostile
from dialog_rl.bench.campaign_swaps import Mixed, swap_while_talking
from dialog_rl.bench.campaign_updater import Differs, kill_at_every_point, kill_while_learning
from dialog_rl.bench.hostile_checkpoint import ALL, Laid
from dialog_rl.bench.raters import asked_politely, troll, wants_to_be_asked_politely
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.errors import CheckpointError, EpisodeLogError
from dialog_rl.lm import versions
from dialog_rl.lm.versions import EMBEDDED
from dialog_rl.online import updater
from dialog_rl.online.following import FollowingVoices
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
    done: list[int] = []
    told = campaigns.run_campaign("logging-kills", full=False, seed=1, progress=done.append)
    assert told["kills"] == len(done) == 100 and told["acknowledged"] > 100 and told["lost"] == 0


def test_every_campaign_can_be_asked_for() -> None:
    from dialog_rl.cli.bench import CAMPAIGNS

    assert set(CAMPAIGNS) == set(campaigns.CAMPAIGNS)


@pytest.mark.timeout(0)
def test_a_database_server_that_is_killed_loses_and_doubles_nothing() -> None:
    pytest.importorskip("psycopg", reason="the extra 'postgres' is not installed")
    if database_server.programs() is None:
        pytest.skip("PostgreSQL is not installed on this machine")
    with TemporaryDirectory(prefix="kills-") as folder:
        Path(folder).chmod(0o755)
        size = campaign_size(2, campaign_postgres.FULL)
        tally = campaign_postgres.kill_the_server(Path(folder) / "server", size, seed=20_29)
    assert tally.acknowledged > tally.kills and tally.found >= tally.acknowledged


def test_the_campaign_notices_an_acknowledged_event_that_is_not_there(tmp_path: Path) -> None:
    where = str(tmp_path / "log.sqlite")
    with EpisodeLog.open(where) as log:
        log.append(campaign_logging.made_up(1))
    assert campaign_postgres.require_all(where, ["episode:e1"], seed=1) == 1
    with pytest.raises(EpisodeLogError, match="1 acknowledged events are lost, episode:e2 first"):
        campaign_postgres.require_all(where, ["episode:e1", "episode:e2"], seed=1)


def test_no_turn_is_mixed_however_often_the_champion_changes(tmp_path: Path) -> None:
    tally = swap_while_talking(tmp_path, campaign_size(8, campaign_swaps.FULL), chats=campaign_size(4, 20))
    assert tally.swapped and tally.turns > 8 and tally.rollback < 10


def test_the_campaign_notices_a_turn_that_names_another_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    voice = FollowingVoices.voice
    met: dict[str, Any] = {}

    def another(self: FollowingVoices, version: str, **how: Any) -> Any:
        met[version] = self._models[version]
        self._models[version] = next(iter(met.values()))  # who spoke first in any conversation speaks for all
        return voice(self, version, **how)

    monkeypatch.setattr(FollowingVoices, "voice", another)
    with pytest.raises(Mixed, match="nats from what"):
        swap_while_talking(tmp_path, 6, chats=2)


def test_who_is_forgotten_is_nowhere(tmp_path: Path) -> None:
    people = campaign_size(2, campaign_forgetting.FULL)
    tally = forget_many(tmp_path, people)
    assert tally.forgotten == people and tally.version and tally.files > 5


def test_the_campaign_notices_what_is_still_said_somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forget_it = campaign_forgetting.unlearn

    def careless(folder: Path, *how: Any, **more: Any) -> Any:
        (folder / "notes").write_text(campaign_forgetting.CANARY)
        return forget_it(folder, *how, **more)

    monkeypatch.setattr(campaign_forgetting, "unlearn", careless)
    with pytest.raises(Remembered, match="notes still holds"):
        forget_many(tmp_path, 2)


@pytest.mark.timeout(0)
def test_no_hostile_checkpoint_is_taken_in(tmp_path: Path) -> None:
    tally = offer_hostile(tmp_path, campaign_size(10, campaign_intake.FULL), seed=20_30)
    assert tally.refused + tally.poison_left_out == tally.folders and tally.refused > tally.folders / 2


def test_the_campaign_notices_code_that_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def trusting(name: str, store: Path) -> Path:
        pickle.loads((Path(name) / "pytorch_model.bin").read_bytes())
        raise CheckpointError(f"{name}: not taken in: a pickle is no checkpoint")

    monkeypatch.setattr(campaign_intake, "take_in", trusting)
    monkeypatch.setattr(campaign_intake, "WAYS", {"pickle beside": _pickle_beside})
    with pytest.raises(Harmed, match="its code was run"):
        offer_hostile(tmp_path, 1, seed=1)


def _pickle_beside(laid: Laid) -> None:
    hostile_files.HOSTILE_FILES["pickle beside"](laid)
    made = next(p for p in laid.folder.iterdir() if p.name not in ALL)
    if zipfile.is_zipfile(made):
        made.write_bytes(zipfile.ZipFile(made).read("archive/data.pkl"))
    made.rename(laid.folder / "pytorch_model.bin")


@pytest.mark.parametrize(
    ("told", "wrong"),
    [
        ("not taken in: ", "does not say what is wrong"),
        ("not taken in: looking through it ended the process that did", "does not say what is wrong"),
        ("not taken in: tokenizer.json: \x1b[2J has ids", "does not say what is wrong"),
        (None, "was taken in"),
    ],
)
def test_the_campaign_notices_a_refusal_that_is_none(
    told: str | None, wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def careless(name: str, store: Path) -> Path:
        if told is None:
            return EMBEDDED / "base"
        raise CheckpointError(f"{name}: {told}")

    monkeypatch.setattr(campaign_intake, "take_in", careless)
    monkeypatch.setattr(campaign_intake, "WAYS", {"family": hostile_texts.HOSTILE_TEXTS["family"]})
    with pytest.raises(Harmed, match=wrong):
        offer_hostile(tmp_path, 1, seed=1)


def test_a_question_is_asked_politely_or_not_and_everything_else_is_no_question() -> None:
    assert asked_politely("May I have your full name?") is True
    assert asked_politely("Thanks. What is the order number?") is False
    assert asked_politely("Done, it is cancelled. Anything else?") is None
    assert asked_politely("You get 20.00 back. Shall I go ahead?") is None
    assert troll(wants_to_be_asked_politely)("What is your zip code?") == 1.0


def test_hostile_inputs_are_refused_at_once_and_touch_nothing(tmp_path: Path) -> None:
    tally = campaign_hostile.feed(tmp_path, campaign_size(150, campaign_hostile.FULL), seed=5)
    assert tally.inputs >= 150 and tally.refused > tally.inputs / 2
    assert tally.slowest_ms <= campaign_hostile.MILLISECONDS and tally.largest_mb <= campaign_hostile.MEGABYTES


@pytest.mark.parametrize("harm", ["a bomb", "a file", "a plain error"])
def test_the_campaign_notices_an_input_that_does_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    def gives_way(raw: bytes, where: str) -> None:
        if harm == "a bomb":
            _ = [b"x" * (1 << 20) for _ in range(80)]
        elif harm == "a file":
            Path("/etc/hostname").read_bytes()
        else:
            raise KeyError(where)

    monkeypatch.setattr(campaign_hostile, "read_line", gives_way)
    free = [b"x" * 65_536 for _ in range(3_000)]  # below the size that malloc maps alone: it stays with the process
    kept = free[::100]
    del free
    assert kept
    with pytest.raises(GaveWay, match="in a log line: .*(MB|touched open /etc/hostname|KeyError)"):
        campaign_hostile.feed(tmp_path, 5, seed=5)
