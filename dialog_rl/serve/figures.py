"""Counters, gauges and histograms, in the text format that Prometheus reads."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping

SECONDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of a histogram's buckets."""

Key = tuple[str, tuple[tuple[str, str], ...]]


class Figures:
    """What the service has done. Safe from many threads; no label ever holds what a client wrote."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: defaultdict[Key, float] = defaultdict(float)
        self._seconds: dict[str, list[int]] = {}

    def count(self, name: str, by: float = 1, **labels: str) -> None:
        with self._lock:
            self._counts[name, tuple(sorted(labels.items()))] += by

    def took(self, name: str, seconds: float) -> None:
        """One more of a histogram."""
        with self._lock:
            self._seconds.setdefault(name, [0] * (len(SECONDS) + 1))[bisect_left(SECONDS, seconds)] += 1
            self._counts[f"{name}_sum", ()] += seconds

    def text(self, gauges: Mapping[str, float], version: str) -> str:
        return "\n".join(self._lines(gauges, version)) + "\n"

    def _lines(self, gauges: Mapping[str, float], version: str) -> Iterator[str]:
        with self._lock:
            counts, seconds = sorted(self._counts.items()), {k: list(v) for k, v in self._seconds.items()}
        for (name, labels), value in counts:
            told = ",".join(f'{key}="{text}"' for key, text in labels)
            yield f"dialog_rl_{name}{{{told}}} {value:g}" if told else f"dialog_rl_{name} {value:g}"
        for name, buckets in sorted(seconds.items()):
            for bound, total in zip((*SECONDS, "+Inf"), _running(buckets), strict=True):
                yield f'dialog_rl_{name}_bucket{{le="{bound}"}} {total}'
            yield f"dialog_rl_{name}_count {sum(buckets)}"
        for name, value in gauges.items():
            yield f"dialog_rl_{name} {value:g}"
        yield f'dialog_rl_version_info{{version="{version}"}} 1'


def _running(buckets: list[int]) -> Iterator[int]:
    total = 0
    for count in buckets:
        total += count
        yield total
