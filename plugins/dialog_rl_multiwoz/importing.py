"""`dialog-rl scenarios import multiwoz`: from MultiWOZ's files to a folder that every command takes as a pack."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from dialog_rl.conversation import User
from dialog_rl.errors import ScenarioError
from dialog_rl.imported import MANIFEST, count_of, leave_out, prepare, read_json, read_manifest, write_json
from dialog_rl.scenario import Scenario, validate
from dialog_rl.seeds import derive
from dialog_rl.sources import Imported, Recorded
from dialog_rl_multiwoz.corpus import Dialogue, read_corpus
from dialog_rl_multiwoz.expert import GoalExpert
from dialog_rl_multiwoz.goals import Refused, full_of, scenario_of, steps_of
from dialog_rl_multiwoz.office import TOOLS, Office, schemas
from dialog_rl_multiwoz.recordings import recorded
from dialog_rl_multiwoz.tables import DOMAINS, Tables, read_tables
from dialog_rl_multiwoz.wording import phrasing

NAME, DIALOGUES = "multiwoz", "dialogues.json"
POLICY = """You help visitors of Cambridge to find restaurants, hotels, attractions, trains, hospitals and the police,
and to book tables, rooms, seats and taxis.

Look up what fits all that the visitor wants, and offer what the search answers. Where nothing fits, or what is wanted
is fully booked, say so. After a booking tell its reference; of a taxi, the car and its phone number.
"""


class MultiWoz:
    """`dialog_rl.sources.Importer`."""

    def bring(self, folder: Path, out: Path) -> tuple[Imported, ...]:
        if not folder.is_dir():
            raise ScenarioError(f"{folder}: no such folder; one with MultiWOZ 2.1's dialogues and databases is wanted")
        corpus, databases = read_corpus(folder), _databases(folder)
        tables = read_tables(databases)
        refused: dict[str, str] = {}
        for name, dialogue in ((n, d) for part in corpus.values() for n, d in part.items()):
            try:
                steps_of(dialogue, tables)
            except Refused as why:
                refused[name] = str(why)
        splits = {split: [name for name in part if name not in refused] for split, part in corpus.items()}
        prepare(out)
        _write(out, databases, corpus, {"format": 1, "source": NAME, "splits": splits, "refused": refused})
        missing = [split for split in ("train", "heldout") if not splits.get(split)]
        remarks = (f"there are no {' and no '.join(missing)} dialogues in {folder}",) if missing else ()
        return (Imported(out, {split: len(ids) for split, ids in splits.items()}, refused, remarks),)

    def open(self, folder: Path) -> Cambridge:
        return Cambridge(folder)

    def leave_out(self, folder: Path, why: Mapping[str, str]) -> None:
        leave_out(folder, NAME, why)


class Cambridge:
    """`dialog_rl.sources.Source` over a folder that `bring` wrote."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.manifest = read_manifest(folder, NAME)
        self._read: dict[str, Dialogue] = {}
        self._made: dict[tuple[str, str], Scenario] = {}

    @cached_property
    def tables(self) -> Tables:
        return read_tables(self._folder)

    @cached_property
    def _written(self) -> Mapping[str, Any]:
        return read_json(self._folder / DIALOGUES)

    def customers(self, split: str) -> int:
        return count_of(self.manifest, self._folder, split)

    def scenario(self, number: int, *, split: str, phrasing: str) -> Scenario:
        name = self.manifest.splits[split][number]
        if (name, split) not in self._made:
            upfront = derive(0, "upfront", name) % 2 == 0
            document = scenario_of(self._dialogue(name), self.tables, pack=NAME, split=split, upfront=upfront)
            self._made[name, split] = validate(Scenario, document, source=f"{self._folder}: {name}")
        return self._made[name, split]

    def office(self, scenario: Scenario) -> Office:
        return Office(self.tables, full_of(self._dialogue(scenario.provenance.task).goal))

    def attended(self, user: User, scenario: Scenario, office: Office) -> User:
        return user

    def expert(self, scenario: Mapping[str, Any]) -> GoalExpert:
        return GoalExpert(steps_of(self._dialogue(str(scenario["provenance"]["task"])), self.tables))

    def tools(self) -> tuple[Mapping[str, Any], ...]:
        return schemas()

    def recorded(self, file: Path | None) -> Recorded:
        """The imported dialogues, or other answers to the same customers, in a file."""
        return recorded({name: self._dialogue(name) for name in self._written}, self.tables, file, pack=NAME)

    def _dialogue(self, name: str) -> Dialogue:
        if name not in self._read:
            if name not in self._written:
                raise ScenarioError(f"{self._folder}: no dialogue {name!r}; {MANIFEST} and {DIALOGUES} disagree")
            self._read[name] = validate(Dialogue, self._written[name], source=f"{self._folder / DIALOGUES}: {name}")
        return self._read[name]


def _databases(folder: Path) -> Path:
    found = next((f for f in (folder / "db", folder) if (f / "restaurant_db.json").is_file()), None)
    if found is None:
        raise ScenarioError(f"{folder}: restaurant_db.json and the other databases are missing, here and in db/")
    return found


def _write(out: Path, databases: Path, corpus: Mapping[str, Mapping[str, Dialogue]], manifest: dict[str, Any]) -> None:
    for domain in DOMAINS:
        path = databases / f"{domain}_db.json"
        if path.is_file():
            shutil.copyfile(path, out / path.name)
    everything = {name: d.model_dump(mode="json") for part in corpus.values() for name, d in part.items()}
    write_json(out / DIALOGUES, everything)
    write_json(out / "pack.yaml", _pack())
    write_json(out / "phrasing.yaml", phrasing())
    (out / "policy.md").write_text(POLICY, encoding="utf-8")
    write_json(out / MANIFEST, manifest)


def _pack() -> dict[str, Any]:
    """pack.yaml: tools for people to read, and the intents of which a goal is made."""
    tools = {
        name: {
            "description": tool.description, "kind": tool.kind,
            "arguments": dict.fromkeys((*tool.required, *tool.optional), "text"),
        }
        for name, tool in TOOLS.items()
    }  # fmt: skip
    intents = {name: {"public": True, "variants": {"given": {}}, "plan": [{"call": name}]} for name in TOOLS}
    return {
        "schema": 1, "name": NAME, "title": "MultiWOZ 2.1's Cambridge (MIT licence, CC BY 4.0)", "source": NAME,
        "brief": "Cambridge", "tools": tools, "intents": intents,
    }  # fmt: skip
