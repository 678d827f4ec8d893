"""The start that copies: before any training, copies are mostly right; and training can still change every weight."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch

from dialog_rl.lm.demonstrations import Row
from dialog_rl.lm.held_out import padded
from dialog_rl.lm.induction import DISTANCES, seed_induction
from dialog_rl.lm.policy import ModelShape, Policy

SHAPE = ModelShape(vocab_size=576, hidden=256, layers=2, heads=4, intermediate=64)


def drill(rng: random.Random) -> Row:
    """Words of random pieces, which come again in another order: every piece but a word's first can be looked up."""
    asked = [[rng.randrange(20, 500) for _ in range(rng.randint(2, 8))] for _ in range(12)]
    said = rng.sample(asked, len(asked))
    observed = [i for word in asked for i in word]
    follows = [at > 0 for word in said for at in range(len(word))]
    ids = (*observed, *(i for word in said for i in word))
    return Row(ids=ids, action_mask=(*[False] * len(observed), *follows), episode_return=0.0)


def trunk(policy: Policy) -> Any:
    """Its model; that it is a Llama is not known to the types."""
    return policy.model


def share_right(policy: Policy, seed: int) -> float:
    ids_BT, action_mask_BT, _ = padded([drill(random.Random(seed + n)) for n in range(8)])
    with torch.no_grad():
        guess_BT = policy.logits(policy.hidden(ids_BT)).argmax(-1)
    return (guess_BT[:, :-1] == ids_BT[:, 1:])[action_mask_BT[:, 1:]].float().mean().item()


def test_it_copies_before_it_has_learned_anything() -> None:
    policy = Policy.fresh(SHAPE, seed=0)
    assert share_right(policy, 0) < 0.05
    seed_induction(trunk(policy), seed=1)
    assert share_right(policy, 0) > 0.5


def test_a_head_attends_to_each_distance() -> None:
    policy = Policy.fresh(SHAPE, seed=0)
    seed_induction(trunk(policy), seed=1)
    policy.model.set_attn_implementation("eager")
    ids = torch.randint(0, 576, (2, 200), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        weights_BHTT = policy.model.model(ids, output_attentions=True).attentions[0]
    for head in range(DISTANCES):
        assert weights_BHTT[:, head].diagonal(-(head + 1), 1, 2).mean() > 0.7


def test_every_parameter_can_still_learn() -> None:
    policy = Policy.fresh(SHAPE, seed=0)
    seed_induction(trunk(policy), seed=1)
    optimizer = torch.optim.SGD(policy.model.parameters(), lr=0.1)
    ids_BT, _, _ = padded([drill(random.Random(n)) for n in range(4)])
    for _ in range(2):  # what reads a part that begins at zero gets its first gradient in the second step
        optimizer.zero_grad()
        policy.model(ids_BT, labels=ids_BT).loss.backward()
        optimizer.step()
    for name, parameter in policy.model.named_parameters():
        assert parameter.grad is not None and parameter.grad.any(), name


@pytest.mark.parametrize("shape", [ModelShape(vocab_size=64, hidden=32, layers=2, heads=2, intermediate=16)])
def test_the_same_seed_gives_the_same_start_for_any_shape(shape: ModelShape) -> None:
    first, again = Policy.fresh(shape, seed=0), Policy.fresh(shape, seed=0)
    for policy in (first, again):
        seed_induction(trunk(policy), seed=1)
    for a, b in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b) and a.isfinite().all()
