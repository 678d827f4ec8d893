"""The same customers in two languages, by number."""

from __future__ import annotations

import pytest

from dialog_rl.errors import ConfigError
from dialog_rl.evaluation import document, languages
from dialog_rl.plugins.loading import load_plugins
from dialog_rl.staging import open_stage
from tests.evaluation.test_chapters import evaluated


def test_each_customer_is_compared_with_their_twin_whatever_the_packs_are_called() -> None:
    found = languages.Languages(evaluations={"en": evaluated(a="yyyy" * 10), "zh": evaluated(a="yynn" * 10)})
    (((name, pack, against), paired),) = found.apart().items()
    assert (name, pack, against, paired.pairs, paired.only_second) == ("a", "zh", "en", 40, 20)
    page = document.markdown(languages.whole(found))
    assert "| zh | 50.0 %" in page and "a: zh against en: -50.0 points" in languages.plain(found)


@pytest.mark.parametrize("names", [("retail",), ("retail", "telecom")])
def test_packs_without_customers_in_common_are_refused(names: tuple[str, ...]) -> None:
    with load_plugins() as plugins:
        stages = tuple(open_stage(plugins.registry, name) for name in names)
    with pytest.raises(ConfigError, match=f"as retail_zh does retail, not {', '.join(names)}"):
        languages.require_kin(stages)
