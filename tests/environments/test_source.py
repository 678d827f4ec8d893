"""A text environment as somebody to talk to: what it shows is said, what is said is done, what it pays is logged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

gymnasium = pytest.importorskip("gymnasium", reason="environments need the extra gym")

from dialog_rl import metrics  # noqa: E402
from dialog_rl.conversation import Conversation  # noqa: E402
from dialog_rl.environments.games import Doors  # noqa: E402
from dialog_rl.environments.rewards import EnvReturn  # noqa: E402
from dialog_rl.environments.source import EnvSource, source_of  # noqa: E402
from dialog_rl.episode import Episode, Message, Role, StopReason, ToolCall, episode_from_json, to_json  # noqa: E402
from dialog_rl.errors import ConfigError  # noqa: E402
from dialog_rl.plugins.loading import load_plugins  # noqa: E402
from dialog_rl.testing.episodes import make_episode  # noqa: E402

DOORS = EnvSource(name="gym:doors", make=lambda: Doors(doors=2), brief="Name the door.")


def begun(source: EnvSource = DOORS, customer: int = 0, seed: int = 0) -> Conversation:
    return source.conversation_of(customer, seed, episode_id="e", tokenizer="t", temperature=1.0)


def said(text: str) -> Message:
    return Message(role=Role.ASSISTANT, text=text)


def play(conversation: Conversation, *, rightly: int) -> Episode:
    """Take the right door so many times, then the wrong one."""
    while conversation.stopped is None:
        colour = "red" if "red" in conversation.unobserved()[-1].text else "blue"
        wrong = "blue" if colour == "red" else "red"
        conversation.act(said(f"the {colour if rightly > 0 else wrong} one"))
        rightly -= 1
    return conversation.episode()


def test_what_it_shows_is_said_and_what_is_said_is_done() -> None:
    conversation = begun()
    brief, shown = conversation.unobserved()
    assert (brief.text, brief.role) == ("Name the door.", Role.SYSTEM) and shown.text.startswith("The key is ")
    episode = play(conversation, rightly=2)
    assert episode.stop is StopReason.USER_LEFT and episode.turns[-1].user.text == "You are out."


def test_solving_it_is_success_and_half_of_it_is_not() -> None:
    solved, half = play(begun(), rightly=2), play(begun(), rightly=1)
    assert metrics.success(solved).reached and not metrics.success(half).reached


def test_its_rewards_are_paid_as_they_are_logged() -> None:
    episodes = [play(begun(), rightly=n) for n in (2, 1, 0)]
    read_back = [episode_from_json(to_json(episode)) for episode in episodes]
    assert [score.value for score in EnvReturn().score(read_back)] == [1.0, 0.5, 0.0]


def test_a_conversation_with_a_customer_is_not_judged_by_it() -> None:
    assert EnvReturn().score([make_episode()])[0].value is None


def test_the_reward_is_registered() -> None:
    assert "env_return" in load_plugins().registry.rewards


def test_one_customer_meets_the_same_environment_whatever_the_conversation() -> None:
    first = [begun(customer=c, seed=s).unobserved()[-1].text for c, s in ((1, 1), (1, 2))]
    assert first[0] == first[1]
    assert len({begun(customer=c).unobserved()[-1].text for c in range(8)}) == 2


def test_it_has_no_tools() -> None:
    conversation = begun()
    conversation.act(replace(said("x"), tool_call=ToolCall(name="open", arguments={})))
    assert conversation.unobserved()[0].error and conversation.stopped is None


def test_more_replies_than_it_is_given_are_cut_off() -> None:
    class Endless(Doors):
        def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
            return "again", 0.0, False, False, {}

    conversation = begun(EnvSource(name="endless", make=Endless, turns=3))
    while conversation.stopped is None:
        conversation.act(said("red"))
    assert conversation.stopped is StopReason.MAX_TURNS and len(list(conversation.episode().steps)) == 3


def test_numbers_are_actions_of_an_environment_that_takes_numbers() -> None:
    class Numbered(Doors):
        def __init__(self) -> None:
            super().__init__()
            self.action_space = gymnasium.spaces.Discrete(2)

        def step(self, action: Any) -> tuple[str, float, bool, bool, dict[str, Any]]:
            return super().step(["red", "blue"][action])

    conversation = begun(EnvSource(name="numbered", make=Numbered))
    conversation.act(said("seven"))
    assert conversation.unobserved()[0].text == "That is no action here."
    colour = "red" if "red" in conversation.turns[0].user.text else "blue"
    conversation.act(said(str(["red", "blue"].index(colour))))
    assert metrics.success(conversation.episode()).reached


@pytest.mark.parametrize(
    ("name", "words"), [("gym:dialog_rl/Dors-v0", "Doors"), ("gym:CartPole-v1", "not text"), ("gym:no such", "gym:no")]
)
def test_what_cannot_be_talked_to_is_refused(name: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        source_of(name)
