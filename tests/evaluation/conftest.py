"""A model with random weights and a tokenizer of a few sentences: enough to be asked how likely something is."""

from __future__ import annotations

import pytest

from dialog_rl.lm.model import SpeakingModel
from dialog_rl.lm.policy import ModelShape, Policy
from dialog_rl.lm.renderer import EmbeddedRenderer
from dialog_rl.lm.tokenizer import Tokenizer, train_tokenizer


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return train_tokenizer(
        ["where is my parcel, order 4471?", "It is on its way.", "Hello!"] * 20, vocabulary=352, seed=0
    )


@pytest.fixture
def model(tokenizer: Tokenizer) -> SpeakingModel:
    shape = ModelShape(
        vocab_size=-(-len(tokenizer) // 64) * 64, hidden=32, layers=2, heads=2, intermediate=48, max_positions=256
    )
    policy = Policy.fresh(shape, seed=3)
    for parameter in policy.model.parameters():  # far from uniform, so that a wrong place shows
        if parameter.dim() > 1:
            parameter.data.mul_(8)
    return SpeakingModel(policy=policy, renderer=EmbeddedRenderer(tokenizer), version="tiny")
