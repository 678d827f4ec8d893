"""The command line as its users have it: arguments in, exit code and two streams out, in a folder of one's own."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dialog_rl import config
from dialog_rl.cli.main import main
from dialog_rl.text import unsafe


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    def json(self) -> dict[str, Any]:
        return json.loads(self.out)

    def error(self) -> str:
        """The one line that says what is wrong."""
        lines = [line for line in self.err.splitlines() if line.startswith("dialog-rl: ")]
        assert len(lines) == 1, self.err
        return lines[0]


Run = Callable[..., Outcome]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder without settings of anybody's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(config, "user_file", lambda: tmp_path / "user" / "config.toml")
    for variable in ("DIALOG_RL_TRACEBACK", "DIALOG_RL_CONFIG"):
        monkeypatch.delenv(variable, raising=False)
    yield tmp_path


@pytest.fixture
def run(home: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    def run_command(*arguments: str) -> Outcome:
        capfd.readouterr()
        code = main(list(arguments))
        out, err = capfd.readouterr()
        for line in (out + err).splitlines():
            assert not unsafe(line.replace("\t", "")), line
        assert "Traceback" not in err
        return Outcome(code=code, out=out, err=err)

    return run_command


@pytest.fixture(scope="session")
def babbler(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one version, alias `base`: a model far too small to make sense, which is enough to be run."""
    from dialog_rl.lm import promotions, versions
    from dialog_rl.lm.demonstrations import texts_of
    from dialog_rl.lm.model import SpeakingModel
    from dialog_rl.lm.policy import ModelShape, Policy
    from dialog_rl.lm.renderer import EmbeddedRenderer
    from dialog_rl.lm.tokenizer import train_tokenizer
    from dialog_rl.online.apprentice import Apprenticeship, demonstrations

    texts = texts_of(demonstrations(Apprenticeship(packs=("retail",)), count=60))
    tokenizer = train_tokenizer(texts, vocabulary=640, seed=0)
    shape = ModelShape(
        vocab_size=len(tokenizer), hidden=16, layers=1, heads=2, intermediate=32, max_positions=256
    )  # fmt: skip
    model = SpeakingModel(policy=Policy.fresh(shape, seed=0), renderer=EmbeddedRenderer(tokenizer), version="")
    root = tmp_path_factory.mktemp("store")
    version = versions.publish(root, model.save)
    promotions.promote(root, "base", version.id, reason="test")
    return root


@pytest.fixture
def with_base(home: Path, babbler: Path) -> Path:
    """A working folder whose runs hold the version `base`."""
    import shutil

    shutil.copytree(babbler, home / "runs" / "versions")
    return home


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch) -> Callable[[], AbstractContextManager[None]]:
    """Within the block, somebody presses Ctrl-C after every update."""
    from dialog_rl.online.trainer import Trainer

    run_to_end = Trainer.run

    def interrupted(self: Trainer, **how: Any) -> Iterator[Any]:
        for progress in run_to_end(self, **how):
            yield progress
            os.kill(os.getpid(), signal.SIGINT)

    @contextmanager
    def pressing() -> Iterator[None]:
        with monkeypatch.context() as within:
            within.setattr(Trainer, "run", interrupted)
            yield

    return pressing
