"""What commands ask of plugins' metrics, trackers and exporters. One that fails is named, and the rest goes on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dialog_rl.cli.output import note
from dialog_rl.errors import ConfigError, PluginError
from dialog_rl.plugins import wire
from dialog_rl.plugins.registry import Registry
from dialog_rl.text import one_line, table

if TYPE_CHECKING:
    from dialog_rl.episode import Episode
    from dialog_rl.evaluation.suites import Evaluation

Measured = Mapping[str, Mapping[str, float]]
"""Contestant → figure, "metric/name" → value."""
Track = Callable[[int, Mapping[str, Any]], None]


def measured(registry: Registry, found: Evaluation) -> dict[str, dict[str, float]]:
    """What every metric says of every contestant; empty where no plugin brings a metric."""
    figures: dict[str, dict[str, float]] = {result.name: {} for result in found.results}
    for name in sorted(registry.metrics):
        try:
            metric = registry.metrics[name].make({})
            for result in found.results:
                values = wire.read_figures(dict(metric.measure(result.usable())))
                figures[result.name].update({f"{name}/{figure}": value for figure, value in values.items()})
        except Exception as e:  # marked border: a trusted plugin may raise anything
            note(f"warning: metric {name!r} is left out: {_why(e)}")
    return figures if any(figures.values()) else {}


def plain(figures: Measured) -> str:
    """For a terminal: a column a contestant."""
    names, rows = list(figures), list(dict.fromkeys(figure for of in figures.values() for figure in of))
    cells = [[one_line(row, 60), *(_cell(figures[name].get(row)) for name in names)] for row in rows]
    return table(["by plugins", *(one_line(name, 40) for name in names)], cells, right=range(1, len(names) + 1))


@contextmanager
def tracking(registry: Registry, names: Sequence[str]) -> Iterator[Track]:
    """Hands figures on to trackers. Raises ConfigError or PluginError if there is no such tracker."""
    trackers = {name: registry.trackers[name].make({}) for name in names}

    def each(what: Callable[[Any], object]) -> None:
        for name, tracker in list(trackers.items()):
            try:
                what(tracker)
            except Exception as e:  # marked border: a training does not end because nobody can watch it
                note(f"warning: tracker {name!r} is told no more: {_why(e)}")
                del trackers[name]

    try:
        yield lambda step, figures: each(lambda tracker: tracker.log(step=step, figures=flat(figures)))
    finally:
        each(lambda tracker: tracker.close())


def flat(figures: Mapping[str, Any]) -> dict[str, float]:
    """The finite numbers of a nested record, "/" between the names."""
    found: dict[str, float] = {}
    for key, value in figures.items():
        if isinstance(value, Mapping):
            found |= {f"{key}/{inner}": number for inner, number in flat(value).items()}
        elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            found[key] = float(value)
    return found


def export(registry: Registry, name: str, episodes: Sequence[Episode], out: Path) -> None:
    """Let an exporter write the episodes. Raises ConfigError, or PluginError if it fails or writes nothing."""
    exporter = registry.exporters[name].make({})
    if out.exists():
        raise ConfigError(f"{out} is there already; choose another name")
    try:
        exporter.export(episodes=episodes, path=str(out.resolve()))
    except (ConfigError, PluginError):
        raise
    except Exception as e:  # marked border: a trusted plugin may raise anything
        raise PluginError(f"exporter {name!r}: {_why(e)}") from e
    if not out.exists():
        raise PluginError(f"exporter {name!r} has written nothing to {out}")


def _why(error: Exception) -> str:
    return str(error) if isinstance(error, ConfigError | PluginError) else f"{type(error).__name__}: {error}"


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
