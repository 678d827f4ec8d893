"""What of the settings of learning decides which conversations an update takes, and when."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from dialog_rl.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    batch: int = 8
    """Rated conversations an update."""
    wait: float = 60.0
    """Seconds after which an update is made of fewer; inf for never."""
    idle: float = 0.0
    """Seconds without a word in any chat before an update may begin."""
    rater_share: float = 0.05
    """The largest part of an update that one of many raters may make; of fewer raters, each gets an equal part."""
    max_lag: int = 4
    """Promotions since the version that spoke."""


def pace_of(document: Mapping[str, Any]) -> Pace:
    """The pace in the settings that a plan keeps. Raises ConfigError for a document of another shape."""
    try:
        return Pace(**{field.name: number(document[field.name]) for field in fields(Pace)})
    except (KeyError, TypeError) as e:
        raise ConfigError(f"settings of an update that this program does not know: {e}") from e


def number(value: Any) -> Any:
    """A value of a plan's settings: infinities are text there, which JSON lacks."""
    return math.inf if value == "inf" else value
