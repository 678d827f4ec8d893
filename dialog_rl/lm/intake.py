"""From a stranger's checkpoint, in a folder or in the local cache of the hub, to a version of our own.

What a checkpoint may be: safetensors of a known family with its `tokenizer.json`. No pickle is opened, no code of
theirs is run, no remote code is fetched. What no look can find
out is whether the weights were made to misbehave.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import PreTrainedConfig

from dialog_rl import durable
from dialog_rl.errors import CheckpointError
from dialog_rl.lm import families, intake_files, versions
from dialog_rl.lm.policy import CONFIG_FILE, VALUE_FILE
from dialog_rl.lm.weights import stored
from dialog_rl.text import one_line

DEADLINE = 25.0
"""Seconds for a small checkpoint; reading gigabytes is given a second for each 50 MB on top."""
_COMPUTING = 10.0
"""Seconds of a processor in these: a template or a tokenizer that never ends is one's own doing, a busy machine not."""
_MEMORY = 2 << 30
_KNOWN = ".taken_in.json"
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "VIRTUAL_ENV", "SYSTEMROOT")


def take_in(name: str, store: Path, *, chat_format: str = "") -> Path:
    """The version made of a checkpoint folder or of an id in the local cache; made now, unless it was before.

    chat_format: one of `chat_formats.FORMATS`, instead of the one that the checkpoint's template writes. Raises
    CheckpointError that says what is wrong with the checkpoint.
    """
    source = find_checkpoint(name)
    key = f"{source.resolve()} {chat_format}"
    signature = _signature(source)
    known = _read_known(store)
    if known.get(key, {}).get("signature") == signature:
        folder = store / str(known[key]["version"])
        if (folder / versions.MANIFEST).is_file():
            return folder
    total = sum(size for _, size, _ in signature)

    def fill(folder: Path) -> None:
        config = families.read_config(intake_files.listed(source)[CONFIG_FILE])
        read_apart(source, folder, _wanted(config), chat_format, total=total)
        config.save_pretrained(folder)
        width = config.hidden_size
        save_file({"weight": torch.zeros(1, width), "bias": torch.zeros(1)}, folder / VALUE_FILE)

    origin = versions.Origin(created_by=f"checkpoint {one_line(source.name, 80)}", trained_on={"source": name[:200]})
    try:
        version = versions.publish(store, fill, origin, expected_bytes=total)
    except CheckpointError as e:
        raise CheckpointError(f"{one_line(name, 120)}: not taken in: {e}") from None
    _remember(store, key, {"signature": signature, "version": version.id})
    return version.path


def find_checkpoint(name: str) -> Path:
    """The folder of a checkpoint: a path, or the newest snapshot of a repository in the local cache."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if _REPOSITORY.fullmatch(name):
        repository = _cache() / f"models--{name.replace('/', '--')}"
        try:
            commit = (repository / "refs" / "main").read_text(encoding="utf-8").strip()
        except OSError:
            commit = ""
        if re.fullmatch(r"[0-9a-f]{7,64}", commit) and (repository / "snapshots" / commit).is_dir():
            return repository / "snapshots" / commit
        raise CheckpointError(f"{name}: neither a folder nor in the local cache ({_cache()}); download it first")
    raise CheckpointError(f"{one_line(name, 120)}: there is no such folder")


def _cache() -> Path:
    if found := os.environ.get("HF_HUB_CACHE"):
        return Path(found)
    return Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser() / "hub"


def read_apart(
    source: Path, target: Path, wanted: intake_files.Wanted, chat_format: str = "", *, total: int = 0
) -> None:
    """Let a confined process copy what is sound. Raises CheckpointError with its refusal, or if it stays away."""
    more = total / 50e6
    environment = {key: os.environ[key] for key in _PASSED_ON if key in os.environ}
    environment |= {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "PYTHONDONTWRITEBYTECODE": "1",
                    "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # fmt: skip
    limits = [str(_MEMORY), str(int(_COMPUTING + more)), str(total + (64 << 20))]
    folders = [str(source.resolve()), str(target.resolve())]  # the process starts in another folder than we are in
    command = [sys.executable, "-m", "dialog_rl.lm.intake_worker", *folders, chat_format]
    try:
        done = subprocess.run(
            [*command, *limits], input=json.dumps(asdict(wanted)).encode(), capture_output=True, env=environment,
            timeout=DEADLINE + more, start_new_session=True, cwd=target, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise CheckpointError(f"it was not looked through within {DEADLINE + more:.0f} s") from None
    if done.returncode == -signal.SIGXCPU:
        raise CheckpointError(f"its tokenizer or its chat template computes for more than {_COMPUTING + more:.0f} s")
    if done.returncode == -signal.SIGABRT:  # a library ended itself where memory did
        raise CheckpointError(f"it needs more than {_MEMORY >> 20} MiB to be looked through")
    try:
        answer = json.loads(done.stdout[-65536:].decode(errors="replace").strip().splitlines()[-1])
        refused = answer.get("refused")
    except (ValueError, IndexError, AttributeError):
        raise CheckpointError(f"looking through it ended the process that did (exit code {done.returncode})") from None
    if refused is not None:
        raise CheckpointError(one_line(str(refused), 400))


def _wanted(config: PreTrainedConfig) -> intake_files.Wanted:
    """What a configuration asks of the weights. Raises CheckpointError if no model can be made of it."""
    try:
        with torch.device("meta"):
            tensors = stored(families.FAMILIES[config.model_type].model(config))
    except Exception as e:  # marked border: a family's modules raise what they like over a stranger's numbers
        reason = one_line(f"{type(e).__name__}: {e}", 200)
        raise CheckpointError(f"{CONFIG_FILE}: makes no model of the family {config.model_type} ({reason})") from e
    return intake_files.Wanted(
        kind=config.model_type, tied=bool(config.tie_word_embeddings), vocabulary=config.vocab_size,
        shapes={name: tuple(tensor.shape) for name, tensor in tensors.items()},
    )  # fmt: skip


def _signature(source: Path) -> list[tuple[str, int, int]]:
    try:
        return [(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in sorted(source.iterdir()) if p.is_file()]
    except OSError as e:
        raise CheckpointError(f"{source}: cannot be read: {e.strerror or e}") from None


def _read_known(store: Path) -> dict[str, Any]:
    try:
        document = json.loads((store / _KNOWN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(document, dict):
        return {}
    for entry in document.values():
        entry["signature"] = [tuple(one) for one in entry["signature"]]
    return document


def _remember(store: Path, key: str, entry: dict[str, Any]) -> None:
    with durable.locked(store / versions.LOCK):
        durable.write_file(store / _KNOWN, json.dumps({**_read_known(store), key: entry}).encode())
