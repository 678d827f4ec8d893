from __future__ import annotations

import sys
import unicodedata

import pytest

from dialog_rl.text import cleared, columns, fit, one_line, pad, printable, table, unsafe


def test_no_control_bidi_tag_or_surrogate_character_survives() -> None:
    everything = "".join(map(chr, range(sys.maxunicode + 1)))
    shown = printable(everything)
    bidi = {"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"}
    for char in set(shown) - {"\n", "\t"}:
        assert unicodedata.category(char) not in ("Cc", "Cs", "Zl", "Zp"), hex(ord(char))
        assert unicodedata.bidirectional(char) not in bidi, hex(ord(char))
        assert not 0xE0000 <= ord(char) <= 0xE007F


def test_an_escape_sequence_is_shown_not_obeyed() -> None:
    assert printable("a\x1b[31mred\x9b0m") == "a\\x1b[31mred\\x9b0m"
    assert printable("\u202egnp.exe \U000e0041") == "\\u202egnp.exe \\U000e0041"


@pytest.mark.parametrize("text", ["plain", "línea — 你好 👩‍💻", "two\nlines\tand a tab", "نص عربي"])
def test_what_people_write_is_left_alone(text: str) -> None:
    assert printable(text) == text and unsafe(text) == ""


def test_printable_text_can_be_written_as_utf8() -> None:
    assert printable("\ud83d").encode() == b"\\ud83d"


def test_windows_line_ends_become_newlines_and_a_lone_return_is_shown() -> None:
    assert printable("a\r\nb\rc") == "a\nb\\x0dc"


def test_one_line_is_one_line_and_bounded() -> None:
    assert one_line("a\n\n  b\tc") == "a b c"
    assert one_line("x" * 1_000_000, 10) == "x" * 9 + "…"
    assert one_line(" " * 100 + "x", 10) == "…" or len(one_line(" " * 100 + "x", 10)) <= 10


def test_columns_counts_what_a_terminal_shows() -> None:
    assert [columns(t) for t in ("abc", "你好", "e\u0301", "")] == [3, 4, 1, 0]
    assert pad("你好", 6) == "你好  " and pad("toolong", 3) == "toolong"


def test_a_table_lines_up_in_columns_as_wide_as_a_terminal_shows_them() -> None:
    shown = table(["name", "n"], [["你好", 5], ["a\x1b[2Jb", 12]], right=[1])
    assert shown.splitlines() == ["name        n", "---------  --", "你好        5", "a\\x1b[2Jb  12"]


def test_what_is_cleared_has_nothing_left_that_would_be_escaped_and_loses_nothing_else() -> None:
    text = "a\x1b[2J\u202eb\r\n\tc\ud800 \u9000\u6b3e"
    assert cleared(text) == "a[2Jb\n\tc \u9000\u6b3e" and printable(cleared(text)) == cleared(text)


@pytest.mark.parametrize(
    ("text", "width", "fits"),
    [("ab", 4, "ab  "), ("abcdef", 4, "abc…"), ("退款在哪里", 5, "退款…"), ("退款", 4, "退款"), ("退", 1, "…"),
     ("ab", 0, "")],
)  # fmt: skip
def test_text_is_fitted_into_columns(text: str, width: int, fits: str) -> None:
    assert fit(text, width) == fits
