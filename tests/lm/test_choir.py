"""Many conversations in one decoder say what each would have said alone, token for token."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from dialog_rl.episode import Episode, Message, Role
from dialog_rl.errors import ModelError
from dialog_rl.lm import choir as choir_module
from dialog_rl.lm.choir import Choir, Choirs, Singer
from dialog_rl.lm.decoder import Decoder, Sample
from dialog_rl.lm.model import SpeakingModel
from dialog_rl.lm.policy import Policy
from dialog_rl.lm.rollouts import Action, Ending, Voice, speak_on
from dialog_rl.lm.speaker import Speaker
from tests.lm.families import small_model
from tests.lm.held import first_step_held
from tests.lm.speech import ByteRenderer, conversation, talkative_policy

POLICY = talkative_policy()
RENDERER = ByteRenderer()
HELLO = [Message(role=Role.SYSTEM, text="be kind"), Message(role=Role.USER, text="hello")]
LONGEST = 30


def a_choir(slots: int = 8) -> Choir:
    return Choir(POLICY, RENDERER, slots=slots, max_action=LONGEST)


def talk(speaker: Speaker | Singer, number: int) -> Episode:
    """A whole conversation."""
    talked = conversation(number, turns=4)
    while talked.stopped is None:
        *_, action = speaker.speak(talked.unobserved())
        assert isinstance(action, Action)
        action.settle(talked)
    return talked.episode()


def alone(number: int, temperature: float = 1.0) -> Episode:
    longest = POLICY.max_positions
    return talk(
        Speaker(POLICY, RENDERER, seed=number, max_length=longest, max_action=LONGEST, temperature=temperature), number
    )


def together(
    choir: Choir, numbers: Sequence[int], temperature: Callable[[int], float] = lambda n: 1.0
) -> list[Episode]:
    with ThreadPoolExecutor(len(numbers)) as threads:
        return list(
            threads.map(lambda n: talk(choir.singer(seed=n, temperature=temperature(n)), n), numbers)
        )  # fmt: skip


def test_a_token_made_among_others_is_the_token_made_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    widths = first_step_held(monkeypatch, until=12)
    choir = a_choir(slots=12)
    assert together(choir, range(12)) == [alone(n) for n in range(12)]
    assert sum(widths[:2]) >= 12, "they did not share their steps"
    assert (choir.figures.steps, choir.figures.tokens) == (len(widths), sum(widths))


def test_neighbours_of_another_temperature_change_nothing() -> None:
    assert together(a_choir(), range(6), temperature=lambda n: n % 3 / 2) == [alone(n, n % 3 / 2) for n in range(6)]


def test_more_conversations_than_slots_take_turns() -> None:
    choir = a_choir(slots=2)
    assert [e.messages for e in together(choir, range(7))] and choir.speaking == 0
    assert [_ids(e) for e in together(choir, range(7))] == [_ids(alone(n)) for n in range(7)]
    assert choir.figures.evicted > 0 and choir.resting == 2


def _ids(episode: Episode) -> list[tuple[int, ...]]:
    return [step.action_ids for step in episode.steps]


def test_a_conversation_keeps_its_slot_between_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    fed: list[int] = []

    def counting(decoder: Decoder, voices: Sequence[Voice], *, temperature: Sequence[float]) -> list[Sample]:
        fed.extend(len(voice.feed) for voice in voices)
        return speak_on(decoder, voices, temperature=temperature)

    monkeypatch.setattr(choir_module, "speak_on", counting)
    episode = talk(a_choir().singer(seed=3, temperature=1.0), 3)
    steps = list(episode.steps)
    everything = sum(len(step.observation_ids) + len(step.action_ids) for step in steps)
    assert len(steps) > 2 and sum(fed) == everything - 1, "the last token of all is never fed, any other once"


def test_a_cancelled_action_leaves_no_trace() -> None:
    choir = a_choir()
    singer = choir.singer(seed=5, temperature=1.0)
    asked = iter([False, False, False, True])
    *_, action = singer.speak(HELLO, cancelled=lambda: next(asked))
    assert isinstance(action, Action) and action.ending is Ending.CANCELLED
    again, first = (list(s.speak(HELLO))[-1] for s in (singer, a_choir().singer(seed=5, temperature=1.0)))
    assert again == first


def test_what_was_finished_a_moment_before_it_is_cancelled_never_was() -> None:
    choir = a_choir()
    singer = choir.singer(seed=5, temperature=1.0)
    speaking: Any = singer.speak(HELLO)
    next(speaking)
    while choir.speaking:
        threading.Event().wait(0.001)
    speaking.close()
    assert list(singer.speak(HELLO))[-1] == list(a_choir().singer(seed=5, temperature=1.0).speak(HELLO))[-1]


def test_who_waits_for_a_slot_can_give_up() -> None:
    choir = a_choir(slots=1)
    first = choir.singer(seed=5, temperature=1.0).speak(HELLO)
    next(first)
    *_, waited = choir.singer(seed=2, temperature=1.0).speak(HELLO, cancelled=lambda: True)
    assert isinstance(waited, Action) and waited.ending is Ending.CANCELLED
    *_, action = first
    assert isinstance(action, Action) and action.ending is not Ending.CANCELLED


def test_a_fault_reaches_all_who_speak_and_the_choir_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> list[Sample]:
        raise ModelError("not finite")

    choir = a_choir()
    singer = choir.singer(seed=5, temperature=1.0)
    with monkeypatch.context() as patch:
        patch.setattr(choir_module, "speak_on", broken)
        with pytest.raises(ModelError, match="not finite"):
            list(singer.speak(HELLO))
    assert list(singer.speak(HELLO))[-1] == list(a_choir().singer(seed=5, temperature=1.0).speak(HELLO))[-1]


def test_a_new_model_sings_in_a_choir_of_its_own_and_the_old_one_lets_its_slots_go() -> None:
    choirs = Choirs(slots=4)
    one, two = (SpeakingModel(policy=POLICY, renderer=RENDERER, version=v) for v in "ab")  # type: ignore[arg-type]
    list(choirs(one, seed=1, temperature=1.0).speak(HELLO))
    assert choirs.figures()[2] == 1
    list(choirs(two, seed=1, temperature=1.0).speak(HELLO))
    assert soon(lambda: choirs.figures()[1:] == (0, 1)) and choirs.figures()[0].tokens > 0
    list(choirs(one, seed=2, temperature=1.0).speak(HELLO))
    assert soon(lambda: choirs.figures()[2] == 1), "a retired one speaks when it is asked, and keeps nothing"


def soon(holds: Callable[[], bool]) -> bool:
    """A choir lets go of its slots after the last word has been heard, in a thread of its own."""
    deadline = time.monotonic() + 10
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.01)
    return holds()


@pytest.mark.parametrize("name", ["qwen2", "gemma2", "gpt2"])
def test_a_model_that_was_brought_says_among_others_what_it_says_alone(name: str) -> None:
    """Through the decoder of its family; with fewer slots than conversations, which take turns."""
    policy, numbers, longest = Policy(small_model(name)).eval(), range(3), 8

    def said_alone(number: int) -> list[tuple[int, ...]]:
        room = policy.max_positions
        speaker = Speaker(policy, RENDERER, seed=number, max_length=room, max_action=longest, temperature=1.0)
        return _ids(talk(speaker, number))

    wanted = [said_alone(n) for n in numbers]
    assert all(sum(map(len, said)) > longest for said in wanted)
    for slots in (3, 2):
        choir = Choir(policy, RENDERER, slots=slots, max_action=longest)
        assert [_ids(episode) for episode in together(choir, numbers)] == wanted
        assert (choir.figures.evicted > 0) == (slots < len(numbers))
