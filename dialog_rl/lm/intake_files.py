"""The files of a stranger's checkpoint: which are known, and the tensors in them, looked through byte by byte.

Written without the libraries that load models, so that a check costs a second and no code of theirs sees the files.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dialog_rl.errors import CheckpointError

NEEDED = ("config.json", "tokenizer.json")
READ_IF_THERE = ("tokenizer_config.json", "chat_template.jinja")
_SHARD = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors")
_PASSED_OVER = re.compile(
    r"README\.md|LICENSE.*|USE_POLICY\.md|NOTICE.*|\.gitattributes|generation_config\.json|special_tokens_map\.json"
    r"|model\.safetensors\.index\.json|vocab\.json|merges\.txt|added_tokens\.json|tokenizer\.model|[\w.-]+\.md"
)
"""What comes along and is not needed: neither opened nor copied. Anything else is a reason to refuse."""
_JSON_BYTES = 64 << 20
_HEADER_BYTES = 25 << 20
_MOST_TENSORS = 20_000
_MOST_SHARDS = 512
_NAME = re.compile(r"[\w.]{1,200}")
_WIDTHS = {"F32": 4, "F16": 2, "BF16": 2}
_EXPONENTS = {"F32": (np.uint32, 0x7F800000), "F16": (np.uint16, 0x7C00), "BF16": (np.uint16, 0x7F80)}
_PART = 16 << 20
_DEPTH = 64


def listed(source: Path) -> dict[str, Path]:
    """The files to be read, by name. Raises CheckpointError for a folder that holds anything unknown."""
    found: dict[str, Path] = {}
    real = source.resolve()
    for path in sorted(source.iterdir()):
        name = path.name
        if _PASSED_OVER.fullmatch(name):
            continue
        if name not in (*NEEDED, *READ_IF_THERE) and not _SHARD.fullmatch(name):
            what = "a folder" if path.is_dir() else "a file"
            raise CheckpointError(f"{name[:80]!r}: {what} that a checkpoint of weights in safetensors does not have")
        if path.is_symlink() and not _in_own_cache(path, real):
            raise CheckpointError(f"{name}: a link that leads elsewhere")
        if not stat.S_ISREG(path.stat().st_mode):
            raise CheckpointError(f"{name}: not a plain file")
        found[name] = path
    missing = [name for name in NEEDED if name not in found]
    if not any(_SHARD.fullmatch(name) for name in found):
        missing.append("model.safetensors")
    if missing:
        raise CheckpointError(f"no {', no '.join(missing)}")
    _require_all_shards([name for name in found if _SHARD.fullmatch(name)])
    return found


def _require_all_shards(names: Sequence[str]) -> None:
    """model.safetensors alone, or model-1-of-n to model-n-of-n."""
    count = len(names)
    wanted = {"model.safetensors"} if count == 1 else set()
    whole = {f"model-{number:05}-of-{count:05}.safetensors" for number in range(1, count + 1)}
    if count > _MOST_SHARDS or set(names) not in (wanted, whole):
        found = f"{count} files of weights, {', '.join(names[:3])} first"
        raise CheckpointError(f"{found}; one, or all of at most {_MOST_SHARDS} that are told, are right")


def _in_own_cache(path: Path, source: Path) -> bool:
    """The local cache keeps a snapshot's files as links to blobs beside it: …/models--x--y/{snapshots/z,blobs}."""
    repository = source.parent.parent
    is_cache = source.parent.name == "snapshots" and repository.name.startswith("models--")
    return is_cache and path.resolve().parent == repository / "blobs"


def read_json(path: Path) -> dict[str, Any]:
    """An object of strings, numbers, lists and objects, of bounded size and depth."""
    if path.stat().st_size > _JSON_BYTES:
        raise CheckpointError(f"{path.name}: {path.stat().st_size} bytes; at most {_JSON_BYTES} are read")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise CheckpointError(f"{path.name}: nested too deeply") from None
    except ValueError as e:
        raise CheckpointError(f"{path.name}: not JSON: {e}") from None
    if not isinstance(document, dict):
        raise CheckpointError(f"{path.name}: a JSON object is wanted")
    return document


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a checkpoint's configuration, once it is known to be one, asks of its other files."""

    kind: str
    """The family."""
    tied: bool
    """Whether the output embedding is the input's, and so not stored."""
    vocabulary: int
    shapes: Mapping[str, tuple[int, ...]]
    """Of every tensor, by its name in the family."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One tensor as a file's header tells it."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def read_header(path: Path) -> tuple[list[Stored], int]:
    """The tensors of a safetensors file, in the order of their bytes, and where these begin. All of it is checked."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(_HEADER_BYTES, size - 8):
            raise CheckpointError(f"{path.name}: a header of {length} bytes in a file of {size}")
        try:
            header = json.loads(file.read(length), object_pairs_hook=_no_doubles)
        except (ValueError, RecursionError) as e:
            raise CheckpointError(f"{path.name}: its header is not JSON: {e}") from None
    if not isinstance(header, dict) or len(header) > _MOST_TENSORS:
        raise CheckpointError(f"{path.name}: its header does not list tensors, {_MOST_TENSORS} at most")
    found = sorted((_tensor(path.name, name, facts) for name, facts in header.items() if name != "__metadata__"),
                   key=lambda one: one.begin)  # fmt: skip
    at = 0
    for one in found:
        if one.begin != at:
            raise CheckpointError(f"{path.name}: {one.name} begins at byte {one.begin}, not at {at}")
        at = one.end
    if 8 + length + at != size:
        raise CheckpointError(f"{path.name}: {size} bytes where the header tells of {8 + length + at}")
    return found, 8 + length


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a name stands in it twice")
    return dict(pairs)


def _tensor(file: str, name: str, facts: Any) -> Stored:
    try:
        dtype, shape, (begin, end) = facts["dtype"], tuple(facts["shape"]), facts["data_offsets"]
        width = _WIDTHS[dtype]
        sound = all(type(n) is int and n >= 0 for n in (*shape, begin, end)) and len(shape) <= 4
        if sound and end - begin == width * math.prod(shape) and _NAME.fullmatch(name):
            return Stored(name, dtype, shape, begin, end)
    except (KeyError, TypeError, ValueError):
        pass
    raise CheckpointError(f"{file}: {name[:80]!r} is not told as a tensor of {', '.join(_WIDTHS)} of fitting size")


def canonical(name: str, *, kind: str, tied: bool) -> str | None:
    """A tensor's name in its family; None for what older checkpoints hold beside the weights."""
    if name.endswith(("rotary_emb.inv_freq", ".attn.bias", ".attn.masked_bias")):
        return None
    if name == "lm_head.weight":
        return None if tied else name
    prefix = "transformer." if kind == "gpt2" else "model."
    return name if name.startswith(prefix) else prefix + name


def copy_weights(shards: Sequence[Path], target: Path, wanted: Wanted) -> None:
    """The tensors under their family's names, file by file, all of them finite. Nothing is copied before all fit."""
    found: dict[str, tuple[int, ...]] = {}
    plan: list[tuple[Path, list[tuple[str, Stored]], int]] = []
    for path in shards:
        tensors, start = read_header(path)
        named = ((canonical(one.name, kind=wanted.kind, tied=wanted.tied), one) for one in tensors)
        kept = [(name, one) for name, one in named if name is not None]
        for name, one in kept:
            if name in found:
                raise CheckpointError(f"{path.name}: {name} is stored twice")
            found[name] = one.shape
        plan.append((path, kept, start))
    _require_shapes(found, wanted.shapes)
    for number, (path, kept, start) in enumerate(plan, 1):
        made = "model.safetensors" if len(shards) == 1 else f"model-{number:05}-of-{len(shards):05}.safetensors"
        _write(target / made, path, kept, start)


def _require_shapes(found: Mapping[str, tuple[int, ...]], wanted: Mapping[str, tuple[int, ...]]) -> None:
    missing, unexpected = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
    if missing or unexpected:
        raise CheckpointError(f"missing tensors {missing[:5] or 'none'}, unexpected tensors {unexpected[:5] or 'none'}")
    for name, shape in wanted.items():
        if found[name] != tuple(shape):
            raise CheckpointError(f"{name} has shape {found[name]}; config.json asks for {tuple(shape)}")


def _write(made: Path, path: Path, kept: Sequence[tuple[str, Stored]], start: int) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, one in kept:
        size = one.end - one.begin
        header[name] = {"dtype": one.dtype, "shape": list(one.shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("rb") as source, made.open("wb") as out:
        out.write(len(text).to_bytes(8, "little") + text)
        for name, one in kept:
            for part in _parts(source, start + one.begin, one.end - one.begin):
                if not _finite(part, one.dtype):
                    raise CheckpointError(f"{path.name}: {name} holds NaN or infinite weights")
                out.write(part)


def _parts(file: Any, begin: int, size: int) -> Iterator[bytes]:
    file.seek(begin, os.SEEK_SET)
    for at in range(0, size, _PART):
        wanted = min(_PART, size - at)
        part = file.read(wanted)
        if len(part) != wanted:
            raise CheckpointError("a file was cut off while it was read")
        yield part


def _finite(part: bytes, dtype: str) -> bool:
    """An exponent of all ones is infinite, or no number."""
    kind, exponent = _EXPONENTS[dtype]
    return not bool(((np.frombuffer(part, dtype=kind) & exponent) == exponent).any())
