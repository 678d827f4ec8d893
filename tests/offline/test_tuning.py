"""Tuning by what people said: each rule moves the policy where its judgement points."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from dialog_rl.errors import TrainingError
from dialog_rl.lm.model import SpeakingModel
from dialog_rl.offline.judgements import Pair, Remark, Thumb
from dialog_rl.offline.replies import around, corrected, hinted, judge, reply_of
from dialog_rl.offline.tuning import RULES, TuningConfig, tune_corrections, tune_hints, tune_pairs, tune_thumbs

FEW = TuningConfig(epochs=4, batch=4, learning_rate=1e-3)


@torch.no_grad()
def likelihood(model: SpeakingModel, reply: Any) -> float:
    return float(judge(model.policy, [reply], model.renderer.pad_id).total_B[0])


def test_dpo_makes_the_chosen_reply_likelier_against_the_rejected(model: SpeakingModel, said: Any) -> None:
    good, bad = said(("is it done", "thanks, gladly")), said(("is it done", "no"))
    chosen, rejected = reply_of(good, 0), reply_of(bad, 0)
    before = likelihood(model, chosen) - likelihood(model, rejected)
    tuned = tune_pairs(model, [Pair(episode=bad, number=0, chosen=good.turns[0], rejected=bad.turns[0])] * 4, FEW)
    assert likelihood(model, chosen) - likelihood(model, rejected) > before + 0.5
    assert tuned.losses[0] == pytest.approx(0.6931, abs=1e-3)  # log 2: it begins where the reference stands


def test_kto_likes_what_was_liked(model: SpeakingModel, said: Any) -> None:
    good, bad = said(("is it done", "thanks, gladly")), said(("what now", "wait"))
    before = [likelihood(model, reply_of(e, 0)) for e in (good, bad)]
    tune_thumbs(model, [Thumb(episode=good, number=0, value=1.0), Thumb(episode=bad, number=0, value=-1.0)] * 2, FEW)
    after = [likelihood(model, reply_of(e, 0)) for e in (good, bad)]
    assert after[0] - before[0] > after[1] - before[1] + 0.5


def test_a_correction_is_imitated(model: SpeakingModel, said: Any) -> None:
    episode = said(("is it done", "no"))
    wanted = corrected(episode, 0, "thanks, gladly", model.renderer)
    before = likelihood(model, wanted)
    tune_corrections(model, [Remark(episode=episode, number=0, text="thanks, gladly")], FEW)
    assert likelihood(model, wanted) > before + 1


def test_a_hint_draws_the_policy_towards_what_it_would_have_said_knowing_it(model: SpeakingModel, said: Any) -> None:
    episode = said(("where is my parcel", "wait"), ("is it done", "thank you so much"))
    plain, told = reply_of(episode, 1), hinted(episode, 1, "say thank you", model.renderer)
    assert [step[1] for step in told.steps] == [step[1] for step in plain.steps]
    with torch.no_grad():
        before = judge(model.policy, [plain], model.renderer.pad_id)
        teacher = judge(model.policy, [told], model.renderer.pad_id)
    towards = teacher.logprobs_BT[teacher.mask_BT] - before.logprobs_BT[before.mask_BT]
    one = TuningConfig(epochs=1, batch=4, learning_rate=1e-4)
    tune_hints(model, [Remark(episode=episode, number=1, text="say thank you")], one)
    with torch.no_grad():
        after = judge(model.policy, [plain], model.renderer.pad_id)
    moved = after.logprobs_BT[after.mask_BT] - before.logprobs_BT[before.mask_BT]
    assert float((towards * moved).sum()) > 0


def test_a_correction_leaves_what_was_said_before_as_context(model: SpeakingModel, said: Any) -> None:
    episode = said(("where is my parcel", "wait"), ("is it done", "no"))
    row = corrected(episode, 1, "thanks, gladly", model.renderer)
    assert row.ids[: len(row.prefix)] == list(reply_of(episode, 1).prefix)
    assert sum(row.mask) == len(model.renderer.action(said(("", "thanks, gladly")).turns[0].steps[0].message))


def test_what_is_around_a_reply_has_the_reply_as_context(model: SpeakingModel, said: Any) -> None:
    episode = said(("where is my parcel", "wait"), ("is it done", "no"), ("what now", "thanks, gladly"))
    whole, row = reply_of(episode, 2), around(episode, 1)
    assert row.ids == whole.ids
    judged = len(reply_of(episode, 1).ids) - sum(reply_of(episode, 1).mask)
    lengths = [sum(reply_of(episode, n).mask) for n in range(3)]
    assert sum(row.mask) == lengths[0] + lengths[2]
    assert not any(row.mask[judged : judged + lengths[1]])
    assert around(episode, 2).ids == reply_of(episode, 1).ids


def test_what_nobody_judged_is_kept_by_rehearsal(model: SpeakingModel, said: Any) -> None:
    episode = said(("where is my parcel", "wait"), ("is it done", "no"))
    other = said(("is it done", "thanks, gladly")).turns[0]
    pair = Pair(episode=episode, number=1, chosen=other, rejected=episode.turns[1])
    kept = likelihood(model, reply_of(episode, 0))
    start = {name: weight.clone() for name, weight in model.policy.state_dict().items()}
    tune_pairs(model, [pair] * 4, replace(FEW, rehearsal=0.0))
    without = likelihood(model, reply_of(episode, 0))
    model.policy.load_state_dict(start)
    tune_pairs(model, [pair] * 4, FEW)
    assert likelihood(model, reply_of(episode, 0)) > max(kept, without)


@pytest.mark.parametrize("rule", list(RULES))
def test_judgements_in_another_models_tokens_are_left_out(model: SpeakingModel, said: Any, rule: str) -> None:
    foreign = replace(said(("is it done", "no")), tokenizer="other")
    turn = foreign.turns[0]
    judged = {
        "pairs": Pair(episode=foreign, number=0, chosen=turn, rejected=turn),
        "thumbs": Thumb(episode=foreign, number=0, value=1.0),
        "corrections": Remark(episode=foreign, number=0, text="wait"),
        "hints": Remark(episode=foreign, number=0, text="wait"),
    }
    kind, tune = RULES[rule]
    with pytest.raises(TrainingError, match="no such judgement of a reply in this model's tokens"):
        tune(model, [judged[kind]], FEW)


@pytest.mark.parametrize("rule", list(RULES))
def test_a_rule_without_judgements_says_so(model: SpeakingModel, rule: str) -> None:
    with pytest.raises(TrainingError, match="nothing to learn from"):
        RULES[rule][1](model, [], FEW)
