"""A PostgreSQL server of one's own in a folder, that can be killed, every process of it at once."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dialog_rl.errors import DialogRLError

_PLACES = ("/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt")
_PATIENCE = 60.0


class NoServer(DialogRLError):
    """There is no PostgreSQL on this machine, or it does not start."""


def programs() -> Path | None:
    """The folder of PostgreSQL's programs, if they are installed."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    inside = [path for place in _PLACES for path in sorted(Path(place).glob("*/bin/initdb"))]
    return inside[-1].parent if inside else None


class Server:
    """Listens on a loopback port that was free, and lets in whoever asks."""

    def __init__(self, folder: Path) -> None:
        """Raises NoServer."""
        found = programs()
        if found is None:
            raise NoServer("PostgreSQL is not installed: there is no initdb")
        self._programs, self._data, self._log = found, folder / "data", folder / "server.log"
        # PostgreSQL refuses to run as root.
        self._user = pwd.getpwnam("postgres").pw_name if os.geteuid() == 0 else None
        if self._user is not None:
            shutil.chown(folder, self._user)
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._call("initdb", "-D", str(self._data), "-A", "trust", "-U", "test", "--no-sync", "-E", "UTF8")

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://test@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        """Raises NoServer if it does not answer in time."""
        command = [str(self._programs / "postgres"), "-D", str(self._data), "-p", str(self._port)]
        command += ["-k", "", "-c", "listen_addresses=127.0.0.1"]
        with self._log.open("ab") as record:
            self._process = subprocess.Popen(command, stdout=record, stderr=record, user=self._user, cwd="/")
        deadline = time.monotonic() + _PATIENCE
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise NoServer(f"the server does not start: {self._log.read_text(encoding='utf-8')[-500:]}")
            time.sleep(0.05)

    def kill(self) -> None:
        """kill -9 of the server and all its children at once."""
        assert self._process is not None
        children = _children(self._process.pid)
        for process in (self._process.pid, *children):
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._process.wait()
        while any(Path(f"/proc/{child}").exists() for child in children):  # they hold the shared memory
            time.sleep(0.005)

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait()

    def _is_ready(self) -> bool:
        command = [str(self._programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self._port)]
        return subprocess.run(command, check=False).returncode == 0

    def _call(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._programs / program), *arguments], capture_output=True, text=True, user=self._user, cwd="/",
            check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise NoServer(f"{program}: {done.stderr.strip()[-500:]}")


@contextmanager
def server(folder: Path) -> Iterator[Server]:
    """One that runs, and is gone afterwards. Raises NoServer."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Server(folder)
    made.start()
    try:
        yield made
    finally:
        made.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _children(process: int) -> Sequence[int]:
    found: list[int] = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        if int(fields[1]) == process:
            found.append(int(stat.parent.name))
    return found
