"""Versions: what is published is found again whole, and nothing altered is ever accepted."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from dialog_rl.errors import CheckpointError
from dialog_rl.lm import versions


def weights(content: bytes = b"weights" * 100):
    def fill(folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(content)
        (folder / "tokenizer").mkdir()
        (folder / "tokenizer" / "model.bin").write_bytes(b"\x00\x01" * 50)

    return fill


ORIGIN = versions.Origin(parent="p", fingerprint="f", trained_on={"episodes": (1, 2)}, created_by="test")


def test_a_published_version_is_found_by_its_id_with_what_its_maker_told(tmp_path: Path):
    made = versions.publish(tmp_path, weights(), ORIGIN)
    found = versions.find([tmp_path], made.id)
    assert (found.path / "model.safetensors").read_bytes() == b"weights" * 100
    assert found.manifest.parent == "p" and found.manifest.fingerprint == "f"
    assert found.manifest.trained_on == {"episodes": [1, 2]}
    assert found.manifest.size == 800
    assert "python" in found.manifest.libraries


def test_equal_content_has_an_equal_id_and_is_kept_once(tmp_path: Path):
    first = versions.publish(tmp_path, weights(), ORIGIN)
    second = versions.publish(tmp_path, weights())
    assert first.id == second.id and second.manifest.parent == "p"
    assert [m.id for m in versions.list_versions(tmp_path)] == [first.id]
    assert versions.publish(tmp_path, weights(b"other")).id != first.id


def test_an_id_can_be_shortened_as_long_as_one_version_begins_so(tmp_path: Path):
    made = versions.publish(tmp_path, weights())
    assert versions.find([tmp_path], made.id[:6]).id == made.id
    with pytest.raises(CheckpointError, match="none in"):
        versions.find([tmp_path], "zzzz")


def test_whoever_mistypes_a_name_is_told_what_there_is():
    with pytest.raises(CheckpointError, match="; did you mean 'base'[?]$"):
        versions.find([versions.EMBEDDED], "bas")
    with pytest.raises(CheckpointError, match="; there is 'base', 'champion'$"):
        versions.find([versions.EMBEDDED], "zzzz")


def test_a_version_whose_folder_has_another_name_is_found_by_its_id():
    shipped = versions.find([versions.EMBEDDED], "base")
    assert versions.find([versions.EMBEDDED], shipped.id[:8]) == shipped


def test_an_ambiguous_beginning_is_refused_with_all_it_could_mean(tmp_path: Path):
    made = {versions.publish(tmp_path, weights(bytes([n]))).id for n in range(17)}
    first_digits = [i[0] for i in made]
    shared = next(d for d in first_digits if first_digits.count(d) > 1)
    with pytest.raises(CheckpointError, match="more than one"):
        versions.find([tmp_path], shared)


def test_a_folder_with_a_manifest_serves_as_a_read_only_store(tmp_path: Path):
    shipped = tmp_path / "shipped" / "base"
    shipped.mkdir(parents=True)
    weights()(shipped)
    versions.seal(shipped)
    for path in (*shipped.rglob("*"), shipped):
        path.chmod(0o555 if path.is_dir() else 0o444)
    found = versions.find([tmp_path / "mine", tmp_path / "shipped"], "base")
    assert found.path == shipped and found.id == versions.content_id(found.manifest.files)
    shipped.chmod(0o755)
    (shipped / "tokenizer").chmod(0o755)


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", ".lock", "x" * 200, "a\n"])
def test_a_name_cannot_leave_the_store(tmp_path: Path, name: str):
    with pytest.raises(CheckpointError, match="not a version's name"):
        versions.find([tmp_path], name)


def mutations(content: bytes, count: int, seed: int):
    """Flipped bits, truncations, zeroed tails and insertions, spread evenly; each differs from `content`."""
    import random

    chance = random.Random(seed)
    for n in range(count):
        place = chance.randrange(len(content))
        kind = n % 4
        if kind == 0:
            yield content[:place] + bytes([content[place] ^ (1 << chance.randrange(8))]) + content[place + 1 :]
        elif kind == 1:
            yield content[:place]
        elif kind == 2:
            yield content[:place] + b"\x00" * (len(content) - place) if any(content[place:]) else content + b"\x00"
        else:
            yield content[:place] + bytes([chance.randrange(256)]) + content[place:]


def test_no_altered_byte_of_any_file_is_accepted(tmp_path: Path):
    made = versions.publish(tmp_path, weights(os.urandom(4000)), ORIGIN)
    count = 5000 if os.environ.get("DIALOG_RL_FULL") else 300
    files = [made.path / versions.MANIFEST, made.path / "model.safetensors", made.path / "tokenizer" / "model.bin"]
    tried = 0
    for seed, path in enumerate(files):
        whole = path.read_bytes()
        for altered in mutations(whole, count // len(files), seed):
            if altered == whole:
                continue
            path.write_bytes(altered)
            tried += 1
            with pytest.raises(CheckpointError, match=path.name):
                versions.verify(made.path)
        path.write_bytes(whole)
    assert tried > count * 0.9
    assert versions.verify(made.path).id == made.id


def test_missing_extra_and_linked_files_are_named(tmp_path: Path):
    made = versions.publish(tmp_path, weights())
    extra = made.path / "modeling_evil.py"
    extra.write_text("x")
    with pytest.raises(CheckpointError, match=r"modeling_evil\.py: not in the manifest"):
        versions.verify(made.path)
    extra.unlink()
    extra.symlink_to("/etc/passwd")
    with pytest.raises(CheckpointError, match="no links"):
        versions.verify(made.path)
    extra.unlink()
    (made.path / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"model\.safetensors: missing"):
        versions.verify(made.path)


def test_a_manifest_resealed_over_swapped_files_does_not_keep_the_id(tmp_path: Path):
    made = versions.publish(tmp_path, weights())
    (made.path / "model.safetensors").write_bytes(b"other weights")
    forged = versions.seal(made.path)
    assert forged.id != made.id


def test_a_newer_manifest_format_is_refused_by_name(tmp_path: Path):
    made = versions.publish(tmp_path, weights())
    path = made.path / versions.MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 9}))
    with pytest.raises(CheckpointError, match="format 9; this program reads 1"):
        versions.verify(made.path)


def test_content_that_rotted_on_disk_is_replaced_when_it_is_made_again(tmp_path: Path):
    made = versions.publish(tmp_path, weights())
    (made.path / "model.safetensors").write_bytes(b"rotten")
    again = versions.publish(tmp_path, weights())
    assert again.id == made.id and versions.verify(made.path).id == made.id


def test_nothing_is_left_of_a_version_whose_making_failed(tmp_path: Path):
    def fails(folder: Path) -> None:
        (folder / "half").write_bytes(b"x")
        raise OSError(28, "No space left on device")

    with pytest.raises(CheckpointError, match="No space left"):
        versions.publish(tmp_path, fails)
    assert [p.name for p in tmp_path.iterdir()] == [versions.LOCK]


def test_an_empty_version_is_refused(tmp_path: Path):
    with pytest.raises(CheckpointError, match="nothing was written"):
        versions.publish(tmp_path, lambda folder: None)


def test_a_version_is_not_begun_without_twice_its_size_free(tmp_path: Path):
    with pytest.raises(CheckpointError, match="bytes free where"):
        versions.publish(tmp_path, weights(), expected_bytes=1 << 60)
