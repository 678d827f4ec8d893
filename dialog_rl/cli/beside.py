"""An updater beside a chat: what is said and rated is learnt from in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dialog_rl.cli.output import note
from dialog_rl.config import Settings

RUN = "learn"
RECORD = "updater.log"


@contextmanager
def updater(settings: Settings, pack: str, options: Sequence[str] = ()) -> Iterator[None]:
    """An updater in a process of its own. It outlasts this one until it has learnt from what was said last.

    One that runs already is left alone. options: of this command, to be handed on.
    """
    folder = Path(settings.paths.runs) / RUN
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "dialog_rl", "learn", "--run", RUN, "--pack", pack]
    command += ["--beside", str(os.getpid()), *options]
    environment = {**os.environ, "DIALOG_RL_PATHS_RUNS": settings.paths.runs}
    with (folder / RECORD).open("ab") as record:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=record,
            stderr=record,
            env=environment,
            start_new_session=True,  # Ctrl-C in the chat is not meant for it
        )
    try:
        yield
    finally:
        if child.poll() is None:
            note("what was rated is being learnt from; 'dialog-rl learn status' says how it goes")
