"""A chart in characters: where its dots are, and what stands beside them."""

from __future__ import annotations

import pytest

from dialog_rl.online import seen
from dialog_rl.online.seen import Chart
from dialog_rl.text import columns
from dialog_rl.tui.canvas import Canvas, Scale, scale_of, thinned
from dialog_rl.tui.plot import FAINT, STYLES, drawn


def chart(*lines: seen.Line, **more: object) -> Chart:
    at = list(range(1, len(lines[0].values) + 1))
    return Chart(key="k", title="t", at=at, axis="updates", lines=lines, **more)  # type: ignore[arg-type]


def test_a_dot_stands_where_its_figures_say() -> None:
    canvas = Canvas(2, 1)
    canvas.dot(0, 0, "a")
    canvas.dot(3, 3, "b")
    canvas.dot(9, 0, "c")
    assert list(canvas.text(0)) == [("⡀", "a"), ("⠈", "b")]


def test_a_line_has_no_holes() -> None:
    canvas = Canvas(4, 2)
    canvas.line([(0, 0), (7, 7)], "a")
    assert [text for text, _ in canvas.text(0)] == ["  ", "⡠⠊"] and [t for t, _ in canvas.text(1)] == ["⡠⠊", "  "]


@pytest.mark.parametrize(("value", "dot"), [(0.0, 0), (1.0, 9), (0.5, 4), (-1.0, 0), (2.0, 9)])
def test_a_scale_goes_from_its_lowest_figure_to_its_highest(value: float, dot: int) -> None:
    assert Scale(low=0.0, high=1.0).at(value, 10) == dot


def test_a_scale_leaves_room_but_not_beyond_what_can_be() -> None:
    assert scale_of([0.0, 1.0], floor=0.0, ceiling=1.0) == Scale(low=0.0, high=1.0)
    assert scale_of([2.0, 2.0]).low < 2.0 < scale_of([2.0, 2.0]).high and scale_of([]).low < scale_of([]).high


def test_of_many_points_in_a_column_the_line_takes_the_mean() -> None:
    assert thinned([(0, 0), (0, 4), (1, 3)], mean=True) == [(0, 2), (1, 3)]
    assert thinned([(0, 0), (0, 0), (1, 3)], mean=False) == [(0, 0), (1, 3)]


@pytest.mark.parametrize("size", [(12, 2), (20, 4), (36, 9), (60, 12), (190, 50)])
@pytest.mark.parametrize("own_scales", [False, True])
def test_it_fills_its_room_and_no_more(size: tuple[int, int], own_scales: bool) -> None:
    lines = [seen.line(name, [0.1 * n for n in range(30)]) for name in ("one", "二二二二二二二二二二", "three")]
    rows = drawn(chart(*lines, own_scales=own_scales), *size).plain.split("\n")
    assert len(rows) <= size[1] and all(columns(row) <= size[0] for row in rows)


def test_single_updates_are_faint_and_the_mean_is_bold() -> None:
    styles = {str(span.style) for span in drawn(chart(seen.line("a", [0.0, 1.0] * 20)), 40, 10).spans}
    assert FAINT in styles and STYLES[0] in styles and "bold" in STYLES[0]


def test_lines_on_one_scale_are_named_where_they_end() -> None:
    rows = drawn(chart(seen.line("low", [0.0] * 9), seen.line("high", [1.0] * 9)), 60, 9).plain.split("\n")
    assert rows[0].endswith("high") and rows[7].endswith("low")


def test_where_names_have_no_room_beside_they_stand_above_from_the_highest_down() -> None:
    rows = drawn(chart(seen.line("low", [0.0] * 9), seen.line("high", [1.0] * 9)), 38, 10).plain.split("\n")
    assert rows[0].split() == ["━", "high", "━", "low"] and len(rows) == 10


def test_a_chart_without_figures_says_so() -> None:
    assert drawn(chart(seen.line("a", [])), 40, 10).plain == "no figures yet"


def test_a_single_update_can_be_drawn() -> None:
    assert any(char > "\u2800" for char in drawn(chart(seen.line("a", [0.5])), 40, 10).plain)
