"""Runs on disk as `train` leaves them, without anybody having trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dialog_rl.online import training_record


def record(update: int, **more: Any) -> dict[str, Any]:
    return {
        "update": update, "dialogues": 8 * update, "success": min(1.0, 0.1 * update), "violations": 0.25,
        "reward": 0.05 * update, "components": {"task_success": 0.1 * update, "礼貌": -0.01}, "turns": 5.0,
        "stats": {"end": "completed", "kl_reference": 0.01 * update, "kl_old": 0.002, "entropy": 0.2, "grad_norm": 0.5},
        "speaking_seconds": 1.0, "learning_seconds": 3.0, "validation": None, **more,
    }  # fmt: skip


def run(folder: Path, updates: int, *, of: int = 10, **more: Any) -> Path:
    """A run with so many updates made."""
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"updates": of, "train": {"dialogues": 8 * of, "seed": 0}}))
    for update in range(1, updates + 1):
        training_record.append(folder, record(update, **more))
    return folder
