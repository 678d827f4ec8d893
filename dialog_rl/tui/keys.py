"""The line of keys at the bottom of a screen."""

from __future__ import annotations

from textual.widgets import Footer
from textual.widgets._footer import FooterKey

from dialog_rl.text import columns

_ALWAYS = frozenset({"help", "quit"})
"""Actions whose keys are shown however narrow it is, as is Escape: the ways on and out."""


class Keys(Footer):
    """Of the keys that work here as many as there is room for, whole, in the order of their importance."""

    def __init__(self) -> None:
        super().__init__(compact=True, show_command_palette=False)

    async def recompose(self) -> None:
        await super().recompose()
        self._fit()

    def on_resize(self) -> None:
        self._fit()

    def _fit(self) -> None:
        keys = list(self.query(FooterKey))
        room = self.size.width + 1 - sum(_width(key) for key in keys if _always(key))
        for key in keys:
            if not _always(key):
                room -= _width(key)
                key.display = room >= 0


def _always(key: FooterKey) -> bool:
    return key.action in _ALWAYS or key.key == "escape"


def _width(key: FooterKey) -> int:
    """With the gap after it."""
    return columns(f"{key.key_display} {key.description} ")
