"""A training run as it is seen from outside: from its folder's files alone, which are read and never touched."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dialog_rl.errors import CheckpointError
from dialog_rl.lm import journal, versions
from dialog_rl.online import seen
from dialog_rl.online.seen import Alive, Chart, Note, Notes, Seen, Update, column
from dialog_rl.online.training_record import METRICS, Tail, is_held

SETTINGS = "run.json"
REPORT = "report.md"
"""Written when a run has come to its end."""
_SIGNS = (METRICS, SETTINGS, "checkpoints", "episodes.db", "episodes.db-journal")
"""What changes while a run lives."""
_PATIENCE = 120.0
"""Seconds without a sign of life that are nothing to remark on; or three times what an update takes."""
_ENDS = {
    "kl_stop": "left early, at the limit of KL",
    "discarded": "discarded: the policy had moved too far",
    "nothing_to_learn": "nothing to learn: all episodes were alike",
}
_LEARNER = {
    "explained_variance": "explained variance",
    "terms/clip_fraction": "clip fraction",
    "grad_norm": "gradient norm",
    "value_loss": "value loss",
    "imitation_loss": "imitation loss",
    "mismatch_k3": "sampler mismatch",
}


class TrainingWatch:
    """One run in one folder, followed as it goes on."""

    def __init__(self, folder: Path, stores: Sequence[Path] = (), *, clock: Callable[[], float] = time.time) -> None:
        """stores: where the versions are that runs are made into, one's own first."""
        self._folder, self._stores, self._clock = folder, stores, clock
        self._tail = Tail(folder)
        self._news: list[dict[str, Any]] = []
        self._charts: tuple[Chart, ...] = ()

    def look(self) -> Seen:
        new = self._tail.look()
        self._news += new
        updates = self._tail.updates
        if new or not self._charts:
            self._charts = charts(updates)
        settings = _settings(self._folder)
        of = _planned(settings, updates)
        alive, told = self._life(of)
        return Seen(
            name=self._folder.name,
            alive=alive,
            told=told,
            update=updates[-1]["update"] if updates else 0,
            of=of,
            charts=self._charts,
            notes=(Notes(key="events", title="what happened", notes=(*self._versions(settings), *self._events())),),
        )

    def news(self) -> Iterator[Update]:
        news, self._news = self._news, []
        of = _planned(_settings(self._folder), self._tail.updates)
        for record in news:
            yield Update(record=record, told=told(record, of))

    # Whether it lives

    def _life(self, of: int | None) -> tuple[Alive, str]:
        held, updates = is_held(self._folder), self._tail.updates
        silent = self._clock() - self._last_sign()
        name = self._folder.name
        if held:
            doing = "speaking and learning" if updates else "speaking for the first update"
            return (Alive.RUNNING if updates else Alive.WAITING), doing
        if (of is not None and updates and updates[-1]["update"] >= of) or self._reported():
            return Alive.ENDED, seen.ago(silent)
        again = f"dialog-rl train --resume {name}"
        if held is False:
            return Alive.GONE, f"no process trains here; last sign of life {seen.ago(silent)}; {again}"
        usual = statistics.median(_seconds(updates[-9:])) if updates else 0.0
        if silent > max(_PATIENCE, 3 * usual):
            return Alive.SILENT, f"last sign of life {seen.ago(silent)}; if its process died: {again}"
        return (Alive.RUNNING if updates else Alive.WAITING), f"last sign of life {seen.ago(silent)}"

    def _last_sign(self) -> float:
        stamps = [path.stat().st_mtime for name in _SIGNS if (path := self._folder / name).exists()]
        return max(stamps, default=self._clock())

    def _reported(self) -> bool:
        report, record = self._folder / REPORT, self._folder / METRICS
        return report.exists() and record.exists() and report.stat().st_mtime >= record.stat().st_mtime

    # What happened

    def _versions(self, settings: Mapping[str, Any]) -> Iterator[Note]:
        """What became of the weights, newest first."""
        updates = self._tail.updates
        try:
            for root in self._stores[:1]:
                for manifest in reversed(versions.list_versions(root)):
                    if updates and _made_by(manifest, settings, updates[-1]["update"]):
                        about = [line for line in journal.read(root) if line.version == manifest.id]
                        yield from (_decided(line) for line in reversed(about))
                        yield Note(text=f"version {manifest.id} was made of it")
        except CheckpointError as e:
            yield Note(text=seen.words(str(e)), bad=True)

    def _events(self) -> Iterator[Note]:
        updates = self._tail.updates
        if not updates:
            yield Note(text="no update yet: the first appears here as soon as it is made")
        if self._tail.unreadable:
            yield Note(text=f"{self._tail.unreadable} lines of {METRICS} cannot be read", bad=True)
        best = max(column(updates, "validation"), key=lambda value: value if value is not None else -1.0, default=None)
        for record in reversed(updates):
            number, validation = record["update"], column([record], "validation")[0]
            for text, bad in remarks(record):
                yield Note(text=f"update {number}: {text}", bad=bad)
            if validation is not None:
                mark = ", the best so far" if validation == best else ""
                yield Note(text=f"update {number}: {seen.figure(validation, percent=True)} on validation{mark}")


def charts(updates: Sequence[Mapping[str, Any]]) -> tuple[Chart, ...]:
    """What a run's record looks like. A figure that no update has is left out."""
    at = [value or 0.0 for value in column(updates, "dialogues")]
    names = list(dict.fromkeys(name for record in updates[-1:] for name in _names(record.get("components"))))
    success = [seen.line("success", column(updates, "success"))]
    validation = column(updates, "validation")
    if any(value is not None for value in validation):
        success.append(seen.Line(name="validation", values=validation))

    def chart(key: str, title: str, *lines: seen.Line, **more: Any) -> Chart:
        return Chart(key=key, title=title, at=at, axis="dialogues", lines=lines, **more)

    def stats(name: str, key: str) -> seen.Line:
        return seen.line(name, column(updates, "stats", *key.split("/")))

    learner = [stats(name, key) for key, name in _LEARNER.items()]
    made = (
        chart("success", "success", *success, percent=True, floor=0.0, ceiling=1.0),
        chart(
            "reward", "reward by component", seen.line("reward", column(updates, "reward")),
            *(seen.line(seen.words(name, 40), column(updates, "components", name)) for name in names), own_scales=True,
        ),
        chart(
            "kl", "KL, nats a token", stats("from start", "kl_reference"), stats("an update", "kl_old"), floor=0.0
        ),
        chart("entropy", "entropy, nats a token", stats("entropy", "entropy"), floor=0.0),
        chart("speed", "episodes a second", seen.line("episodes/s", speeds(updates)), floor=0.0),
        chart(
            "rules", "rules broken", seen.line("rules broken", column(updates, "violations")), percent=True, floor=0.0
        ),
        chart("turns", "turns a dialogue", seen.line("turns", column(updates, "turns"))),
        chart("learner", "learner", *(one for one in learner if one.last is not None), own_scales=True),
    )  # fmt: skip
    return tuple(one for one in made if not one.empty) or made[:1]


def speeds(updates: Sequence[Mapping[str, Any]]) -> list[float | None]:
    """Episodes a second of each update, spoken and learnt from."""
    before, speeds = 0.0, list[float | None]()
    for dialogues, seconds in zip(column(updates, "dialogues"), _seconds(updates), strict=True):
        made = None if dialogues is None else dialogues - before
        speeds.append(made / seconds if made is not None and made > 0 and seconds > 0 else None)
        before = dialogues if dialogues is not None else before
    return speeds


def _seconds(updates: Sequence[Mapping[str, Any]]) -> list[float]:
    columns = (column(updates, "speaking_seconds"), column(updates, "learning_seconds"))
    return [sum(part or 0.0 for part in parts) for parts in zip(*columns, strict=True)]


def remarks(record: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    """What stood out in an update, and whether that is bad."""
    stats = record.get("stats")
    stats = stats if isinstance(stats, Mapping) else {}
    end = seen.words(stats.get("end"))
    if end and end != "completed":
        yield _ENDS.get(end, end), end == "discarded"
    skipped, broken = column([stats], "steps_skipped")[0], column([stats], "dropped_broken")[0]
    if skipped:
        yield f"{skipped:.0f} steps skipped: loss or gradient was not finite", True
    if broken:
        yield f"{broken:.0f} episodes dropped: broken off", True


def told(record: Mapping[str, Any], of: int | None) -> str:
    """One update on one line."""

    def value(*path: str, percent: bool = False) -> str:
        return seen.figure(column([record], *path)[0], percent=percent)

    seconds = _seconds([record])[0]
    parts = [
        f"update {record['update']}" + (f"/{of}" if of else ""),
        f"success {value('success', percent=True)}",
        f"rules broken {value('violations', percent=True)}",
        f"reward {value('reward')}",
        *(f"{seen.words(name, 40)} {value('components', name)}" for name in _names(record.get("components"))),
        f"KL {value('stats', 'kl_reference')}",
        f"entropy {value('stats', 'entropy')}",
        f"turns {value('turns')}",
        f"{seconds:.0f} s",
        *(text for text, _ in remarks(record)),
    ]
    return "  ".join(parts)


def _names(components: Any) -> list[str]:
    return [name for name in components if isinstance(name, str)] if isinstance(components, Mapping) else []


def _settings(folder: Path) -> Mapping[str, Any]:
    """What the run began with; empty where that cannot be read."""
    try:
        found = json.loads((folder / SETTINGS).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, Mapping) else {}


def _planned(settings: Mapping[str, Any], updates: Sequence[Mapping[str, Any]]) -> int | None:
    """How many updates are to be made, as far as the settings tell."""
    told, dialogues = column([settings], "updates")[0], column([settings], "train", "dialogues")[0]
    if told:
        return int(told)
    spoken = column(updates[-1:], "dialogues")[0] if updates else None
    if not dialogues or not spoken:
        return None
    return -(-int(dialogues) // max(1, round(spoken / updates[-1]["update"])))


def _made_by(manifest: versions.Manifest, settings: Mapping[str, Any], updates: int) -> bool:
    """Whether a version was made of a run that began so, after that many updates."""
    train = settings.get("train")
    if not isinstance(train, Mapping) or manifest.created_by != "train" or manifest.parent != train.get("version"):
        return False
    on = manifest.trained_on
    return (on.get("updates"), on.get("seed"), on.get("packs")) == (updates, train.get("seed") or 0, train.get("packs"))


def _decided(line: journal.Promotion) -> Note:
    became = f"{line.event} {line.alias}".strip().replace("_", " ")
    return Note(text=f"version {line.version[:8]} {became}: {seen.words(line.reason)}", bad=not line.event.moves)


def is_training(folder: Path) -> bool:
    """Whether a folder is one that `train` works in."""
    return (folder / SETTINGS).is_file() or (folder / METRICS).is_file()
