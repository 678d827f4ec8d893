"""The campaigns by name: a sample of each, or the whole of it, in a folder of its own that is gone afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dialog_rl.bench import (
    campaign_chats,
    campaign_checkpoints,
    campaign_forgetting,
    campaign_hostile,
    campaign_intake,
    campaign_live,
    campaign_logging,
    campaign_postgres,
    campaign_swaps,
    campaign_trolls,
    campaign_updater,
    live_figures,
)

Progress = Callable[[int], object]
Campaign = Callable[[Path, int, int, Progress], dict[str, Any]]
"""Folder, how many, seed and progress → figures."""


def _logging(folder: Path, count: int, seed: int, progress: Progress) -> dict[str, Any]:
    log = folder / "log.sqlite"
    return campaign_logging.document(campaign_logging.kill_while_logging(log, count, seed, progress))


def _updater(folder: Path, count: int, seed: int, progress: Progress) -> dict[str, Any]:
    return campaign_updater.document(campaign_updater.kill_while_learning(folder, count, seed, progress))


def _checkpoints(folder: Path, count: int, seed: int, progress: Progress) -> dict[str, Any]:
    return campaign_checkpoints.document(campaign_checkpoints.damage_checkpoints(folder, count, seed, progress))


def _intake(folder: Path, count: int, seed: int, progress: Progress) -> dict[str, Any]:
    return campaign_intake.document(campaign_intake.offer_hostile(folder, count, seed, progress))


def _postgres(folder: Path, count: int, seed: int, progress: Progress) -> dict[str, Any]:
    folder.chmod(0o755)  # the server runs as another user where this one is root
    return campaign_postgres.document(campaign_postgres.kill_the_server(folder / "server", count, seed, progress))


def _chats(folder: Path, count: int, seed: int, progress: Progress) -> dict[str, Any]:
    folder.chmod(0o755)
    return campaign_chats.chat_at_once(folder / "server", count, seed, progress)


def _swaps(folder: Path, count: int, seed: int, progress: Progress) -> dict[str, Any]:
    return campaign_swaps.document(campaign_swaps.swap_while_talking(folder, count, progress))


def _forgetting(folder: Path, count: int, seed: int, progress: Progress) -> dict[str, Any]:
    return campaign_forgetting.document(campaign_forgetting.forget_many(folder, count, progress))


def _hostile(folder: Path, count: int, seed: int, progress: Progress) -> dict[str, Any]:
    return campaign_hostile.document_of(campaign_hostile.feed(folder, count, seed, progress))


def _live(folder: Path, count: int, seed: int, progress: Progress) -> dict[str, Any]:
    return live_figures.document(campaign_live.play_live(folder, campaign_live.Live(chats=count, seed=seed), progress))


def _trolls(folder: Path, count: int, seed: int, progress: Progress) -> dict[str, Any]:
    return campaign_trolls.document(campaign_trolls.play_trolls(folder, count, seed, progress))


CAMPAIGNS: Mapping[str, tuple[Campaign, int, int]] = {
    "logging-kills": (_logging, 100, campaign_logging.FULL),
    "updater-kills": (_updater, 10, campaign_updater.FULL),
    "checkpoints": (_checkpoints, 300, campaign_checkpoints.FULL),
    "intake": (_intake, campaign_intake.SAMPLE, campaign_intake.FULL),
    "postgres-kills": (_postgres, campaign_postgres.SAMPLE, campaign_postgres.FULL),
    "postgres-chats": (_chats, campaign_chats.SAMPLE, campaign_chats.FULL),
    "swaps": (_swaps, campaign_swaps.SAMPLE, campaign_swaps.FULL),
    "forgetting": (_forgetting, campaign_forgetting.SAMPLE, campaign_forgetting.FULL),
    "hostile": (_hostile, campaign_hostile.SAMPLE, campaign_hostile.FULL),
    "live": (_live, campaign_live.SAMPLE, campaign_live.FULL),
    "trolls": (_trolls, campaign_trolls.SAMPLE, campaign_trolls.FULL),
}
"""Name → what it does, how many of it are a sample, and how many are the whole."""


def run_campaign(name: str, *, full: bool, seed: int, progress: Progress) -> dict[str, Any]:
    """Its figures. Raises an error that names what is not as it should be, as soon as something is not."""
    campaign, sample, whole = CAMPAIGNS[name]
    with TemporaryDirectory(prefix="campaign-") as folder:
        return campaign(Path(folder), whole if full else sample, seed, progress)
