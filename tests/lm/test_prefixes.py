"""What many dialogues begin with is computed once, to the same bits as alone."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch

from dialog_rl.lm import prefixes
from dialog_rl.lm.decoder import open_decoder
from dialog_rl.lm.family_decoder import FamilyDecoder
from dialog_rl.lm.policy import Policy
from dialog_rl.lm.slots import SlotDecoder
from tests.lm.families import FAMILIES, small_model


@pytest.fixture(autouse=True)
def short_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefixes, "CHUNK", 16)


def ids(count: int, seed: int) -> list[int]:
    return [random.Random(f"{seed} {n}").randrange(100, 200) for n in range(count)]


def computed(decoder: SlotDecoder, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Filled with how many tokens each forward computes."""
    found: list[int] = []
    forward = type(decoder)._forward  # noqa: SLF001

    def counted(self: Any, spans: Any, new: Any) -> Any:
        found.append(sum(count for _, count, _ in spans))
        return forward(self, spans, new)

    monkeypatch.setattr(type(decoder), "_forward", counted)
    return found


BRIEF = ids(40, 0)
PROMPTS = [[*BRIEF, *ids(9, 1)], [*BRIEF, *ids(30, 2)], ids(21, 3), [*BRIEF[:20], *ids(9, 4)]]


@pytest.mark.parametrize("name", FAMILIES)
def test_a_dialogue_has_the_same_bits_whoever_else_begins_with_its_words(name: str) -> None:
    policy = Policy(small_model(name)).eval()
    together, alone = open_decoder(policy, slots=4), open_decoder(policy, slots=4)
    rows = together.prefill([2, 0, 3, 1], PROMPTS)
    for row, slot, prompt in zip(rows, (2, 0, 3, 1), PROMPTS, strict=True):
        alone.refresh()
        assert torch.equal(alone.prefill([slot], [prompt])[0], row)
    last = together.decode([2, 0, 3, 1], [101, 102, 103, 104])[-1]
    assert torch.equal(alone.decode([1], [104])[0], last)


@pytest.mark.parametrize("name", ["llama3", "qwen2"])
def test_shared_words_are_computed_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = open_decoder(Policy(small_model(name)).eval(), slots=4)
    tokens = computed(decoder, monkeypatch)
    decoder.prefill([2, 0, 3, 1], PROMPTS)
    # Chunks of 16 tokens: the first of the brief and of the third; the second of the brief; what the first and the
    # second say then, and the second alone; what is left of each
    assert tokens == [32, 16, 32, 16, 1 + 6 + 5 + 13]
    tokens.clear()
    decoder.rewind(0)
    decoder.prefill([0], [[*BRIEF, 150]])
    assert tokens == [9]


def test_other_weights_compute_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = Policy(small_model("qwen2")).eval()
    decoder = FamilyDecoder(policy, slots=1)
    before = decoder.prefill([0], [BRIEF])
    with torch.no_grad():
        next(policy.model.parameters()).mul_(1.5)
    decoder.refresh()
    assert not torch.equal(decoder.prefill([0], [BRIEF]), before)


def test_only_so_many_chunks_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefixes, "MOST", 2)
    decoder = FamilyDecoder(Policy(small_model("qwen2")).eval(), slots=2)
    tokens = computed(decoder, monkeypatch)
    for prompt in (BRIEF, ids(40, 7), BRIEF):
        decoder.rewind(0)
        decoder.prefill([0], [prompt])
    assert sum(tokens) == 120
    tokens.clear()
    decoder.prefill([1], [BRIEF])
    assert sum(tokens) == 8
