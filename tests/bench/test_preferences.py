"""`bench preferences`: what a rater says follows from what they want, and what is made of it is measured elsewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dialog_rl.bench import preferences
from dialog_rl.bench.preferences import HINT, PPO, WAYS, Size, bench_preferences, lines, opinions
from dialog_rl.bench.raters import asked_politely
from dialog_rl.errors import TrainingError
from dialog_rl.lm.model import EMBEDDED, SpeakingModel
from dialog_rl.offline.judgements import Judgements
from dialog_rl.plugins.loading import load_plugins
from dialog_rl.staging import Stage, open_stage

COUNT = 10
"""The fewest that a reward model is fitted to."""


@pytest.fixture(scope="module")
def shop() -> Stage:
    return open_stage(load_plugins().registry, "retail")


@pytest.fixture(scope="module")
def said(shop: Stage) -> Judgements:
    return opinions(SpeakingModel.load(EMBEDDED / "base"), shop, COUNT, seed=0)


def test_each_pair_prefers_the_polite_question_in_the_same_place(said: Judgements) -> None:
    assert len(said.pairs) == COUNT
    for pair in said.pairs:
        assert asked_politely(pair.chosen.reply) and asked_politely(pair.rejected.reply) is False
        assert pair.chosen.steps[:-1] == pair.rejected.steps[:-1]
        assert pair.chosen.steps[-1].observation_ids == pair.rejected.steps[-1].observation_ids


def test_thumbs_say_what_the_rater_thinks_and_what_is_wanted_is_polite(said: Judgements) -> None:
    for thumb in said.thumbs:
        assert (thumb.value > 0) is asked_politely(thumb.episode.turns[thumb.number].reply)
    assert all(asked_politely(one.text) for one in said.corrections)
    assert {one.text for one in said.hints} == {HINT}


def test_a_version_that_never_differs_is_given_up(shop: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preferences, "_PATIENCE", 0)
    monkeypatch.setattr(preferences, "asked_politely", lambda reply: None)
    with pytest.raises(TrainingError, match="32 conversations of .* gave 0 pairs and 0 hints, not 3"):
        opinions(SpeakingModel.load(EMBEDDED / "base"), shop, 3, seed=0)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_way_is_measured_with_the_same_customers(
    shop: Stage, said: Judgements, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preferences, "opinions", lambda *about: said)
    size = replace(Size(), opinions=(COUNT,), dialogues=2, customers=2, epochs=1)
    result = bench_preferences(shop, tmp_path, size=size)
    assert [row["way"] for row in result["rows"]] == list(WAYS)
    assert set(result["needed"]) == set(WAYS)
    told = "\n".join(lines(result))
    assert PPO in told and "reward model right" in told
