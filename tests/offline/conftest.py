"""A shop of few words, and a model of few weights that can spell them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dialog_rl.episode import Episode, Message, Role, Step, StopReason, Turn
from dialog_rl.lm.model import SpeakingModel
from dialog_rl.lm.policy import ModelShape, Policy
from dialog_rl.lm.renderer import EmbeddedRenderer
from dialog_rl.lm.tokenizer import Tokenizer, train_tokenizer

POLITE = ["thank you so much", "thanks, with pleasure", "thank you, it is done", "thanks, gladly"]
RUDE = ["no", "what now", "wait", "it is done"]
ASKED = ["where is my parcel", "cancel my order", "what now", "is it done"]
SYSTEM = Message(role=Role.SYSTEM, text="be kind")


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return train_tokenizer([*POLITE, *RUDE, *ASKED, SYSTEM.text] * 8, vocabulary=384, seed=0)


@pytest.fixture
def model(tokenizer: Tokenizer) -> SpeakingModel:
    shape = ModelShape(
        vocab_size=-(-len(tokenizer) // 64) * 64, hidden=32, layers=2, heads=2, intermediate=48, max_positions=256
    )
    return SpeakingModel(policy=Policy.fresh(shape, seed=3), renderer=EmbeddedRenderer(tokenizer), version="tiny")


Said = Callable[..., Episode]


@pytest.fixture
def said(model: SpeakingModel) -> Said:
    """A conversation of one turn, or several, in the model's own ids."""

    def make(*exchanges: tuple[str, str], name: str = "e", simulator: str = "agenda") -> Episode:
        turns: list[Turn] = []
        for number, (asked, reply) in enumerate(exchanges):
            user, answer = Message(role=Role.USER, text=asked), Message(role=Role.ASSISTANT, text=reply)
            heard = [SYSTEM, user] if number == 0 else [user]
            action = tuple(model.renderer.action(answer))
            step = Step(
                message=answer, observation_ids=tuple(model.renderer.observe(heard)), action_ids=action,
                logprobs=(-1.0,) * len(action),
            )  # fmt: skip
            turns.append(Turn(user=user, steps=(step,)))
        return Episode(
            episode_id=name, pack="shop", scenario={"id": "s"}, seed=0, system=SYSTEM, turns=tuple(turns),
            stop=StopReason.USER_LEFT, simulator=simulator, tokenizer=model.renderer.fingerprint,
        )  # fmt: skip

    return make
