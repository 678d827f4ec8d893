"""Text that wants to steer a terminal: made at random, with all that ever did any harm."""

from __future__ import annotations

import random
import re

PIECES = (
    "\x1b[2J", "\x1b[31337h", "\x1b]0;owned\x07", "\x1b]52;c;b3duZWQ=\x07", "\x1b]8;;http://x\x1b\\y\x1b]8;;\x1b\\",
    "\x1bP+q\x1b\\", "\x9b31m", "\x9d0;x\x9c", "\x1bc", "\x00", "\x07", "\x08", "\x0b", "\x0c", "\r", "\r\n", "\x7f",
    "\x85", "\u202e", "\u2066", "\u2028", "\u2029", "\u200f", "\u061c", "\ufeff", "\ufff9", "\U000e0041", "\U000e007f",
    "\ud800", "\udfff", "[/", "[/]", "[b]", "[@click=app.quit]x[/]", "[link=file:///etc/passwd]y[/]",
    "[type=x, v={'a[0]'}]", "[$error", "[red", "]", "\\[", "```", "`", "**", "# ", "- ", "1. ", "> ",
    "| a | b |\n|---|---|\n| c |", "<b>", "&lt;",
    "[x](javascript:1)", "![i](http://x/y.png)", "\n", "\n\n", "\t", " ", "word", "退款", "é", "e\u0301", "🙂",
    "\U0001f469\u200d\U0001f467", "\u200b", "\xa0",
    "https://example.com/?a=[b]", "%s{0}{x}", "$(reboot)", ":smile:",
)  # fmt: skip
FORBIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u180e\u200e\u200f\u2028-\u202e\u2066-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
"""Written out once more: what no terminal may be sent as text."""


def text(rng: random.Random, most: int = 12) -> str:
    """A hostile text of a few pieces, and now and then a character of any kind."""
    parts = [
        rng.choice(PIECES) if rng.random() < 0.8 else chr(rng.randrange(0x110000)) for _ in range(rng.randint(1, most))
    ]
    return "".join(parts)
