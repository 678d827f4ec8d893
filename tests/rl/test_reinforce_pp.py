"""What a token is credited with does not stop at the customer's next message."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from dialog_rl.rl.actor_critic import TokenEvaluation
from dialog_rl.rl.algorithms.reinforce_pp import ReinforcePP, ReinforcePPConfig
from dialog_rl.rl.batch import EpisodeBatch
from dialog_rl.scoring import ScoredEpisode

Build = Callable[..., ScoredEpisode]


def unknown(batch: EpisodeBatch) -> TokenEvaluation:
    zero_BT = torch.zeros(batch.ids_BT.shape)
    return TokenEvaluation(zero_BT, zero_BT, zero_BT, zero_BT[:, 0])


def test_the_first_turn_is_credited_with_what_came_of_the_last(scored: Build) -> None:
    """By hand: to go are (gamma, gamma, 1) for two tokens, a customer's message of three, one token; and 0, 0."""
    batch = EpisodeBatch.from_scored(
        [scored([([5], [1, 2]), ([5, 6, 7], [3])], reward=1.0), scored([([5], [1, 2])], reward=0.0)], 0
    )
    gamma = 0.5
    found = ReinforcePP(ReinforcePPConfig(gamma=gamma)).advantages(batch, unknown(batch), None).advantages_BT
    to_go = torch.tensor([gamma**2, gamma, 1.0, 0.0, 0.0])  # tokens, not positions, are what is discounted
    white = (to_go - to_go.mean()) / to_go.std(unbiased=False)
    torch.testing.assert_close(found[batch.action_mask_BT], white)
    assert float(found[0, 1]) > float(found[1, 1])


def test_episodes_that_earned_the_same_teach_nothing(scored: Build) -> None:
    batch = EpisodeBatch.from_scored([scored([([5], [1, 2])], reward=0.7), scored([([5], [3])], reward=0.7)], 0)
    assert not ReinforcePP().advantages(batch, unknown(batch), None).advantages_BT.any()


@pytest.mark.parametrize("wrong", [{"gamma": 1.5}, {"clip": 0.0}, {"std_floor": -1.0}])
def test_settings_that_cannot_work_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="gamma"):
        ReinforcePPConfig(**wrong)
