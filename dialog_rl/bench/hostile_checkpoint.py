"""A small sound checkpoint as strangers send them, laid out to be made hostile."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

CONFIG, TOKENIZER, SETTINGS, WEIGHTS = "config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"
ALL = (CONFIG, TOKENIZER, SETTINGS, WEIGHTS)
_HIDDEN, _INNER, _MARGIN = 16, 24, 2
_MARKS = ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>",
          "<|python_tag|>")  # fmt: skip
_VOCABULARY = 256 + len(_MARKS) + _MARGIN
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
    "{{ m.content | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)

Tensors = dict[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Laid:
    """A sound checkpoint in `folder`, and what its harm needs."""

    folder: Path
    chance: random.Random
    canary: Path
    """A file that only a stranger's code would make."""

    @property
    def code(self) -> str:
        """Python that makes the canary."""
        return f"open({str(self.canary)!r}, 'w').close()"

    def write(self, name: str, content: bytes | str) -> None:
        (self.folder / name).write_bytes(content.encode() if isinstance(content, str) else content)

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def edit(self, name: str, **changes: Any) -> None:
        """Set entries of a JSON file."""
        self.write(name, json.dumps({**json.loads(self.read(name)), **changes}))

    def edit_weights(self, change: Callable[[Tensors], object], **header: Any) -> None:
        tensors = sound_tensors(self.chance)
        change(tensors)
        self.write(WEIGHTS, safetensors(tensors, **header))

    def edit_header(self, change: Callable[[dict[str, Any]], object]) -> None:
        """Let the weights' header tell something else of the same bytes."""
        whole = self.read(WEIGHTS)
        length = int.from_bytes(whole[:8], "little")
        header = json.loads(whole[8 : 8 + length])
        change(header)
        self.write(WEIGHTS, with_header(json.dumps(header).encode(), whole[8 + length :]))

    def any_tensor(self) -> str:
        return self.chance.choice(sorted(_SHAPES))


def lay_sound(folder: Path, chance: random.Random) -> None:
    """A Llama of one layer, sound in every file."""
    folder.mkdir(parents=True)
    (folder / CONFIG).write_text(json.dumps(sound_config()))
    (folder / TOKENIZER).write_text(json.dumps(sound_tokenizer()))
    settings = {"bos_token": _MARKS[0], "eos_token": "<|eot_id|>", "chat_template": TEMPLATE}
    (folder / SETTINGS).write_text(json.dumps(settings))
    (folder / WEIGHTS).write_bytes(safetensors(sound_tensors(chance)))


def sound_config() -> dict[str, Any]:
    return {
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": _VOCABULARY, "hidden_size": _HIDDEN,
        "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2, "intermediate_size": _INNER,
        "max_position_embeddings": 512, "tie_word_embeddings": False, "rope_theta": 10000.0, "hidden_act": "silu",
        "bos_token_id": 256, "eos_token_id": 260, "torch_dtype": "float32",
    }  # fmt: skip


def sound_tokenizer() -> dict[str, Any]:
    """Every byte is a token; no merges."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    letters = {b: chr(b) for b in printable} | {b: chr(256 + n) for n, b in enumerate(others)}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    added = [{"id": 256 + n, "content": mark, "single_word": False, "lstrip": False, "rstrip": False,
              "normalized": False, "special": True} for n, mark in enumerate(_MARKS)]  # fmt: skip
    model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
             "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
             "vocab": {letters[b]: b for b in range(256)}, "merges": []}  # fmt: skip
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
            "pre_tokenizer": byte_level, "post_processor": None, "decoder": byte_level, "model": model}  # fmt: skip


_LAYER = "model.layers.0"
_SHAPES: Mapping[str, tuple[int, ...]] = {
    "model.embed_tokens.weight": (_VOCABULARY, _HIDDEN),
    **{f"{_LAYER}.self_attn.{p}_proj.weight": (_HIDDEN, _HIDDEN) for p in "qkvo"},
    f"{_LAYER}.mlp.gate_proj.weight": (_INNER, _HIDDEN),
    f"{_LAYER}.mlp.up_proj.weight": (_INNER, _HIDDEN),
    f"{_LAYER}.mlp.down_proj.weight": (_HIDDEN, _INNER),
    f"{_LAYER}.input_layernorm.weight": (_HIDDEN,),
    f"{_LAYER}.post_attention_layernorm.weight": (_HIDDEN,),
    "model.norm.weight": (_HIDDEN,),
    "lm_head.weight": (_VOCABULARY, _HIDDEN),
}


def sound_tensors(chance: random.Random) -> Tensors:
    random_numbers = np.random.default_rng(chance.randrange(2**32))
    return {name: random_numbers.normal(0, 0.1, shape).astype(np.float32) for name, shape in _SHAPES.items()}


_DTYPES = {"float32": "F32", "float16": "F16", "float64": "F64", "int8": "I8"}


def safetensors(tensors: Mapping[str, np.ndarray], **metadata: Any) -> bytes:
    """The file format, written by hand: the library would not write what is wanted here."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt", **metadata}}
    at = 0
    for name, tensor in tensors.items():
        size = tensor.dtype.itemsize * math.prod(tensor.shape)
        facts = {"dtype": _DTYPES[tensor.dtype.name], "shape": list(tensor.shape), "data_offsets": [at, at + size]}
        header[name] = facts
        at += size
    return with_header(json.dumps(header).encode(), b"".join(t.tobytes() for t in tensors.values()))


def with_header(header: bytes, body: bytes, *, told: int | None = None) -> bytes:
    """told: the length of the header as the file tells it, if not the true one."""
    return (len(header) if told is None else told).to_bytes(8, "little") + header + body


def nested(depth: int, opening: str = "[", closing: str = "]") -> str:
    return opening * depth + closing * depth


def one_of(laid: Laid, values: Sequence[Any]) -> Any:
    return laid.chance.choice(values)


Harm = Callable[[Laid], None]
"""Makes a sound folder hostile."""
