"""What `dialog-rl learn` puts together: an updater on the log of chats, the gate, and orderly ends."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from dialog_rl.cli import opening
from dialog_rl.cli.output import note
from dialog_rl.config import Settings
from dialog_rl.errors import ConfigError
from dialog_rl.plugins.loading import Plugins, facts_of
from dialog_rl.plugins.rewards import build_rewards
from dialog_rl.scoring import Reward, RewardSpec

if TYPE_CHECKING:
    from dialog_rl.episode_log.log import EpisodeLog
    from dialog_rl.lm.versions import Version
    from dialog_rl.online.learn_config import LearnConfig
    from dialog_rl.online.lease import Lease
    from dialog_rl.online.lessons import RatingsInUse
    from dialog_rl.online.study import Material
    from dialog_rl.online.updater import Report, Updater
    from dialog_rl.online.version_store import VersionStore

CHATS = "chat"
"""The run whose log is followed unless another is named."""
LEASE = "updater"
_NICE = 10
"""The process's niceness: who talks comes before who learns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the command was asked for."""

    run: str
    log: str | None
    packs: tuple[str, ...]
    config: dict[str, Any]
    """Settings of learning that were given; the others keep their defaults."""
    gate: dict[str, Any]

    def folder(self, settings: Settings) -> Path:
        if not self.run.replace("-", "").replace("_", "").replace(".", "").isalnum() or self.run.startswith("."):
            raise ConfigError(f"{self.run!r} is no name for a run: letters, digits, '-', '_' and '.'")
        return Path(settings.paths.runs) / self.run

    def where(self, settings: Settings) -> str:
        """The log's path or URL. That of chats need not be there yet: people may begin to talk any time."""
        if self.log is not None:
            return opening.find_log(settings, self.log)
        return str(Path(settings.paths.runs) / CHATS / opening.LOG)


def learn_config(given: dict[str, Any]) -> LearnConfig:
    """The settings of learning: their own defaults, but for what is given."""
    from dialog_rl.online.learn_config import LearnConfig

    base = LearnConfig()
    values = {name: value for name, value in given.items() if value is not None}
    rate, epochs = values.pop("learning_rate", None), values.pop("epochs", None)
    learner = replace(
        base.learner, learning_rate=rate or base.learner.learning_rate, epochs=epochs or base.learner.epochs
    )
    return replace(base, learner=learner, **values)


def open_store(settings: Settings, config: LearnConfig, run: str) -> VersionStore:
    """One's own versions, with a champion and an anchor: at first those that came with the program."""
    from dialog_rl.lm import versions
    from dialog_rl.online.version_store import VersionStore

    store = VersionStore(opening.stores(settings)[0], run=run, keep_champions=config.max_lag + 1)
    found: Version = versions.find(opening.stores(settings), "champion")
    store.settle_in(found)
    return store


@contextmanager
def held(settings: Settings, wanted: Wanted, log: EpisodeLog, *, shadow: bool, patience: float) -> Iterator[Lease]:
    """Be the one updater. Raises Occupied."""
    from dialog_rl.online.lease import hold
    from dialog_rl.online.training_record import LOCK

    folder, store = wanted.folder(settings), opening.stores(settings)[0]
    folder.mkdir(parents=True, exist_ok=True)
    locks = (folder / LOCK,) if shadow else (folder / LOCK, store / ".updater.lock")
    with hold(log, f"shadow:{wanted.run}" if shadow else LEASE, locks, patience=patience) as lease:
        yield lease


def open_updater(
    settings: Settings, plugins: Plugins, wanted: Wanted, log: EpisodeLog, lease: Lease, progress: Callable[[str], None]
) -> Updater:
    from dialog_rl.lm import journal
    from dialog_rl.online.gate import Gate, GateConfig, model_play
    from dialog_rl.online.updater import Updater

    config = learn_config(wanted.config)
    store = open_store(settings, config, wanted.run)
    gate_config = replace(GateConfig(), **{name: value for name, value in wanted.gate.items() if value is not None})
    made_with = material(settings, plugins, wanted, store)
    gate = Gate(
        made_with.stages,
        model_play(gate_config),
        gate_config,
        veto=lambda version_id: journal.vetoed(store.root).get(version_id, ""),
        standing=lambda: store.standing("champion"),
        progress=progress,
    )
    updater = Updater(wanted.folder(settings), log, store, gate, made_with, config, lease)
    for rejected in updater.resume():
        note(f"warning: passed over {rejected.path.name}: {rejected.reason}")
    return updater


def material(settings: Settings, plugins: Plugins, wanted: Wanted, store: VersionStore) -> Material:
    from dialog_rl.online.study import Material

    packs = opening.all_packs(plugins, wanted.packs or settings.train.packs)
    return Material(
        model=store.open(store.standing("champion")),
        anchor=store.open(store.standing("anchor")),
        stages=opening.open_stages(plugins, packs),
        live_rewards=lambda ratings: live_rewards(plugins, ratings),
        simulated_rewards=opening.open_rewards(settings, plugins),
    )


def told_to(plugins: Plugins, updater: Updater, reports: Iterator[Report]) -> Iterator[Report]:
    """The reports, each told to the observers first; and so is another champion, whoever promoted it."""
    run = facts_of(updater.run, updater.folder)
    champion = updater.course.champion
    for report in reports:
        plugins.notify("on_update_end", run=run, stats=asdict(report.record))
        if updater.course.champion != champion:
            champion = updater.course.champion
            plugins.notify("on_version_promoted", run=run, version=champion)
        yield report


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeAgain:
    """An update that was made once more."""

    update: int
    version: str
    """What it was the first time; empty if no version was made of it."""
    made: str
    """The id that the weights would have as a version now."""


def made_again(settings: Settings, plugins: Plugins, wanted: Wanted, log: EpisodeLog, update: int | None) -> MadeAgain:
    """Replay a run up to an update. Raises CheckpointError if the log does not tell how."""
    from tempfile import TemporaryDirectory

    from dialog_rl.episode_log import learning
    from dialog_rl.episode_log.records import Kind
    from dialog_rl.lm import versions
    from dialog_rl.online.replaying import course_of, replay

    verdicts = [learning.verdict_from(e.document) for e in log.events(kinds=(Kind.VERDICT,))]
    made = {verdict.update: verdict.version for verdict in verdicts if verdict.run == wanted.run}
    number = update or max((n for n, version in made.items() if version), default=0)
    store = open_store(settings, learn_config(wanted.config), wanted.run)
    study = replay(
        course_of(log, wanted.run, number),
        log,
        wanted.run,
        lambda anchor: replace(material(settings, plugins, wanted, store), anchor=store.open(anchor)),
        lambda version: store.root / version,
        progress=lambda record: note(f"update {record.update} made again"),
    )
    with TemporaryDirectory() as folder:
        again = versions.publish(Path(folder), study.material.model.save).id
    return MadeAgain(update=number, version=made.get(number, ""), made=again)


def live_rewards(plugins: Plugins, ratings: RatingsInUse) -> Sequence[Reward]:
    """What people's conversations earn: what they thought of them."""
    return build_rewards(plugins.registry, [RewardSpec(use="human_rating")], resources={"ratings": ratings})


def step_back() -> None:
    """Let whoever talks come first: less of the processor, and the first to go where memory is short."""
    if os.getpriority(os.PRIO_PROCESS, 0) < _NICE:
        os.setpriority(os.PRIO_PROCESS, 0, _NICE)
    try:
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")
    except OSError:
        return  # no Linux, or not allowed


def with_threads(settings: Settings) -> Settings:
    """Settings by which one core is left to whoever talks, unless they say how many threads there are to be."""
    from dialog_rl.lm.threads import available_cores

    threads = settings.agent.threads or max(1, available_cores() - 1)
    return settings.model_copy(update={"agent": settings.agent.model_copy(update={"threads": threads})})


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Within it SIGTERM ends the program as Ctrl-C does, by 143 instead of 130; a second signal ends it at once.

    What is going on is abandoned wherever it is: a checkpoint is there whole or not at all, and what was abandoned is
    made again from the same plan.
    """
    asked = False

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            os._exit(128 + number)
        asked = True
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def seconds(value: float | None) -> float | None:
    """0 waits for nothing, a negative number for ever."""
    return value if value is None or value >= 0 else math.inf
