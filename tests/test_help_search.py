"""The search tool over a pack's help articles."""

from __future__ import annotations

import pytest

from dialog_rl.expressions import resolve
from dialog_rl.goals import make_scenario
from dialog_rl.help_search import NOTHING_FOUND, best_article
from dialog_rl.metrics import success
from tests.talk import PACKS, converse, pack

FACTS = {
    "return_days": "45", "shipping_fee": "4.50", "free_from": "75",
    "warranty_years": "3", "card_minimum": "15", "pickup_hour": "8",
}  # fmt: skip


@pytest.mark.parametrize("name", PACKS)
def test_every_title_finds_its_own_article(name: str) -> None:
    shop = pack(name)
    facts = make_scenario(shop, 0).initial.facts
    for article in shop.file.articles:
        assert best_article(shop, article.title, facts) == resolve(article.text, facts)


def test_an_article_tells_this_customers_facts() -> None:
    found = best_article(pack("retail"), "return time", FACTS)
    assert found == "You can return things within 45 days after they arrived."


@pytest.mark.parametrize(
    ("query", "told"),
    [("how long can I return things", "45"), ("WARRANTY?", "3 years"), ("a gift card, please", "15")],
)
def test_a_question_in_other_words_finds_the_article(query: str, told: str) -> None:
    assert told in best_article(pack("retail"), query, FACTS)


@pytest.mark.parametrize(("query", "told"), [("几天可以退货", "45天"), ("保修多久", "3年"), ("怎么免运费", "75")])
def test_a_chinese_question_is_searched_by_pairs_of_characters(query: str, told: str) -> None:
    assert told in best_article(pack("retail_zh"), query, FACTS)


@pytest.mark.parametrize("query", ["", "  ", "?!", "xylophone", "钢琴"])
def test_what_no_article_speaks_of_is_not_found(query: str) -> None:
    assert best_article(pack("retail"), query, FACTS) == NOTHING_FOUND


@pytest.mark.parametrize("name", PACKS)
def test_every_help_question_is_answered_by_the_article_that_is_found(name: str) -> None:
    for variant in pack(name).file.intents["help"].variants:
        for seed in range(3):
            scenario = make_scenario(pack(name), seed, intent="help", variant=variant)
            assert success(converse(scenario, seed)).reached, variant
