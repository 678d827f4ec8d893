"""Who speaks changes between turns only, and a bad version goes as it came."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import torch

from dialog_rl.bench.rehearsal import MakeModel, stage
from dialog_rl.chat.session import ChatSession
from dialog_rl.chat.setting import Setting
from dialog_rl.episode import Episode, Message, Role
from dialog_rl.episode_log import learning
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.episode_log.records import Kind
from dialog_rl.errors import CheckpointError, ModelError, SupersededError
from dialog_rl.goals import make_scenario
from dialog_rl.lm import journal, promotions, versions
from dialog_rl.lm.model import SpeakingModel
from dialog_rl.lm.rollouts import Action
from dialog_rl.online.following import FollowingVoices, VersionFollower, WatchedVoice, roll_back
from dialog_rl.online.provenance import differences
from dialog_rl.online.watch import Watch


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "versions"


@pytest.fixture
def publish(store: Path, tiny_model: MakeModel) -> Callable[[float], str]:
    """Makes a version that speaks a little otherwise than others, in replies short enough for several turns."""

    def make(number: float) -> str:
        model = tiny_model()
        with torch.no_grad():
            for parameter in model.policy.model.parameters():
                parameter.mul_(10 + number if parameter.dim() > 1 else 1)
            table_VD = model.policy.model.get_parameter("model.embed_tokens.weight")
            table_VD[:, 0] = 1.0  # a coordinate large in every hidden state makes a token's share of it a bias
            table_VD[model.renderer.end_id, 0] += 2.5
        return versions.publish(store, model.save).id

    return make


def promote(store: Path, version: str, reason: str = "test") -> None:
    promotions.promote(store, "champion", version, reason=reason)


def test_a_promoted_version_is_taken_up_at_the_next_look(store: Path, publish: Callable[[float], str]):
    first, second = publish(1), publish(2)
    promote(store, first)
    confirmed: list[str] = []
    follower = VersionFollower([store], confirm=confirmed.append)
    assert follower.current().version == first
    assert follower.current() is follower.current()
    promote(store, second)
    assert follower.current().version == second and confirmed == [first, second]


def test_a_version_counts_as_active_once_a_process_speaks_with_it(
    store: Path, publish: Callable[[float], str], tmp_path: Path
):
    promote(store, version := publish(1))
    with EpisodeLog.open(tmp_path / "log.sqlite") as log:
        follower = VersionFollower([store], confirm=lambda v: learning.serving(log, v, "host:1"))
        assert not list(log.events(kinds=(Kind.SERVING,)))
        follower.current()
        (event,) = log.events(kinds=(Kind.SERVING,))
        assert event.document == {"version": version, "process": "host:1"}


def test_what_is_shipped_speaks_until_there_is_a_champion_of_ones_own(
    store: Path, publish: Callable[[float], str], tmp_path: Path
):
    promote(store, first := publish(1))
    own = tmp_path / "own"
    follower = VersionFollower([own, store])
    assert follower.current().version == first
    second = versions.publish(own, lambda f: follower.current().save(f)).id
    promotions.promote(own, "champion", second, reason="test")
    assert follower.current().version == second


def test_a_version_that_cannot_be_loaded_is_passed_over(store: Path, publish: Callable[[float], str]):
    promote(store, first := publish(1))
    follower = VersionFollower([store])
    follower.current()
    second = publish(2)
    promote(store, second)
    (store / second / "model.safetensors").write_bytes(b"\0" * 64)
    assert follower.current().version == first
    promote(store, third := publish(3))
    assert follower.current().version == third


def test_without_any_version_nobody_speaks(store: Path):
    with pytest.raises(CheckpointError):
        VersionFollower([store]).current()


def test_the_version_that_speaks_is_not_cleared_away(store: Path, publish: Callable[[float], str]):
    first = publish(1)
    promote(store, first)
    follower = VersionFollower([store])
    follower.current()
    promotions.withdraw(store, "champion", reason="test")
    for bias in range(2, 9):
        promote(store, publish(bias))
    promotions.clear(store, keep_last=1)
    assert (store / first).exists()
    follower.close()
    promotions.clear(store, keep_last=1)
    assert not (store / first).exists()


# Conversations


def session(log: EpisodeLog, voices: FollowingVoices, number: int) -> ChatSession:
    scenario = make_scenario(stage().pack, number, split="validation")
    setting = Setting(stage=stage(), scenario=scenario, seed=number, temperature=1.0)
    return ChatSession(log, voices, setting, episode_id=f"chat-{number}", rater="ann")


def talk(one: ChatSession, turns: int, between: Callable[[], None] = lambda: None) -> Episode:
    """Says the same a few times, whatever is answered."""
    for number in range(turns):
        if one.ended is not None:
            break
        one.say(f"hello {number}")
        for _ in one.answer():
            pass
        between()
    return one.leave() or _ended(one)


def _ended(one: ChatSession) -> Episode:
    assert one.ended is not None
    return one.ended


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EpisodeLog]:
    with EpisodeLog.open(tmp_path / "log.sqlite") as opened:
        yield opened


def mixed_turns(episode: Episode) -> int:
    return sum(len({step.policy_version for step in turn.steps}) > 1 for turn in episode.turns)


def test_swaps_under_many_conversations_never_mix_versions_in_a_turn(
    store: Path, publish: Callable[[float], str], log: EpisodeLog, tiny_model: MakeModel
):
    ids = [publish(bias) for bias in range(4)]
    promote(store, ids[0])
    follower = VersionFollower([store])
    over = threading.Event()
    episodes: list[Episode] = []

    def chat(first: int) -> None:
        voices = FollowingVoices(follower)
        for number in range(first, first + 3):
            episodes.append(talk(session(log, voices, number), 3))

    def swap() -> None:
        number = 0
        while not over.wait(0.01):
            number += 1
            promote(store, ids[number % len(ids)])

    threads = [threading.Thread(target=chat, args=(10 * n,)) for n in range(3)]
    swapper = threading.Thread(target=swap)
    for thread in (*threads, swapper):
        thread.start()
    for thread in threads:
        thread.join()
    over.set()
    swapper.join()
    assert len(episodes) == 9 and sum(map(mixed_turns, episodes)) == 0
    assert any(len(e.policy_versions) > 1 for e in episodes)
    # every token is what the version that is named for it would say, having read the conversation's ids itself
    found = differences(episodes, lambda v: SpeakingModel.load(store / v).policy, tiny_model().renderer.pad_id)
    assert max(found.values()) <= 1e-4


def test_a_conversation_goes_on_with_the_new_version(store: Path, publish: Callable[[float], str], log: EpisodeLog):
    first, second = publish(1), publish(2)
    promote(store, first)
    voices = FollowingVoices(VersionFollower([store]))
    swaps = iter([second])
    episode = talk(session(log, voices, 3), 2, lambda: promote(store, v) if (v := next(swaps, "")) else None)
    assert [turn.steps[0].policy_version for turn in episode.turns if turn.steps] == [first, second]


def poison(store: Path, tiny_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> str:
    """A version whose weights turn to NaN once they are in memory."""
    model = tiny_model()
    with torch.no_grad():
        model.policy.value_head.bias.fill_(7.0)
    bad = versions.publish(store, model.save).id
    load = SpeakingModel.load

    def poisoned(folder: Path, **options: bool) -> SpeakingModel:
        loaded = load(folder, **options)
        if folder.name == bad:
            with torch.no_grad():
                loaded.policy.model.get_parameter("model.embed_tokens.weight").fill_(float("nan"))
        return loaded

    monkeypatch.setattr(SpeakingModel, "load", poisoned)
    return bad


def test_outputs_that_are_not_finite_roll_the_version_back_before_the_next_turn(
    store: Path,
    publish: Callable[[float], str],
    log: EpisodeLog,
    tiny_model: MakeModel,
    monkeypatch: pytest.MonkeyPatch,
):
    promote(store, good := publish(1))
    bad = poison(store, tiny_model, monkeypatch)
    promote(store, bad)
    watch = Watch(lambda version, reason: roll_back(store, version, reason, by="chat"))
    one = session(log, FollowingVoices(VersionFollower([store]), watch), 4)
    one.say("hello")
    with pytest.raises(ModelError, match="not finite"):
        list(one.answer())
    assert journal.standing(store)["champion"] == good
    for _ in one.answer():  # the same message, answered by the version before
        pass
    assert one.version == good
    last = journal.read(store)[-1]
    assert last.by == "chat" and last.event is journal.Event.ROLLED_BACK and "not finite" in last.reason


def test_a_rollback_goes_to_the_last_good_version(store: Path, publish: Callable[[float], str]):
    a, b, c = publish(1), publish(2), publish(3)
    for version in (a, b):
        promote(store, version)
    assert roll_back(store, b, "bad", by="x") == a
    promote(store, c)
    assert roll_back(store, c, "bad too", by="x") == a  # not to b, which was bad as well
    assert roll_back(store, a, "hm", by="x") == ""
    assert journal.standing(store)["champion"] == a


def test_only_the_champion_is_rolled_back(store: Path, publish: Callable[[float], str]):
    a, b = publish(1), publish(2)
    for version in (a, b):
        promote(store, version)
    assert roll_back(store, a, "late news", by="x") == "" and journal.standing(store)["champion"] == b


def test_a_voice_of_a_version_that_nobody_named_is_refused(store: Path, publish: Callable[[float], str]):
    promote(store, publish(1))
    voices = FollowingVoices(VersionFollower([store]))
    voices.current()
    with pytest.raises(SupersededError, match="does not speak any more"):
        voices.voice("0" * 16, seed=1, temperature=1.0)


class Parrot:
    """A voice that always says the same."""

    def speak(self, messages: Sequence[Message], *, cancelled: Callable[[], bool]) -> Iterator[Action]:
        yield Action(message=Message(role=Role.ASSISTANT, text="Hello."))


def test_repeated_replies_are_watched():
    taken: list[str] = []
    voice = WatchedVoice(Parrot(), "v2", Watch(lambda version, reason: taken.append(reason)))
    for _ in range(25):
        list(voice.speak([], cancelled=lambda: False))
    assert taken == ["95% of its replies are empty or repeated"]
