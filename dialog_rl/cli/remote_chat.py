"""`chat --url`: the same faces over conversations that are held at a service."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dialog_rl.browsing.stepping import judged
from dialog_rl.chat.talk import Talk
from dialog_rl.cli import plain_chat, screen_chat
from dialog_rl.config import Settings
from dialog_rl.episode_log.records import rating_from_json
from dialog_rl.errors import ConfigError
from dialog_rl.remote.room import RemoteRoom
from dialog_rl.remote.service import Service
from dialog_rl.remote.session import RemoteSession

if TYPE_CHECKING:
    from dialog_rl.online.receipts import Receipt
    from dialog_rl.tui.desk import Desk
    from dialog_rl.tui.preferences import Preferences


def converse(
    settings: Settings,
    url: str,
    key_file: Path | None,
    temperature: float,
    first: Callable[[Any], Talk],
    learn: bool | None,
    *,
    on_screen: bool,
) -> None:
    """Conversations until the person leaves. Raises ConfigError, ServiceError if nobody is there."""
    folder = Path(settings.paths.runs) / "remote"
    folder.mkdir(parents=True, exist_ok=True)
    room = RemoteRoom(folder, Service(url, key=read_key(key_file) if key_file else ""), temperature=temperature)
    if not on_screen:
        plain_chat.converse_all(room, first, learn=bool(learn))
    elif code := screen_chat.converse(room, first, learn, partial(desk, room)):
        raise SystemExit(code)


def desk(room: RemoteRoom, session: Talk, chosen: Preferences) -> Desk:
    from dialog_rl.tui.desk import Desk

    return Desk(
        room=room,
        first=session,
        prepare=room.version,
        judged=judged,
        receipts=receipts_of,
        privacy=f"All of it is kept by the service at {room.service.url}.",
        preferences=chosen,
    )


def receipts_of(session: RemoteSession) -> dict[str, str]:
    """What became of each rating of a conversation, by the id that it was given here."""
    return {one["event_id"]: screen_chat.told(_receipt(one), session) for one in session.receipts()}


def _receipt(told: Mapping[str, Any]) -> Receipt:
    from dialog_rl.online.receipts import Fate, Receipt

    plain = {name: told[name] for name in ("event_id", "seq", "reason", "run", "update", "version", "seconds")}
    return Receipt(rating=rating_from_json(told["rated"]), fate=Fate(told["fate"]), **plain)


def read_key(file: Path) -> str:
    """The key in a file that holds nothing else. Raises ConfigError."""
    try:
        words = file.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as e:
        raise ConfigError(f"{file}: cannot be read: {getattr(e, 'strerror', None) or 'not UTF-8'}") from None
    if len(words) != 1:
        raise ConfigError(f"{file}: write the key and nothing else")
    return words[0]
