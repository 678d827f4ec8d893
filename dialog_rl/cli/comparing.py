"""One comparison of algorithms in one folder: what was planned, a process a training, and what is known so far.

Each training is a process of its own, so that its memory and CPU time are nobody else's, and a run like any other, so
that a comparison that was killed goes on where it was.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dialog_rl.cli import opening
from dialog_rl.cli.output import note
from dialog_rl.cli.train_runs import RUN_FILE, write_run
from dialog_rl.config import Reward, Settings, Train
from dialog_rl.durable import write_file
from dialog_rl.errors import ConfigError, TrainingError
from dialog_rl.plugins.loading import Plugins

if TYPE_CHECKING:
    from dialog_rl.evaluation.algorithms import Trained

PLAN, RESULTS, RUNS, START = "compare.json", "results", "runs", "start"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is compared; kept beside the results, so that going on needs no option."""

    algorithms: tuple[str, ...]
    """As they were named: NAME, or NAME:KEY=VALUE,KEY=VALUE."""
    seeds: int
    goals: int
    """Held-out customers of each pack."""
    train: Mapping[str, Any]
    rewards: tuple[Mapping[str, Any], ...]

    def runs(self) -> Iterator[tuple[str, str, int]]:
        """Every (run, algorithm, seed): all algorithms with one seed before any with the next."""
        for seed in range(self.seeds):
            for number, algorithm in enumerate(self.algorithms):
                name = algorithm.partition(":")[0].replace("/", "-")
                yield f"{number:02d}-{name}-seed-{seed}", algorithm, seed

    def settings(self, algorithm: str, seed: int) -> Train:
        return Train.model_validate({**self.train, **named(algorithm), "seed": seed})

    def save(self, folder: Path) -> None:
        write_file(folder / PLAN, json.dumps({"format": 1, **asdict(self)}, indent=1).encode())

    @classmethod
    def load(cls, folder: Path) -> Plan:
        """Raises ConfigError if there is no comparison in the folder."""
        try:
            document = json.loads((folder / PLAN).read_text(encoding="utf-8"))
            return cls(
                algorithms=tuple(document["algorithms"]), seeds=int(document["seeds"]), goals=int(document["goals"]),
                train=document["train"], rewards=tuple(document["rewards"]),
            )  # fmt: skip
        except FileNotFoundError:
            raise ConfigError(f"{folder} is no comparison: there is no {PLAN} in it") from None
        except (OSError, ValueError, KeyError, TypeError) as e:
            raise ConfigError(f"{folder / PLAN}: cannot be read: {e}") from None


def named(algorithm: str) -> dict[str, Any]:
    """`grpo:clip=0.1` as settings of a training."""
    name, _, options = algorithm.partition(":")
    return {"algorithm": name, "algorithm_options": tuple(one for one in options.split(",") if one)}


def train_one(
    folder: Path, plan: Plan, run: str, algorithm: str, seed: int, flags: Sequence[str], stop: Callable[[], bool]
) -> str:
    """Train in a process of its own, or go on with what it left; returns the version. Raises TrainingError."""
    place = folder / RUNS / run
    if not (place / RUN_FILE).is_file():
        place.mkdir(parents=True, exist_ok=True)
        write_run(place, plan.settings(algorithm, seed), [Reward.model_validate(reward) for reward in plan.rewards])
    command = [sys.executable, "-m", "dialog_rl", "train", "--resume", str(place.resolve()), "--json", *flags]
    environment = {**os.environ, "DIALOG_RL_PATHS_RUNS": str((folder / RUNS).resolve())}
    # A session of its own: Ctrl-C reaches it once, through us, and leaves it time for a checkpoint.
    child = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True, start_new_session=True)
    last, told = "", False
    assert child.stdout is not None
    with child.stdout:
        for line in child.stdout:
            last = line if line.strip() else last
            if stop() and not told:
                child.send_signal(signal.SIGINT)
                told = True
    code = child.wait()
    if stop():
        raise KeyboardInterrupt
    if code:
        raise TrainingError(f"{run}: the training ended with exit code {code}; --resume {folder.name} tries again")
    return str(json.loads(last)["version"])


def measured(
    folder: Path, plan: Plan, settings: Settings, plugins: Plugins, flags: Sequence[str], stop: Callable[[], bool]
) -> tuple[list[Trained], list[bool]]:
    """Every run of the plan, trained and measured, and what they all began from; what is known is not done again."""
    start = _known(folder, START)
    if start is None:
        hits, _ = _held_out(settings, plugins, plan, Path(plan.train["version"]))
        start = {"held_out": hits}
        _keep(folder, START, start)
    found: list[Trained] = []
    for run, algorithm, seed in plan.runs():
        known = _known(folder, run)
        if known is None:
            note(f"{algorithm}, seed {seed}")
            version = train_one(folder, plan, run, algorithm, seed, flags, stop)
            hits, violations = _held_out(settings, plugins, plan, folder / RUNS / opening.VERSIONS / version)
            known = {"version": version, "held_out": hits, "violations": violations, **_cost(folder / RUNS / run)}
            _keep(folder, run, known)
        if stop():
            raise KeyboardInterrupt
        found.append(_trained(algorithm, seed, known))
    return found, list(map(bool, start["held_out"]))


def _trained(algorithm: str, seed: int, known: Mapping[str, Any]) -> Trained:
    from dialog_rl.evaluation.algorithms import Trained

    hits = [bool(hit) for hit in known["held_out"]]
    return Trained(algorithm=algorithm, seed=seed, **{**known, "held_out": hits})


def _cost(run: Path) -> dict[str, Any]:
    """The learning curve, and what it cost, from the run's own record: over all processes that it took."""
    from dialog_rl.online import training_record

    updates = training_record.read(run)
    return {
        "curve": [update["success"] for update in updates],
        "dialogues": [update["dialogues"] for update in updates],
        "wall_seconds": sum(update["speaking_seconds"] + update["learning_seconds"] for update in updates),
        "cpu_seconds": sum(update["cpu_seconds"] for update in updates),
        "peak_memory": max(update["peak_memory"] for update in updates),
    }


def _held_out(settings: Settings, plugins: Plugins, plan: Plan, version: Path) -> tuple[list[int], float]:
    """Success with each held-out customer, who speaks as nobody in training did, and the share of broken rules."""
    from dialog_rl import metrics
    from dialog_rl.evaluation import suites, summaries
    from dialog_rl.evaluation.contestants import policy_contestant
    from dialog_rl.staging import Customers

    model = opening.open_model(settings, f"{version.resolve()}")
    suite = suites.Suite(
        stages=opening.open_stages(plugins, plan.train["packs"]), customers=Customers(), goals=plan.goals
    )
    result = suites.meet(policy_contestant(version.name, model), suite)
    episodes = [episode for _, episode in sorted(result.episodes.items())]
    broken = sum(bool(metrics.violations(episode)) for episode in episodes)
    return [int(summaries.reached(episode)) for episode in episodes], broken / max(1, len(episodes))


def _known(folder: Path, run: str) -> dict[str, Any] | None:
    path = folder / RESULTS / f"{run}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _keep(folder: Path, run: str, result: Mapping[str, Any]) -> None:
    (folder / RESULTS).mkdir(exist_ok=True)
    write_file(folder / RESULTS / f"{run}.json", json.dumps(result).encode())
