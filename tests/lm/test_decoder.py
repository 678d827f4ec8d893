from __future__ import annotations

import math
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dialog_rl.errors import ModelError
from dialog_rl.lm.decoder import Decoder, sample
from dialog_rl.lm.policy import ModelShape, Policy

TINY = ModelShape(vocab_size=50, hidden=32, layers=2, heads=2, intermediate=48, max_positions=64)
POLICY = Policy.fresh(TINY, seed=0)
with torch.no_grad():
    for parameter in POLICY.parameters():  # norm weights away from one, attention away from uniform
        if parameter.dim() == 1:
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)) * 0.3)
        else:
            parameter.mul_(8)


def tokens(count: int, seed: int = 0) -> list[int]:
    rng = random.Random(seed)
    return [rng.randrange(TINY.vocab_size) for _ in range(count)]


def reference(ids: list[int]) -> torch.Tensor:
    return POLICY.model(torch.tensor([ids])).logits[0, -1].detach()


def test_greedy_tokens_are_those_of_transformers_generate() -> None:
    prompt = tokens(9)
    decoder = Decoder(POLICY, slots=2, max_length=64)
    logits, mine = decoder.prefill([1], [prompt]), []
    for _ in range(40):
        token = sample(logits, [0.0], temperature=0)[0].token
        mine.append(token)
        logits = decoder.decode([1], [token])
    theirs = POLICY.model.generate(torch.tensor([prompt]), max_new_tokens=40, do_sample=False, eos_token_id=None)  # type: ignore[operator]
    assert mine == theirs[0, 9:].tolist()


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 3), st.integers(1, 6)), max_size=4, unique_by=lambda f: f[0]), max_size=6
    )
)
def test_any_ragged_feeding_equals_one_plain_forward(rounds: list[list[tuple[int, int]]]) -> None:
    decoder = Decoder(POLICY, slots=4, max_length=64)
    fed: list[list[int]] = [[], [], [], []]
    for number, feeds in enumerate(feeds for feeds in rounds if feeds):
        new = [tokens(count, seed=number * 10 + slot) for slot, count in feeds]
        logits = decoder.prefill([slot for slot, _ in feeds], new)
        for (slot, _), ids, row in zip(feeds, new, logits, strict=True):
            fed[slot] += ids
            assert decoder.length(slot) == len(fed[slot])
            assert torch.allclose(row, reference(fed[slot]), atol=1e-4)


def test_logprobs_agree_with_the_policys_own_evaluation() -> None:
    rng, decoder = random.Random(0), Decoder(POLICY, slots=3, max_length=64)
    ids, logprobs = tokens(7), []
    logits = decoder.prefill([0], [ids])
    for _ in range(50):
        drawn = sample(logits, [rng.random()], temperature=0.8)[0]
        ids, logprobs = [*ids, drawn.token], [*logprobs, drawn.logprob]
        logits = decoder.decode([0], [drawn.token])
    mask = torch.arange(57)[None] >= 7
    out = POLICY.evaluate(torch.tensor([ids]), torch.tensor([57]), mask, temperature=0.8)
    assert (out.logprobs_BT[0, 7:] - torch.tensor(logprobs)).abs().max() <= 1e-4


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_neighbours_do_not_change_a_single_bit(dtype: torch.dtype) -> None:
    shape = ModelShape(vocab_size=301, hidden=96, layers=2, heads=3, intermediate=136, max_positions=96)
    policy = Policy.fresh(shape, seed=2)
    script = [tokens(n, seed=n) for n in (11, 1, 1, 5, 1, 30, 1)]

    def run(slots: int, slot: int) -> list[torch.Tensor]:
        decoder, rows = Decoder(policy, slots=slots, max_length=96, dtype=dtype), []
        for number, new in enumerate(script):
            others = [s for s in range(slots) if s != slot and (s + number) % 3]
            order = [*others[: len(others) // 2], slot, *others[len(others) // 2 :]]
            ids = [new if s == slot else tokens(1 + (s * number) % 7, seed=s) for s in order]
            rows.append(decoder.prefill(order, ids)[order.index(slot)].clone())
        return rows

    alone = run(1, 0)
    for slots, slot in ((2, 1), (3, 0), (4, 2), (16, 9), (37, 36)):
        assert all(torch.equal(a, b) for a, b in zip(alone, run(slots, slot), strict=True)), slots


def test_a_freed_slot_keeps_no_trace_of_its_last_dialogue() -> None:
    decoder = Decoder(POLICY, slots=2, max_length=64)
    fresh = decoder.prefill([1], [tokens(10, seed=5)]).clone()
    decoder.prefill([0], [tokens(60, seed=6)])
    decoder.rewind(0)
    assert torch.equal(decoder.prefill([0], [tokens(10, seed=5)]), fresh)


def test_a_rewound_slot_goes_on_as_if_nothing_had_been_fed() -> None:
    decoder = Decoder(POLICY, slots=2, max_length=64)
    decoder.prefill([0, 1], [tokens(10), tokens(10)])
    decoder.prefill([0], [tokens(20, seed=8)])
    decoder.rewind(0, 10)
    one, other = decoder.decode([0, 1], [7, 7])
    assert torch.equal(one, other)
    with pytest.raises(ValueError, match="holds 11 tokens"):
        decoder.rewind(0, 12)


def test_refresh_takes_over_new_weights_and_frees_the_slots() -> None:
    policy = Policy.fresh(TINY, seed=4)
    decoder = Decoder(policy, slots=1, max_length=64)
    before = decoder.prefill([0], [tokens(5)]).clone()
    with torch.no_grad():
        policy.model.model.layers[0].mlp.down_proj.weight.add_(0.5)
    decoder.rewind(0)
    assert torch.equal(decoder.prefill([0], [tokens(5)]), before)
    decoder.refresh()
    assert decoder.length(0) == 0
    after = decoder.prefill([0], [tokens(5)])
    assert not torch.allclose(after, before)
    assert torch.allclose(after[0], policy.model(torch.tensor([tokens(5)])).logits[0, -1], atol=1e-4)


def test_damaged_weights_raise_instead_of_choosing_token_zero() -> None:
    policy = Policy.fresh(TINY, seed=4)
    with torch.no_grad():
        policy.model.model.norm.weight[3] = math.nan
    with pytest.raises(ModelError, match="not finite"):
        Decoder(policy, slots=1, max_length=8).prefill([0], [[1, 2]])


def test_a_full_slot_and_misused_slots_are_refused() -> None:
    decoder = Decoder(POLICY, slots=2, max_length=8)
    decoder.prefill([0], [tokens(8)])
    with pytest.raises(ValueError, match="room for 0"):
        decoder.decode([0], [1])
    for slots, ids in (([], []), ([1, 1], [[1], [2]]), ([1], [[]])):
        with pytest.raises(ValueError):
            decoder.prefill(slots, ids)
    with pytest.raises(ModelError, match="64 positions"):
        Decoder(POLICY, slots=1, max_length=65)


def test_grouped_query_heads_decode_as_transformers_do() -> None:
    from transformers import LlamaForCausalLM

    config = ModelShape(vocab_size=50, hidden=32, layers=2, heads=4, intermediate=48, max_positions=64).config()
    config.num_key_value_heads = 2
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        policy = Policy(LlamaForCausalLM(config))
    logits = Decoder(policy, slots=1, max_length=16).prefill([0], [tokens(9)])
    assert torch.allclose(logits[0], policy.model(torch.tensor([tokens(9)])).logits[0, -1], atol=1e-5)


def test_bf16_decoding_stays_close() -> None:
    policy = Policy.fresh(TINY, seed=4)
    exact = Decoder(policy, slots=1, max_length=16).prefill([0], [tokens(9)])
    rough = Decoder(policy, slots=1, max_length=16, dtype=torch.bfloat16).prefill([0], [tokens(9)])
    assert rough.dtype == torch.float32
    assert 0 < (rough - exact).abs().max() < 0.05


def test_samples_follow_the_distribution() -> None:
    logits = torch.tensor([[0.3, -1.0, 1.2, -math.inf, 0.0]]).clamp(min=-1e9)
    draws = 4000
    uniforms = [(i + 0.5) / draws for i in range(draws)]
    got = sample(logits.expand(draws, -1), uniforms, temperature=0.5)
    wanted = (logits[0] / 0.5).softmax(-1)
    for token in range(5):
        share = sum(s.token == token for s in got) / draws
        assert share == pytest.approx(wanted[token].item(), abs=2 / draws)
    assert all(s.logprob == pytest.approx(wanted[s.token].log().item(), abs=1e-5) for s in got[::97])


@pytest.mark.parametrize("uniform", [0.0, math.nextafter(1.0, 0.0), 0.5])
def test_a_token_without_probability_is_never_drawn(uniform: float) -> None:
    logits = torch.full((1, 64), -1e9)
    logits[0, 20:40] = 0.0
    assert 20 <= sample(logits, [uniform], temperature=1.0)[0].token < 40


def test_greedy_reports_the_logprob_at_temperature_one() -> None:
    logits = torch.tensor([[0.0, 2.0, 1.0]])
    token, logprob = sample(logits, [0.99], temperature=0)[0]
    assert token == 1
    assert logprob == pytest.approx(logits.log_softmax(-1)[0, 1].item())
