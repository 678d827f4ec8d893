"""The page stands alone and lets nothing of a conversation become markup."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from dialog_rl.evaluation.document import (
    Document,
    Line,
    Picture,
    Points,
    Section,
    Side,
    Table,
    Talks,
    Warnings,
    markdown,
)
from dialog_rl.evaluation.page import html
from dialog_rl.evaluation.plots import Axis, Series, curves, intervals
from dialog_rl.evaluation.statistics import Interval

HOSTILE = (
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", '" onmouseover="alert(1)', "</style><script>",
    "&lt;b&gt;",
    "]]><svg onload=alert(1)>", "javascript:alert(1)", "\x1b[2J\u202egpj.exe", "<!-- -->", "`code` **bold** [x](y)",
)  # fmt: skip
TAGS = set(
    "html head meta title style body main h1 h2 h3 p nav a section ul li div b i small table thead tbody tr th td "
    "header span figure svg line circle path text footer".split()
)


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


def page(text: str) -> Document:
    """A page with the same text in every place that takes one."""
    interval = Interval(value=0.5, low=0.4, high=0.6)
    said = Line(who="agent", text=text, mark=text)
    across = Axis(name=text, low=0, high=1)
    drawn = (
        intervals([(text, [interval, None])], [text, text]),
        curves([Series(name=text, points=((0.0, interval), (1.0, interval)))], across),
    )
    section = Section(
        title=text, about=text,
        blocks=(
            Table(headers=(text, text), rows=((text, text),)), Points(lines=(text,)), Warnings(lines=(text,)),
            Talks(title=text, sides=(Side(name=text, verdict=text, good=False, lines=(said,)),)),
            *(Picture(svg=svg, says=text) for svg in drawn),
        ),
    )  # fmt: skip
    return Document(title=text, lead=text, opening=(), sections=(section,) * 3, closing=text)


def read(document: Document) -> Reader:
    reader = Reader()
    reader.feed(html(document))
    return reader


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_that_is_said_becomes_markup(text: str) -> None:
    plain, hostile = read(page("harmless")), read(page(text))
    assert hostile.tags == plain.tags and set(hostile.tags) <= TAGS
    assert [name for name, _ in hostile.attributes] == [name for name, _ in plain.attributes]
    assert not [name for name, _ in hostile.attributes if name.startswith("on") or name in ("src", "srcset", "style")]


def test_what_is_said_can_be_read_as_it_was_said() -> None:
    assert "<script>alert(1)</script>" in read(page("<script>alert(1)</script>")).text
    assert "\\u202e" in read(page("\u202e")).text and "\u202e" not in html(page("\u202e"))


def test_the_page_fetches_nothing_and_runs_nothing() -> None:
    written = html(page("harmless"))
    assert "default-src 'none'" in written and "<script" not in written
    for reference in ("http:", "https:", "//", "url(", "@import", "src="):
        assert reference not in written, reference
    assert all(value.startswith("#") for name, value in read(page("harmless")).attributes if name == "href")


def test_it_is_light_or_dark_as_the_reader_likes() -> None:
    written = html(page("x"))
    assert "prefers-color-scheme: dark" in written and "color-scheme: light dark" in written


def test_markdown_holds_the_tables_and_keeps_what_is_said_in_code() -> None:
    written = markdown(page("a | b *c*"))
    assert r"| a \| b \*c\* | a \| b \*c\* |" in written
    assert "       agent  a | b *c*   ← a | b *c*" in written


def test_axes_are_marked_with_round_numbers() -> None:
    assert Axis(name="", low=0.0, high=1.0).ticks() == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert Axis(name="", low=1, high=4, whole=True).ticks(8) == [1, 2, 3, 4]
    assert Axis(name="", low=-0.13, high=0.94).ticks(5) == [0.0, 0.5]


def test_what_is_part_of_the_figure_above_it_is_set_in() -> None:
    table = Table(headers=("", "a"), rows=(("by their rules", "1"), ("  of these", "2")))
    page = html(Document(title="t", lead="", opening=(table,), sections=()))
    assert "<td>by their rules</td>" in page and '<td class="part">  of these</td><td>2</td>' in page
