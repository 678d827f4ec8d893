"""One episode token by token, against generalised advantage estimation by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from dialog_rl.episode import StopReason
from dialog_rl.evaluation.close_up import steps_closely, worth_of
from dialog_rl.rl.actor_critic import TokenEvaluation
from dialog_rl.scoring import ScoredEpisode
from tests.browsing.made import called, episode, said, turn

VALUES = (0.2, 0.3, 0.6)
"""Of the three action tokens of the episode below, in order."""


class Expecting:
    """A policy whose value head expects what it is told to, and something else wherever nothing was sampled."""

    device = torch.device("cpu")

    def eval(self) -> Expecting:
        return self

    def evaluate(self, ids_BT: Any, lengths_B: Any, action_mask_BT: Any, *, temperature: float = 1.0) -> Any:
        assert temperature == 1.0
        values_BT = torch.full(ids_BT.shape, 9.0)
        values_BT[action_mask_BT] = torch.tensor(VALUES)
        zero_BT = torch.zeros(ids_BT.shape)
        return TokenEvaluation(zero_BT, zero_BT, values_BT, torch.full((len(ids_BT),), 5.0))


def scored(**facts: Any) -> ScoredEpisode:
    one = episode(1, turn("cancel", called("cancel", "ok"), said("Done.")), turn("bye"), **facts)
    return ScoredEpisode(episode=one, components={}, reward=1.0, step_rewards=(-0.5, 0.0))


MODEL: Any = SimpleNamespace(policy=Expecting(), renderer=SimpleNamespace(pad_id=0))


def test_values_stand_before_and_advantages_at_each_action_token() -> None:
    found = worth_of(scored(temperature=0.0), MODEL, gamma=1.0, lam=0.5)
    third = 1.0 - 0.6
    second = 0.6 - 0.3 + 0.5 * third
    first = -0.5 + 0.3 - 0.2 + 0.5 * second
    assert [value for value, _ in found] == pytest.approx(VALUES)
    assert [advantage for _, advantage in found] == pytest.approx([first, second, third])


def test_a_conversation_that_was_cut_off_might_still_have_earned_what_was_expected() -> None:

    found = worth_of(scored(stop=StopReason.MAX_TURNS), MODEL, gamma=1.0, lam=0.5)
    assert found[-1][1] == pytest.approx(1.0 + 5.0 - 0.6)


def test_every_step_has_its_tokens_and_the_last_is_paid_for_the_whole() -> None:
    one = scored()
    ((call, reply), ends) = steps_closely(one.episode, str, one, [(0.2, 1.0), (0.3, 2.0), (0.6, 3.0)])
    assert ends == () and [t.text for t in call.tokens] == ["7"] and [t.text for t in reply.tokens] == ["5", "6"]
    assert (call.reward, reply.reward) == (-0.5, 1.0) and reply.tokens[1].advantage == 3.0


def test_without_a_model_there_are_log_probabilities_alone() -> None:
    ((call, _), _) = steps_closely(scored().episode)
    assert call.tokens[0].logprob == -1.0 and call.tokens[0].value is None and call.reward is None
