"""Whether the application is drawn on a terminal or in a browser. Imports nothing, so that it can be asked early."""

from __future__ import annotations

import os

VARIABLE = "TEXTUAL_DRIVER"
"""The environment variable by which Textual is told how to draw."""
BROWSER = "dialog_rl.tui.browser:BrowserDriver"


def is_a_browser() -> bool:
    """Whether the web server has started this process."""
    return os.environ.get(VARIABLE) == BROWSER
