"""An episode token by token: by the version that spoke it and with the rewards of the settings, as far as there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dialog_rl.cli import opening
from dialog_rl.errors import CheckpointError, TrainingError

if TYPE_CHECKING:
    from dialog_rl.browsing.closely import Closely
    from dialog_rl.config import Settings
    from dialog_rl.episode import Episode, Rating
    from dialog_rl.lm.model import SpeakingModel
    from dialog_rl.plugins.loading import Plugins
    from dialog_rl.scoring import ScoredEpisode

GAMMA, LAM = 1.0, 0.95
"""Where the settings say nothing else: as PPO has them."""


def close_up(settings: Settings, plugins: Plugins, episode: Episode, ratings: Sequence[Rating]) -> Closely:
    """What cannot be told is left out, and why is told."""
    from dialog_rl.browsing.closely import Closely

    opening.prepare_torch(settings)
    from dialog_rl.evaluation.close_up import piece_of, steps_closely, worth_of

    gamma = GAMMA if settings.train.gamma is None else settings.train.gamma
    lam = LAM if settings.train.lam is None else settings.train.lam
    scored = _scored(settings, plugins, episode, ratings)
    told: list[str] = [] if scored is not None else ["nothing scores this episode, so there are no advantages"]
    model = _speaker(settings, episode, told)
    worth = ()
    if model is not None and scored is not None:
        try:
            worth = worth_of(scored, model, gamma=gamma, lam=lam)
            told.append(f"values by {model.version[:8]}, advantages by GAE with γ {gamma:g} and λ {lam:g}")
        except TrainingError as e:
            told.append(str(e))
    piece = piece_of(model) if model is not None else str
    return Closely(turns=steps_closely(episode, piece, scored, worth), told="; ".join(told))


def _speaker(settings: Settings, episode: Episode, told: list[str]) -> SpeakingModel | None:
    """The version that spoke last in it, if it is there and writes in the tokens of the episode."""
    version = next((step.policy_version for step in reversed(tuple(episode.steps)) if step.action_ids), "")
    if not version:
        told.append("no version of ours spoke in it, so there are no tokens")
        return None
    try:
        model = opening.open_model(settings, version)
    except CheckpointError as e:
        told.append(f"{e}; tokens are shown by their numbers, without values")
        return None
    if model.renderer.fingerprint != episode.tokenizer:
        told.append(f"version {version[:8]} writes in other tokens than this episode; shown by their numbers")
        return None
    return model


def _scored(settings: Settings, plugins: Plugins, episode: Episode, ratings: Sequence[Rating]) -> ScoredEpisode | None:
    """With the rewards that can be made here; None if they all abstain."""
    from dialog_rl.cli.judging import Judge
    from dialog_rl.evaluation.gaming import paid_leniently

    judge = Judge(settings, plugins, speaks=True, ratings=lambda episodes: [tuple(ratings) for _ in episodes])
    if not judge.rewards:
        return None
    scored, _ = paid_leniently([episode], judge.rewards, plugins.combine)
    return scored[0] if scored else None
