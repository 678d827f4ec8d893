"""Pretraining: the same seed gives the same weights, the loss falls, the critic learns returns, copying is measured."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

from dialog_rl.episode import Message, Role, ToolCall
from dialog_rl.errors import ConfigError
from dialog_rl.lm import pretrain as p
from dialog_rl.lm.demonstrations import Demonstration, Row, row_of
from dialog_rl.lm.held_out import measure
from dialog_rl.lm.policy import ModelShape, Policy

SHAPE = ModelShape(hidden=32, layers=2, heads=2, intermediate=64, max_positions=128)
CONFIG = p.PretrainConfig(tokens=6000, batch_tokens=512, ranks=1, vocabulary=400, tokenizer_sample=20, window=32)


def demonstration(n: int) -> Demonstration:
    rng = random.Random(n)
    order, good = str(rng.randint(1000, 9999)), rng.random() < 0.5
    call = ToolCall(name="find_order", arguments={"order_id": order})
    messages = (
        Message(role=Role.SYSTEM, text="Shop"),
        Message(role=Role.USER, text=f"Where is {order}?"),
        Message(role=Role.ASSISTANT, text="", tool_call=call),
        Message(role=Role.TOOL, text="shipped" if good else "lost"),
        Message(role=Role.ASSISTANT, text="It is on its way." if good else "I am sorry, it is lost."),
    )
    return Demonstration(messages=messages, episode_return=1.0 if good else -1.0)


def supply() -> Iterator[Demonstration]:
    return map(demonstration, itertools.count())


def weights(policy: Policy) -> torch.Tensor:
    return torch.cat([x.detach().flatten() for x in policy.parameters()])


@pytest.fixture(scope="module")
def pretrained() -> p.Pretrained:
    return p.pretrain(supply(), seed=1, shape=SHAPE, config=CONFIG, held_out=[demonstration(-n) for n in range(1, 20)])


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(pretrained: p.Pretrained) -> None:
    torch.manual_seed(123)
    state = torch.get_rng_state()
    again = p.pretrain(supply(), seed=1, shape=SHAPE, config=CONFIG)
    assert torch.equal(torch.get_rng_state(), state)
    assert again.renderer.fingerprint == pretrained.renderer.fingerprint
    assert torch.equal(weights(again.policy), weights(pretrained.policy))
    other = p.pretrain(supply(), seed=2, shape=SHAPE, config=CONFIG)
    assert not torch.equal(weights(other.policy), weights(pretrained.policy))


def test_the_loss_falls_far_below_guessing_and_the_critic_below_the_mean() -> None:
    config = replace(CONFIG, tokens=40_000, batch_tokens=256, adam_lr=1e-2)
    learned = p.pretrain(
        supply(), seed=1, shape=SHAPE, config=config, held_out=[demonstration(-n) for n in range(1, 40)]
    )
    assert learned.held_out is not None
    assert learned.held_out.loss < 1.5
    assert learned.held_out.value_error < 0.9 * learned.held_out.return_spread


def test_training_stops_at_its_budget_and_counts_what_it_used(pretrained: p.Pretrained) -> None:
    assert CONFIG.tokens <= pretrained.tokens < CONFIG.tokens + CONFIG.batch_tokens
    plain = replace(CONFIG, respelled=0.0)
    few = p.pretrain(map(demonstration, range(8)), seed=1, shape=SHAPE, config=plain)
    assert few.tokens == sum(len(row_of(demonstration(n), few.renderer)) for n in range(8))


def test_the_vocabulary_of_the_policy_holds_every_id_of_the_tokenizer(pretrained: p.Pretrained) -> None:
    assert len(pretrained.renderer.tokenizer) <= pretrained.policy.vocab_size
    assert pretrained.policy.vocab_size % 64 == 0


def test_progress_is_reported_and_the_held_out_figures_with_it() -> None:
    seen: list[p.Progress] = []
    config = replace(CONFIG, tokens=4000)
    done = p.pretrain(
        supply(), seed=1, shape=SHAPE, config=config, held_out=[demonstration(-1)],
        report=seen.append, report_every=2, probe_every=4,
    )  # fmt: skip
    assert [x.held_out is not None for x in seen[:4]] == [False, True, False, True]
    assert all(x.total_tokens == 4000 and x.loss > 0 for x in seen)
    assert seen[0].tokens < seen[-1].tokens <= done.tokens


def test_nothing_to_learn_from_is_refused() -> None:
    with pytest.raises(ConfigError, match="no demonstrations"):
        p.pretrain([], seed=0)
    with pytest.raises(ConfigError, match="tokens is 0"):
        p.PretrainConfig(tokens=0)


def test_a_conversation_too_long_for_the_model_is_left_out() -> None:
    long = Demonstration(
        messages=(Message(role=Role.USER, text="x " * 200), Message(role=Role.ASSISTANT, text="Yes.")),
        episode_return=0.0,
    )
    with_long = p.pretrain(
        [long, *map(demonstration, range(6))], seed=1, shape=SHAPE, config=replace(CONFIG, respelled=0.0, roughened=0.0)
    )
    assert with_long.tokens == sum(len(row_of(demonstration(n), with_long.renderer)) for n in range(6))


def rows(n: int) -> list[Row]:
    rng = random.Random(n)
    return [Row(ids=(i,) * rng.randint(2, 40), action_mask=(), episode_return=0.0) for i in range(n)]


def test_batches_hold_every_row_once_within_the_budget_and_little_padding() -> None:
    given = rows(300)
    batches = p.of_like_length(given, 200, random.Random(0))
    assert sorted(row.ids for batch in batches for row in batch) == sorted(row.ids for row in given)
    spent = [len(batch) * max(map(len, batch)) for batch in batches]
    assert max(spent) <= 200
    assert sum(map(len, given)) > 0.9 * sum(spent)
    assert batches != p.of_like_length(given, 200, random.Random(1))


def test_one_row_over_the_budget_is_a_batch_of_its_own() -> None:
    given = [Row(ids=(1,) * 300, action_mask=(), episode_return=0.0), *rows(3)]
    assert [len(batch) for batch in p.of_like_length(given, 200, random.Random(0)) if len(batch[0]) == 300] == [1]


def test_padding_changes_no_gradient(pretrained: p.Pretrained) -> None:
    """Two rows at once weigh as the two alone, token by token."""
    config = replace(CONFIG, observed=0.0, value_weight=0.0)
    policy, short = pretrained.policy, row_of(demonstration(1), pretrained.renderer)
    longer = replace(short, ids=(*short.ids, *short.ids), action_mask=(*short.action_mask, *[False] * len(short)))

    def gradient(batch: list[Row]) -> torch.Tensor:
        policy.zero_grad()
        p.loss_of(policy, batch, config)[0].backward()
        return torch.cat([x.grad.flatten() for x in policy.model.parameters() if x.grad is not None])

    assert torch.allclose(gradient([short, longer]), gradient([short]), atol=2e-3)


def test_two_processes_learn_what_one_learns_from_batches_twice_as_many() -> None:
    config = replace(CONFIG, tokens=3000, ranks=2)
    first, again = (p.pretrain(supply(), seed=1, shape=SHAPE, config=config) for _ in range(2))
    assert torch.equal(weights(first.policy), weights(again.policy))
    assert 3000 <= first.tokens < 3000 + 2 * config.batch_tokens


def test_the_held_out_figures_are_those_of_the_policy_returned(pretrained: p.Pretrained) -> None:
    assert pretrained.held_out is not None
    again = measure(pretrained.policy, [row_of(demonstration(-n), pretrained.renderer) for n in range(1, 20)])
    assert again.loss == pytest.approx(pretrained.held_out.loss)


@pytest.mark.parametrize(
    ("progress", "factor"), [(0.0, 0.02), (0.05, 0.5), (0.1, 1.0), (0.55, 0.5), (1.0, 0.02), (1.2, 0.02)]
)
def test_the_learning_rate_rises_and_falls_in_lines(progress: float, factor: float) -> None:
    assert p.schedule(progress, 0.1) == pytest.approx(factor)


def test_a_return_that_nobody_knows_teaches_the_critic_nothing_and_the_policy_all_the_same() -> None:
    policy = Policy.fresh(replace(SHAPE, vocab_size=512), seed=1)
    renderer = p.EmbeddedRenderer(p.train_tokenizer(p.texts_of(map(demonstration, range(20))), vocabulary=400, seed=1))
    known = row_of(demonstration(1), renderer)
    for episode_return, teaches in ((1.0, True), (float("nan"), False)):
        policy.zero_grad()
        loss, _ = p.loss_of(policy, [replace(known, episode_return=episode_return)], replace(CONFIG, observed=0))
        loss.backward()
        assert torch.isfinite(loss)
        model: Any = policy.model
        heads, embeddings = policy.value_head.weight.grad, model.get_input_embeddings().weight.grad
        assert heads is not None and bool(heads.any()) is teaches
        assert embeddings.isfinite().all()
