"""Weights that lie: headers that do not fit their file, tensors that do not fit their model, numbers that are none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from dialog_rl.bench.hostile_checkpoint import (
    CONFIG,
    WEIGHTS,
    Harm,
    Laid,
    Tensors,
    nested,
    one_of,
    safetensors,
    sound_tensors,
    with_header,
)


def _cut_off(laid: Laid) -> None:
    whole = laid.read(WEIGHTS)
    laid.write(WEIGHTS, whole[: laid.chance.randrange(1, len(whole))])


def _longer(laid: Laid) -> None:
    laid.write(WEIGHTS, laid.read(WEIGHTS) + laid.chance.randbytes(laid.chance.choice([1, 8, 4096])))


def _header_of_another_length(laid: Laid) -> None:
    whole = laid.read(WEIGHTS)
    true = int.from_bytes(whole[:8], "little")
    told = one_of(laid, [0, 1, 2**63, 2**64 - 1, len(whole), 1 << 40, true - 1, true + 1, true // 2])
    laid.write(WEIGHTS, with_header(whole[8 : 8 + true], whole[8 + true :], told=told))


def _header_that_is_none(laid: Laid) -> None:
    deep = laid.chance.randrange(2_000, 200_000)
    many = {f"t{n}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for n in range(30_000)}
    header = one_of(laid, [
        b"[]", b"null", b"{", b"\xff\xfe{}", nested(deep).encode(), nested(deep, '{"a":', "}").encode(),
        b'{"a": NaN}', json.dumps(many).encode(), b'{"__metadata__": 7}',
    ])  # fmt: skip
    laid.write(WEIGHTS, with_header(header, b"\0" * 64))


def _twice_in_the_header(laid: Laid) -> None:
    whole = laid.read(WEIGHTS)
    length = int.from_bytes(whole[:8], "little")
    header = whole[8 : 8 + length].decode()
    name = laid.any_tensor()
    facts = json.dumps({name: json.loads(header)[name]})[1:-1]
    laid.write(WEIGHTS, with_header(f"{header[:-1]}, {facts}}}".encode(), whole[8 + length :]))


def _offsets(laid: Laid) -> None:
    """Over each other, beyond the end, before the beginning, with holes between."""
    name = laid.any_tensor()

    def change(header: dict[str, Any]) -> None:
        begin, end = header[name]["data_offsets"]
        other = header[laid.any_tensor()]["data_offsets"]
        header[name]["data_offsets"] = one_of(laid, [
            [begin + 4, end + 4], [begin, end + (1 << 40)], [-8, end - begin - 8], [end, begin], [begin],
            [begin, end, end], [str(begin), str(end)], [float(begin), end + 0.5], [begin - 4, end], None,
            [other[0] + 4, other[1] + 4], [True, False],
        ])  # fmt: skip

    laid.edit_header(change)


def _shape(laid: Laid) -> None:
    name = laid.any_tensor()

    def change(header: dict[str, Any]) -> None:
        shape = header[name]["shape"]
        header[name]["shape"] = one_of(laid, [
            [-1, *shape], [*shape, 2], [2**62, 4], [2**64, 0], [str(n) for n in shape], "16", None, {}, [0, *shape],
            [[n] for n in shape], [n + 0.5 for n in shape], [1, 1, 1, 1, *shape], [-n for n in shape],
        ])  # fmt: skip

    laid.edit_header(change)


def _dtype(laid: Laid) -> None:
    name = laid.any_tensor()
    dtype = one_of(laid, ["F64", "I8", "F8_E4M3", "BOOL", "f32", "", None, 7, ["F32"], "pickle", "F16"])
    laid.edit_header(lambda header: header[name].update(dtype=dtype))


def _tensor_name(laid: Laid) -> None:
    name = laid.any_tensor()
    evil = one_of(laid, ["../../../../tmp/evil", "/etc/passwd", "a" * 5000, "\x1b[2J", "", "model.norm.weight\0",
                         "__class__.__init__", "model..weight", "lm_head.weight2"])  # fmt: skip
    laid.edit_header(lambda header: header.update({evil: header.pop(name)}))


def _not_finite(laid: Laid) -> None:
    name, value = laid.any_tensor(), one_of(laid, [np.nan, np.inf, -np.inf])
    half = laid.chance.random() < 0.5

    def change(tensors: Tensors) -> None:
        tensors[name].flat[laid.chance.randrange(tensors[name].size)] = value
        if half:
            tensors.update({key: tensor.astype(np.float16) for key, tensor in tensors.items()})

    laid.edit_weights(change)


def _other_tensors(laid: Laid) -> None:
    """One is missing, too many, of another shape, or turned round."""
    name = laid.any_tensor()

    def change(tensors: Tensors) -> None:
        kind = laid.chance.randrange(4)
        if kind == 0:
            del tensors[name]
        elif kind == 1:
            tensors[f"model.layers.{laid.chance.randrange(1, 99)}.evil"] = np.ones(3, np.float32)
        elif kind == 2:
            tensors[name] = tensors[name][:-1].copy()
        else:
            tensors[name] = np.ascontiguousarray(tensors[name].reshape(*tensors[name].shape[::-1], 1))

    laid.edit_weights(change)


def _twice_in_two_files(laid: Laid) -> None:
    tensors = sound_tensors(laid.chance)
    (laid.folder / WEIGHTS).unlink()
    laid.write("model-00001-of-00002.safetensors", safetensors(tensors))
    again = laid.any_tensor()
    laid.write("model-00002-of-00002.safetensors", safetensors({again: tensors[again]}))


def _far_too_many_numbers(laid: Laid) -> None:
    """A header that tells the truth about a sparse file: gigabytes of zeros, for a model of kilobytes."""
    rows = 1 << laid.chance.randrange(25, 32)
    name = laid.any_tensor()

    def change(header: dict[str, Any]) -> None:
        at = 0
        for key, facts in header.items():
            if key == "__metadata__":
                continue
            if key == name:
                facts["shape"] = [rows, 16]
            size = 4 * int(np.prod(facts["shape"]))
            facts["data_offsets"] = [at, at + size]
            at += size

    laid.edit_header(change)
    size = len(laid.read(WEIGHTS)) + 4 * rows * 16 - 4 * sound_tensors(laid.chance)[name].size
    with (laid.folder / WEIGHTS).open("r+b") as file:
        file.truncate(size)


def _another_shape_in_the_configuration(laid: Laid) -> None:
    name, value = one_of(laid, [
        ("hidden_size", 32_768), ("hidden_size", 32), ("num_hidden_layers", 2), ("num_hidden_layers", 256),
        ("vocab_size", 1 << 20), ("vocab_size", 263), ("intermediate_size", 262_144), ("head_dim", 1024),
        ("num_key_value_heads", 1), ("tie_word_embeddings", True), ("attention_bias", True), ("mlp_bias", True),
        ("model_type", "qwen2"), ("model_type", "qwen3"), ("model_type", "gpt2"), ("model_type", "gemma2"),
    ])  # fmt: skip
    laid.edit(CONFIG, **{name: value})
    if name == "tie_word_embeddings":  # then the output embedding is passed over, so something else must not fit
        laid.edit_weights(lambda tensors: tensors.pop("model.norm.weight"))


HOSTILE_WEIGHTS: Mapping[str, Harm] = {
    "weights cut off": _cut_off,
    "bytes after the weights": _longer,
    "header of another length": _header_of_another_length,
    "header that is none": _header_that_is_none,
    "tensor twice in the header": _twice_in_the_header,
    "tensor twice in two files": _twice_in_two_files,
    "offsets": _offsets,
    "shape in the header": _shape,
    "kind of numbers": _dtype,
    "name of a tensor": _tensor_name,
    "not finite": _not_finite,
    "missing, additional, misshapen": _other_tensors,
    "gigabytes of zeros": _far_too_many_numbers,
    "shapes disagree": _another_shape_in_the_configuration,
}
