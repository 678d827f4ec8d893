from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialog_rl import safe_yaml
from dialog_rl.errors import ScenarioError
from dialog_rl.text import unsafe


def error_of(text: str) -> str:
    with pytest.raises(ScenarioError) as caught:
        safe_yaml.parse(text, "pack.yaml")
    return str(caught.value)


def test_values_and_their_lines_are_returned(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("id: x\nuser:\n  patience: 5\n  items:\n    - {a: 1.5}\n    - two\n")
    data, lines = safe_yaml.load(file)
    assert data == {"id": "x", "user": {"patience": 5, "items": [{"a": 1.5}, "two"]}}
    assert lines[()] == 1 and lines["user",] == 2 and lines["user", "patience"] == 3
    assert lines["user", "items", 0, "a"] == 5 and lines["user", "items", 1] == 6


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("no", "no"), ("on", "on"), ("true", True), ("False", False), ("~", None), ("", None), ("null", None),
        ("0123", "0123"), ("12:30", "12:30"), ("2026-01-31", "2026-01-31"), ("1_000", "1_000"), ("0x1F", "0x1F"),
        ("7", 7), ("-3", -3), ("2.50", 2.5), ("1e3", 1000.0), (".5", 0.5), ("'7'", "7"), ('"true"', "true"),
        (".nan", ".nan"),
    ],
)  # fmt: skip
def test_plain_values_mean_what_a_reader_expects(written: str, value: object) -> None:
    read = safe_yaml.parse(f"k: {written}", "f").data["k"]
    assert read == value and type(read) is type(value)


def test_keys_are_text() -> None:
    assert safe_yaml.parse("1: a\ntrue: b\n", "f").data == {"1": "a", "true": "b"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &x 1\nb: *x\n", "pack.yaml:1: an anchor (&x)"),
        ("b: *x\n", "pack.yaml:1: an alias (*x)"),
        ("a: 1\nb: !!python/object/apply:os.system [ls]\n", "pack.yaml:2: a tag"),
        ("a: 1\nc:\n  b: 2\n  b: 3\n", "pack.yaml:4: 'b' is given twice, first on line 3"),
        ("a: 1\nb: [\n", "pack.yaml:3: not YAML"),
        ("a: 1\n\tb: 2\n", "pack.yaml:2: not YAML"),
        ("? [a, b]\n: 1\n", "pack.yaml:1: a key that is itself"),
        ("a: 1\n---\nb: 2\n", "pack.yaml:2: not YAML"),
        ("", "pack.yaml: empty"),
        ("# only a comment\n", "pack.yaml: empty"),
        ('a: "\\x1b[2J"\n', "pack.yaml:1: a control or invisible character (\\x1b)"),
        ('a: "\\ud800"\n', "pack.yaml:1:"),
        ("a: 1\nb: \x07\n", "not YAML"),
        ("a: " + "9" * 19, "pack.yaml:1: a number of more than 18 digits"),
        ("a: 1e999", "pack.yaml:1: a number out of range"),
        ("[" * 21 + "]" * 21, "pack.yaml:1: nested deeper than 20 levels"),
        ("[" * 100_000, "pack.yaml:1: nested deeper than 20 levels"),
        ("[" + "1," * 50_000 + "]", "pack.yaml:1: more than 12,000 values"),
        ("a: " + "x" * safe_yaml.MAX_BYTES, "pack.yaml: larger than 256 kB"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line_with_its_place(text: str, message: str) -> None:
    said = error_of(text)
    assert message in said and "\n" not in said and not unsafe(said)


def test_twenty_levels_are_allowed() -> None:
    assert safe_yaml.parse("[" * 20 + "]" * 20, "f").lines[()] == 1


def test_unreadable_files_are_one_clear_error(tmp_path: Path) -> None:
    binary = tmp_path / "b.yaml"
    binary.write_bytes(b"a: 1\nb: \xff\n")
    os.mkfifo(tmp_path / "fifo.yaml")
    for path, words in [
        (binary, ":2: not UTF-8"),
        (tmp_path / "none.yaml", "No such file"),
        (tmp_path, "not a file"),
        (tmp_path / "fifo.yaml", "not a file"),
        (Path("a\0b"), "cannot be read"),
    ]:
        with pytest.raises(ScenarioError, match=words):
            safe_yaml.load(path)


def test_a_byte_order_mark_is_not_part_of_the_first_key(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbfid: x\n")
    assert safe_yaml.load(tmp_path / "a.yaml").data == {"id": "x"}


texts = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]))
plain = st.none() | st.booleans() | st.integers(-(10**17), 10**17) | texts


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(texts, st.recursive(plain, st.lists, max_leaves=8)))
def test_json_documents_are_read_as_json_reads_them(document: dict[str, object]) -> None:
    text = json.dumps(document, ensure_ascii=False)
    if document and not any(len(key) > 120 for key in document):  # YAML caps the length of a simple key
        assert safe_yaml.parse(text, "f").data == document


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab:[]{}-&*!?|>'\"#%@, \n\t\\x1f0\ud800", max_size=40))
def test_nothing_but_a_scenario_error_comes_out(text: str) -> None:
    try:
        safe_yaml.parse(text, "f")
    except ScenarioError:
        pass
