from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dialog_rl.episode import Episode, Turn
from dialog_rl.errors import CheckpointError, TrainingError
from dialog_rl.lm.model import SpeakingModel
from dialog_rl.offline.imitation import ImitationConfig, Likeness, fit_likeness
from dialog_rl.offline.replies import judge, whole
from dialog_rl.offline.reward_model import LIMIT
from tests.offline.conftest import ASKED, POLITE, RUDE

QUICK = ImitationConfig(epochs=2, learning_rate=3e-3)


def examples(said: Any, replies: list[str], count: int = 60) -> list[Episode]:
    rng = random.Random(1)
    return [
        said((rng.choice(ASKED), rng.choice(replies)), (rng.choice(ASKED), rng.choice(replies))) for _ in range(count)
    ]


def of_somebody_else(episode: Episode) -> Episode:
    """The same words without a token: as a person, or the scripted expert, leaves them."""
    turns = [
        replace(t, steps=tuple(replace(s, observation_ids=(), action_ids=(), logprobs=()) for s in t.steps))
        for t in episode.turns
    ]
    return replace(episode, turns=tuple(turns), tokenizer="")


def as_taken_by(model: SpeakingModel, episode: Episode) -> Episode:
    """With the log-probabilities that the model would have sampled it with."""
    found = judge(model.policy, [whole(episode, model.renderer)], model.renderer.pad_id)
    rest = found.logprobs_BT[found.mask_BT].tolist()
    turns: list[Turn] = []
    for turn in episode.turns:
        (step,) = turn.steps
        own, rest = rest[: len(step.action_ids)], rest[len(step.action_ids) :]
        turns.append(replace(turn, steps=(replace(step, logprobs=tuple(own)),)))
    return replace(episode, turns=tuple(turns))


@pytest.fixture
def before(model: SpeakingModel) -> SpeakingModel:
    """The model as it is before it becomes the expert's copy."""
    return model.frozen()


@pytest.fixture
def likeness(before: SpeakingModel, model: SpeakingModel, said: Any) -> Likeness:
    shown = [of_somebody_else(episode) for episode in examples(said, POLITE)]
    return fit_likeness(model, shown, examples(said, RUDE), QUICK)


def test_each_step_earns_by_how_like_an_experts_it_is(before: SpeakingModel, likeness: Likeness, said: Any) -> None:
    episode = as_taken_by(before, said(("is it done", POLITE[0]), ("what now", RUDE[1])))
    ((like, unlike),) = likeness.score([episode])
    assert like is not None and unlike is not None
    assert -LIMIT <= unlike < like <= LIMIT
    assert likeness.report.accuracy >= 0.9


def test_the_same_step_earns_nothing_more_of_who_has_come_to_take_it_as_the_expert_does(
    before: SpeakingModel, likeness: Likeness, said: Any
) -> None:
    episode = said(("is it done", POLITE[0]))
    stranger, apprentice = (as_taken_by(model, episode) for model in (before, likeness.expert))
    ((first,), (last,)) = likeness.score([stranger, apprentice])
    assert first is not None and last is not None and last < first


def test_where_nothing_tells_them_apart_nearly_nothing_is_paid(model: SpeakingModel, said: Any) -> None:
    same = examples(said, [*POLITE, *RUDE], 80)
    assert fit_likeness(model, same[:40], same[40:], QUICK).report.accuracy < 0.7


def test_a_copy_that_only_learns_by_heart_is_given_up(model: SpeakingModel, said: Any) -> None:
    told: list[str] = []
    fit_likeness(model, examples(said, POLITE, 12), examples(said, RUDE, 12),
                 ImitationConfig(epochs=9, learning_rate=3.0), progress=told.append)  # fmt: skip
    assert len(told) == 1


def test_what_was_not_sampled_in_its_tokens_is_not_judged(likeness: Likeness, said: Any) -> None:
    episode = said(("is it done", "no"), ("what now", "wait"))
    assert likeness.score([of_somebody_else(episode)]) == [[None, None]]


def test_it_is_read_as_it_was_written(likeness: Likeness, said: Any, tmp_path: Path) -> None:
    episodes = examples(said, [*POLITE, *RUDE], 5)
    likeness.save(tmp_path / "likeness")
    read = Likeness.load(tmp_path / "likeness")
    assert read.report == likeness.report
    for mine, theirs in zip(read.score(episodes), likeness.score(episodes), strict=True):
        assert mine == pytest.approx(theirs, abs=0.05)  # its copy may look in bf16


def test_an_expert_with_too_few_conversations_is_refused(model: SpeakingModel, said: Any) -> None:
    with pytest.raises(TrainingError, match="1 conversations of the expert and 60 others; at least 10 of each"):
        fit_likeness(model, examples(said, POLITE, 1), examples(said, RUDE))


def test_a_folder_without_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no likeness to an expert"):
        Likeness.load(tmp_path)


def test_a_whole_conversation_is_the_same_row_whoever_spelled_it(model: SpeakingModel, said: Any) -> None:
    episode = said(("is it done", "wait"), ("what now", POLITE[1]))
    row = whole(episode, model.renderer)
    assert whole(of_somebody_else(episode), model.renderer) == row
    assert row.ids == [i for step in episode.steps for i in (*step.observation_ids, *step.action_ids)]
