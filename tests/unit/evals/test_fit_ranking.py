"""Fitting on candidates that are made up, so that the right weights are known."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from evals.cross_validation import FOLDS
from evals.fit_ranking import MIN_ITEMS, fit_ranking, variants
from evals.gold import GoldItem, item_from
from infra.clock import now
from retrieval.access import EVERYTHING, Access
from retrieval.filters import DocumentFacts
from retrieval.passage import DocumentRef, Passage
from retrieval.ranking.fusion import Hit
from retrieval.ranking.rank import Found
from retrieval.ranking.settings import RankingSettings


@dataclass
class Source:
    """The gold document of question n is key 2000 + n: one leg finds it first, the other finds only others."""

    right: str = "lexical"
    loaded: list[int] = field(default_factory=list)
    asked: list[Access] = field(default_factory=list)
    age_days: int = 0
    reranker: Any = None

    def candidates(self, query: str, *, collection: str, access: Access) -> tuple[Found, int]:
        self.asked.append(access)
        number = 2000 + int(query.removeprefix("question "))
        good = {number: 1.0, 1001: 0.4, 1002: 0.2}
        bad = {1003: 1.0, 1004: 0.9, 1005: 0.8, 1006: 0.7, 1007: 0.6, 1008: 0.1}
        dense, lexical = (good, bad) if self.right == "dense" else (bad, good)
        place = {key: (f"d{key}", 0) for key in good.keys() | bad.keys()}
        facts = {
            id_: DocumentFacts(
                id_, id_, None, None, None, 1,
                updated_at=now() - timedelta(days=0 if id_ == f"d{number}" else self.age_days),
            )
            for id_, _ in place.values()
        }  # fmt: skip
        return Found(dense, lexical, place, 1.0, collection=collection, facts=facts), 200

    def passages(self, hits: Sequence[Hit], access: Access) -> Sequence[Passage]:
        self.loaded += [hit.key for hit in hits]
        return [
            Passage(f"c{hit.key}", DocumentRef(f"d{hit.key}", f"d{hit.key}", 1), "", (), None, 0, 5) for hit in hits
        ]

    def document_text(self, collection: str, external_id: str) -> str | None:
        return None if external_id == "gone" else "words"


def items(count: int, **changes: object) -> list[GoldItem]:
    return [
        item_from(
            {
                "id": f"q{n}",
                "question": f"question {n}",
                "answerable": True,
                "evidence": [{"external_id": f"d{2000 + n}"}],
                **changes,
            },
            f"line {n}",
        )
        for n in range(count)
    ]


def fit(source: Source, count: int = MIN_ITEMS, current: RankingSettings | None = None, **changes: object):
    return fit_ranking(source, "gold", items(count, **changes), "default", current or RankingSettings())


def test_the_leg_that_finds_the_evidence_gets_the_weight():
    for right, better in (("lexical", lambda weight: weight < 0.5), ("dense", lambda weight: weight > 0.5)):
        found = fit(Source(right))
        assert found.verdict == "PASS"
        assert better(found.chosen["dense_weight"]), found
        # By half and half another is as good, and comes first by its key.
        assert found.gain == pytest.approx(found.ndcg[1] - found.ndcg[0])
        assert found.ci[0] > 0.0
        assert found.ndcg[1] == 1.0
        assert not found.applied


def test_where_the_settings_in_force_are_as_good_as_any_nothing_is_chosen():
    found = fit(Source(), current=RankingSettings(dense_weight=0.1))
    assert (found.verdict, found.gain) == ("INCONCLUSIVE", 0.0)
    assert "the settings in force are the best" in found.reason
    assert found.chosen == found.current == {"fusion": "min_max", "dense_weight": 0.1}


def test_too_few_questions_settle_nothing():
    source = Source()
    found = fit(source, MIN_ITEMS - 1)
    assert (found.verdict, found.items, found.gain) == ("INCONCLUSIVE", MIN_ITEMS - 1, None)
    assert f"at least {MIN_ITEMS} are needed" in found.reason
    assert source.asked == []
    assert fit(source, 40, answerable=False, evidence=[]).verdict == "INVALID"
    assert MIN_ITEMS >= 2 * FOLDS


def test_questions_are_asked_as_their_callers():
    source = Source()
    fit(source, groups=["hr"])
    assert set(source.asked) == {Access(frozenset({"hr"}))}
    fit(source)
    assert source.asked[-1] == EVERYTHING


def test_evidence_that_cannot_be_found_is_left_out_with_a_note():
    source = Source()
    gold = [*items(MIN_ITEMS), *items(2, evidence=[{"external_id": "d1", "quote": "not there"}])]
    found = fit_ranking(source, "gold", gold, "default", RankingSettings())
    assert found.items == MIN_ITEMS
    assert found.notes == ("2 items are left out: their evidence cannot be found",)


def test_both_fusions_and_all_weights_are_tried_and_age_where_it_counts():
    assert len(variants(RankingSettings())) == 22
    assert len(variants(RankingSettings(dense_weight=0.55))) == 23
    aged = RankingSettings(recency_half_life_days=10, recency_weight=0.0, repeat_factor=0.9)
    tried = variants(aged)
    assert len(tried) == 88
    assert tried[0] == aged
    assert {settings.repeat_factor for settings in tried} == {0.9}
    found = fit(Source(age_days=100), current=aged)
    assert found.verdict == "PASS"
    assert set(found.chosen) == {"fusion", "dense_weight", "recency_weight"}


class Reading:
    """Prefers the passage of a question's evidence, or any other; keeps what it was given to read."""

    name = "reading"

    def __init__(self, *, right: bool = True) -> None:
        self.right = right
        self.read: list[tuple[str, int]] = []

    def score(self, query: str, texts: Sequence[str], /) -> Any:
        self.read.append((query, len(texts)))
        wanted = f"about {query}"
        return np.array([float((text == wanted) == self.right) for text in texts], dtype=np.float32)


class Written(Source):
    """Both legs find the evidence behind another document, and its text says what it is about."""

    def candidates(self, query: str, *, collection: str, access: Access) -> tuple[Found, int]:
        number = 2000 + int(query.removeprefix("question "))
        scores = {1003: 1.0, number: 0.8, 1004: 0.1}
        return Found(scores, scores, {key: (f"d{key}", 0) for key in scores}, 1.0, collection=collection), 200

    def passages(self, hits: Sequence[Hit], access: Access) -> Sequence[Passage]:
        return [
            replace(passage, text=f"about question {hit.key - 2000}")
            for hit, passage in zip(hits, super().passages(hits, access), strict=True)
        ]


def test_a_rerankers_share_is_fitted_too():
    reranker = Reading()
    found = fit(Written(reranker=reranker))
    assert (found.verdict, found.chosen["rerank"]) == ("PASS", True)
    assert found.current == {"fusion": "min_max", "dense_weight": 0.5, "rerank": False, "rerank_weight": 0.5}
    # .7 / .9 of what the first has: (1 - w) * .778 + w > 1 - w from w = .2 on, and of equals the first is taken.
    assert found.chosen["rerank_weight"] == 0.2
    assert found.ndcg[1] == 1.0
    # The passages of a question are the same for all weights, and read once.
    assert reranker.read == [(f"question {n}", 3) for n in range(MIN_ITEMS)]


def test_a_reranker_that_harms_is_not_chosen_and_one_in_force_is_turned_off():
    found = fit(Written(reranker=Reading(right=False)))
    assert (found.verdict, found.chosen["rerank"]) == ("INCONCLUSIVE", False)
    found = fit(Written(reranker=Reading(right=False)), current=RankingSettings(rerank=True))
    assert (found.verdict, found.current["rerank"], found.chosen["rerank"]) == ("PASS", True, False)


def test_what_is_tried_with_a_reranker():
    current = RankingSettings()
    assert len(variants(current, reranker=True)) == len(variants(current)) + 10
    reranked = variants(RankingSettings(rerank=True), reranker=True)
    assert [(each.rerank, each.rerank_weight) for each in reranked[:3]] == [(True, 0.5), (False, 0.5), (True, 0.1)]
    assert {(each.fusion, each.dense_weight) for each in reranked} == {("min_max", 0.5)}
    assert len(reranked) == 11
