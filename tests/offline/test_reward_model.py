"""A reward model finds what a hidden rater likes, says what it is worth, and pays as a reward."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dialog_rl.episode import Episode
from dialog_rl.errors import CheckpointError, TrainingError
from dialog_rl.lm.model import SpeakingModel
from dialog_rl.offline.judgements import Judgements, Pair, Thumb
from dialog_rl.offline.replies import reply_of, spelled
from dialog_rl.offline.reward_model import LIMIT, RewardModel, fit
from dialog_rl.plugins.loading import load_plugins
from dialog_rl.plugins.rewards import build_rewards
from dialog_rl.scoring import RewardSpec, score_episodes
from tests.offline.conftest import ASKED, POLITE, RUDE


def pairs(said: Any, count: int = 40) -> Judgements:
    rng = random.Random(0)
    found = Judgements()
    for _ in range(count):
        asked = rng.choice(ASKED)
        good, bad = said((asked, rng.choice(POLITE))), said((asked, rng.choice(RUDE)))
        found.pairs.append(Pair(episode=bad, number=0, chosen=good.turns[0], rejected=bad.turns[0]))
    return found


def test_pairs_teach_what_the_rater_likes(model: SpeakingModel, said: Any) -> None:
    made = fit(model, pairs(said))
    assert (made.report.kind, made.report.fitted, made.report.held_out) == ("pairs", 32, 8)
    assert made.report.accuracy >= 0.85
    assert made.report.calibration_error is not None and made.report.calibration_error < 0.3
    (polite,), (rude,) = made.score(model, [said(("is it done", POLITE[0])), said(("is it done", "no"))])
    assert polite is not None and rude is not None
    assert -LIMIT <= rude < polite <= LIMIT


def test_ratings_teach_it_too(model: SpeakingModel, said: Any) -> None:
    rng = random.Random(0)
    found = Judgements()
    for _ in range(50):
        polite = rng.random() < 0.5
        episode = said((rng.choice(ASKED), rng.choice(POLITE if polite else RUDE)))
        found.thumbs.append(Thumb(episode=episode, number=0, value=1.0 if polite else -1.0))
    report = fit(model, found).report
    assert report.kind == "values" and report.accuracy >= 0.8


def test_too_few_judgements_are_refused(model: SpeakingModel, said: Any) -> None:
    with pytest.raises(TrainingError, match="3 pairs and 0 rated replies"):
        fit(model, pairs(said, 3))


def test_it_is_read_as_it_was_written_and_pays_as_a_reward(model: SpeakingModel, said: Any, tmp_path: Path) -> None:
    made = fit(model, pairs(said))
    made.save(tmp_path / "rm")
    read = RewardModel.load(tmp_path / "rm")
    assert read.report == made.report
    episodes = [said(("is it done", POLITE[1])), said(("is it done", "wait"), ("what now", POLITE[1]))]
    lent = {"reward_model": lambda folder: lambda asked: RewardModel.load(Path(folder)).score(model, asked)}
    with load_plugins() as plugins:
        spec = RewardSpec(use="learned", options={"model": str(tmp_path / "rm")})
        scored = score_episodes(build_rewards(plugins.registry, [spec], resources=lent), episodes)
    assert scored[0].reward == pytest.approx(made.score(model, episodes)[0][0])
    assert scored[0].reward > scored[1].reward


def of_somebody_else(episode: Episode) -> Episode:
    """The same words without a token: as a person, or the scripted expert, leaves them."""
    turns = [
        replace(t, steps=tuple(replace(s, observation_ids=(), action_ids=(), logprobs=()) for s in t.steps))
        for t in episode.turns
    ]
    return replace(episode, turns=tuple(turns), tokenizer="")


def test_what_somebody_else_said_is_spelled_as_the_model_would_have_sampled_it(model: SpeakingModel, said: Any) -> None:
    episode = said(("is it done", "wait"), ("what now", POLITE[1]))
    found = spelled(of_somebody_else(episode), model.renderer)
    assert found == [reply_of(episode, 0), reply_of(episode, 1)]


def test_a_folder_without_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no reward model can be read there"):
        RewardModel.load(tmp_path)
