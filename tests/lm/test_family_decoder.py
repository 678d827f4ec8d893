from __future__ import annotations

import random
from functools import cache
from typing import Any

import pytest
import torch

from dialog_rl.lm.decoder import Decoder, open_decoder, sample
from dialog_rl.lm.family_decoder import FamilyDecoder
from dialog_rl.lm.policy import Policy
from tests.lm.families import FAMILIES, small_model

NAMES = tuple(FAMILIES)


@cache
def policy(name: str) -> Policy:
    made = Policy(small_model(name))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        torch.nn.init.normal_(made.value_head.weight)
    return made.eval()


def prompts(name: str, lengths: tuple[int, ...] = (5, 40, 1, 17)) -> list[list[int]]:
    rng, size = random.Random(3), policy(name).vocab_size
    return [[rng.randrange(size) for _ in range(length)] for length in lengths]


def greedy(decoder: object, slot_prompts: dict[int, list[int]], tokens: int) -> dict[int, list[int]]:
    """Likeliest tokens of several dialogues at once."""
    assert isinstance(decoder, Decoder | FamilyDecoder)
    slots = list(slot_prompts)
    logits = decoder.prefill(slots, list(slot_prompts.values()))
    out: dict[int, list[int]] = {slot: [] for slot in slots}
    for _ in range(tokens):
        drawn = sample(logits, [0.0] * len(slots), temperature=0)
        for slot, one in zip(slots, drawn, strict=True):
            out[slot].append(one.token)
        logits = decoder.decode(slots, [one.token for one in drawn])
    return out


@pytest.mark.parametrize("name", NAMES)
def test_the_engine_takes_the_tokens_that_generate_takes(name: str) -> None:
    model: Any = policy(name).model
    asked = prompts(name)
    found = greedy(open_decoder(policy(name), slots=6), dict(zip((4, 0, 2, 5), asked, strict=True)), 30)
    for slot, prompt in zip((4, 0, 2, 5), asked, strict=True):
        wanted = model.generate(
            torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt)), max_new_tokens=30, do_sample=False,
            eos_token_id=None, pad_token_id=0,
        )  # fmt: skip
        assert found[slot] == wanted[0, len(prompt) :].tolist()


@pytest.mark.parametrize("name", NAMES)
def test_neither_neighbours_nor_the_number_of_slots_change_a_bit(name: str) -> None:
    asked = prompts(name)
    together = FamilyDecoder(policy(name), slots=4)
    alone = FamilyDecoder(policy(name), slots=1)
    both = together.prefill([0, 1, 2, 3], asked)
    for row, prompt in enumerate(asked):
        alone.rewind(0)
        assert torch.equal(alone.prefill([0], [prompt])[0], both[row])
    step = together.decode([0, 1, 2, 3], [1, 2, 3, 4])
    assert torch.equal(alone.decode([0], [4])[0], step[3])


@pytest.mark.parametrize("name", NAMES)
def test_the_engine_and_the_learner_agree_on_log_probs(name: str) -> None:
    ids = prompts(name, (70,))[0]
    decoder = open_decoder(policy(name), slots=2)
    rows = [decoder.prefill([1], [ids[:20]])]
    rows += [decoder.decode([1], [token]) for token in ids[20:-1]]
    engine = torch.cat(rows).log_softmax(-1).gather(-1, torch.tensor(ids[20:])[:, None]).squeeze(-1)
    mask = torch.zeros(1, 70, dtype=torch.bool)
    mask[0, 20:] = True
    with torch.no_grad():
        learner = policy(name).evaluate(torch.tensor([ids]), torch.tensor([70]), mask).logprobs_BT[0, 20:]
    assert float((engine - learner).abs().max()) <= 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_the_policys_log_probs_are_those_of_the_model_itself(name: str) -> None:
    ids = torch.tensor(prompts(name, (30,)))
    mask = torch.ones(1, 30, dtype=torch.bool)
    mask[0, 0] = False
    with torch.no_grad():
        wanted = policy(name).model(input_ids=ids, use_cache=False).logits.log_softmax(-1)[0, :-1]
        found = policy(name).evaluate(ids, torch.tensor([30]), mask).logprobs_BT[0, 1:]
    assert torch.allclose(found, wanted.gather(-1, ids[0, 1:, None]).squeeze(-1), atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_in_bf16_engine_and_learner_stay_within_a_twentieth_of_a_nat(name: str) -> None:
    """With weights as large as those a family begins with; the other tests' are five times as large."""
    model = small_model(name)
    with torch.no_grad():
        for p in model.parameters():
            if p.dim() > 1:
                p.div_(5)
    rough = Policy(model, autocast=True).eval()
    ids = prompts(name, (40,))[0]
    decoder = open_decoder(rough, slots=1)
    rows = [decoder.prefill([0], [ids[:20]]), *(decoder.decode([0], [token]) for token in ids[20:-1])]
    engine = torch.cat(rows).log_softmax(-1).gather(-1, torch.tensor(ids[20:])[:, None]).squeeze(-1)
    mask = torch.arange(40)[None] >= 20
    with torch.no_grad():
        learner = rough.evaluate(torch.tensor([ids]), torch.tensor([40]), mask).logprobs_BT[0, 20:]
    assert 0 < float((engine - learner).abs().max()) <= 0.05


@pytest.mark.parametrize("name", NAMES)
def test_a_row_of_all_turns_has_the_gradients_of_a_row_for_each_turn(name: str) -> None:
    ids, turns = torch.tensor(prompts(name, (36,))), ((8, 14), (20, 27), (30, 36))
    made = Policy(small_model(name)).eval()

    def gradients(*masks: torch.Tensor) -> dict[str, torch.Tensor]:
        made.zero_grad()
        for mask in masks:
            end = int(mask.nonzero()[-1, 1]) + 1
            out = made.evaluate(ids[:, :end], torch.tensor([end]), mask[:, :end])
            (out.logprobs_BT.sum() + out.entropy_BT.sum()).backward()
        return {n: p.grad.clone() for n, p in made.named_parameters() if p.grad is not None}

    places = torch.arange(36)[None]
    each = [(places >= begin) & (places < end) for begin, end in turns]
    whole, apart = gradients(each[0] | each[1] | each[2]), gradients(*each)
    assert whole.keys() == apart.keys() and len(whole) > 5
    largest = max(float(g.abs().max()) for g in apart.values())
    assert all(torch.allclose(whole[n], apart[n], atol=1e-4 * largest, rtol=1e-3) for n in whole)


@pytest.mark.parametrize("name", ["gemma2", "qwen2", "gpt2"])
def test_all_slots_at_once_give_what_one_by_one_give(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The accelerator's way, on the CPU."""
    from dialog_rl.lm import family_decoder

    asked, found = prompts(name), []
    for together in (False, True):
        decoder = FamilyDecoder(policy(name), slots=5)
        decoder.prefill([0, 4, 2, 1], asked)
        if together:
            monkeypatch.setattr(family_decoder, "_one_by_one", family_decoder._together)
        found.append(decoder.decode([2, 0, 1, 4], [7, 8, 9, 10]))
    assert torch.allclose(found[0], found[1], atol=1e-4)


def test_a_slot_can_be_rewound_and_outgrow_its_first_cells() -> None:
    name = "gemma3"
    ids = prompts(name, (600,))[0]
    decoder = FamilyDecoder(policy(name), slots=2, max_length=700)
    whole = decoder.prefill([0], [ids])
    decoder.rewind(0, 100)
    again = decoder.prefill([0], [ids[100:]])
    assert torch.allclose(whole, again, atol=1e-4) and decoder.length(0) == 600 and decoder.room(0) == 100
    with pytest.raises(ValueError, match="cannot be rewound"):
        decoder.rewind(0, 601)
    with pytest.raises(ValueError, match="room for 100"):
        decoder.prefill([0], [ids[:101]])


def test_plain_llamas_on_a_cpu_get_the_quick_decoder() -> None:
    assert isinstance(open_decoder(policy("llama3"), slots=1), Decoder)
    assert isinstance(open_decoder(policy("qwen2"), slots=1), FamilyDecoder)
