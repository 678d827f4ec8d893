"""A model of this program as a customer's voice: it is fed the chat as it was, and answers by the seed alone."""

from __future__ import annotations

from dialog_rl.episode import Message, Role
from dialog_rl.evaluation.speaking import speak_with
from dialog_rl.lm.model import SpeakingModel
from dialog_rl.lm.speaker import Speaker

CHAT = [
    {"role": "system", "content": "You play a customer."},
    {"role": "user", "content": "Hello!"},
    {"role": "assistant", "content": "where is my parcel?"},
    {"role": "user", "content": "It is on its way."},
]


def fed(model: SpeakingModel, monkeypatch) -> list[tuple[int, ...]]:
    """What speakers were made to remember and observe."""
    seen: list[tuple[int, ...]] = []
    remember, speak = Speaker.remember, Speaker.speak

    def remembering(self, steps):
        seen.append(tuple(i for step in steps for i in (*step.observation_ids, *step.action_ids)))
        remember(self, steps)

    def speaking(self, messages, **how):
        messages = list(messages)
        seen.append(model.renderer.observe(messages))
        return speak(self, messages, **how)

    monkeypatch.setattr(Speaker, "remember", remembering)
    monkeypatch.setattr(Speaker, "speak", speaking)
    return seen


def test_the_model_is_shown_the_chat_with_its_own_lines_as_the_assistants(model: SpeakingModel, monkeypatch) -> None:
    seen = fed(model, monkeypatch)
    speak_with(model)(CHAT, 1)
    said = [Message(role=Role(one["role"]), text=one["content"]) for one in CHAT]
    assert seen == [
        (*model.renderer.observe(said[:2]), *model.renderer.action(said[2])),
        model.renderer.observe(said[3:]),
    ]


def test_what_it_says_follows_from_the_chat_and_the_seed(model: SpeakingModel) -> None:
    speak = speak_with(model)
    assert speak(CHAT, 1) == speak_with(model)(CHAT, 1)
    assert len({speak(CHAT, seed) for seed in range(4)}) > 1
    assert len({speak_with(model, temperature=0)(CHAT, seed) for seed in range(4)}) == 1


def test_a_chat_beyond_the_context_gets_no_answer(model: SpeakingModel) -> None:
    assert speak_with(model)([*CHAT[:3] * 60, CHAT[3]], 1) == ""
