"""Setting the stage: from a pack, a scenario and a user simulator to a Conversation that any driver can run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from dialog_rl.conversation import Conversation, Limits, User
from dialog_rl.episode import Episode, Manual, Message, Role
from dialog_rl.errors import ScenarioError
from dialog_rl.goals import make_scenario
from dialog_rl.pack import Pack, load_pack
from dialog_rl.plugins.registry import Registry
from dialog_rl.scenario import Scenario, validate
from dialog_rl.seeds import derive
from dialog_rl.world import World


class Simulator(Protocol):
    """Makes customers; each has its own state and randomness."""

    def start(self, scenario: Scenario, seed: int) -> User: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One pack with the simulator that plays its customers."""

    pack: Pack
    simulator: Simulator
    simulator_name: str

    def conversation(
        self, scenario: Scenario, seed: int, *, episode_id: str, tokenizer: str = "", temperature: float = 1.0
    ) -> Conversation:
        """The scenario about to be played. The customer's slips and the agent's sampling both follow from `seed`."""
        user = self.simulator.start(scenario, seed)
        return self.conversation_with(
            user, scenario, seed, episode_id=episode_id, simulator=self.simulator_name, tokenizer=tokenizer,
            temperature=temperature,
        )  # fmt: skip

    def conversation_with(
        self,
        user: User,
        scenario: Scenario,
        seed: int,
        *,
        episode_id: str,
        simulator: str,
        tokenizer: str = "",
        temperature: float = 1.0,
        started_at: float = 0.0,
    ) -> Conversation:
        """The same with a given user: a person, or one of another kind."""
        return Conversation(
            episode_id=episode_id,
            pack=self.pack.name,
            scenario=document(scenario),
            seed=seed,
            system=Message(role=Role.SYSTEM, text=self.pack.file.brief),
            user=user,
            tools=World(self.pack, scenario.initial.records, scenario.initial.facts),
            limits=Limits(turns=scenario.limits.turns, calls=scenario.limits.calls),
            simulator=simulator,
            tokenizer=tokenizer,
            temperature=temperature,
            started_at=started_at,
            manual=manual_of(self.pack),
        )

    def again(self, episode: Episode) -> Conversation:
        """A logged episode from its beginning: same scenario, same seed."""
        scenario = scenario_of(episode)
        return self.conversation(
            scenario, episode.seed, episode_id=episode.episode_id, tokenizer=episode.tokenizer,
            temperature=episode.temperature,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Customers:
    """Which customers call: a pack's `split`, by number, so that everybody who is measured meets the same ones."""

    split: str = "heldout"
    phrasing: str = ""
    """ "train" or "heldout"; empty follows the split."""
    seed: int = 0

    def scenarios(self, pack: Pack, count: int, first: int = 0) -> Iterator[tuple[Scenario, int]]:
        """Scenarios with the seeds of their conversations."""
        for number in range(first, first + count):
            seed = derive(self.seed, "customer", self.split, number)
            yield make_scenario(pack, seed, split=self.split, phrasing=self.phrasing), seed


def open_stage(
    registry: Registry,
    pack: str,
    simulator: str = "agenda",
    options: Mapping[str, Any] | None = None,
    *,
    lent: Mapping[str, Any] | None = None,
) -> Stage:
    """The stage of a pack by name or folder. `lent` is what the program can give a simulator beside the pack.

    Raises ScenarioError or ConfigError saying what there is instead.
    """
    opened = find_pack(registry, pack)
    made = _make_simulator(registry, opened, simulator, options or {}, lent or {})
    return Stage(pack=opened, simulator=made, simulator_name=simulator)


def _make_simulator(
    registry: Registry, pack: Pack, name: str, options: Mapping[str, Any], lent: Mapping[str, Any]
) -> Any:
    """A registered simulator, lent the pack and, for mixtures, the others by name."""

    def another(other: str, more: Mapping[str, Any]) -> Any:
        return _make_simulator(registry, pack, other, more, lent)

    return registry.user_simulators[name].make(options, {**lent, "pack": pack, "simulators": another})


def find_pack(registry: Registry, name: str) -> Pack:
    """A registered pack by its name, or the pack in a folder: what has a slash, or a pack.yaml in it, is a folder."""
    folder = Path(name)
    if "/" in name or "\\" in name or (folder / "pack.yaml").is_file():
        return load_pack(folder)
    if name not in registry.scenario_packs:
        known = ", ".join(sorted(registry.scenario_packs)) or "none"
        raise ScenarioError(f"there is no pack {name!r}; there are: {known} (a folder is written ./folder)")
    return load_pack(pack_folder(registry, name))


def pack_folder(registry: Registry, name: str) -> Path:
    return Path(str(registry.scenario_packs[name].load()()))


def manual_of(pack: Pack) -> Manual:
    """The pack's rules and tools, for models that were not brought up on it."""
    tools = tuple(
        {"type": "function", "function": {
            "name": name, "description": tool.description,
            "parameters": {
                "type": "object",
                "properties": {argument: _schema(kind) for argument, kind in tool.arguments.items()},
                "required": list(tool.arguments),
            },
        }}
        for name, tool in pack.file.tools.items()
    )  # fmt: skip
    return Manual(policy=pack.policy_text.strip() or pack.file.brief, tools=tools)


def _schema(kind: str | tuple[str, ...]) -> dict[str, Any]:
    if isinstance(kind, tuple):
        return {"type": "string", "enum": list(kind)}
    return {"type": "number" if kind == "number" else "string"}


def document(scenario: Scenario) -> Mapping[str, Any]:
    """The scenario as plain JSON values, as an episode keeps it; what is at its default is left out."""
    return {"schema": 1, **scenario.model_dump(mode="json", by_alias=True, exclude_defaults=True)}


def scenario_of(episode: Episode) -> Scenario:
    """The scenario that an episode was made from. Raises ScenarioError if its document no longer fits the schema."""
    return validate(Scenario, episode.scenario, source=f"episode {episode.episode_id}")
