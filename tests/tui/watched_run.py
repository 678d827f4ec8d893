"""The dashboard on a real terminal: python -m tests.tui.watched_run FOLDER, which holds the run `r`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from dialog_rl.online.seen_training import TrainingWatch
from dialog_rl.tui import watch
from dialog_rl.tui.preferences import Preferences

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    (folder / "pid").write_text(str(os.getpid()))
    code, last_word = watch.run(TrainingWatch(folder / "r"), Preferences())
    print(last_word)  # noqa: T201
    sys.exit(code)
