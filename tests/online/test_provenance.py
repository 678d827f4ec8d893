"""What a version cannot have said is found; what it said is not doubted."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from dialog_rl.bench.rehearsal import MakeModel, chats
from dialog_rl.episode import Episode
from dialog_rl.lm.policy import Policy
from dialog_rl.online.provenance import differences


@pytest.fixture
def spoken(tiny_model: MakeModel) -> tuple[MakeModel, list[Episode]]:
    return tiny_model, chats(tiny_model(), [1, 2, 3], version="v1")


def with_step(episode: Episode, number: int, **changed: object) -> Episode:
    """The episode with one of its first turn's steps altered."""
    first, *others = episode.turns
    steps = [replace(s, **changed) if n == number else s for n, s in enumerate(first.steps)]
    return replace(episode, turns=(replace(first, steps=tuple(steps)), *others))


def test_what_was_said_is_what_the_version_says(spoken: tuple[MakeModel, list[Episode]]):
    make, episodes = spoken
    found = differences(episodes, lambda version: make().policy, make().renderer.pad_id)
    assert set(found) == {e.episode_id for e in episodes} and max(found.values()) <= 1e-4


def test_an_altered_log_probability_is_found(spoken: tuple[MakeModel, list[Episode]]):
    make, (one, other, _) = spoken
    step = one.turns[0].steps[0]
    altered = with_step(one, 0, logprobs=(step.logprobs[0] - 0.5, *step.logprobs[1:]))
    found = differences([altered, other], lambda version: make().policy, make().renderer.pad_id)
    assert found[one.episode_id] == pytest.approx(0.5, abs=1e-3) and found[other.episode_id] <= 1e-4


def test_an_altered_token_is_found(spoken: tuple[MakeModel, list[Episode]]):
    make, (one, *_) = spoken
    ids = one.turns[0].steps[0].action_ids
    altered = with_step(one, 0, action_ids=((ids[0] + 1) % 600, *ids[1:]))
    (off,) = differences([altered], lambda version: make().policy, make().renderer.pad_id).values()
    assert off > 1e-4


def test_each_step_is_asked_of_its_own_version(spoken: tuple[MakeModel, list[Episode]]):
    make, (one, *_) = spoken
    other = Policy.fresh(replace_shape(make()), seed=99)
    mixed = with_step(one, 0, policy_version="v2")
    asked: list[str] = []

    def opened(version: str) -> Policy:
        asked.append(version)
        return other if version == "v2" else make().policy

    (off,) = differences([mixed], opened, make().renderer.pad_id).values()
    assert off > 1e-4 and set(asked) == set(mixed.policy_versions)
    (off,) = differences([mixed], lambda version: make().policy, make().renderer.pad_id).values()
    assert off <= 1e-4


def test_a_log_probability_that_is_not_finite_is_not_passed_over(spoken: tuple[MakeModel, list[Episode]]):
    make, (one, other, _) = spoken
    step = one.turns[0].steps[0]
    altered = with_step(one, 0, logprobs=(math.nan, *step.logprobs[1:]))
    found = differences([other, altered], lambda version: make().policy, make().renderer.pad_id)
    assert not found[one.episode_id] <= 1e-4


def replace_shape(model):
    from dialog_rl.lm.policy import ModelShape

    from .conftest import TINY

    return ModelShape(**{**{f: getattr(TINY, f) for f in TINY.__slots__}, "vocab_size": model.policy.vocab_size})
