"""From learnt weights to the version that speaks: published, tried by the gate, promoted or refused, and why.

Everything here may be killed anywhere and is then done again from the checkpoint: publishing and promoting the same
twice is the same as once, and a gate of one number plays the same conversations again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from dialog_rl.episode_log import learning
from dialog_rl.episode_log.learning import Verdict
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.faults import fp
from dialog_rl.lm import versions
from dialog_rl.lm.journal import ANCHOR, CHAMPION
from dialog_rl.lm.model import SpeakingModel
from dialog_rl.online.gate import CHANGED
from dialog_rl.online.lease import Lease
from dialog_rl.online.version_store import VersionStore

SAME = "it speaks exactly as the champion does"


class Outcome(Protocol):
    """What a gate says."""

    @property
    def promoted(self) -> bool: ...

    @property
    def reason(self) -> str: ...

    @property
    def evidence(self) -> Mapping[str, Any]: ...


class Gate(Protocol):
    """The test that a candidate must pass. One gate number always means the same conversations."""

    def examine(
        self, candidate: SpeakingModel, champion: SpeakingModel, anchor: SpeakingModel, *, gate_number: int
    ) -> Outcome: ...


class Promoter:
    """Publishes what updates have made of the weights, and carries out what the gate says."""

    def __init__(
        self, store: VersionStore, gate: Gate, log: EpisodeLog, lease: Lease, *, run: str, shadow: bool
    ) -> None:
        """shadow: candidates are tried and told of, and never speak."""
        self._store, self._gate, self._log, self._lease = store, gate, log, lease
        self._run, self._shadow = run, shadow

    def judge(
        self,
        update: int,
        outcome: str,
        model: SpeakingModel,
        origin: versions.Origin,
        *,
        before_promotion: Callable[[], object],
    ) -> Verdict:
        """What becomes of an update's weights, told in the log once for ever."""
        told = learning.verdict_of(self._log, self._run, update)
        if told is not None:
            return told
        if outcome == learning.LEARNT:
            verdict = self._through_the_gate(update, model, origin, before_promotion)
        else:
            verdict = Verdict(run=self._run, update=update, version="", promoted=False, reason=outcome)
        learning.tell(self._log, verdict)
        fp("updater.settled")
        self._store.tidy()
        return verdict

    def _through_the_gate(
        self,
        update: int,
        model: SpeakingModel,
        origin: versions.Origin,
        before_promotion: Callable[[], object],
    ) -> Verdict:
        done = self._store.promotion_of(update)
        if done is not None:  # killed after it, before it was told
            return Verdict(
                run=self._run,
                update=update,
                version=done.version,
                promoted=True,
                passed=True,
                reason=done.reason,
                gate=self._store.gate_of(update),
                evidence=done.evidence,
            )
        version = self._store.publish(model, origin)
        verdict = self._examined(update, version, champion=origin.parent)
        if verdict.promoted:
            before_promotion()
            with self._lease.guarding():
                self._store.promote(verdict)
            fp("updater.promoted")
        elif verdict.gate and not verdict.passed:
            self._store.reject(verdict)
        return verdict

    def _examined(self, update: int, version: versions.Version, *, champion: str) -> Verdict:
        if version.id == champion:
            return Verdict(run=self._run, update=update, version=version.id, promoted=False, reason=SAME)
        store = self._store
        gate = store.submit(version, update)
        outcome = self._gate.examine(
            store.open(version.id), store.open(champion), store.open(store.standing(ANCHOR)), gate_number=gate
        )
        fp("updater.judged")
        moved = store.standing(CHAMPION) != champion
        return Verdict(
            run=self._run,
            update=update,
            version=version.id,
            passed=outcome.promoted and not moved,
            promoted=outcome.promoted and not moved and not self._shadow,
            reason=CHANGED if moved else outcome.reason,
            gate=gate,
            evidence=dict(outcome.evidence),
        )
