"""`dialog-rl scenarios import tau2`: from a data folder of tau2 to folders that every command takes as packs.

What is needed is copied, so that an imported pack stays what it was when the checkout moves on.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dialog_rl.errors import ScenarioError
from dialog_rl.sources import Imported
from dialog_rl_tau2.agenda import Refused
from dialog_rl_tau2.checkout import first_of, open_domain
from dialog_rl_tau2.domains import DOMAINS, Domain, parameters_of, read_file
from dialog_rl_tau2.manifest import MANIFEST, read_manifest, write_json
from dialog_rl_tau2.solo import scenario_for
from dialog_rl_tau2.source import ImportedDomain
from dialog_rl_tau2.tasks import Task, read_tasks
from dialog_rl_tau2.wording import DECLINED, FIX, QUESTION, phrasing_of

PLACES = ("", "domains", "tau2", "tau2/domains", "data/tau2/domains", "data/tau2")
"""Where below the folder that was named the domains may be."""
GUIDELINES, GUIDELINES_PLACES = "simulation_guidelines.md", ("", "user_simulator")
"""What tau2 tells a model that plays a customer, and where it may be, below a folder on the way to a domain."""
SPLITS_FILE = "split_tasks.json"
VALIDATION, HELD_OUT = 3, 4
"""Which of every five of tau2's training tasks validate, and which are held out where it holds none out itself."""


class Tau2:
    """`dialog_rl.sources.Importer`."""

    def bring(self, folder: Path, out: Path) -> tuple[Imported, ...]:
        root, names = find_domains(folder)
        return tuple(
            _bring(root / name, domain, out / domain.key) for name in names for domain in _modes(root / name, name)
        )

    def open(self, folder: Path) -> ImportedDomain:
        return ImportedDomain(folder)

    def leave_out(self, folder: Path, why: Mapping[str, str]) -> None:
        found = read_manifest(folder)
        splits = {name: [task for task in ids if task not in why] for name, ids in found.splits.items()}
        write_json(folder / MANIFEST, {**found.model_dump(), "splits": splits, "refused": {**found.refused, **why}})


def find_domains(folder: Path) -> tuple[Path, tuple[str, ...]]:
    """Where the domains are, and which. Raises ScenarioError saying where was looked, and for what."""
    if not folder.is_dir():
        raise ScenarioError(f"{folder}: no such folder; a checkout of tau2-bench is wanted, or its data/tau2/domains")
    if folder.name in DOMAINS and any((folder / name).is_file() for name in DOMAINS[folder.name].tasks):
        return folder.parent, (folder.name,)
    for place in PLACES:
        names = tuple(name for name in DOMAINS if (folder / place / name).is_dir())
        if names:
            return folder / place, names
    looked = ", ".join(place or "." for place in PLACES)
    wanted = "; ".join(f"{d.name}/ with {' or '.join(d.tasks)} and {' or '.join(d.records)}" for d in DOMAINS.values())
    raise ScenarioError(f"{folder}: no domain of tau2 was found in it. Looked in {looked} for {wanted}")


def _modes(here: Path, name: str) -> list[Domain]:
    """The domain, and the same for an agent alone, where it has rules for such a one."""
    domain = DOMAINS[name]
    solo = bool(domain.solo_policy) and all((here / file).is_file() for file in domain.solo_policy)
    return [domain, domain.alone()] if solo else [domain]


def _bring(here: Path, domain: Domain, out: Path) -> Imported:
    tasks_file = first_of(here, domain.tasks)
    tasks = read_tasks(read_file(tasks_file), tasks_file, domain)
    checkout = open_domain(here, domain)
    policy = "\n\n".join(read_text(first_of(here, (name,))) for name in domain.policy)
    splits, remarks = _splits(here, tasks)
    refused: dict[str, str] = {}
    for task_id in [task_id for ids in splits.values() for task_id in ids]:
        try:
            scenario_for(domain, checkout, tasks[task_id])
        except (Refused, ScenarioError) as why:
            refused[task_id] = str(why)
    splits = {name: [task for task in ids if task not in refused] for name, ids in splits.items()}
    _prepare(out)
    copied = [first_of(here, domain.records)]
    copied += [first_of(here, domain.customer_records)] if domain.customer else []
    for file in copied:
        shutil.copyfile(file, out / file.name)
    write_json(out / domain.tasks[0], [task.raw for task in tasks.values() if _is_in(splits, task.id)])
    (out / "policy.md").write_text(policy, encoding="utf-8")
    if not domain.solo and (guidelines := _guidelines(here)):
        shutil.copyfile(guidelines, out / "guidelines.md")
    write_json(out / "pack.yaml", _pack_of(domain))
    write_json(out / "phrasing.yaml", phrasing_of(domain))
    files = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in [*copied, tasks_file]}
    document = {"format": 1, "domain": domain.name, "files": files, "splits": splits, "refused": refused}
    write_json(out / MANIFEST, {**document, "solo": True} if domain.solo else document)
    return Imported(out, {name: len(ids) for name, ids in splits.items()}, refused, remarks)


def _guidelines(domain: Path) -> Path | None:
    places = (above / below / GUIDELINES for above in domain.resolve().parents[:3] for below in GUIDELINES_PLACES)
    return next((place for place in places if place.is_file()), None)


def _prepare(out: Path) -> None:
    if out.exists() and any(out.iterdir()) and not (out / MANIFEST).is_file():
        raise ScenarioError(f"{out}: is there already and was not imported; name another folder with --out")
    out.mkdir(parents=True, exist_ok=True)


def read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as e:
        raise ScenarioError(f"{path}: cannot be read: {e}") from None


def _splits(here: Path, tasks: Mapping[str, Task]) -> tuple[dict[str, list[str]], tuple[str, ...]]:
    """tau2's test tasks are held out, some of its training tasks validate; where none of its test tasks is at hand,
    some more are held out."""
    file = here / SPLITS_FILE
    named = read_file(file) if file.is_file() else {}
    if not isinstance(named, dict) or not all(isinstance(ids, list) for ids in named.values()):
        raise ScenarioError(f'{file}: split → list of task ids is expected, as in {{"train": ["1"], "test": ["2"]}}')
    test = [task for task in named.get("test", ()) if task in tasks]
    held_out = set(map(str, named.get("test", ())))
    train = [task for task in named.get("train") or tasks if task in tasks and task not in held_out]
    remarks: list[str] = []
    if not test:
        missing = len(named.get("test", ()))
        why = f"none of the {missing} tasks that tau2 holds out is at hand" if missing else "tau2 holds none out here"
        remarks.append(
            f"{why}: its training tasks are divided, every fifth held out: figures there are no figures of tau2's"
        )
    left = len(tasks) - len(set(test) | set(train))
    if left:
        remarks.append(f"{left} tasks are in neither tau2's train nor its test split and are left out")
    aside = train[VALIDATION::5]
    own_held_out = [] if test else train[HELD_OUT::5]
    kept = [task for task in train if task not in aside and task not in own_held_out]
    return {"train": kept, "validation": aside, "heldout": test or own_held_out}, tuple(remarks)


def _is_in(splits: Mapping[str, Sequence[str]], task: str) -> bool:
    return any(task in ids for ids in splits.values())


def _pack_of(domain: Domain) -> dict[str, Any]:
    """pack.yaml: tools for people to read, and the intents of which a goal is made."""
    tools = {
        name: {
            "description": (getattr(desk, name).__doc__ or "").strip(), "kind": kind,
            "arguments": dict.fromkeys(parameters_of(desk, name), "text"),
        }
        for desk in reversed(domain.sides()) for name, kind in desk.tools().items()
    }  # fmt: skip
    kinds = domain.desk.tools()
    steps = {name: [{"call": name}] for name in kinds} | {name: [] for name in (FIX, QUESTION, DECLINED)}
    intents = {name: {"public": True, "variants": {"given": {}}, "plan": plan} for name, plan in steps.items()}
    return {
        "schema": 1, "name": f"tau2_{domain.key}",
        "title": f"tau2-bench's {domain.name}{', an agent alone' if domain.solo else ''} (MIT licence)",
        "source": "tau2", "brief": domain.name, "tools": tools, "intents": intents,
    }  # fmt: skip
