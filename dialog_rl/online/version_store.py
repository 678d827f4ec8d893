"""The versions that an updater publishes among: who speaks, who spoke before, and what may be cleared away."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from dialog_rl.episode_log.learning import Verdict
from dialog_rl.errors import CheckpointError
from dialog_rl.faults import fp
from dialog_rl.lm import journal, promotions, versions
from dialog_rl.lm.adapters import BASE_FILE, read_facts
from dialog_rl.lm.journal import ANCHOR, CANDIDATE, CHAMPION, Event
from dialog_rl.lm.model import SpeakingModel
from dialog_rl.lm.versions import Version


class VersionStore:
    """The versions of one machine, as one run of an updater sees them."""

    def __init__(self, root: Path, *, run: str, keep_champions: int) -> None:
        """keep_champions: so many of the last ones are never cleared away, as their words may still be learnt from."""
        self.root, self._run, self._keep = root, run, keep_champions

    def settle_in(self, champion: Version) -> None:
        """See to it that the store has a champion and an anchor: the given version where it has none."""
        promotions.refresh(self.root)
        for alias, reason in ((CHAMPION, "spoke when learning began"), (ANCHOR, "frozen when learning began")):
            if alias not in journal.standing(self.root):
                adopted = adopt(self.root, champion)
                promotions.promote(self.root, alias, adopted.id, reason=reason, by=self._run)

    def standing(self, alias: str) -> str:
        """The id that an alias means. Raises CheckpointError if it means nothing."""
        found = journal.standing(self.root).get(alias, "")
        if not found:
            raise CheckpointError(f"{self.root}: no version is {alias}")
        return found

    def champions(self) -> tuple[str, ...]:
        """Every version that was champion, oldest first."""
        return tuple(p.version for p in journal.read(self.root) if p.alias == CHAMPION and p.event.moves and p.version)

    def kept(self) -> frozenset[str]:
        return frozenset(manifest.id for manifest in versions.list_versions(self.root))

    def open(self, version_id: str) -> SpeakingModel:
        return SpeakingModel.load(self.root / version_id)

    def publish(self, model: SpeakingModel, origin: versions.Origin) -> Version:
        version = versions.publish(self.root, model.save, origin)
        fp("updater.published")
        return version

    def submit(self, version: Version, update: int) -> int:
        """Make a version the candidate; the number of its gate, the same again for an update that was killed in it."""
        return self.gate_of(update) or promotions.submit(self.root, version.id, by=self._by(update))

    def gate_of(self, update: int) -> int:
        """The number of the gate that an update's version was submitted to; 0 if it was not."""
        begun = self._line(CANDIDATE, Event.PROMOTED, update)
        return int(begun.evidence["gate"]) if begun is not None else 0

    def promote(self, verdict: Verdict) -> None:
        """Let the version of an update speak."""
        told = {"reason": verdict.reason, "evidence": verdict.evidence, "by": self._by(verdict.update)}
        promotions.promote(self.root, CHAMPION, verdict.version, **told)

    def reject(self, verdict: Verdict) -> None:
        """Note that the version of an update did not pass, once."""
        if self._line(CANDIDATE, Event.REJECTED, verdict.update) is None:
            told = {"reason": verdict.reason, "evidence": verdict.evidence, "by": self._by(verdict.update)}
            promotions.reject(self.root, verdict.version, **told)

    def promotion_of(self, update: int) -> journal.Promotion | None:
        """The promotion that an update led to, if it did."""
        return self._line(CHAMPION, Event.PROMOTED, update)

    def _line(self, alias: str, event: Event, update: int) -> journal.Promotion | None:
        mine = (
            p for p in journal.read(self.root) if p.alias == alias and p.event is event and p.by == self._by(update)
        )
        return next(mine, None)

    def _by(self, update: int) -> str:
        return f"{self._run}:{update}"

    def tidy(self) -> Sequence[str]:
        """Clear away what nobody needs; returns the ids."""
        latest = list(dict.fromkeys(reversed(self.champions())))[: self._keep]
        return promotions.clear(self.root, keep=latest)


def adopt(root: Path, version: Version) -> Version:
    """A version in this store, file for file the same, so under the same id."""
    manifest = version.manifest
    if (root / manifest.id / versions.MANIFEST).exists():
        return versions.verify(root / manifest.id)
    if (version.path / BASE_FILE).is_file():
        adopt(root, versions.find((version.path.parent, versions.EMBEDDED), read_facts(version.path)[1].id))

    def fill(folder: Path) -> None:
        for name in manifest.files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(version.path / name, folder / name)

    origin = versions.Origin(
        parent=manifest.parent,
        fingerprint=manifest.fingerprint,
        trained_on=manifest.trained_on,
        created_by=manifest.created_by,
    )
    return versions.publish(root, fill, origin, expected_bytes=manifest.size)
