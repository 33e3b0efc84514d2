import pytest

from retrieval.ranking.fusion import Hit
from retrieval.ranking.rank import Ranked
from retrieval.ranking.reranking import rerank

HITS = [Hit(1, 0.9, 0.7, 3.0), Hit(2, 0.6), Hit(3, 0.5), Hit(4, 0.1)]


def test_scores_and_logits_are_scaled_over_what_was_read_and_added():
    # s of 1, 2, 3: (.9-.5)/.4 = 1, .25, 0; r: (-2+2)/6 = 0, 1, .5; of 4: s = (.1-.5)/.4 = -1, r = 0
    hits = rerank(Ranked(HITS), {1: -2.0, 2: 4.0, 3: 1.0}, 0.5)
    assert [(hit.key, hit.score) for hit in hits] == [
        (2, pytest.approx(0.625)),
        (1, pytest.approx(0.5)),
        (3, pytest.approx(0.25)),
        (4, pytest.approx(-0.5)),
    ]
    assert [hit.rerank for hit in hits] == [4.0, -2.0, 1.0, None]
    assert (hits[1].dense, hits[1].lexical) == (0.7, 3.0)


def test_with_all_weight_the_reranker_alone_decides_and_what_it_did_not_read_stays_behind():
    hits = rerank(Ranked(HITS), {1: -2.0, 2: 4.0}, 1.0)
    assert [(hit.key, hit.score) for hit in hits] == [(2, 1.0), (1, 0.0), (3, 0.0), (4, 0.0)]


def test_without_weight_the_order_stays():
    assert [hit.key for hit in rerank(Ranked(HITS), {1: -2.0, 2: 4.0, 3: 1.0}, 0.0)] == [1, 2, 3, 4]


def test_the_weights_of_documents_come_last():
    # 1 was weighed by .5: its own score is 1.0, so s = 1, 0; r = 1, 0; scores 1 * .5 and 0
    ranked = Ranked([Hit(2, 0.6), Hit(1, 0.5)], factors={1: 0.5})
    hits = rerank(ranked, {1: 3.0, 2: 1.0}, 0.5)
    assert [(hit.key, hit.score) for hit in hits] == [(1, 0.5), (2, 0.0)]


def test_equal_logits_and_no_logits():
    assert [hit.score for hit in rerank(Ranked(HITS[:2]), {1: 2.0, 2: 2.0}, 0.5)] == [1.0, 0.5]
    assert rerank(Ranked(HITS), {}, 0.5) == HITS
