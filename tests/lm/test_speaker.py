from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
import torch

from dialog_rl.conversation import Conversation
from dialog_rl.episode import Episode, Message, Role, Step
from dialog_rl.lm import speaker as speaker_module
from dialog_rl.lm.decoder import Decoder, Sample
from dialog_rl.lm.rollouts import Action, Ending, Voice, rollouts, speak_on
from dialog_rl.lm.speaker import Speaker
from tests.lm.speech import CALL, END, ByteRenderer, conversation, talkative_policy

POLICY = talkative_policy()
RENDERER = ByteRenderer()
HELLO = [Message(role=Role.SYSTEM, text="be kind"), Message(role=Role.USER, text="hello")]


def new_speaker(**options: float) -> Speaker:
    return Speaker(POLICY, RENDERER, seed=7, max_length=256, max_action=30, **options)  # type: ignore[arg-type]


def listen(events: Iterator[str | Action]) -> tuple[list[str], Action]:
    *pieces, action = events
    assert isinstance(action, Action)
    return [p for p in pieces if isinstance(p, str)], action


def all_steps(live: Conversation) -> tuple[Step, ...]:
    return (*(step for turn in live.turns for step in turn.steps), *live.steps)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Tokens that the policy is made to say, while the decoder is fed for real."""
    tokens: list[int] = []

    def scripted(decoder: Decoder, voices: Sequence[Voice], *, temperature: float) -> list[Sample]:
        speak_on(decoder, voices, temperature=temperature)
        return [Sample(tokens.pop(0), -1.0)]

    monkeypatch.setattr(speaker_module, "speak_on", scripted)
    return tokens


def test_text_streams_in_whole_characters(script: list[int]) -> None:
    text = "né 退款 🙂 ok"
    script += [*text.encode(), END]
    pieces, action = listen(new_speaker().speak(HELLO))
    assert pieces == ["n", "é", " 退", "款", " 🙂", " o", "k"]
    assert action.message.text == text and action.ending is Ending.COMPLETE
    assert action.action_ids == (*text.encode(), END) and len(action.logprobs) == len(action.action_ids)


def test_bytes_that_never_become_a_character_appear_at_the_end_only(script: list[int]) -> None:
    script += [ord("a"), "退".encode()[0], END]
    pieces, action = listen(new_speaker().speak(HELLO))
    assert pieces == ["a", "\ufffd"]
    assert "".join(pieces) == action.message.text


def test_a_tool_call_is_reported_but_not_streamed(script: list[int]) -> None:
    script += [CALL, *b"look", END]
    pieces, action = listen(new_speaker().speak(HELLO))
    assert pieces == [] and action.message.tool_call is not None


def test_a_live_conversation_equals_a_rollout_with_the_same_seed() -> None:
    live, speaker = conversation(7), new_speaker()
    while live.stopped is None:
        _, action = listen(speaker.speak(live.unobserved()))
        action.settle(live, policy_version="v1")
    wanted: list[Episode] = list(
        rollouts(POLICY, RENDERER, [conversation(n) for n in range(5, 9)], max_length=256, max_action=30, version="v1")
    )
    assert live.episode() in wanted


@pytest.mark.parametrize("when", [0, 1, 2])
def test_a_cancelled_reply_is_forgotten(script: list[int], when: int) -> None:
    speaker, unspoiled = new_speaker(), new_speaker()
    for each in (speaker, unspoiled):
        script += [*b"hi", END]
        listen(each.speak(HELLO))
    live = conversation(7)
    script += b"never mind"
    asked = iter([False] * when + [True])
    _, cancelled = listen(speaker.speak(live.unobserved(), cancelled=lambda: next(asked)))
    assert cancelled.ending is Ending.CANCELLED and cancelled.action_ids == (*b"never mind"[:when],)
    before = live.unobserved()
    cancelled.settle(live)
    assert live.unobserved() == before and live.stopped is None

    def heard(each: Speaker) -> list[torch.Tensor]:
        """The logits that the next reply would be drawn from."""
        each._voice.observe(before)  # noqa: SLF001
        return [each._decoder.prefill([0], [each._voice.feed])]  # noqa: SLF001

    assert torch.equal(*heard(speaker), *heard(unspoiled))


def test_leaving_in_the_middle_cancels_even_at_the_last_piece(script: list[int]) -> None:
    speaker = new_speaker()
    for stop_at in (1, 2):
        script[:] = [*b"ok", END]
        events = speaker.speak(HELLO)
        for _ in range(stop_at):
            next(events)
        events.close()  # type: ignore[attr-defined]
        assert speaker._decoder.length(0) == 0  # noqa: SLF001


def test_a_context_without_room_gives_an_empty_action_that_ends_the_conversation() -> None:
    live = conversation(1, brief="x" * 600)
    pieces, action = listen(new_speaker().speak(live.unobserved()))
    assert (pieces, action.action_ids, action.ending) == ([], (), Ending.CONTEXT_FULL)
    action.settle(live)
    assert live.stopped == "context_full"


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_who_remembers_the_ids_goes_on_as_if_it_had_spoken_them(temperature: float) -> None:
    live, speaker = conversation(7), new_speaker(temperature=temperature)
    while live.stopped is None:
        spoken = all_steps(live)
        _, action = listen(speaker.speak(live.unobserved()))
        if spoken:
            other = new_speaker(temperature=temperature)
            other.remember(spoken)
            _, again = listen(other.speak(live.unobserved()))
            assert (again.observation_ids, again.action_ids) == (action.observation_ids, action.action_ids)
            assert again.logprobs == pytest.approx(action.logprobs, abs=1e-4)
        action.settle(live, policy_version="v1")
    assert len(all_steps(live)) > 2


def test_a_reply_asked_for_again_after_a_stop_is_drawn_from_the_same_numbers() -> None:
    undisturbed, stopped = new_speaker(), new_speaker()
    _, wanted = listen(undisturbed.speak(HELLO))
    asked = iter([False] * 5 + [True])
    listen(stopped.speak(HELLO, cancelled=lambda: next(asked)))
    _, again = listen(stopped.speak(HELLO))
    assert again == wanted
