"""A model too small to say anything sensible, which is all that the machinery around it needs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dialog_rl.lm.demonstrations import texts_of
from dialog_rl.lm.model import SpeakingModel
from dialog_rl.lm.policy import ModelShape, Policy
from dialog_rl.lm.renderer import EmbeddedRenderer
from dialog_rl.lm.tokenizer import Tokenizer, train_tokenizer
from dialog_rl.online.apprentice import Apprenticeship, demonstrations

TINY = ModelShape(hidden=32, layers=2, heads=2, intermediate=48, max_positions=384)


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    shown = demonstrations(Apprenticeship(packs=("retail",)), count=40)
    return train_tokenizer(texts_of(shown), vocabulary=640, seed=0)


@pytest.fixture
def tiny_model(tokenizer: Tokenizer) -> Callable[[], SpeakingModel]:
    """Makes the same fresh model every time."""

    def make() -> SpeakingModel:
        from dataclasses import replace

        shape = replace(TINY, vocab_size=-(-len(tokenizer) // 64) * 64)
        return SpeakingModel(policy=Policy.fresh(shape, seed=3), renderer=EmbeddedRenderer(tokenizer), version="tiny")

    return make
