"""A conversation on the whole terminal: drawn at once, with the model loading behind it."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dialog_rl.browsing.stepping import judged
from dialog_rl.chat.pairs import another_answer, settle
from dialog_rl.chat.room import ChatRoom
from dialog_rl.chat.session import ChatSession
from dialog_rl.chat.talk import Talk, Talks
from dialog_rl.cli import episodes, opening
from dialog_rl.cli.live_rewards import RewardsAtHand
from dialog_rl.cli.output import note
from dialog_rl.cli.speaking import LateVoices
from dialog_rl.config import Settings, user_file
from dialog_rl.errors import CheckpointError

if TYPE_CHECKING:
    from dialog_rl.episode import Episode
    from dialog_rl.online.receipts import Receipt
    from dialog_rl.tui.desk import Desk
    from dialog_rl.tui.preferences import Preferences

Furnished = Callable[[Talk, "Preferences"], "Desk"]

CHAMPION = "champion"
RECORD = "screen.log"


def converse(room: Talks, first: Callable[[Any], Talk], learn: bool | None, furnished: Furnished) -> int:
    """Conversations until the person leaves; the exit code. furnished: makes the desk of a first conversation."""
    from dialog_rl.tui import app
    from dialog_rl.tui.preferences import FILE, Preferences

    preferences = Preferences(user_file().parent / FILE)
    if learn is not None:
        preferences.choose(learn=learn)
    session = first(room)
    if preferences.learn and not session.begun:
        session.allow_training(True)
    _keep_a_record(room.folder / RECORD)
    code, last_word = app.run(furnished(session, preferences))
    if last_word:
        note(last_word)
    return code


def own_desk(
    room: ChatRoom, voices: LateVoices, settings: Settings, rewards: RewardsAtHand, session: Talk, chosen: Preferences
) -> Desk:
    """Where conversations are held in this process."""
    from dialog_rl.tui.desk import Desk

    return Desk(
        room=room,
        first=session,
        prepare=voices.prepare,
        judged=judged,
        another=another_answer,
        settle=settle,
        receipts=lambda session: receipts_of(session, settings),
        earlier=lambda version: earlier(settings, version),
        rewards=rewards.of_reply,
        reload=rewards.reload,
        before_turn=rewards.before_turn,
        keep_scenario=lambda episode: keep_scenario(settings, episode),
        preferences=chosen,
    )


def keep_scenario(settings: Settings, episode: Episode) -> Path:
    from dialog_rl.browsing import scenario_files

    path = episodes.scenarios_folder(settings) / scenario_files.file_name(episode.episode_id)
    scenario_files.write(episode, path)
    return path


def leave_loading(code: int) -> None:
    """End at once if the model is still being loaded: nobody waits for it, and it cannot be stopped."""
    from dialog_rl.tui.talking import LOADING

    if any(thread.name == LOADING for thread in threading.enumerate()):
        sys.stdout.flush()
        os._exit(code)


def receipts_of(session: ChatSession, settings: Settings) -> dict[str, str]:
    """What became of each rating of a conversation, by the id it was logged under."""
    from dialog_rl.online.looking_in import rules_of
    from dialog_rl.online.receipts import receipts

    found = receipts(session.log, session.id, rules_of(opening.stores(settings)))
    return {one.event_id.removeprefix("rating:"): told(one, session) for one in found}


def told(receipt: Receipt, session: Talk) -> str:
    """One receipt in a few words."""
    fate, reason = str(receipt.fate), receipt.reason
    if receipt.rating.value is None:
        return ""
    if fate == "waiting" and not session.trains:
        return "not learnt from; ctrl+l allows it"
    if fate == "waiting" and session.ended is None:
        return (
            "learnt from once this conversation has ended" if session.learnable else "this conversation teaches nothing"
        )
    if receipt.update:
        became = f", now version {receipt.version[:8]}" if fate in ("promoted", "active") else f", {fate}: {reason}"
        return f"used in update {receipt.update}{became}"
    return f"{fate}: {reason}" if reason else fate


def earlier(settings: Settings, version: str) -> str:
    """The version that was champion before this one, or the one that all began with; empty if there is none."""
    from dialog_rl.lm import journal, versions

    champions = [
        promotion.version
        for store in reversed(opening.stores(settings))
        for promotion in journal.read(store)
        if promotion.alias == CHAMPION and promotion.event.moves and (store / promotion.version).is_dir()
    ]
    before = (
        [other for other in champions[: champions.index(version)] if other != version] if version in champions else []
    )
    if before:
        return before[-1]
    try:
        base = versions.find(opening.stores(settings), "base").id
    except CheckpointError:
        return ""
    return base if base != version else ""


def _keep_a_record(file: Path) -> None:
    """What would be said on stderr goes to a file: the terminal is taken."""
    handler = logging.FileHandler(file, delay=True, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
