"""A report as one HTML page that stands alone: no script, nothing fetched, light or dark as the reader's screen is.

Everything that is not written here goes through `plots.escaped`; the content policy of the page forbids the rest.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from dialog_rl.evaluation.document import Block, Document, Picture, Points, Section, Side, Table, Talks, Warnings
from dialog_rl.evaluation.plots import escaped

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
WORDY = 44
"""Characters of a cell from which a table is one to read, set left and wrapped, and not one of figures."""
STYLE = """
:root { color-scheme: light dark; --paper: #fdfcf9; --ink: #23211d; --soft: #6d6960; --line: #e3dfd5; --wash: #f4f1e9;
  --good: #2e7048; --bad: #a8382c; --mind: #8a6100; --mindwash: #fbf3dd; --c1: #8b8779; --c2: #2f62a6; --c3: #2e7d5b;
  --c4: #b0562b; --c5: #7a4b97; --c6: #a3902c }
@media (prefers-color-scheme: dark) { :root { --paper: #191a1c; --ink: #e2dfd8; --soft: #9c988e; --line: #34353a;
  --wash: #222327; --good: #7cc397; --bad: #ee8a7c; --mind: #dcb661; --mindwash: #2b2618; --c1: #a09c90; --c2: #82aeea;
  --c3: #74c3a0; --c4: #e59a70; --c5: #c39be0; --c6: #d6c46a } }
* { box-sizing: border-box }
html { -webkit-text-size-adjust: 100% }
body { margin: 0; background: var(--paper); color: var(--ink); font: 17px/1.55 Charter, "Bitstream Charter",
  "Sitka Text", Cambria, Georgia, "Noto Serif CJK SC", serif }
main { max-width: 60rem; margin: 0 auto; padding: 3.5rem 1.5rem 6rem }
h1 { font-size: 2.1rem; line-height: 1.15; font-weight: 600; letter-spacing: -.012em; margin: 0 0 .6rem }
h2 { font-size: 1.3rem; font-weight: 600; margin: 3.6rem 0 .5rem; padding-top: 1.1rem;
  border-top: 1px solid var(--line) }
h3 { font-size: 1rem; font-weight: 600; margin: 2rem 0 .7rem }
p { max-width: 42rem; margin: .5rem 0 }
.lead { font-size: 1.08rem; color: var(--soft); margin-bottom: 1.6rem }
.about, footer { color: var(--soft); font-size: .93rem }
footer { margin-top: 4rem; border-top: 1px solid var(--line); padding-top: 1rem }
nav { font: 14px/1.9 system-ui, sans-serif; margin: 0 0 2.2rem; max-width: 46rem }
nav a { color: var(--soft); text-decoration: none; margin-right: .8em; white-space: nowrap;
  border-bottom: 1px solid var(--line) }
nav a:hover { color: var(--ink); border-color: var(--ink) }
ul { max-width: 46rem; padding-left: 1.1em; margin: .8rem 0 } li { margin: .3rem 0; overflow-wrap: anywhere }
.wide { overflow-x: auto; margin: 1.1rem 0 }
table { border-collapse: collapse; font: 14px/1.45 system-ui, sans-serif; font-variant-numeric: tabular-nums }
th, td { text-align: right; padding: .32rem 0 .32rem 1.6rem; border-bottom: 1px solid var(--line); white-space: nowrap }
th:first-child, td:first-child { text-align: left; padding-left: 0; white-space: normal; min-width: 11rem }
td.part { padding-left: 1.4rem; color: var(--soft) }
.words th, .words td { text-align: left; vertical-align: top; white-space: normal; padding-left: 1.2rem }
.words th:first-child, .words td:first-child { padding-left: 0; min-width: 0 }
th { font-weight: 600; border-bottom-color: var(--soft) } td i { font-style: normal; color: var(--soft) }
.mind { background: var(--mindwash); border-left: 3px solid var(--mind); padding: .75rem 1.1rem; margin: 1.4rem 0;
  max-width: 46rem; font-size: .95rem } .mind p { margin: .35rem 0 } .mind b { color: var(--mind); font-weight: 600 }
figure { margin: 1.4rem 0 } svg { max-width: 100%; height: auto; display: block }
svg text { fill: var(--ink); font: 13px system-ui, sans-serif } svg .tick { fill: var(--soft); font-size: 12px }
.grid, .tickmark { stroke: var(--line) } .guide { stroke: var(--soft); stroke-dasharray: 3 4; fill: none }
.whisker { stroke-width: 2 } .curve { fill: none; stroke-width: 2; stroke-linejoin: round }
.band { opacity: .16; stroke: none }
.c1 { stroke: var(--c1); fill: var(--c1) } .c2 { stroke: var(--c2); fill: var(--c2) }
.c3 { stroke: var(--c3); fill: var(--c3) } .c4 { stroke: var(--c4); fill: var(--c4) }
.c5 { stroke: var(--c5); fill: var(--c5) } .c6 { stroke: var(--c6); fill: var(--c6) }
.curve.c1, .curve.c2, .curve.c3, .curve.c4, .curve.c5, .curve.c6 { fill: none } .band { stroke: none !important }
.talks { display: grid; grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); gap: 1.2rem 1.8rem;
  align-items: start }
.side > header { font: 600 13px/1.4 system-ui, sans-serif; padding-bottom: .4rem; margin-bottom: .6rem;
  border-bottom: 2px solid var(--line) } .side > header span { font-weight: 400; color: var(--soft) }
.side .good { color: var(--good) } .side .bad { color: var(--bad) }
.said { font-size: .93rem; line-height: 1.42; margin: 0 0 .5rem; padding: .4rem .7rem; border-radius: .5rem;
  overflow-wrap: anywhere; white-space: pre-wrap }
.customer { background: var(--wash); margin-right: 1.6rem }
.agent { border: 1px solid var(--line); margin-left: 1.6rem }
.call, .answer { font: 12px/1.4 ui-monospace, "SF Mono", Menlo, monospace; color: var(--soft); margin-left: 1.6rem;
  padding: 0 .7rem }
.wrong { border-left: 3px solid var(--bad); border-radius: 0 } .wrong small { display: block; color: var(--bad);
  font: 12px/1.5 system-ui, sans-serif }
@media print { main { padding: 0 } h2 { break-after: avoid } .side, figure, table { break-inside: avoid } }
"""


def html(document: Document) -> str:
    """The whole page."""
    links = " ".join(f'<a href="#{_anchor(s.title)}">{escaped(s.title)}</a>' for s in document.sections)
    body = [
        f"<h1>{escaped(document.title)}</h1>",
        f'<p class="lead">{escaped(document.lead)}</p>',
        f"<nav>{links}</nav>" if len(document.sections) > 2 else "",
        *map(_block, document.opening),
        *map(_section, document.sections),
        f"<footer><p>{escaped(document.closing)}</p></footer>" if document.closing else "",
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escaped(document.title)}</title>\n<style>{STYLE}</style></head>\n<body><main>\n"
        + "\n".join(filter(None, body))
        + "\n</main></body></html>\n"
    )


def _section(section: Section) -> str:
    about = f'<p class="about">{escaped(section.about)}</p>' if section.about else ""
    blocks = "\n".join(map(_block, section.blocks))
    return f'<section id="{_anchor(section.title)}"><h2>{escaped(section.title)}</h2>{about}\n{blocks}</section>'


def _block(block: Block) -> str:
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Points):
        return "<ul>" + "".join(f"<li>{escaped(line)}</li>" for line in block.lines) + "</ul>"
    if isinstance(block, Warnings):
        lines = "".join(f"<p><b>Mind:</b> {escaped(line)}</p>" for line in block.lines)
        return f'<div class="mind" role="note">{lines}</div>' if lines else ""
    if isinstance(block, Picture):
        return f'<figure role="img" aria-label="{escaped(block.says)}">{block.svg}</figure>'
    return _talks(block)


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{escaped(cell)}</th>' for cell in table.headers)
    rows = "".join(f"<tr>{_row(row)}</tr>" for row in table.rows)
    wordy = max((len(cell) for row in table.rows for cell in row[1:]), default=0) > WORDY
    kind = ' class="words"' if wordy else ""
    return f'<div class="wide"><table{kind}><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _row(row: Sequence[str]) -> str:
    """A first cell that begins with spaces names a part of what stands above it."""
    part = ' class="part"' if row and row[0].startswith("  ") else ""
    return "".join(f"<td{part if n == 0 else ''}>{_cell(cell)}</td>" for n, cell in enumerate(row))


def _cell(text: str) -> str:
    """An interval in brackets steps back behind its estimate."""
    return re.sub(r" (\([^()]*\))$", r" <i>\1</i>", escaped(text))


def _talks(talks: Talks) -> str:
    return f'<h3>{escaped(talks.title)}</h3><div class="talks">{"".join(map(_side, talks.sides))}</div>'


def _side(side: Side) -> str:
    tone = "" if side.good is None else "good" if side.good else "bad"
    verdict = f' <span class="{tone}">{escaped(side.verdict)}</span>' if side.verdict else ""
    lines = "".join(
        f'<p class="said {escaped(line.who)}{" wrong" * bool(line.mark)}" title="{escaped(line.who)}">'
        + escaped(line.text)
        + (f"<small>{escaped(line.mark)}</small>" if line.mark else "")
        + "</p>"
        for line in side.lines
    )
    return f'<div class="side"><header>{escaped(side.name)}{verdict}</header>{lines}</div>'


def _anchor(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "part"
