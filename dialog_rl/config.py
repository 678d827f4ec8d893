"""Settings, and where each came from: flags over DIALOG_RL_* over the project's file over the user's over defaults.

The project's file is the nearest `dialog_rl.toml`, or `pyproject.toml` with `[tool.dialog_rl]`, from the working folder
upward. It comes with a folder, perhaps a stranger's, so nothing in it can name code to load.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dialog_rl.errors import ConfigError
from dialog_rl.text import one_line

PROJECT_FILE = "dialog_rl.toml"
PREFIX = "DIALOG_RL_"
DEFAULT = "default"


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Paths(Section):
    runs: str = Field(default="runs", description="folder of runs; each holds its log, checkpoints and reports")
    versions: str = Field(default="", description="where machines share versions: an fsspec URL, as s3://bucket/path")


class Agent(Section):
    version: str = Field(default="champion", description="version that speaks: a name, an id's beginning, or a folder")
    threads: int | None = Field(default=None, ge=1, description="CPU threads; unset: as many as there are cores")


class Train(Section):
    """What is unset is left to the trainer, whose defaults the trials behind it have chosen."""

    packs: tuple[str, ...] = Field(default=("retail",), description="packs whose customers to learn from")
    version: str = Field(default="base", description="version to start from")
    dialogues: int | None = Field(default=None, ge=1, description="dialogues in all")
    batch: int | None = Field(default=None, ge=2, description="dialogues an update")
    slots: int | None = Field(default=None, ge=1, description="dialogues spoken at once")
    seed: int | None = Field(default=None, ge=0)
    temperature: float | None = Field(default=None, gt=0, description="of the sampling")
    checkpoint_every: int | None = Field(default=None, ge=1, description="updates between two checkpoints")
    learning_rate: float | None = Field(default=None, gt=0)
    epochs: int | None = Field(default=None, ge=1, description="passes over an update's dialogues")
    minibatch: int | None = Field(default=None, ge=1, description="dialogues an optimizer step")
    algorithm: str = Field(default="ppo", description="update rule, by its registered name")
    algorithm_options: tuple[str, ...] = Field(default=(), description="its options, each KEY=VALUE")
    group: int | None = Field(default=None, ge=1, description="dialogues with each customer; unset: as it needs")
    level: Literal["token", "step"] | None = Field(default=None, description="what an action is to GAE")
    gamma: float | None = Field(default=None, ge=0, le=1, description="discount an action")
    lam: float | None = Field(default=None, ge=0, le=1, description="GAE's lambda")
    clip: float | None = Field(default=None, gt=0, description="PPO's clip of the probability ratio")
    kl: float | None = Field(default=None, ge=0, description="weight of the divergence from the starting version")
    kl_estimator: Literal["k1", "k2", "k3"] | None = Field(default=None, description="how the divergence is estimated")
    kl_place: Literal["loss", "reward"] | None = Field(default=None, description="where the divergence is paid")
    kl_target: float | None = Field(default=None, gt=0, description="nats a token that its weight is steered to")
    kl_stop: float | None = Field(default=None, gt=0, description="nats a token at which an update is left early")
    entropy: float | None = Field(default=None, ge=0, description="weight of the entropy bonus")
    entropy_target: float | None = Field(default=None, gt=0, description="nats a token that its weight is steered to")
    imitation: float | None = Field(default=None, ge=0, description="weight of imitating one's own successes")
    temperature_end: float | None = Field(default=None, gt=0, description="of the sampling, at the end of the run")
    schedule: Literal["constant", "linear", "cosine"] | None = Field(default=None, description="of the learning rates")
    warmup: int | None = Field(default=None, ge=0, description="updates in which the learning rates rise")
    last_layers: int | None = Field(default=None, ge=1, description="layers that learn; unset: all, and embeddings")
    per_pack: bool | None = Field(default=None, description="advantages within each pack, brought to one spread")
    practice: Literal["uniform", "epsilon-greedy", "ucb", "thompson"] | None = Field(
        default=None, description="how intents to practise are chosen"
    )
    validate_every: int | None = Field(
        default=None, ge=0, description="updates between looks at validation customers; the best weights are kept"
    )
    validation: int | None = Field(default=None, ge=1, description="validation customers of each pack")
    patience: int | None = Field(default=None, ge=0, description="looks without a better one that end the run")
    tuition_every: int | None = Field(default=None, ge=0, description="updates between phases of imitating the expert")
    tuition: int | None = Field(default=None, ge=1, description="the expert's dialogues in such a phase")
    lora: int | None = Field(default=None, ge=1, le=1024, description="rank of an adapter; unset: all weights learn")
    overlap: bool = Field(default=False, description="speak the next dialogues while these are learnt from")
    recompute: bool = Field(default=False, description="gradient checkpointing: less memory, more time")
    trackers: tuple[str, ...] = Field(default=(), description="plugins' trackers that are told every update's figures")


class Model(Section):
    """Of models that people bring; the embedded ones need none of it."""

    device: str = Field(default="auto", description="auto, cpu, cuda, cuda:1, mps")
    dtype: Literal["auto", "float32", "bfloat16"] = Field(default="auto", description="of weights that are not trained")
    attention: str = Field(default="sdpa", description="kernel while learning: sdpa, eager, flash_attention_2")
    context: int = Field(default=4096, ge=64, description="tokens a conversation may have")
    format: str = Field(default="", description="chat format; empty: the one that the checkpoint's template writes")


class Evaluate(Section):
    goals: int = Field(default=400, ge=1, description="held-out customers of each pack")
    trials: int = Field(default=1, ge=1, description="conversations with each of them")
    seed: int = Field(default=0, ge=0)
    temperature: float = Field(default=1.0, ge=0, description="of the sampling; 0 takes the likeliest token")


class Reward(Section):
    use: str = Field(description="the registered name")
    name: str = Field(
        default="", description="what this instance is called; needed for a second one of the same reward"
    )
    weight: float = 1.0
    on_failure: Literal["stop", "abstain"] = "stop"
    part: Literal["summand", "constraint", "veto"] = Field(
        default="summand", description="added, kept below a target rate, or forbidding any other gain"
    )
    target: float = Field(default=0.0, ge=0, lt=1, description="of a constraint: largest share of violating episodes")
    scaled: bool = Field(default=False, description="divide by the running standard deviation")
    adaptive: bool = Field(default=False, description="let the weight follow the learning progress")
    options: Mapping[str, Any] = {}


class Plugins(Section):
    disabled: tuple[str, ...] = Field(default=(), description="plugins not to load")


class Settings(Section):
    paths: Paths = Paths()
    agent: Agent = Agent()
    train: Train = Train()
    model: Model = Model()
    evaluate: Evaluate = Evaluate()
    plugins: Plugins = Plugins()
    rewards: tuple[Reward, ...] = Field(default=(), description="instead of the built-in mixture")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    settings: Settings
    origins: Mapping[str, str]
    """Dotted key → where its value came from."""

    def rows(self) -> Iterator[tuple[str, Any, str]]:
        """Every key with its value and origin, in the order of the schema."""
        for key in keys():
            section, name = key
            value = getattr(getattr(self.settings, section), name)
            yield f"{section}.{name}", value, self.origins.get(f"{section}.{name}", DEFAULT)
        yield "rewards", self.settings.rewards, self.origins.get("rewards", DEFAULT)


def keys() -> list[tuple[str, str]]:
    """Every (section, name) that a flag or an environment variable may set."""
    return [
        (section, name)
        for section, field in Settings.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
        for name in field.annotation.model_fields
    ]


def environment_name(section: str, name: str) -> str:
    return f"{PREFIX}{section}_{name}".upper()


def resolve(
    flags: Mapping[str, Any] | None = None,
    *,
    file: Path | None = None,
    folder: Path | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Resolved:
    """The settings of one command. Raises ConfigError naming the file, the key and what would be right.

    `flags` go by dotted key, None where a flag was not given. `file` replaces the project's file, which is otherwise
    looked for from `folder` upward.
    """
    values: dict[str, dict[str, Any]] = {}
    origins: dict[str, str] = {}
    rewards: Any = None
    for source, document in _files(file, folder or Path.cwd(), environ):
        _check(document, source)
        for section, content in document.items():
            if section == "rewards":
                rewards, origins["rewards"] = content, source
                continue
            for name, value in content.items():
                values.setdefault(section, {})[name] = value
                origins[f"{section}.{name}"] = source
    for key, value, origin in [*_from_environment(environ), *_from_flags(flags or {})]:
        section, _, name = key.partition(".")
        values.setdefault(section, {})[name] = value
        origins[key] = origin
        _check({section: {name: value}}, origin)
    document = {**values} if rewards is None else {**values, "rewards": rewards}
    return Resolved(settings=Settings.model_validate(document), origins=origins)


def user_file() -> Path:
    return platformdirs.user_config_path("dialog_rl") / "config.toml"


def _files(file: Path | None, folder: Path, environ: Mapping[str, str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The user's file, then the project's: later ones win."""
    user = user_file()
    if user.is_file():
        yield str(user), _toml(user)
    named = file or (Path(environ["DIALOG_RL_CONFIG"]) if environ.get("DIALOG_RL_CONFIG") else None)
    if named is not None:
        yield str(named), _section_of(named, _toml(named))
        return
    for parent in (folder, *folder.parents):
        own, shared = parent / PROJECT_FILE, parent / "pyproject.toml"
        if own.is_file():
            yield str(own), _toml(own)
            return
        if shared.is_file() and (section := _section_of(shared, _toml(shared))):
            yield f"{shared} [tool.dialog_rl]", section
            return


def _section_of(path: Path, document: Mapping[str, Any]) -> Mapping[str, Any]:
    return document.get("tool", {}).get("dialog_rl", {}) if path.name == "pyproject.toml" else document


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise ConfigError(f"{one_line(str(path))}: cannot be read: {e.strerror or e}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{one_line(str(path))}: not UTF-8 text") from None
    except tomllib.TOMLDecodeError as e:
        raise ConfigError(f"{one_line(str(path))}: not TOML: {one_line(str(e))}") from None


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, Any, str]]:
    for section, name in keys():
        variable = environment_name(section, name)
        if variable in environ:
            yield f"{section}.{name}", _split(section, name, environ[variable]), f"environment {variable}"


def _from_flags(flags: Mapping[str, Any]) -> Iterator[tuple[str, Any, str]]:
    for key, value in flags.items():
        if value is not None and value != ():
            yield key, value, f"flag for {key}"


def _split(section: str, name: str, text: str) -> Any:
    """Lists are written with commas in the environment."""
    annotation = Settings.model_fields[section].annotation
    assert isinstance(annotation, type) and issubclass(annotation, Section)
    if annotation.model_fields[name].annotation == tuple[str, ...]:
        return [part.strip() for part in text.split(",") if part.strip()]
    return text


def _check(document: Mapping[str, Any], source: str) -> None:
    """Raises ConfigError about the first thing in one layer that is not right."""
    try:
        Settings.model_validate(document)
    except ValidationError as e:
        raise ConfigError(f"{one_line(source)}: {_explain(e.errors()[0])}") from None


def _explain(error: Any) -> str:
    path = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        known = [
            *Settings.model_fields,
            *(f"{s}.{n}" for s, n in keys()),
            *(f"rewards.{n}" for n in Reward.model_fields),
        ]
        close = difflib.get_close_matches(path, known, n=1)
        return f"'{one_line(path)}' is not a setting" + (f"; did you mean '{close[0]}'?" if close else "")
    message = error["msg"]
    found = "" if error["type"] == "missing" else f", found {one_line(repr(error.get('input')), 60)}"
    return f"'{one_line(path)}': {message[0].lower()}{message[1:]}{found}"
