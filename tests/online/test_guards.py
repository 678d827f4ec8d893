"""The fuses blow where they must, and not before."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from dialog_rl.bench.rehearsal import MakeModel, chats, registry
from dialog_rl.chat.setting import LEARNABLE
from dialog_rl.online.apprentice import DEFAULT_REWARDS
from dialog_rl.online.guards import Signs, Wording, alarm, signs, warning, wording
from dialog_rl.online.learn_config import LearnConfig
from dialog_rl.plugins.rewards import build_rewards
from dialog_rl.rl.batch import EpisodeBatch
from dialog_rl.scoring import score_episodes

CALM = Signs(kl_anchor=0.1, entropy=1.0, anchor_entropy=1.2, wording=Wording(distinct=0.5, duplicates=0.2))
FIRST = Wording(distinct=0.6, duplicates=0.2)
CONFIG = LearnConfig()


def test_a_calm_policy_raises_no_alarm():
    assert alarm(CALM, FIRST, CONFIG) == "" and warning(CALM, CONFIG) == ""


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"kl_anchor": 0.6}, "KL from the anchor"),
        ({"kl_anchor": float("nan")}, "not finite"),
        ({"entropy": float("inf")}, "not finite"),
        ({"entropy": 0.5}, "collapsing"),
        ({"wording": Wording(distinct=0.3, duplicates=0.2)}, "repeats itself"),
        ({"wording": Wording(distinct=0.6, duplicates=0.6)}, "duplicates"),
    ],
)
def test_each_fuse_says_why(changed: dict[str, Any], words: str):
    assert words in alarm(replace(CALM, **changed), FIRST, CONFIG)


def test_a_kl_budget_nearly_spent_is_said_aloud():
    assert "near the budget" in warning(replace(CALM, kl_anchor=0.45), CONFIG)


def batch_of(model, episodes):
    scored = score_episodes(build_rewards(registry(), DEFAULT_REWARDS), episodes)
    return EpisodeBatch.from_scored(scored, model.renderer.pad_id)


def test_a_policy_is_no_way_from_itself(tiny_model: MakeModel):
    model = tiny_model()
    episodes = chats(model, [1, 2], version="v1")
    found = signs(model.policy, tiny_model().policy, batch_of(model, episodes), episodes)
    assert found.kl_anchor == pytest.approx(0.0, abs=1e-6) and found.entropy == pytest.approx(found.anchor_entropy)


def test_divergence_and_entropy_are_those_of_the_whole_distributions(tiny_model: MakeModel):
    """Against a plain sum over the vocabulary, token by token, without batches."""
    model, anchor = tiny_model(), tiny_model()
    with torch.no_grad():
        for parameter in model.policy.model.parameters():
            parameter.mul_(1.5)
    episodes = chats(anchor, [1, 2, 3], version="v1")
    found = signs(model.policy, anchor.policy, batch_of(model, episodes), episodes)
    kls, entropies = [], []
    for episode in episodes:
        ids = [i for s in episode.steps for i in (*s.observation_ids, *s.action_ids)]
        acted = [a for s in episode.steps for a in (*[False] * len(s.observation_ids), *[True] * len(s.action_ids))]
        with torch.no_grad():
            p_TV, q_TV = (
                torch.softmax(m.policy.model(torch.tensor([ids])).logits[0].double() / LEARNABLE, -1)
                for m in (model, anchor)
            )
        for t in (t for t, action in enumerate(acted) if action):
            p, q = p_TV[t - 1], q_TV[t - 1]
            kls.append(float((p * (p / q).log()).sum()))
            entropies.append(float(-(p * p.log()).sum()))
    assert found.kl_anchor == pytest.approx(sum(kls) / len(kls), rel=1e-3)
    assert found.entropy == pytest.approx(sum(entropies) / len(entropies), rel=1e-4)


def test_wording_counts_pairs_of_words_and_equal_replies(tiny_model: MakeModel):
    (episode,) = chats(tiny_model(), [1], version="v1")
    turn, step = episode.turns[0], episode.turns[0].steps[0]

    def saying(text: str):
        message = replace(step.message, text=text, tool_call=None, malformed="")
        return replace(turn, steps=(replace(step, message=message, result=None),))

    said = replace(episode, turns=(saying("a b c"), saying("A b C"), saying("a b d")))
    found = wording([said])
    assert found.distinct == 3 / 6 and found.duplicates == pytest.approx(1 / 3)
    assert wording([]) == Wording()
