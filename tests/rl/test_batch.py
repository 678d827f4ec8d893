from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dialog_rl.episode import StopReason
from dialog_rl.errors import TrainingError
from dialog_rl.rl.batch import WIDTH_STEP, EpisodeBatch, micro_batches, minibatches
from dialog_rl.scoring import ScoredEpisode

Build = Callable[..., ScoredEpisode]


def test_a_row_is_observations_and_actions_in_order(scored: Build) -> None:
    long = scored([([1, 2], [3, 4]), ([5], [6])], logprobs=[[-0.1, -0.2], [-0.3]])
    batch = EpisodeBatch.from_scored([long, scored([([7], [8])])], 9)
    assert batch.ids_BT.tolist() == [[1, 2, 3, 4, 5, 6], [7, 8, 9, 9, 9, 9]]
    assert batch.lengths_B.tolist() == [6, 2]
    assert batch.action_mask_BT.tolist() == [
        [False, False, True, True, False, True],
        [False, True, False, False, False, False],
    ]
    assert batch.sampler_logprobs_BT[0].tolist() == pytest.approx([0, 0, -0.1, -0.2, 0, -0.3])
    assert batch.step_index_BT.tolist() == [[-1, -1, 0, 0, -1, 1], [-1, 0, -1, -1, -1, -1]]


def test_rewards_are_paid_at_last_action_tokens(scored: Build) -> None:
    steps = [([1, 2], [3, 4]), ([5], [6, 7]), ([8, 8], [9])]
    batch = EpisodeBatch.from_scored([scored(steps, reward=10.0, step_rewards=[1.0, 2.0, 4.0])], 0)
    assert batch.rewards_BT.tolist() == [[0, 0, 0, 1, 0, 0, 2, 0, 0, 14]]
    assert batch.episode_return_B.tolist() == [17.0]


def test_the_reward_of_a_step_without_tokens_is_not_lost(scored: Build) -> None:
    steps = [([1], []), ([2], [3]), ([4], [])]
    batch = EpisodeBatch.from_scored([scored(steps, reward=10.0, step_rewards=[1.0, 2.0, 4.0])], 0)
    assert batch.rewards_BT.tolist() == [[0, 0, 17, 0]]
    assert batch.step_index_BT.tolist() == [[-1, -1, 1, -1]]


def test_only_cut_off_episodes_are_truncated(scored: Build) -> None:
    stops = [StopReason.USER_LEFT, StopReason.AGENT_DONE, StopReason.MAX_TURNS, StopReason.CONTEXT_FULL]
    batch = EpisodeBatch.from_scored([scored([([1], [2])], stop=stop) for stop in stops], 0)
    assert batch.truncated_B.tolist() == [False, False, True, True]


def test_broken_and_silent_episodes_are_dropped_and_counted(scored: Build) -> None:
    good, silent = scored([([1], [2])]), scored([([1], [])])
    broken = [scored([([1], [2])], stop=stop) for stop in (StopReason.USER_ERROR, StopReason.ABORTED)]
    batch = EpisodeBatch.from_scored([silent, good, *broken], 0)
    assert (len(batch), batch.dropped_broken, batch.dropped_silent) == (1, 2, 1)
    with pytest.raises(TrainingError, match="of 3 episodes 2 were broken off and 1 hold"):
        EpisodeBatch.from_scored([silent, *broken], 0)


def test_a_context_that_the_brief_alone_fills_is_said(scored: Build) -> None:
    silent = scored([([1, 2], [])], stop=StopReason.CONTEXT_FULL)
    with pytest.raises(TrainingError, match="in 2 of them the brief and the first message alone filled the context"):
        EpisodeBatch.from_scored([silent, silent, scored([([1], [])])], 0)


def test_episodes_of_one_scenario_form_a_group(scored: Build) -> None:
    batch = EpisodeBatch.from_scored([scored([([1], [2])], scenario=s) for s in "abac"], 0)
    assert batch.group_B.tolist() == [0, 1, 0, 2]


def test_replayed_episodes_are_imitated_and_not_fresh(scored: Build) -> None:
    good, bad, old = (scored([([1], [2])], reward=r) for r in (1.0, 0.0, 1.0))
    batch = EpisodeBatch.from_scored([good, bad], 0, replayed=[old], imitate=lambda s: s.reward > 0.5)
    assert batch.imitate_B.tolist() == [True, False, True]
    assert batch.replayed_B.tolist() == [False, False, True]
    assert batch.fresh_mask_BT.tolist() == [[False, True], [False, True], [False, False]]


def test_tokenizers_and_temperatures_do_not_mix(scored: Build) -> None:
    one = scored([([1], [2])])
    with pytest.raises(TrainingError, match="tokenizers"):
        EpisodeBatch.from_scored([one, scored([([1], [2])], tokenizer="other")], 0)
    with pytest.raises(TrainingError, match="temperatures"):
        EpisodeBatch.from_scored([one, scored([([1], [2])], temperature=0.7)], 0)
    assert EpisodeBatch.from_scored([scored([([1], [2])], temperature=0.7)], 0).temperature == 0.7


def test_an_action_upon_no_prefix_and_a_miscounted_reward_are_refused(scored: Build) -> None:
    with pytest.raises(ValueError, match="no prefix"):
        EpisodeBatch.from_scored([scored([([], [2])])], 0)
    with pytest.raises(ValueError, match="2 step rewards for 1 steps"):
        EpisodeBatch.from_scored([scored([([1], [2])], step_rewards=[1.0, 2.0])], 0)


@pytest.mark.parametrize(
    "wrong", [{"lengths_B": torch.ones(2, dtype=torch.long)}, {"rewards_BT": torch.ones(1, 2, dtype=torch.float64)}]
)
def test_tensors_of_another_shape_or_type_are_refused(scored: Build, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        replace(EpisodeBatch.from_scored([scored([([1], [2])])], 0), **wrong)


def test_rows_are_cut_to_the_longest_of_them(scored: Build) -> None:
    batch = EpisodeBatch.from_scored([scored([([1] * n, [2])]) for n in (5, 2, 3)], 0)
    some = batch.rows(torch.tensor([2, 1]))
    assert some.ids_BT.tolist() == [[1, 1, 1, 2], [1, 1, 2, 0]]
    assert some.lengths_B.tolist() == [4, 3]


@given(
    lengths=st.lists(st.integers(1, 50), min_size=1, max_size=40),
    budget=st.integers(1, 200),
    episodes=st.integers(1, 50),
    seed=st.integers(0, 3),
)
def test_an_epoch_holds_every_row_once_within_the_budget(
    lengths: list[int], budget: int, episodes: int, seed: int
) -> None:
    epoch = minibatches(lengths, episodes, budget, torch.Generator().manual_seed(seed))
    again = minibatches(lengths, episodes, budget, torch.Generator().manual_seed(seed))
    plain = [[m.index_B.tolist() for m in minibatch] for minibatch in epoch]
    assert plain == [[m.index_B.tolist() for m in minibatch] for minibatch in again]
    assert sorted(row for minibatch in plain for micro in minibatch for row in micro) == list(range(len(lengths)))
    sizes = [sum(len(micro) for micro in minibatch) for minibatch in plain]
    assert max(sizes) - min(sizes) <= 1
    for micro in (micro for minibatch in epoch for micro in minibatch):
        assert 0 <= micro.width - max(lengths[row] for row in micro.index_B.tolist()) < WIDTH_STEP
        assert micro.width % WIDTH_STEP == 0 or micro.width == max(lengths)
        assert len(micro.index_B) == 1 or len(micro.index_B) * micro.width <= budget


def test_rows_of_like_length_stand_together() -> None:
    blocks = micro_batches([10, 1, 9, 2, 10, 1], range(6), 30)
    assert [block.index_B.tolist() for block in blocks] == [[0, 4, 2], [3, 1, 5]]
