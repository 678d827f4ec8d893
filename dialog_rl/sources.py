"""Packs whose customers and back office are not made from their own YAML: a plugin brings them, from a folder it wrote.

Such a pack has a `pack.yaml` like any other, with the name of its source in it; what else is in the folder is the
plugin's business. Its customers are given and finite, where a pack of our own makes them without end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from dialog_rl.episode import Episode
from dialog_rl.errors import ScenarioError
from dialog_rl.pack import Pack
from dialog_rl.scenario import Scenario


class Source(Protocol):
    """One folder, opened."""

    def customers(self, split: str) -> int:
        """How many there are in a split. Raises ScenarioError saying why, and what to do, where there are none."""
        ...

    def scenario(self, number: int, *, split: str, phrasing: str) -> Scenario:
        """A customer of a split, by number from 0."""
        ...

    def office(self, scenario: Scenario) -> Any:
        """The back office as the conversation begins: `conversation.Tools`."""
        ...

    def attended(self, user: Any, scenario: Scenario, office: Any) -> Any:
        """A `conversation.User` with what a customer of this source can do beside talking; often the same user."""
        ...

    def expert(self, scenario: Mapping[str, Any]) -> Any:
        """The ceiling: an object with `act(observed) -> Message`, for a scenario as an episode keeps it."""
        ...

    def tools(self) -> tuple[Mapping[str, Any], ...]:
        """The agent's tools as JSON schemas, as `episode.Manual` has them."""
        ...


class Importer(Protocol):
    """What a plugin registers as a source of scenarios, by name."""

    def bring(self, folder: Path, out: Path) -> tuple[Imported, ...]:
        """Read what others have published and write folders that `open` takes. Raises ScenarioError."""
        ...

    def open(self, folder: Path) -> Source: ...

    def leave_out(self, folder: Path, why: Mapping[str, str]) -> None:
        """Take scenarios that turned out not to be playable, by task, out of a folder that `bring` has made."""
        ...


class Imported:
    """One folder that was written, and what has become of the tasks that were read."""

    def __init__(
        self, folder: Path, splits: Mapping[str, int], refused: Mapping[str, str], remarks: tuple[str, ...] = ()
    ) -> None:
        self.folder, self.splits, self.refused, self.remarks = folder, splits, refused, remarks


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """Something counted in recorded conversations."""

    name: str
    value: float
    published: float | None = None
    """What the authors of the data, or of the measure, have printed for the same; None if they have not."""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """Conversations that others have had, as episodes without tokens: to read, to replay, to learn words from."""

    episodes: tuple[Episode, ...]
    figures: tuple[Figure, ...]
    remarks: tuple[str, ...] = ()


@runtime_checkable
class Recordings(Protocol):
    """A source that has, or can read, such conversations beside its customers."""

    def recorded(self, file: Path | None) -> Recorded:
        """Those in a file, or those that were imported. Raises ScenarioError saying what is wanted."""
        ...


class SourcedPack(Pack):
    """A pack with its source."""

    def __init__(self, pack: Pack, source: Source) -> None:
        super().__init__(pack.file, pack.phrasing, pack.policy_text, pack.folder)
        self.source = source

    def scenario(self, number: int, *, split: str, phrasing: str) -> Scenario:
        """Numbers past the last customer begin again with the first."""
        count = self.source.customers(split)
        if not count:
            raise ScenarioError(f"{self.folder}: it has no {split} customers")
        return self.source.scenario(number % count, split=split, phrasing=phrasing)


def customers_there(pack: Pack, split: str, wanted: int) -> int:
    """How many different customers can be met, of as many as are wanted."""
    return min(wanted, pack.source.customers(split)) if isinstance(pack, SourcedPack) else wanted
