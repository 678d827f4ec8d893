"""The updater: follows the log, learns from what people thought of conversations, and lets the gate decide.

One commit point. An update is planned (an event in the log), learnt, and committed by the one rename of a checkpoint
that holds weights, optimizer, random state, cursor and fence. What comes before the rename is done again after a crash,
from the same plan; what comes after is derived from the checkpoint, and doing it twice is doing it once.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from dialog_rl.episode_log import learning
from dialog_rl.episode_log.learning import Chosen, Plan, Used, Verdict
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.episode_log.records import Kind
from dialog_rl.errors import TrainingError
from dialog_rl.faults import fp
from dialog_rl.lm import checkpoints, versions
from dialog_rl.lm.journal import CHAMPION
from dialog_rl.online import provenance, training_record
from dialog_rl.online.course import Course, TrainingStates, read_state, write_state
from dialog_rl.online.eligibility import Rules, Summary, summarise
from dialog_rl.online.following import roll_back
from dialog_rl.online.learn_config import LearnConfig
from dialog_rl.online.lease import Lease
from dialog_rl.online.ledger import Ledger
from dialog_rl.online.promotion import Gate, Promoter
from dialog_rl.online.selection import Due, Quiet, when
from dialog_rl.online.study import Material, Record, Study, environment
from dialog_rl.online.version_store import VersionStore
from dialog_rl.online.watch import LOOKS, worse_ratings

logger = logging.getLogger(__name__)

_WORDS = (Kind.BEGIN, Kind.USER, Kind.TURN, Kind.RATING)


class Halted(TrainingError):
    """Update after update came to nothing: a person has to look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One update from beginning to end."""

    record: Record
    verdict: Verdict


class Updater:
    """One run in one folder. Everything random follows from the configuration's seed and the update's number."""

    def __init__(
        self,
        folder: Path,
        log: EpisodeLog,
        store: VersionStore,
        gate: Gate,
        material: Material,
        config: LearnConfig,
        lease: Lease,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.run, self.log, self.store, self.config = folder.name, log, store, config
        self.study = Study(material, config, self.run)
        self.ledger = Ledger(own_run=self.run)
        self.course = Course()
        self.folder, self._states = folder, TrainingStates(folder)
        self._lease, self._clock = lease, clock
        self._promoter = Promoter(store, gate, log, lease, run=self.run, shadow=config.shadow)
        self._queued_since: float | None = None
        self._last_word = clock()
        self._heard = 0
        self._failures = 0

    def resume(self) -> tuple[checkpoints.Rejected, ...]:
        """Take up the latest valid checkpoint, or make the first one. Returns those passed over, with the reason."""
        self._heard = self.log.last_seq()
        found, rejected = self._states.latest()
        if found is None:
            self._begin()
        else:
            self.study.load(found.path)
            state = read_state(found.path)
            _compare_environment(state["environment"])
            self.ledger = Ledger.restored(self.run, state["ledger"])
            self.course = Course(**state["course"])
            self._settle()
        return rejected

    def _begin(self) -> None:
        champion = self.store.standing(CHAMPION)
        self.study.load_weights(self.store.root / champion)
        self.course = Course(champion=champion, homes={champion: "update:0"})
        self._states.keep(0, self.study.save, self._origin())
        self._commit()

    # Following

    def follow(self) -> Summary:
        """Take in what was logged since, and say what may be learnt from and what may not."""
        self.ledger.follow(self.log)
        if not self.config.shadow:
            self._heed_ratings()
        self._notice_champion()
        if self.config.idle:
            for event in self.log.events(since=self._heard, kinds=_WORDS):
                self._heard, self._last_word = event.seq, self._clock()
        return summarise(self.ledger.waiting.values(), self.rules())

    def rules(self) -> Rules:
        return Rules(
            tokenizer=self.study.material.model.renderer.fingerprint,
            champions=self.store.champions(),
            kept=self.store.kept(),
            max_lag=self.config.max_lag,
            temperature=self.config.temperature,
        )

    def due(self, summary: Summary, *, now: bool = False) -> Due:
        """When the next update is made, and of what."""
        clock = self._clock()
        if not summary.queued:
            self._queued_since = None
        elif self._queued_since is None:
            self._queued_since = clock
        queued = 0.0 if self._queued_since is None else clock - self._queued_since
        return when(summary, self.config, Quiet(since_word=clock - self._last_word, since_queued=queued), now=now)

    def step(self, *, now: bool = False) -> Report | None:
        """Make one update if one is due, or one that was begun before a crash. now: of whatever is queued."""
        plan = learning.plan_of(self.log, self.run, self.course.update + 1) or self._plan(now=now)
        if plan is None:
            return None
        if self._failures >= self.config.patience:
            why = self.course.record["outcome"]
            raise Halted(f"{self._failures} updates in a row came to nothing; the last: {why}")
        return self._make(plan)

    def run_on(
        self,
        *,
        once: bool = False,
        finishing: Callable[[], bool] = lambda: False,
        poll: float = 1.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Iterator[Report]:
        """Update after update. once: learn from whatever is queued, then end. finishing: whether that is so by now."""
        while True:
            ending = once or finishing()
            report = self.step(now=ending)
            if report is not None:
                yield report
            elif ending:
                return
            else:
                sleep(poll)

    # Planning

    def _plan(self, *, now: bool) -> Plan | None:
        while True:
            summary = self.follow()
            due = self.due(summary, now=now)
            if not due.why:
                return None
            simulated = round(self.config.simulated * len(due.chosen))
            logged = summary.simulated[:simulated]
            if not self._quarantine_false(tuple(facts.episode_id for facts in (*due.chosen, *logged))):
                break
        plan = Plan(
            run=self.run,
            update=self.course.update + 1,
            horizon=self.ledger.cursor,
            why=due.why,
            start=self.course.start,
            anchor=self.study.material.anchor.version,
            champion=self.course.champion,
            episodes=(*(facts.chosen for facts in due.chosen), *(Chosen(episode_id=f.episode_id) for f in logged)),
            simulated=simulated - len(logged),
            config=self.config.to_json(),
        )
        with self._lease.guarding():
            learning.tell(self.log, plan)
        fp("updater.planned")
        return plan

    def _quarantine_false(self, ids: tuple[str, ...]) -> bool:
        """Quarantine what the version that is named cannot have said. Whether there was any."""
        episodes = [self.log.get(name) for name in ids]
        pad_id = self.study.material.model.renderer.pad_id
        opened = provenance.differences(episodes, lambda version: self.store.open(version).policy, pad_id)
        false = {name: off for name, off in opened.items() if not off <= self.config.max_mismatch}
        for name, off in false.items():
            reason = f"its log-probabilities are not those of its version: they differ by {off:.3g} nats"
            logger.warning("%s: %s", name, reason)
            learning.quarantine(self.log, name, reason, event_id=f"{self.run}:false:{name}")
        return bool(false)

    # Learning and committing

    def _make(self, plan: Plan) -> Report:
        self.ledger.follow(self.log, until=plan.horizon)
        if plan.start != self.course.start:
            self._go_to(plan.start)
        record = self.study.learn(plan, self.log)
        abandoned = record.outcome.startswith("abandoned")
        if abandoned:
            self._go_to(plan.start)
        elif record.outcome.startswith("withheld"):
            self._go_to(self._states.home(self.course))
        self.ledger.use(plan.episodes, plan.update)
        self.course = replace(
            self.course,
            update=plan.update,
            start=f"update:{plan.update}",
            cursor=self.ledger.cursor,
            record=_plain(record),
        )
        self._commit()
        training_record.append(self.folder, _figures(record))
        self._queued_since = None
        self._failures = self._failures + 1 if abandoned else 0
        return Report(record=record, verdict=self._settle())

    def _commit(self) -> None:
        fp("updater.before_commit")
        with self._lease.guarding():
            self._states.commit(self.course.update, self._fill, self._origin())
        fp("updater.committed")

    def _fill(self, folder: Path) -> None:
        self.study.save(folder)
        write_state(
            folder,
            {
                "run": self.run,
                "fence": self._lease.token,
                "environment": environment(),
                "ledger": self.ledger.state(),
                "course": asdict(self.course),
            },
        )

    def _origin(self) -> versions.Origin:
        return versions.Origin(
            parent=self.course.champion,
            fingerprint=self.study.material.model.renderer.fingerprint,
            trained_on={
                "run": self.run,
                "update": self.course.update,
                "log_until": self.course.cursor,
                "conversations": len(self.ledger.used),
            },
            created_by="learn",
        )

    # What follows from a checkpoint

    def _settle(self) -> Verdict:
        """Tell what the last update used, and see its weights through the gate. Safe to repeat."""
        update, record = self.course.update, self.course.record
        if update <= self.course.settled:
            return Verdict(run=self.run, update=update, version="", promoted=False, reason="nothing new was learnt")
        learning.tell(
            self.log,
            *(
                Used(
                    run=self.run,
                    update=update,
                    episode_id=one["episode_id"],
                    ratings=tuple(one["ratings"]),
                    outcome=record["outcome"],
                )
                for one in record["episodes"]
            ),
        )
        fp("updater.told")
        verdict = self._promoter.judge(
            update,
            record["outcome"],
            self.study.material.model,
            self._origin(),
            before_promotion=self._keep_home,
        )
        self._take_in(verdict)
        return verdict

    def _keep_home(self) -> None:
        self._states.keep(self.course.update, self.study.save, self._origin())
        fp("updater.home_kept")

    def _take_in(self, verdict: Verdict) -> None:
        """What a verdict changes about the course. After a crash the same verdict changes the same again."""
        if verdict.promoted:
            self.course.champion = verdict.version
            self.course.homes[verdict.version] = f"update:{verdict.update}"
        if verdict.passed:
            self.course.refused = 0
        elif verdict.version:
            self.course.refused += 1
            if self.course.refused >= self.config.patience:
                self._go_to(self._states.home(self.course))
                self.course.refused = 0

    # Going back

    def _go_to(self, start: str) -> None:
        """Have another training state in memory. Raises CheckpointError if it is no longer kept."""
        if start.startswith("version:"):
            self.study.load_weights(self.store.root / start.removeprefix("version:"))
        else:
            self.study.load(self._states.find(start))
        self.course.start = start

    def _heed_ratings(self) -> None:
        """Take the champion back if people think clearly less of it than of the last one that many have rated."""
        champion, opinions = self.store.standing(CHAMPION), self.ledger.opinions
        others = (opinions.get(v, ()) for v in reversed(self.store.champions()) if v != champion)
        before = next((values for values in others if len(values) >= LOOKS), ())
        if worse_ratings(before, opinions.get(champion, ())):
            roll_back(self.store.root, champion, "people think less of it than of the one before", by=self.run)

    def _notice_champion(self) -> None:
        """Somebody else may have moved the champion: a rollback, or a person. Learning goes on from where it was made.

        What was learnt since is left behind, and the conversations that taught it are quarantined.
        """
        standing = self.store.standing(CHAMPION)
        if standing == self.course.champion:
            return
        self.course.champion, self.course.refused = standing, 0
        made, home = self.course.made_champion(standing), self._states.home(self.course)
        logger.warning("version %s is champion: learning goes on from %s", standing, home)
        for name, update in self.ledger.used.items():
            if made is not None and update > made:
                reason = f"what update {update} learnt from it was rolled back"
                learning.quarantine(self.log, name, reason, event_id=f"{self.run}:rolled-back:{name}")
        fp("updater.rolled_back")
        if self.course.start != home:
            self._go_to(home)


def _compare_environment(made_in: Mapping[str, Any]) -> None:
    changed = {name: value for name, value in environment().items() if made_in.get(name) != value}
    if changed:
        logger.warning("the last checkpoint was made with other than %s: learning goes on, not bit for bit", changed)


def _figures(record: Record) -> dict[str, Any]:
    """For whoever watches: nothing that says who was learnt from."""
    document = _plain(record)
    return {**document, "episodes": len(record.episodes)}


def _plain(record: Record) -> dict[str, Any]:
    return json.loads(json.dumps(asdict(record), default=str))
