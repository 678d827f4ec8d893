"""Folders that are hostile by which files they hold: code, pickles, links, pipes, far too much."""

from __future__ import annotations

import io
import os
import shutil
import socket
import zipfile
from collections.abc import Mapping

from dialog_rl.bench.hostile_checkpoint import ALL, CONFIG, TOKENIZER, WEIGHTS, Harm, Laid, one_of


def _pickled(laid: Laid) -> bytes:
    """Runs code when it is loaded. Written by hand: what could load it is imported nowhere."""
    protocol = one_of(laid, (b"", b"\x80\x02", b"\x80\x03", b"\x80\x04"))
    return protocol + b"cbuiltins\nexec\n(V" + laid.code.encode() + b"\ntR."


def _zipped(laid: Laid) -> bytes:
    """As torch.save writes it."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("archive/data.pkl", _pickled(laid))
        archive.writestr("archive/version", "3\n")
    return made.getvalue()


_PICKLES = ("pytorch_model.bin", "pytorch_model-00001-of-00002.bin", "model.pt", "model.pth", "model.ckpt",
            "training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth", "data.pkl", "model.joblib",
            "adapter_model.bin")  # fmt: skip
_OTHERS = ("model.gguf", "model.h5", "tf_model.h5", "flax_model.msgpack", "model.onnx", "model.npz", "libevil.so",
           "adapter_model.safetensors", "consolidated.safetensors", "MODEL.SAFETENSORS",
           "model.safetensors.bak")  # fmt: skip
_CODE = ("modeling_llama.py", "tokenization_evil.py", "configuration_evil.py", "setup.py", "__init__.py", "conftest.py",
         "sitecustomize.py", "json.py", "numpy.py", "custom_generate/generate.py", "handler.py", "evil.pth",
         ".pytorchrc", "pyproject.toml")  # fmt: skip


def _pickle_beside(laid: Laid) -> None:
    laid.write(one_of(laid, _PICKLES), one_of(laid, (_pickled, _zipped))(laid))


def _pickle_instead(laid: Laid) -> None:
    laid.write(one_of(laid, ALL), one_of(laid, (_pickled, _zipped))(laid))


def _code_beside(laid: Laid) -> None:
    name = one_of(laid, _CODE)
    (laid.folder / name).parent.mkdir(exist_ok=True)
    laid.write(name, f"import os\n{laid.code}\n")
    laid.edit(CONFIG, auto_map={"AutoModelForCausalLM": "modeling_llama.LlamaForCausalLM"})


def _other_format(laid: Laid) -> None:
    laid.write(one_of(laid, _OTHERS), laid.chance.randbytes(200))


def _link(laid: Laid) -> None:
    """To a file of the system's, to a sound file elsewhere, to nothing, to itself, or through another link."""
    name = one_of(laid, ALL)
    elsewhere = laid.folder.parent / f"{laid.folder.name}-elsewhere"
    elsewhere.write_bytes(laid.read(name))
    (laid.folder / name).unlink()
    target = one_of(laid, ("/etc/passwd", "/dev/zero", "/proc/self/environ", str(elsewhere), "nothing", name,
                           f"../{elsewhere.name}", "../" * 30 + "etc/hostname"))  # fmt: skip
    (laid.folder / name).symlink_to(target)


def _not_a_file(laid: Laid) -> None:
    """A pipe that nobody writes to, a socket, or a folder."""
    path = laid.folder / one_of(laid, ALL)
    path.unlink()
    kind = laid.chance.randrange(3)
    if kind == 0:
        os.mkfifo(path)
    elif kind == 1:
        path.mkdir()
    else:
        here = os.open(laid.folder, os.O_RDONLY)
        with socket.socket(socket.AF_UNIX) as made:  # a socket's path may not be long
            made.bind(f"/proc/self/fd/{here}/{path.name}")
        os.close(here)


def _folder_beside(laid: Laid) -> None:
    inner = laid.folder / one_of(laid, (".git", "hooks", "1_Pooling", "onnx", "original", "a" * 200))
    inner.mkdir()
    (inner / "model.py").write_text(laid.code)


def _missing(laid: Laid) -> None:
    for name in laid.chance.sample((CONFIG, TOKENIZER, WEIGHTS), laid.chance.randrange(1, 4)):
        (laid.folder / name).unlink()


def _empty(laid: Laid) -> None:
    laid.write(one_of(laid, (CONFIG, TOKENIZER, WEIGHTS)), b"")


def _far_too_large(laid: Laid) -> None:
    """Sparse, so that it costs no space here; whoever reads it has as much to read."""
    name, size = one_of(laid, ALL), 1 << laid.chance.randrange(31, 41)
    with (laid.folder / name).open("r+b") as file:
        file.truncate(size)


def _shards_without_end(laid: Laid) -> None:
    """Thousands, or fewer than the names tell of."""
    count = laid.chance.randrange(200, 3000)
    for number in range(1, one_of(laid, (count, count + 1))):
        laid.write(f"model-{number:05}-of-{count:05}.safetensors", b"")


def _odd_name(laid: Laid) -> None:
    names = ("\x1b[2J\x1b[31mowned", "model\n.safetensors", "\u202egpj.ledom", "a" * 250, "-rf", "model .safetensors",
             "%s%n", "$(touch canary)", "config.json;ls", "\x07", "mod\u200bel.safetensors")  # fmt: skip
    shutil.copyfile(laid.folder / WEIGHTS, laid.folder / one_of(laid, names))


HOSTILE_FILES: Mapping[str, Harm] = {
    "pickle beside": _pickle_beside,
    "pickle instead of a file": _pickle_instead,
    "code beside": _code_beside,
    "another format": _other_format,
    "link": _link,
    "pipe, socket or folder": _not_a_file,
    "folder beside": _folder_beside,
    "missing file": _missing,
    "empty file": _empty,
    "size bomb": _far_too_large,
    "shards without end": _shards_without_end,
    "odd name": _odd_name,
}
