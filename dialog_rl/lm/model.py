"""A model that can speak: weights, the chat format they know, and which version they are, in one folder."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import torch

from dialog_rl.errors import CheckpointError, ConfigError
from dialog_rl.lm import adapters, placement, versions
from dialog_rl.lm.adapters import AdapterShape, Base
from dialog_rl.lm.hub_renderer import HubRenderer, renderer_of
from dialog_rl.lm.hub_tokenizer import HubTokenizer
from dialog_rl.lm.policy import Policy
from dialog_rl.lm.renderer import EmbeddedRenderer
from dialog_rl.lm.tokenizer import Tokenizer

TOKENIZER_FILE = "tokenizer.model"
HUB_TOKENIZER_FILE = "tokenizer.json"
RENDERER_FILE = "renderer.json"
EMBEDDED = versions.EMBEDDED
"""The versions that come with the program: `base` and `champion`."""


ChatRenderer = EmbeddedRenderer | HubRenderer


@dataclass(slots=True, kw_only=True)
class SpeakingModel:
    policy: Policy
    renderer: ChatRenderer
    version: str
    """The id of the weights as loaded; empty for weights that were never published."""
    base: Base | None = None
    """The version beside whose weights the adapter lies; None for a model without an adapter."""

    @classmethod
    def load(cls, folder: Path, *, autocast: bool = False) -> SpeakingModel:
        """Read a version's folder. Raises CheckpointError unless every byte verifies and every tensor fits."""
        version = versions.verify(folder)
        if (folder / adapters.BASE_FILE).is_file():
            return _load_adapted(version, autocast=autocast)
        renderer = _renderer_in(folder)
        place, embedded = placement.current(), isinstance(renderer, EmbeddedRenderer)
        device = place.torch_device(embedded=embedded)
        policy = Policy.load(
            folder, autocast=autocast, device=device, kernel=place.attention,
            dtype=torch.float32 if embedded else place.torch_dtype(device),
        )  # fmt: skip
        policy.context = None if embedded else place.context
        return cls(policy=policy, renderer=renderer, version=version.id)

    def save(self, folder: Path, *, dtype: torch.dtype = torch.float32) -> None:
        """Write everything that `load` needs but the manifest, which publishing adds."""
        self.policy.save(folder, dtype=dtype)
        if self.base is not None and self.policy.adapter is not None:
            adapters.write_facts(folder, self.policy.model, self.policy.adapter, self.base)
        else:
            save_renderer(self.renderer, folder)

    def save_in_half(self, folder: Path) -> None:
        """`save` with weights in bf16: half the space, and what is lost is far below what sampling adds."""
        self.save(folder, dtype=torch.bfloat16)

    def load_weights(self, folder: Path) -> None:
        """Take over the weights of a checkpoint of the same model, in place, so that an optimizer keeps its hold."""
        self.policy.fill(folder)

    def adapt(self, shape: AdapterShape, base: versions.Version) -> None:
        """Train an adapter beside the weights of `base`, which are these, from here on."""
        if base.id != self.version:
            raise ConfigError(f"an adapter belongs to the version it began with: {self.version}, not {base.id}")
        self.policy.adapt(shape)
        self.base = base_of(base)

    def frozen(self) -> SpeakingModel:
        """The model as it is now, for a reference: what is not trained is shared with this one."""
        return SpeakingModel(policy=self.policy.frozen(), renderer=self.renderer, version=self.version, base=self.base)


def base_of(version: versions.Version) -> Base:
    files = version.manifest.files.items()
    facts = sorted((name, fact.sha256) for name, fact in files if name.endswith(".safetensors"))
    return Base(id=version.id, sha256=hashlib.sha256(json.dumps(facts).encode()).hexdigest())


def _load_adapted(version: versions.Version, *, autocast: bool) -> SpeakingModel:
    """Base and adapter. The base lies in the same store, or comes with the program."""
    shape, base = adapters.read_facts(version.path)
    found = versions.find((version.path.parent, EMBEDDED), base.id)
    if base_of(found) != base:
        raise CheckpointError(f"{version.path}: belongs to other weights than those in {found.path}")
    model = SpeakingModel.load(found.path, autocast=autocast)
    model.adapt(shape, found)
    model.policy.fill(version.path)
    model.version = version.id
    return model


def save_renderer(renderer: ChatRenderer, folder: Path) -> None:
    if isinstance(renderer, EmbeddedRenderer):
        (folder / TOKENIZER_FILE).write_bytes(renderer.tokenizer.data)
        return
    (folder / HUB_TOKENIZER_FILE).write_bytes(renderer.tokenizer.data)
    facts = {"format": renderer.format.name, "end": renderer.format.end}
    (folder / RENDERER_FILE).write_text(json.dumps(facts) + "\n", encoding="utf-8")


def _renderer_in(folder: Path) -> ChatRenderer:
    own, theirs = folder / TOKENIZER_FILE, folder / HUB_TOKENIZER_FILE
    if own.is_file():
        return EmbeddedRenderer(Tokenizer.load(own))
    if not theirs.is_file():
        raise CheckpointError(f"{folder}: no {TOKENIZER_FILE}, so nothing can be said with these weights")
    try:
        facts = json.loads((folder / RENDERER_FILE).read_text(encoding="utf-8"))
        name, end = str(facts["format"]), str(facts["end"])
        data = theirs.read_bytes()
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise CheckpointError(f"{folder / RENDERER_FILE}: does not tell the chat format: {e}") from e
    return renderer_of(HubTokenizer(data), name, end=end)


def fingerprint_in(folder: Path) -> str:
    """Of the tokenizer and the chat format in a version's folder."""
    return _renderer_in(folder).fingerprint


def embedded_tokenizer(model: SpeakingModel) -> Tokenizer:
    """Raises ConfigError for a model that was not made by `pretrain`."""
    if not isinstance(model.renderer, EmbeddedRenderer):
        raise ConfigError("only models that 'dialog-rl pretrain' made can be pretrained further")
    return model.renderer.tokenizer
