"""What the terminal is told by the program around it: receipts in words, and who spoke before."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from dialog_rl.chat.session import ChatSession
from dialog_rl.cli import screen_chat
from dialog_rl.cli.speaking import LateVoices
from dialog_rl.config import Paths, Settings
from dialog_rl.episode import Rating
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.lm import promotions, versions
from dialog_rl.online.receipts import Fate, Receipt
from tests.chat.scripted import ScriptedVoices, db, setting


@pytest.fixture
def session(tmp_path: Path) -> Iterator[ChatSession]:
    with EpisodeLog.open(db(tmp_path)) as log:
        session = ChatSession(log, ScriptedVoices("one", "two"), setting(), rater="ann")
        session.allow_training(True)
        session.say("a")
        list(session.answer())
        yield session


def receipt(fate: Fate, **more: object) -> Receipt:
    rating = Rating(episode_id="e", rater="ann", turn=0, value=1.0)
    return Receipt(event_id="rating:x", seq=1, rating=rating, fate=fate, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (receipt(Fate.USED, update=3, reason="with the gate"), "used in update 3, used: with the gate"),
        (receipt(Fate.ACTIVE, update=3, version="0123456789abcdef"), "used in update 3, now version 01234567"),
        (receipt(Fate.REFUSED, update=3, version="0123", reason="worse"), "used in update 3, refused: worse"),
        (receipt(Fate.TOO_LATE, reason="learnt before"), "too late: learnt before"),
    ],
)
def test_a_receipt_is_told_in_a_few_words(session: ChatSession, one: Receipt, words: str) -> None:
    assert screen_chat.told(one, session) == words


def test_what_waits_says_for_what(session: ChatSession) -> None:
    waits = receipt(Fate.WAITING, reason="queued for the next update")
    assert "once this conversation has ended" in screen_chat.told(waits, session)
    session.leave()
    assert screen_chat.told(waits, session) == "waiting: queued for the next update"
    session.allow_training(False)
    assert "ctrl+l allows it" in screen_chat.told(waits, session)


def test_each_rating_of_a_conversation_has_its_receipt(session: ChatSession, with_base: Path) -> None:
    settings = Settings(paths=Paths(runs=str(with_base / "runs")))
    first = session.opinions.change(0, value=1.0)
    second = session.opinions.change(0, value=-1.0)
    found = screen_chat.receipts_of(session, settings)
    assert {*found} == {first.event_id, second.event_id}
    assert found[first.event_id].startswith("replaced") and "once this conversation" in found[second.event_id]


def test_the_version_before_is_the_champion_before_and_at_first_the_base(with_base: Path) -> None:
    settings = Settings(paths=Paths(runs=str(with_base / "runs")))
    store = with_base / "runs" / "versions"
    (base,) = (folder.name for folder in store.glob("[0-9a-f]*"))
    assert screen_chat.earlier(settings, base) == ""
    assert screen_chat.earlier(settings, "another") == base
    other, gone = _twin(store, base, "0" * 16), _twin(store, base, "1" * 16)
    for version in (base, gone, other):
        promotions.promote(store, "champion", version, reason="test")
    shutil.rmtree(store / gone)
    assert screen_chat.earlier(settings, other) == base


def _twin(store: Path, version: str, name: str) -> str:
    """The same weights as another version."""
    with (store / version / "tokenizer.model").open("rb") as tokenizer:
        content = tokenizer.read()

    def fill(folder: Path) -> None:
        (folder / "tokenizer.model").write_bytes(content + name.encode())

    return versions.publish(store, fill).id


def test_voices_load_once_and_other_versions_on_demand() -> None:
    loaded: list[str] = []

    def load() -> ScriptedVoices:
        loaded.append("current")
        return ScriptedVoices("now", version="v2")

    def other(version: str) -> ScriptedVoices:
        loaded.append(version)
        return ScriptedVoices("then", version=version)

    voices = LateVoices(load, other)
    assert loaded == []
    assert voices.prepare() == "v2" == voices.current() and voices.tokenizer == "tok"
    for version in ("v2", "v1", "v1"):
        voices.voice(version, seed=0, temperature=0.0)
    assert loaded == ["current", "v1"]
