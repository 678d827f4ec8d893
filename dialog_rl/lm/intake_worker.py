"""The process in which a stranger's checkpoint is read: `python -m dialog_rl.lm.intake_worker SOURCE TARGET FORMAT …`.

It copies what is known into TARGET, under names of its own and only after looking through every byte, and prints one
line of JSON. It loads no model: nothing here runs what a file says, but for the chat template, which is rendered in a
sandbox within this process's limits to see which format it writes. It has no network, starts nothing, and writes
nowhere else.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from dialog_rl.errors import CheckpointError
from dialog_rl.lm import intake_files, intake_template, intake_tokenizer
from dialog_rl.lm.hub_renderer import renderer_of
from dialog_rl.lm.intake_files import Wanted

_NO_NETWORK = 0x40000000  # CLONE_NEWNET of unshare(2)
_NEW_USER = 0x10000000
_PARENT_DEATH = 1
_FORBIDDEN = ("socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "pickle.",
              "ctypes.", "os.remove", "os.rename", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.chown",
              "shutil.", "webbrowser.", "os.putenv", "os.kill")  # fmt: skip
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def confine(target: Path, *, memory: int, seconds: int, file_size: int) -> None:
    """Limits that the kernel keeps, and a guard over what Python itself is asked to do. For good."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
    # At the first the kernel says why (SIGXCPU), at the second it only kills: equal ones would never say it.
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 2))
    with suppress(ValueError, OSError):  # macOS has no enforceable address-space limit
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(_PARENT_DEATH, 9)
        if libc.unshare(_NO_NETWORK) != 0:  # only root may; a user may within a user namespace, where there are any
            libc.unshare(_NO_NETWORK | _NEW_USER)
    sys.addaudithook(_guard(target.resolve()))


def _guard(target: Path) -> Callable[[str, tuple[Any, ...]], None]:
    home = str(target) + os.sep

    def guard(event: str, arguments: tuple[Any, ...]) -> None:
        if event.startswith(_FORBIDDEN):
            raise PermissionError(f"{event} while reading a stranger's checkpoint")
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITING:
            path = os.fsdecode(arguments[0]) if isinstance(arguments[0], str | bytes) else ""
            if not os.path.realpath(path).startswith(home):
                raise PermissionError("a file opened for writing elsewhere")

    return guard


def take_in(source: Path, target: Path, wanted: Wanted, chat_format: str) -> None:
    """Raises CheckpointError that says what is wrong. `chat_format` names one, whatever the template writes."""
    files = intake_files.listed(source)
    tokenizer = intake_tokenizer.read(files["tokenizer.json"], vocabulary=wanted.vocabulary)
    found = intake_template.chosen(files, tokenizer, chat_format)
    renderer = renderer_of(tokenizer, found.name, end=found.end)
    intake_tokenizer.require_marks(renderer, vocabulary=wanted.vocabulary)
    (target / "tokenizer.json").write_bytes(tokenizer.data)
    facts = {"format": found.name, "end": renderer.format.end}
    (target / "renderer.json").write_text(json.dumps(facts) + "\n", encoding="utf-8")
    shards = sorted(path for name, path in files.items() if name.endswith(".safetensors"))
    intake_files.copy_weights(shards, target, wanted)


def main() -> None:
    source, target, chat_format, memory, seconds, size = sys.argv[1:7]
    wanted = Wanted(**json.load(sys.stdin))
    confine(Path(target), memory=int(memory), seconds=int(seconds), file_size=int(size))
    answer: dict[str, str] = {}
    try:
        take_in(Path(source), Path(target), wanted, chat_format)
    except CheckpointError as e:
        answer = {"refused": str(e)}
    except MemoryError:
        answer = {"refused": f"it needs more than {int(memory) >> 20} MiB to be looked through"}
    except BaseException as e:  # marked border: a refusal, whatever it is; Rust's panics are no Exception
        answer = {"refused": f"it cannot be looked through ({type(e).__name__}: {e})"}
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
    os._exit(0)  # what a library left behind is not run


if __name__ == "__main__":
    main()
