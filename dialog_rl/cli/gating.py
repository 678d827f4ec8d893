"""Promoting a version from the command line: by a person's word, or by the gate's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dialog_rl.cli import opening
from dialog_rl.cli.difference import find
from dialog_rl.cli.options import interruptible, open_environment
from dialog_rl.cli.output import note
from dialog_rl.config import Settings
from dialog_rl.errors import GateNotMet, TrainingError
from dialog_rl.plugins.loading import Plugins, facts_of

if TYPE_CHECKING:
    from dialog_rl.lm.journal import Promotion
    from dialog_rl.lm.versions import Version
    from dialog_rl.online.gate import GateOutcome

BY = "dialog-rl versions promote"


def promote_version(
    name: str,
    alias: str,
    reason: str,
    *,
    gate: bool,
    packs: tuple[str, ...],
    config_file: Path | None,
    plugin: tuple[Path, ...],
    no_plugin: tuple[str, ...],
) -> Promotion:
    """Let `alias` mean the version of that name. Raises GateNotMet if it has to pass the gate and does not."""
    with open_environment(config_file, plugin, no_plugin) as (resolved, plugins):
        from dialog_rl.lm import promotions

        settings = resolved.settings
        store, version = opening.stores(settings)[0], _own(settings, name)
        if not gate:
            return _told(plugins, store, promotions.promote(store, alias, version.id, reason=reason, by=BY))
        number = promotions.submit(store, version.id, by=BY)
        outcome = _examined(settings, plugins, version, packs or settings.train.packs, number)
        if outcome.promoted:
            why = f"{reason}; {outcome.reason}"
            done = promotions.promote(store, alias, version.id, reason=why, evidence=outcome.evidence, by=BY)
            return _told(plugins, store, done)
        promotions.reject(store, version.id, reason=outcome.reason, evidence=outcome.evidence, by=BY)
        raise GateNotMet(f"{version.id} does not pass gate {number}: {outcome.reason}")


def _told(plugins: Plugins, store: Path, line: Promotion) -> Promotion:
    """Lets the observers know of a new champion."""
    from dialog_rl.lm import journal

    if line.alias == journal.CHAMPION:
        plugins.notify("on_version_promoted", run=facts_of("", store), version=line.version)
    return line


def _own(settings: Settings, name: str) -> Version:
    """The version of that name in one's own store: copied there if it was shipped or lies elsewhere."""
    found = find(settings, name)
    store = opening.stores(settings)[0]
    if found.path.parent == store:
        return found
    from dialog_rl.online.version_store import adopt

    return adopt(store, found)


def _examined(
    settings: Settings, plugins: Plugins, version: Version, packs: tuple[str, ...], number: int
) -> GateOutcome:
    """What the gate says of a version beside the champion, and beside the anchor where there is one."""
    from dialog_rl.lm import journal
    from dialog_rl.online.gate import Gate, GateConfig, model_play

    store, config = opening.stores(settings)[0], GateConfig()
    champion = opening.open_model(settings, journal.CHAMPION)
    has_anchor = journal.ANCHOR in journal.standing(store)
    anchor = opening.open_model(settings, journal.ANCHOR) if has_anchor else champion
    with interruptible("Stopping; nothing is decided.") as cancelled:
        gate = Gate(
            opening.open_stages(plugins, opening.all_packs(plugins, packs)),
            model_play(config, cancelled=cancelled),
            config,
            veto=lambda version_id: journal.vetoed(store).get(version_id, ""),
            progress=note,
        )
        candidate = opening.open_model(settings, str(version.path))
        try:
            return gate.examine(candidate, champion, anchor, gate_number=number)
        except TrainingError:
            if not cancelled():
                raise
    raise AssertionError("an interruption is told when its block ends")
