from datetime import UTC, datetime, timedelta

import pytest

from retrieval.filters import DocumentFacts, parse_filter
from retrieval.ranking.fusion import Hit
from retrieval.ranking.settings import DocumentWeight, RankingSettings
from retrieval.ranking.weighting import document_factor, recency_factor, weigh

NOW = datetime(2026, 6, 30, tzinfo=UTC)


def facts(age_days: float | None = 0, **metadata: object) -> DocumentFacts:
    updated = None if age_days is None else NOW - timedelta(days=age_days)
    return DocumentFacts("d", "d", None, None, None, 1, metadata, None, None, updated)


def rule(given: dict, weight: float) -> DocumentWeight:
    return DocumentWeight(parse_filter(given), weight, given)


@pytest.mark.parametrize(
    ("age", "weight", "factor"),
    # a weight, less what halves every 30 days
    [(0, 0.5, 1.0), (30, 0.5, 0.75), (60, 0.5, 0.625), (30, 1.0, 0.5), (1e6, 0.4, 0.6), (-5, 1.0, 1.0), (90, 0.0, 1.0)],
)
def test_recency(age, weight, factor):
    assert recency_factor(age, 30, weight) == pytest.approx(factor)


def test_the_date_may_stand_in_the_metadata_and_without_one_nothing_is_lost():
    settings = RankingSettings(recency_half_life_days=10, recency_weight=1.0, recency_field="published")
    assert document_factor(facts(published="2026-06-10"), "c", settings, NOW) == pytest.approx(0.25)
    assert document_factor(facts(published=["2026-01-01", "2026-06-20"]), "c", settings, NOW) == pytest.approx(0.5)
    assert document_factor(facts(published="in June"), "c", settings, NOW) == 1.0
    assert document_factor(facts(400), "c", settings, NOW) == 1.0
    by_update = RankingSettings(recency_half_life_days=10, recency_weight=1.0)
    assert document_factor(facts(20), "c", by_update, NOW) == pytest.approx(0.25)
    assert document_factor(facts(None), "c", by_update, NOW) == 1.0


def test_the_weights_of_all_filters_that_a_document_passes_are_multiplied():
    settings = RankingSettings(
        recency_half_life_days=10,
        weights=(
            rule({"department": "hr"}, 2.0),
            rule({"state": {"$ne": "final"}}, 0.5),
            rule({"collection": "c"}, 1.5),
        ),
    )
    assert document_factor(facts(0, department="hr", state="final"), "c", settings, NOW) == pytest.approx(3.0)
    assert document_factor(facts(0, department="it"), "b", settings, NOW) == pytest.approx(0.5)
    assert document_factor(facts(10, department="hr"), "b", settings, NOW) == pytest.approx(0.75)


def test_scores_are_multiplied_and_negative_ones_divided():
    hits = [Hit(1, 0.8), Hit(2, 0.6), Hit(3, 0.4), Hit(4, -0.1), Hit(5, -0.2)]
    weighed = weigh(hits, {1: 0.5, 3: 1.25, 4: 0.25})
    assert [(hit.key, hit.score) for hit in weighed] == [
        (2, 0.6),
        (3, 0.5),
        (1, 0.4),
        (5, -0.2),
        (4, -0.4),
    ]


def test_equal_scores_keep_their_order():
    assert [hit.key for hit in weigh([Hit(9, 0.5), Hit(2, 0.5), Hit(4, 1.0)], {4: 0.5})] == [9, 2, 4]
