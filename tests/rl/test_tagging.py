"""Tags as actions: entities, their F1, and a policy gradient that is the gradient of the expected F1."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from dialog_rl.rl.tagging import (
    Sentence,
    Tagger,
    classification_report,
    entities,
    entity_f1,
    practise,
    rewards,
    self_critical_loss,
    teach,
)


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ([0, 1, 2, 0], {(0, 1, 3)}),
        ([1, 1], {(0, 0, 1), (0, 1, 2)}),
        ([1, 4, 2], {(0, 0, 1), (1, 1, 2), (0, 2, 3)}),
        ([2, 2], {(0, 0, 2)}),
        ([0, 0], set()),
    ],
)
def test_entities_are_what_the_tags_say(tags: list[int], found: set[tuple[int, int, int]]) -> None:
    assert entities(tags) == found


def test_f1_is_the_harmonic_mean_of_precision_and_recall() -> None:
    said, true = {(0, 0, 1), (0, 2, 3)}, {(0, 0, 1), (0, 4, 5), (1, 2, 3)}
    precision, recall = 1 / 2, 1 / 3
    assert entity_f1(said, true) == pytest.approx(2 * precision * recall / (precision + recall))
    assert entity_f1(set(), set()) == 1.0


def test_the_report_counts_each_class_by_itself() -> None:
    first, second, whole = classification_report([{(0, 0, 1), (1, 1, 2)}], [{(0, 0, 1), (1, 2, 3)}])
    assert (first.precision, first.recall, first.f1, first.support) == (1.0, 1.0, 1.0, 1)
    assert second.f1 == 0.0
    assert (whole.kind, whole.f1, whole.support) == (-1, 0.5, 2)


def test_the_policy_gradient_is_that_of_the_expected_f1_whatever_the_baseline() -> None:
    """Every tagging of two tokens is weighed, beside the derivative of the expectation itself."""
    logits = torch.tensor([[0.3, -0.2, 0.1], [0.0, 0.5, -0.4]], dtype=torch.float64, requires_grad=True)
    one = Sentence(features=((0,), (1,)), tags=(1, 2))
    logp = logits.log_softmax(-1)
    expected = surrogate = torch.zeros((), dtype=torch.float64)
    for tags in product(range(3), repeat=2):
        said = logp[0, tags[0]] + logp[1, tags[1]]
        reward = rewards(torch.tensor(tags), [one]).double()
        expected = expected + said.exp() * reward[0]
        loss = self_critical_loss(said[None], reward, torch.tensor([0.37]).double())
        surrogate = surrogate + said.exp().detach() * loss[0]
    (wanted,) = torch.autograd.grad(expected, logits, retain_graph=True)
    (got,) = torch.autograd.grad(surrogate, logits)
    assert torch.allclose(got, -wanted, atol=1e-9)


def lessons() -> list[Sentence]:
    """Feature 1 begins an entity, 2 goes on with it if 1 stood before, which the neighbour's feature 3 tells."""
    shapes = [((0, 1, 2, 0), (0, 1, 2, 0)), ((1, 0, 0), (1, 0, 0)), ((0, 0, 1, 2), (0, 0, 1, 2))]
    return [Sentence(features=tuple((n,) for n in features), tags=tags) for features, tags in shapes] * 8


def test_a_tagger_learns_what_it_is_shown() -> None:
    model = Tagger(4, 3, width=8)
    losses = teach(model, lessons(), epochs=30, learning_rate=3e-2, seed=0)
    assert losses[-1] < 0.2 * losses[0]
    assert model.tag(lessons()[:1]) == [[0, 1, 2, 0]]


def test_reward_alone_makes_a_poor_tagger_better() -> None:
    model = Tagger(4, 3, width=8, seed=1)
    teach(model, lessons(), epochs=2, learning_rate=1e-2, seed=0)
    with torch.no_grad():
        before = float(rewards(model(lessons()).argmax(-1), lessons()).mean())
    earned = practise(model, lessons(), epochs=40, learning_rate=3e-2, samples=4, seed=0)
    with torch.no_grad():
        after = float(rewards(model(lessons()).argmax(-1), lessons()).mean())
    assert before < 0.5 and after > 0.9
    assert earned[-1] > earned[0]
