"""Setting the stage: from a pack, a scenario and a user simulator to a Conversation that any driver can run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from dialog_rl.conversation import Conversation, Limits, Tools, User
from dialog_rl.episode import Episode, Manual, Message, Role
from dialog_rl.errors import ScenarioError
from dialog_rl.expert import Expert
from dialog_rl.goals import make_scenario
from dialog_rl.pack import Pack, load_pack
from dialog_rl.plugins.registry import Registry
from dialog_rl.policy_edit import EditedPack
from dialog_rl.scenario import Scenario, validate
from dialog_rl.seeds import derive, generator
from dialog_rl.sources import Importer, SourcedPack, customers_there
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

    def expert(self, conversation: Conversation) -> Any:
        """Who knows what is right in a conversation: an object with `act(observed) -> Message`."""
        if isinstance(self.pack, SourcedPack):
            return self.pack.source.expert(conversation.scenario)
        return Expert(self.pack, generator(conversation.seed, "expert"))

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
        tools: Tools
        if isinstance(self.pack, SourcedPack):
            tools = self.pack.source.office(scenario)
            user = self.pack.source.attended(user, scenario, tools)
        else:
            tools = World(self.pack, scenario.initial.records, scenario.initial.facts)
        return Conversation(
            episode_id=episode_id,
            pack=self.pack.name,
            scenario=document(scenario),
            seed=seed,
            system=Message(role=Role.SYSTEM, text=self.pack.file.brief),
            user=user,
            tools=tools,
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
    noise: Mapping[str, float] = field(default_factory=dict)
    """Chances of slips, as `scenario.Noise` has them, in place of each customer's own."""
    twins: bool = False
    """Packs that extend one another have the same customers, each in its own language."""

    def scenarios(self, pack: Pack, count: int, first: int = 0) -> Iterator[tuple[Scenario, int]]:
        """Scenarios with the seeds of their conversations."""
        for number in range(first, first + customers_there(pack, self.split, count)):
            seed = derive(self.seed, "customer", self.split, number)
            yield self._noisy(self._made(pack, seed, number)), seed

    def _made(self, pack: Pack, seed: int, number: int) -> Scenario:
        if isinstance(pack, EditedPack):
            return pack.judged(self._made(pack.base, seed, number))
        return make_scenario(
            pack, seed, split=self.split, phrasing=self.phrasing, number=number, twins=self.twins
        )  # fmt: skip

    def _noisy(self, scenario: Scenario) -> Scenario:
        """The same customer with other slips."""
        if not self.noise:
            return scenario
        persona = scenario.user.persona
        noise = persona.noise.model_copy(update=dict(self.noise))
        user = scenario.user.model_copy(update={"persona": persona.model_copy(update={"noise": noise})})
        return scenario.model_copy(update={"user": user})


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
    """A registered pack by its name, or the pack in a folder: what has a slash, or a pack.yaml in it, is a folder.

    `tau2:FOLDER` is a folder that must be of that source.
    """
    source, colon, place = name.partition(":")
    if colon and source in registry.scenario_sources:
        return _opened(registry, Path(place), source)
    folder = Path(name)
    if "/" in name or "\\" in name or (folder / "pack.yaml").is_file():
        return _opened(registry, folder)
    if name not in registry.scenario_packs:
        known = ", ".join(sorted(registry.scenario_packs)) or "none"
        raise ScenarioError(f"there is no pack {name!r}; there are: {known} (a folder is written ./folder)")
    return _opened(registry, pack_folder(registry, name))


def _opened(registry: Registry, folder: Path, source: str = "") -> Pack:
    """The pack in a folder, with its source if it has one. `source`: the one it must have."""
    pack = load_pack(folder)
    if source and pack.file.source != source:
        raise ScenarioError(f"{folder}: a pack of {pack.file.source or 'its own'}, not of {source!r}")
    if not pack.file.source:
        return pack
    importer: Importer = registry.scenario_sources[pack.file.source].make({})
    return SourcedPack(pack, importer.open(folder))


def is_sourced(registry: Registry, name: str) -> bool:
    """Whether a pack's customers come from a plugin's source; a pack that cannot be read is not."""
    if name.partition(":")[0] in registry.scenario_sources:
        return True
    folder = pack_folder(registry, name) if name in registry.scenario_packs else Path(name)
    try:
        return bool(load_pack(folder).file.source)
    except ScenarioError:
        return False


def pack_folder(registry: Registry, name: str) -> Path:
    return Path(str(registry.scenario_packs[name].load()()))


def manual_of(pack: Pack) -> Manual:
    """The pack's rules and tools, for models that were not brought up on it."""
    if isinstance(pack, SourcedPack):
        return Manual(policy=pack.policy_text.strip(), tools=pack.source.tools())
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
