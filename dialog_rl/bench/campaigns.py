"""The campaigns by name: a sample of each, or the whole of it, in a folder of its own that is gone afterwards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dialog_rl.bench import campaign_checkpoints, campaign_logging, campaign_updater

SAMPLE = {"logging-kills": 100, "updater-kills": 10, "checkpoints": 300}
"""How many of each are a sample."""


def run_campaign(name: str, *, full: bool, seed: int, progress: Callable[[int], object]) -> dict[str, Any]:
    """Its figures. Raises an error that names the seed as soon as something is not as it should be."""
    with TemporaryDirectory(prefix="campaign-") as folder:
        if name == "logging-kills":
            times = campaign_logging.FULL if full else SAMPLE[name]
            log = Path(folder) / "log.sqlite"
            return campaign_logging.document(campaign_logging.kill_while_logging(log, times, seed, progress))
        if name == "updater-kills":
            times = campaign_updater.FULL if full else SAMPLE[name]
            return campaign_updater.document(campaign_updater.kill_while_learning(Path(folder), times, seed, progress))
        times = campaign_checkpoints.FULL if full else SAMPLE[name]
        return campaign_checkpoints.document(
            campaign_checkpoints.damage_checkpoints(Path(folder), times, seed, progress)
        )
