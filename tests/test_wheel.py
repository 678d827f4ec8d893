"""What is built is what is needed: installed somewhere else, everything is found, without the checkout."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = (
    "dialog_rl", "plugins/dialog_rl_rewards", "plugins/dialog_rl_simulators", "plugins/dialog_rl_tau2",
    "plugins/dialog_rl_multiwoz", "plugins/dialog_rl_abcd",
    "scenarios/dialog_rl_scenarios",
)  # fmt: skip
IGNORED = ("__pycache__", ".pyc")

LOOK = """
import json, sys
from pathlib import Path
from dialog_rl.plugins.loading import load_plugins
from dialog_rl.staging import find_pack
import dialog_rl
with load_plugins() as plugins:
    packs = [find_pack(plugins.registry, name).name for name in plugins.registry.scenario_packs]
    print(json.dumps({
        "home": str(Path(dialog_rl.__file__).parent.parent), "packs": packs,
        "problems": [str(p) for p in plugins.problems], "plugins": sorted(plugins.sources),
        "rewards": sorted(plugins.registry.rewards), "simulators": sorted(plugins.registry.user_simulators),
    }))
"""

WEIGH = """
from dialog_rl.lm import versions
from dialog_rl.lm.model import EMBEDDED
for manifest in EMBEDDED.glob("*/manifest.json"):
    print(manifest.parent.name, versions.verify(manifest.parent).manifest.size)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)],
        check=True,
        capture_output=True,
    )
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def elsewhere(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the wheel, and nothing of the checkout, was installed into; its dependencies are this one's."""
    folder = tmp_path_factory.mktemp("site")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder), str(wheel)],
        check=True,
        capture_output=True,
    )
    return folder


def run_there(folder: Path, *command: str) -> str:
    """Without the paths that an editable install of the checkout adds."""
    keep_out = (
        "import sys, runpy; root = sys.argv.pop(1); "
        # The environment itself may lie in the checkout, as the README has it.
        "sys.path[:] = [p for p in sys.path if not p.startswith(root) or p.startswith(sys.prefix)]; "
        "sys.meta_path[:] = [f for f in sys.meta_path if 'editable' not in repr(f).lower()]; "
        "sys.path.insert(0, sys.argv.pop(1)); "
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", keep_out + command[0], str(ROOT), str(folder), *command[1:]],
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def shipped_sources() -> Iterator[str]:
    for package in PACKAGES:
        parent = (ROOT / package).parent
        for path in (ROOT / package).rglob("*"):
            if path.is_file() and not any(mark in str(path) for mark in IGNORED):
                yield path.relative_to(parent).as_posix()


def test_every_file_of_every_package_is_in_the_wheel(wheel: Path) -> None:
    """Packs, templates, weights and manifests as well as modules."""
    names = set(zipfile.ZipFile(wheel).namelist())
    tracked = set(
        subprocess.run(
            ["git", "ls-files", *PACKAGES], cwd=ROOT, capture_output=True, text=True, check=False
        ).stdout.split()
    )
    wanted = {name for name in shipped_sources() if not tracked or any(t.endswith(name) for t in tracked)}
    assert wanted and sorted(wanted - names) == []


def test_nothing_else_is_in_the_wheel(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {Path(package).name for package in PACKAGES}


def test_the_licence_travels_with_the_wheel(wheel: Path) -> None:
    assert any(name.endswith("licenses/LICENSE") for name in zipfile.ZipFile(wheel).namelist())


def test_installed_elsewhere_everything_is_found(elsewhere: Path) -> None:
    found = json.loads(run_there(elsewhere, LOOK))
    assert found["home"] == str(elsewhere) and found["problems"] == []
    assert {"retail", "retail_zh", "telecom", "banking"} <= set(found["packs"])
    assert {"rewards", "scenarios", "simulators"} <= set(found["plugins"])
    assert "task_success" in found["rewards"] and "agenda" in found["simulators"]


def test_installed_elsewhere_a_pack_can_be_started_and_played(elsewhere: Path, tmp_path: Path) -> None:
    command = "import os; os.chdir(sys.argv[1]); from dialog_rl.cli.main import main; sys.exit(main(sys.argv[2:]))"
    run_there(elsewhere, command, str(tmp_path), "scenarios", "new", "workshop")
    said = run_there(elsewhere, command, str(tmp_path), "scenarios", "lint", "workshop", "--seeds", "2")
    assert "0 errors" in said


def test_the_embedded_models_are_whole_and_small_enough_to_ship(elsewhere: Path) -> None:
    sizes = dict(line.split() for line in run_there(elsewhere, WEIGH).splitlines())
    if not sizes:
        pytest.skip("no embedded model in this tree")
    assert "base" in sizes and all(int(size) <= 12_000_000 for size in sizes.values())
