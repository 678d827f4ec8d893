"""ILQL on episodes of a language model: what is taken from a log, and a policy that speaks by advantage."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from dialog_rl.episode import StopReason
from dialog_rl.errors import TrainingError
from dialog_rl.lm.model import SpeakingModel
from dialog_rl.lm.policy import Policy
from dialog_rl.offline.ilql import OfflineConfig, decode_by, learn, transitions
from dialog_rl.offline.replies import judge, reply_of
from dialog_rl.rl.batch import EpisodeBatch
from dialog_rl.rl.ilql import ILQLConfig, ILQLHeads
from dialog_rl.scoring import ScoredEpisode


def scored(episode: Any, reward: float) -> ScoredEpisode:
    return ScoredEpisode(episode=episode, components={}, reward=reward, step_rewards=(0.0,) * len(episode.turns))


def test_each_step_has_what_it_earned_and_the_next_one_after_it(model: SpeakingModel, said: Any) -> None:
    episodes = [said(("is it done", "no"), ("what now", "wait")), said(("is it done", "thanks, gladly"))]
    batch = EpisodeBatch.from_scored(
        [], model.renderer.pad_id, replayed=[scored(e, r) for e, r in zip(episodes, (1.0, 2.0), strict=True)]
    )
    seen = transitions(model.policy, batch)
    first, second, third = (len(s.action_ids) for e in episodes for s in e.steps)
    assert seen.returns_N.tolist() == [0.0] * first + [1.0] * second + [2.0] * third
    assert seen.following_N.tolist() == [first] * first + [-1] * (second + third)


def test_where_an_episode_was_cut_off_its_value_goes_on(model: SpeakingModel, said: Any) -> None:
    cut = replace(said(("is it done", "no")), stop=StopReason.MAX_TURNS)
    whole = said(("what now", "wait"))
    batch = EpisodeBatch.from_scored([], model.renderer.pad_id, replayed=[scored(whole, 1.0), scored(cut, 0.0)])
    seen = transitions(model.policy, batch)
    ours, theirs = (len(s.action_ids) for e in (whole, cut) for s in e.steps)
    assert seen.following_N.tolist() == [-1] * ours + [ours + theirs] * theirs
    assert len(seen.ends_ED) == 1


def test_what_earned_more_is_likelier_afterwards_and_survives_being_saved(
    model: SpeakingModel, said: Any, tmp_path: Path
) -> None:
    good, bad = said(("is it done", "thanks, gladly")), said(("is it done", "no"))
    rows = [reply_of(good, 0), reply_of(bad, 0)]

    def margin(policy: Policy) -> float:
        with torch.no_grad():
            first, second = judge(policy, rows, model.renderer.pad_id).total_B.tolist()
        return first - second

    before = margin(model.policy)
    rule = ILQLConfig(learning_rate=1e-2, bend_rate=1e-3, conservative=0.0, target_rate=0.1)
    config = OfflineConfig(epochs=40, batch=4, ilql=rule)
    for heads, _ in learn(model, [scored(good, 1.0), scored(bad, -1.0)] * 2, config):
        learnt = heads
    decode_by(model.policy, learnt, beta=2.0)
    after = margin(model.policy)
    assert after > before + 0.5
    model.policy.save(tmp_path)
    assert margin(Policy.load(tmp_path)) == pytest.approx(after, abs=1e-4)


def test_heads_that_learnt_nothing_change_nothing(model: SpeakingModel, said: Any) -> None:
    row = reply_of(said(("is it done", "no")), 0)
    with torch.no_grad():
        before = judge(model.policy, [row], model.renderer.pad_id).total_B
        decode_by(model.policy, ILQLHeads(32), beta=2.0)
        assert torch.equal(judge(model.policy, [row], model.renderer.pad_id).total_B, before)


def test_a_log_in_another_models_tokens_is_refused(model: SpeakingModel, said: Any) -> None:
    foreign = replace(said(("is it done", "no")), tokenizer="other")
    with pytest.raises(TrainingError, match="none of 1 episodes is in this model's tokens"):
        next(learn(model, [scored(foreign, 1.0)], OfflineConfig()))
