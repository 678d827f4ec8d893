"""Wheels built from sources here, and environments that they are installed into: without a network."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path


def build_wheel(source: Path, out: Path) -> Path:
    """The wheel of a project's folder."""
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    (built,) = out.glob("*.whl")
    return built


class FreshEnvironment:
    """An environment of its own, which has our dependencies and whatever wheels are installed into it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "env" / "bin" / "python"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "env")], check=True)
        (site,) = (folder / "env" / "lib").glob("python*/site-packages")
        # A path file of the other environment, as that of an editable checkout, is not read again from here.
        (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n", encoding="utf-8")

    def install(self, wheel: Path) -> None:
        self._pip("install", "-q", "--no-deps", "--no-index", str(wheel))

    def uninstall(self, name: str) -> None:
        self._pip("uninstall", "-q", "-y", name)

    def _pip(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "pip", "--python", str(self.python), *arguments]
        subprocess.run(command, check=True, capture_output=True)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`dialog-rl` of this environment, in its own folder, with settings of its own."""
        return subprocess.run(
            [str(self.python), "-P", "-m", "dialog_rl", *arguments],
            cwd=self.folder,
            env={"PATH": "", "HOME": str(self.folder), "DIALOG_RL_AGENT_THREADS": "1", "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
