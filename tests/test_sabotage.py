"""Twelve bugs, each planted in a copy of the source: a suite that does not catch them would not catch others either."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
COPIED = ("dialog_rl", "plugins", "scenarios", "tests", "pyproject.toml", "README.md")


@dataclass(frozen=True, kw_only=True)
class Bug:
    name: str
    file: str
    sound: str
    """What stands there."""
    broken: str
    """What a careless hand might have written."""
    caught_by: str
    heavy: bool = True
    """Its test imports torch or textual."""


BUGS = (
    Bug(
        name="a file is renamed into place before it is synced",
        file="dialog_rl/durable.py",
        sound='        DISK.sync(aside)\n        fp("durable.file.synced")\n',
        broken='        fp("durable.file.synced")\n',
        caught_by="tests/test_durable.py::test_a_file_is_old_or_new_after_a_power_cut_and_new_once_written",
        heavy=False,
    ),
    Bug(
        name="the folder of a published directory is not synced",
        file="dialog_rl/durable.py",
        sound='    fp("durable.dir.renamed")\n    DISK.sync(target.parent)\n',
        broken='    fp("durable.dir.renamed")\n',
        caught_by="tests/test_durable.py::test_a_directory_is_whole_or_absent_after_a_power_cut_and_there_once_published",
        heavy=False,
    ),
    Bug(
        name="the name comes before the content",
        file="dialog_rl/durable.py",
        sound="    if aside.is_dir():\n        sync_tree(aside)\n    else:\n        DISK.sync(aside)\n",
        broken="    DISK.rename(aside, target)\n    sync_tree(target)\n    DISK.sync(target.parent)\n    return\n",
        caught_by="tests/test_durable.py::test_a_directory_is_whole_or_absent_after_a_power_cut_and_there_once_published",
        heavy=False,
    ),
    Bug(
        name="what was not written is acknowledged",
        file="dialog_rl/episode_log/writer.py",
        sound="        except EpisodeLogError as e:\n            _fail(batch, e)\n        except BaseException:",
        broken="        except EpisodeLogError:\n            pass\n        except BaseException:",
        caught_by="tests/episode_log/test_writer.py::test_a_failed_write_is_never_acknowledged_and_later_ones_succeed",
        heavy=False,
    ),
    Bug(
        name="the random state is not taken up again",
        file="dialog_rl/rl/learner.py",
        sound='        self._generator.set_state(state["generator"])\n',
        broken="",
        caught_by="tests/rl/test_learner.py::test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit",
    ),
    Bug(
        name="the optimizer is not taken up again",
        file="dialog_rl/rl/learner.py",
        sound="            self._optimizer.load_state_dict(held)\n",
        broken="            pass\n",
        caught_by="tests/rl/test_learner.py::test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit",
    ),
    Bug(
        name="no hash is compared",
        file="dialog_rl/lm/versions.py",
        sound="        fault = _difference(manifest.files.get(path), found.get(path))\n",
        broken='        fault = "" if path in manifest.files and path in found else "missing"\n',
        caught_by="tests/lm/test_versions.py::test_no_altered_byte_of_any_file_is_accepted",
    ),
    Bug(
        name="nobody asks whose lease it is",
        file="dialog_rl/episode_log/leases.py",
        sound="        if connection.scalars(row).one_or_none() != token:\n",
        broken="        if connection.scalars(row).one_or_none() is None:\n",
        caught_by="tests/episode_log/test_leases.py::test_a_former_holder_can_neither_beat_nor_commit",
        heavy=False,
    ),
    Bug(
        name="a conversation that broke off is learnt from",
        file="dialog_rl/online/eligibility.py",
        sound="    if not StopReason(facts.stop).trainable:\n",
        broken="    if not facts.stop:\n",
        caught_by="tests/online/test_eligibility.py::test_each_reason_is_told",
    ),
    Bug(
        name="a reward that fails is a reward of 0",
        file="dialog_rl/scoring.py",
        sound="Score(value=None, failed=True, reason=str(e)) for _ in episodes",
        broken="Score(value=0.0, reason=str(e)) for _ in episodes",
        caught_by="tests/test_scoring.py::test_a_failing_component_that_may_abstain_is_missing_for_the_whole_batch",
        heavy=False,
    ),
    Bug(
        name="outputs that are not finite are spoken",
        file="dialog_rl/lm/decoder.py",
        sound="        if not math.isfinite(logits_NV.sum().item()):\n",
        broken="        if logits_NV is None and math.isfinite(0):\n",
        caught_by="tests/lm/test_decoder.py::test_damaged_weights_raise_instead_of_choosing_token_zero",
    ),
    Bug(
        name="what the model says is escaped markup",
        file="dialog_rl/tui/harmless.py",
        sound="    return Content(printable(text).expandtabs(_TAB))\n",
        broken="    import textual.markup\n\n"
        "    return Content.from_markup(textual.markup.escape(printable(text).expandtabs(_TAB)))\n",
        caught_by="tests/tui/test_harmless.py::test_brackets_are_text_and_no_markup",
    ),
)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the source, which shares nothing with it but weights."""
    folder = tmp_path_factory.mktemp("sabotage")
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, folder / name, copy_function=_copy, ignore=ignored)
        else:
            shutil.copy(source, folder / name)
    return folder


def _copy(source: str, target: str) -> None:
    if not source.endswith(".safetensors"):
        shutil.copy(source, target)
        return
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy(source, target)


def run(folder: Path, *tests: str) -> subprocess.CompletedProcess[str]:
    """Tests of a copy, in a process of its own that imports the copy and nothing of the checkout."""
    places = [str(folder), str(folder / "plugins"), str(folder / "scenarios")]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-o", "timeout=0", "--rootdir", str(folder), *tests],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(places), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def planted(folder: Path, bug: Bug) -> str:
    """Plant a bug; what was there."""
    path = folder / bug.file
    sound = path.read_text(encoding="utf-8")
    assert sound.count(bug.sound) == 1, f"{bug.file} no longer holds what is to be broken: {bug.sound!r}"
    path.write_text(sound.replace(bug.sound, bug.broken), encoding="utf-8")
    return sound


def test_twelve_bugs_are_planted() -> None:
    assert len({bug.name for bug in BUGS}) == len(BUGS) == 12


@pytest.mark.slow
def test_without_a_bug_these_tests_pass(copy: Path) -> None:
    every = bool(os.environ.get("DIALOG_RL_FULL"))
    done = run(copy, *dict.fromkeys(bug.caught_by for bug in BUGS if every or not bug.heavy))
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name.replace(" ", "-"))
def test_a_planted_bug_is_caught(copy: Path, bug: Bug) -> None:
    if bug.heavy and not os.environ.get("DIALOG_RL_FULL"):
        pytest.skip("DIALOG_RL_FULL is not set, and this one takes some ten seconds")
    sound = planted(copy, bug)
    try:
        done = run(copy, bug.caught_by)
    finally:
        (copy / bug.file).write_text(sound, encoding="utf-8")
    assert done.returncode == 1 and f"FAILED {bug.caught_by}" in done.stdout, done.stdout + done.stderr
