"""Help articles behind a search tool: BM25 over title and text, English words and Chinese character pairs alike."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from dialog_rl.expressions import fill
from dialog_rl.pack import Article, Pack

_TERM = re.compile(r"[a-z0-9]+|[\u4e00-\u9fff]+")
NOTHING_FOUND = "nothing found"


def best_article(pack: Pack, query: str, facts: Mapping[str, str]) -> str:
    """The text of the article that fits best, with this episode's facts filled in."""
    articles = pack.file.articles
    terms = _terms(query)
    if not articles or not terms:
        return NOTHING_FOUND
    scores = _index(articles).get_scores(terms)
    best = int(scores.argmax())
    return fill(articles[best].text, facts) if scores[best] > 0 else NOTHING_FOUND


@lru_cache(maxsize=32)
def _index(articles: tuple[Article, ...]) -> Any:
    import bm25s

    index = bm25s.BM25(method="lucene")
    index.index([_terms(f"{a.title} {a.title} {a.text}") for a in articles], show_progress=False)
    return index


def _terms(text: str) -> list[str]:
    terms: list[str] = []
    for run in _TERM.findall(text.lower()):
        if run.isascii():
            terms.append(run)
        else:
            terms += [run[i : i + 2] for i in range(max(1, len(run) - 1))]
    return terms
