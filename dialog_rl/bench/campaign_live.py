"""People who chat and rate, and an updater beside them: does what they want come about, how soon, and at whose cost?

The people are played, everything else is real: the chat's own sessions and log, `dialog-rl learn` as a process of its
own, its gate, its promotions, and voices that follow the champion from turn to turn.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from dialog_rl.bench.live_figures import Measuring, Tally, verdicts, waits
from dialog_rl.bench.raters import Talk, Thought, talk, troll, wants_to_be_asked_politely
from dialog_rl.chat.session import ChatSession
from dialog_rl.chat.setting import LEARNABLE, Setting
from dialog_rl.episode_log import learning
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.errors import DialogRLError
from dialog_rl.lm import versions
from dialog_rl.online.course import CHECKPOINTS
from dialog_rl.online.following import FollowingVoices, VersionFollower
from dialog_rl.online.looking_in import look
from dialog_rl.online.version_store import VersionStore, adopt
from dialog_rl.plugins.loading import load_plugins
from dialog_rl.staging import Customers, Stage, open_stage

FULL = 300
SAMPLE = 12
RATERS = 30
RUN = "learn"
_LONGEST_END = 30.0
"""Seconds that the updater may take to end when it is asked to."""


class NothingLearnt(DialogRLError):
    """The updater ended while people were still talking."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """One campaign."""

    chats: int = FULL
    pack: str = "retail"
    seed: int = 0
    measured: int = 100
    """Customers that versions are measured with, whom no chat has met."""
    version: str = "champion"
    """What speaks first."""
    learn: tuple[str, ...] = ()
    """More options of `dialog-rl learn`."""
    thought: Thought = wants_to_be_asked_politely
    trolls: float = 0.0
    """Share of the raters who say the opposite."""
    pause: float = 6.0
    """Seconds between two conversations: each of the raters begins one every three minutes."""
    patience: float = 600.0
    """Seconds that the updater is waited for, before the first chat and after the last."""


def play_live(folder: Path, live: Live, progress: Callable[[int], object] = lambda done: None) -> Tally:
    """Chats, ratings and updates until no more are due; and what came of it."""
    begun = time.monotonic()
    runs = folder / "runs"
    store, spoken = (
        VersionStore(where, run=RUN, keep_champions=10_000) for where in (runs / "versions", folder / "spoken")
    )
    first = versions.find((runs / "versions", versions.EMBEDDED), live.version)
    store.settle_in(first)
    with load_plugins() as plugins:
        stage = open_stage(plugins.registry, live.pack)
    with EpisodeLog.open(runs / "chat" / "episodes.db") as log:

        def confirm(version: str) -> None:
            learning.serving(log, version, "live")
            # Kept to be measured in the end: the updater clears away what nobody needs any more.
            adopt(spoken.root, versions.find((store.root,), version))

        follower = VersionFollower((store.root,), confirm=confirm)
        voices = FollowingVoices(follower)
        with updater(folder, live) as process:
            _until(process, live.patience, lambda: any((runs / RUN / CHECKPOINTS).glob("0*")))
            talks, alone = _chat(log, voices, stage, live, process, progress)
            _until(process, live.patience, lambda: _has_learnt(log, runs))
        voices.current()  # what was promoted last speaks from here on
        measuring = Measuring(stage=stage, customers=live.measured, seed=live.seed + 2)
        before = measuring.measure(spoken.open(first.id))
        return Tally(
            before=before,
            promotions=tuple(measuring.promotions(before, spoken, log)),
            refused=tuple(verdict.reason for verdict in verdicts(log) if not verdict.promoted),
            ratings=sum(one.rated for one in talks),
            waits=tuple(waits(log)),
            alone=tuple(seconds for one in talks if one.episode_id in alone for seconds in one.waited),
            beside=tuple(seconds for one in talks if one.episode_id not in alone for seconds in one.waited),
            seconds=time.monotonic() - begun,
        )


# Beside the chats


@contextmanager
def updater(folder: Path, live: Live) -> Iterator[subprocess.Popen[bytes]]:
    """`dialog-rl learn` beside this process; it ends with the block."""
    command = [sys.executable, "-m", "dialog_rl", "learn", "--run", RUN, "--pack", live.pack]
    command += ["--beside", str(os.getpid()), "--seed", str(live.seed), *live.learn]
    environment = {**os.environ, "DIALOG_RL_PATHS_RUNS": str(folder / "runs")}
    with (folder / "updater.log").open("ab") as record:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=record, stderr=record, env=environment, cwd=folder
        )
        try:
            yield child
        finally:
            child.send_signal(signal.SIGCONT)
            child.terminate()
            try:
                child.wait(timeout=_LONGEST_END)
            except subprocess.TimeoutExpired:  # killed at any moment it loses nothing
                child.kill()
                child.wait()


@contextmanager
def held_still(process: subprocess.Popen[bytes], log: EpisodeLog) -> Iterator[None]:
    """The updater stopped, at a moment when it does not hold up whoever writes to the log."""
    while True:
        process.send_signal(signal.SIGSTOP)
        if _is_free(Path(log.name)):
            break
        process.send_signal(signal.SIGCONT)
        time.sleep(0.02)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def _is_free(file: Path) -> bool:
    with closing(sqlite3.connect(file, timeout=0.05, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
        except sqlite3.OperationalError:
            return False
    return True


def _until(process: subprocess.Popen[bytes], patience: float, done: Callable[[], bool]) -> None:
    """Wait for the updater. Raises NothingLearnt if it has ended."""
    deadline = time.monotonic() + patience
    while not done() and time.monotonic() < deadline:
        if process.poll() is not None:
            raise NothingLearnt(f"the updater ended with {process.returncode}; updater.log says why")
        time.sleep(0.5)


def _has_learnt(log: EpisodeLog, runs: Path) -> bool:
    """Whether no update is being made, and none is due."""
    outlook = look(runs / RUN, log, (runs / "versions",))
    return outlook.pending is None and not outlook.due.why


def _chat(
    log: EpisodeLog,
    voices: FollowingVoices,
    stage: Stage,
    live: Live,
    process: subprocess.Popen[bytes],
    progress: Callable[[int], object],
) -> tuple[list[Talk], set[str]]:
    """All conversations, and the ids of those during which the updater was held still: every fifth."""
    customers = list(Customers(split="train", seed=live.seed + 1).scenarios(stage.pack, live.chats))
    trolls = set(random.Random(live.seed).sample(range(RATERS), max(1, round(RATERS * live.trolls))))
    trolls = trolls if live.trolls else set[int]()
    talks: list[Talk] = []
    alone: set[str] = set()
    for number, (scenario, seed) in enumerate(customers):
        if process.poll() is not None:
            raise NothingLearnt(f"the updater ended with {process.returncode}; updater.log says why")
        setting = Setting(stage=stage, scenario=scenario, seed=seed, temperature=LEARNABLE)
        rater = number % RATERS
        session = ChatSession(log, voices, setting, rater=f"rater-{rater}")
        session.allow_training(True)
        still = number % 5 == 4
        with held_still(process, log) if still else nullcontext():
            thought = troll(live.thought) if rater in trolls else live.thought
            talks.append(talk(session, stage.simulator.start(scenario, seed), thought))
        if still:
            alone.add(session.id)
        time.sleep(live.pause)
        progress(number + 1)
    return talks, alone
