from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from dialog_rl.errors import CheckpointError
from dialog_rl.lm import intake, intake_files, intake_tokenizer
from dialog_rl.lm.hub_renderer import HubRenderer, renderer_of
from dialog_rl.lm.hub_tokenizer import HubTokenizer
from dialog_rl.lm.intake_template import match
from dialog_rl.lm.model import SpeakingModel
from tests.lm.families import FAMILIES, save_checkpoint, small_model, tokenizer_json


@pytest.mark.parametrize("name", FAMILIES)
def test_a_checkpoint_of_each_family_becomes_a_version_with_the_same_weights(name: str, tmp_path: Path) -> None:
    save_checkpoint(name, tmp_path / "theirs", shard="20KB" if name == "qwen2" else "5GB")
    folder = intake.take_in(str(tmp_path / "theirs"), tmp_path / "store")
    model = SpeakingModel.load(folder)
    assert isinstance(model.renderer, HubRenderer) and model.renderer.format.name == FAMILIES[name].format
    ids = torch.randint(0, model.policy.vocab_size, (2, 9), generator=torch.Generator().manual_seed(0))
    theirs: Any = small_model(name)
    with torch.no_grad():
        wanted = theirs(input_ids=ids, use_cache=False).logits
        assert torch.allclose(model.policy.logits(model.policy.hidden(ids)), wanted, atol=1e-5)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint("llama3", tmp_path_factory.mktemp("theirs"))


@pytest.fixture
def copied(theirs: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "copied"
    folder.mkdir()
    for path in theirs.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def refusal(folder: Path, tmp_path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        intake.take_in(str(folder), tmp_path / "store")
    assert not list((tmp_path / "store").glob("*/manifest.json"))
    return str(caught.value)


def test_a_checkpoint_is_taken_in_once(theirs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = intake.take_in(str(theirs), tmp_path / "store")
    monkeypatch.setattr(intake, "read_apart", lambda *a, **k: pytest.fail("read again"))
    assert intake.take_in(str(theirs), tmp_path / "store") == first


def test_a_store_may_be_named_from_the_working_folder(
    theirs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert (intake.take_in(str(theirs), Path("runs/versions")) / "manifest.json").is_file()


def test_an_id_is_found_in_the_local_cache(theirs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = tmp_path / "hub" / "models--acme--small"
    for made in ("blobs", "refs", "snapshots/0123456789abcdef"):
        (repository / made).mkdir(parents=True)
    (repository / "refs" / "main").write_text("0123456789abcdef")
    for number, path in enumerate(sorted(theirs.iterdir())):
        (repository / "blobs" / str(number)).write_bytes(path.read_bytes())
        (repository / "snapshots" / "0123456789abcdef" / path.name).symlink_to(f"../../blobs/{number}")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    assert (intake.take_in("acme/small", tmp_path / "store") / "manifest.json").is_file()
    with pytest.raises(CheckpointError, match="neither a folder nor in the local cache"):
        intake.take_in("acme/other", tmp_path / "store")


def test_nothing_of_a_configuration_but_what_is_known_is_kept(copied: Path, tmp_path: Path) -> None:
    config = json.loads((copied / "config.json").read_text())
    hostile = {"auto_map": {"AutoModel": "evil.Model"}, "_attn_implementation_internal": "evil/kernel",
               "trust_remote_code": True, "quantization_config": {"quant_method": "evil"},
               "architectures": ["evil"]}  # fmt: skip
    (copied / "config.json").write_text(json.dumps({**config, **hostile}))
    kept = (intake.take_in(str(copied), tmp_path / "store") / "config.json").read_text()
    assert "evil" not in kept and "trust" not in kept


def test_a_file_of_an_unknown_kind_is_refused_by_name(copied: Path, tmp_path: Path) -> None:
    (copied / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    told = refusal(copied, tmp_path)
    assert "'pytorch_model.bin': a file that a checkpoint of weights in safetensors does not" in told


def test_a_link_that_leads_elsewhere_is_refused(copied: Path, tmp_path: Path) -> None:
    (copied / "tokenizer.json").unlink()
    (copied / "tokenizer.json").symlink_to("/etc/passwd")
    assert "tokenizer.json: a link that leads elsewhere" in refusal(copied, tmp_path)


def test_an_unknown_family_is_refused_with_those_that_are_known(copied: Path, tmp_path: Path) -> None:
    (copied / "config.json").write_text('{"model_type": "bloom"}')
    assert "model_type is 'bloom'; this program reads llama, qwen2" in refusal(copied, tmp_path)


def changed_weights(folder: Path, change: Any) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


ONE = intake_files.Wanted(kind="llama", tied=False, vocabulary=1, shapes={"model.x": (1001,)})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_one_number_that_is_not_finite_is_found(value: float, dtype: torch.dtype, tmp_path: Path) -> None:
    for where in (0, 999, 1000):
        tensor = torch.full((1001,), 3.0, dtype=dtype)
        tensor[where] = value
        save_file({"x": tensor}, tmp_path / "x.safetensors")
        (tmp_path / "out").mkdir(exist_ok=True)
        with pytest.raises(CheckpointError, match="x holds NaN or infinite weights"):
            intake_files.copy_weights([tmp_path / "x.safetensors"], tmp_path / "out", ONE)


def test_missing_additional_and_misshapen_tensors_are_refused_by_name(copied: Path, tmp_path: Path) -> None:
    changed_weights(copied, lambda t: t.pop("model.norm.weight"))
    assert "missing tensors ['model.norm.weight']" in refusal(copied, tmp_path)
    changed_weights(copied, lambda t: t.update({"model.norm.weight": torch.ones(31)}))
    assert "model.norm.weight has shape (31,); config.json asks for (32,)" in refusal(copied, tmp_path)
    changed_weights(copied, lambda t: t.update({"model.norm.weight": torch.ones(32), "model.extra": torch.ones(2)}))
    assert "unexpected tensors ['model.extra']" in refusal(copied, tmp_path)


def test_a_header_that_does_not_fit_its_file_is_refused(copied: Path, tmp_path: Path) -> None:
    path = copied / "model.safetensors"
    whole = path.read_bytes()
    for content in (whole[:-1], whole + b"\0", b"\xff" * 8 + whole[8:], whole[:20], b""):
        path.write_bytes(content)
        with pytest.raises(CheckpointError):
            intake_files.read_header(path)


HOSTILE_TEMPLATES = {
    "{{ ''.__class__.__mro__[1].__subclasses__() }}": "hostile",
    "{% for i in range(99999) %}{% for j in range(99999) %}{{ 'x' * 9999 }}{% endfor %}{% endfor %}": "without end",
    "{{ raise_exception('no') }}": "fails on the simplest conversation",
    "{% if %}": "cannot be read",
    "{% for m in messages %}<<{{ m.role }}>>{{ m.content }}{% endfor %}": "writes no format that is known",
    "{{ messages[-1].content }}": "rewrites what was said before",
}


@pytest.mark.parametrize(("template", "told"), HOSTILE_TEMPLATES.items())
def test_a_hostile_or_unknown_template_is_refused_and_told_why(template: str, told: str) -> None:
    tokenizer = HubTokenizer(tokenizer_json("qwen2").encode())
    with pytest.raises(CheckpointError, match=told):
        match(template, {"bos_token": "", "eos_token": "<|im_end|>"}, tokenizer)


def test_a_template_that_rewrites_what_was_said_is_replaced_by_the_format_it_begins_with() -> None:
    tokenizer = HubTokenizer(tokenizer_json("mistral").encode())
    found = match(str(FAMILIES["mistral"].template), {"bos_token": "<s>", "eos_token": "</s>"}, tokenizer)
    assert found.name == "mistral" and "rewrites what was said before" in found.notes[0]


def test_the_process_that_reads_has_no_way_out(tmp_path: Path) -> None:
    """Within the confinement: no socket, no process, no file elsewhere."""
    import subprocess
    import sys

    tried = f"""
import sys
from pathlib import Path
from dialog_rl.lm.intake_worker import confine
import socket, subprocess, os
Path({str(tmp_path)!r}, "in").mkdir()
confine(Path({str(tmp_path)!r}) / "in", memory=2 << 30, seconds=20, file_size=1 << 20)
def attempt(what):
    try:
        what()
    except (PermissionError, OSError) as e:
        return type(e).__name__
    return "done"
print([attempt(f) for f in (
    lambda: socket.socket(), lambda: subprocess.run(["true"]), lambda: os.system("true"),
    lambda: open({str(tmp_path / "out")!r}, "w"), lambda: os.remove({str(tmp_path)!r}), lambda: os.fork(),
    lambda: open({str(tmp_path / "in" / "fine")!r}, "w"), lambda: open({str(tmp_path / "in" / "fine")!r}).close())])
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run([sys.executable, "-c", tried], capture_output=True, text=True, env=environment, check=False)
    assert done.stdout.strip() == str(["PermissionError"] * 6 + ["done"] * 2), done.stderr


def test_what_computes_without_end_is_ended_by_the_signal_that_says_so(tmp_path: Path) -> None:
    import signal
    import subprocess
    import sys

    endless = f"""
from pathlib import Path
from dialog_rl.lm.intake_worker import confine
confine(Path({str(tmp_path)!r}), memory=4 << 30, seconds=0, file_size=1 << 20)
while True: pass
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    assert subprocess.run([sys.executable, "-c", endless], env=environment, check=False).returncode == -signal.SIGXCPU


def tokenizer_with(folder: Path, **changes: Any) -> None:
    document = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text(json.dumps({**document, **changes}))


def split_at(pattern: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"pre_tokenizer": split_at(r"(\w+\s?)+$")}, "too long or repeats a group"),
        ({"pre_tokenizer": split_at("x?" * 900 + "x" * 900)}, "fails on 'x' repeated"),
        ({"normalizer": {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 500}}, "ids of 'a' repeated"),
    ],
)
def test_a_tokenizer_that_a_word_could_stop_is_refused(changes: Any, told: str, copied: Path) -> None:
    tokenizer_with(copied, **changes)
    with pytest.raises(CheckpointError, match=told):
        intake_tokenizer.read(copied / "tokenizer.json", vocabulary=1 << 20)


def test_the_patterns_of_the_known_families_are_taken(copied: Path) -> None:
    llama = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
        r"|\s+(?!\S)|\s+"
    )
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    tokenizer_with(copied, pre_tokenizer={"type": "Sequence", "pretokenizers": [split_at(llama), level]})
    assert intake_tokenizer.read(copied / "tokenizer.json", vocabulary=426).largest_id == 419


def test_ids_that_the_model_does_not_have_are_refused_where_they_would_be_written(copied: Path) -> None:
    data = copied / "tokenizer.json"
    with pytest.raises(CheckpointError, match="has ids up to 419; the model's vocabulary has 419"):
        intake_tokenizer.read(data, vocabulary=419)
    renderer = renderer_of(intake_tokenizer.read(data, vocabulary=420), "llama3")
    intake_tokenizer.require_marks(renderer, vocabulary=426)
    with pytest.raises(CheckpointError, match=re.escape("<|python_tag|> is id 425; the model's vocabulary has 425")):
        intake_tokenizer.require_marks(renderer, vocabulary=425)


def test_an_added_token_that_nobody_writes_may_lie_beyond_the_vocabulary(copied: Path) -> None:
    added = json.loads((copied / "tokenizer.json").read_text())["added_tokens"]
    tokenizer_with(copied, added_tokens=[*added, {**added[0], "id": 426, "content": "<image>"}])
    renderer = renderer_of(intake_tokenizer.read(copied / "tokenizer.json", vocabulary=426), "llama3")
    intake_tokenizer.require_marks(renderer, vocabulary=426)


def test_a_configuration_that_makes_no_model_is_refused(copied: Path, tmp_path: Path) -> None:
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps({**config, "hidden_act": "evil"}))
    assert "makes no model of the family llama" in refusal(copied, tmp_path)


def test_weights_in_fewer_files_than_their_names_tell_are_refused(copied: Path, tmp_path: Path) -> None:
    (copied / "model.safetensors").rename(copied / "model-00001-of-00002.safetensors")
    assert "1 files of weights, model-00001-of-00002.safetensors first" in refusal(copied, tmp_path)


def test_what_does_not_fit_is_not_copied_first(copied: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(CheckpointError, match="missing tensors"):
        intake_files.copy_weights([copied / "model.safetensors"], tmp_path / "out", ONE)
    assert not list((tmp_path / "out").iterdir())
