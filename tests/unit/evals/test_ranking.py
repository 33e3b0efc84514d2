from collections.abc import Callable

import pytest

from evals.anchors import Anchor
from evals.ranking import by_document, by_evidence
from retrieval.passage import Passage

Make = Callable[..., Passage]


def test_documents_rank_by_their_best_passage(make_passage: Make) -> None:
    passages = [make_passage("a"), make_passage("a", 10, 20), make_passage("b"), make_passage("c")]
    ranking = by_document(passages, [Anchor("b", grade=2), Anchor("c"), Anchor("gone")], "q1")
    assert ranking.gains == (0.0, 2.0, 1.0)
    assert sorted(ranking.ideal) == [1.0, 1.0, 2.0]
    assert (ranking.found, ranking.first) == (2, 2)


def test_the_query_itself_is_not_ranked_unless_it_is_judged(make_passage: Make) -> None:
    passages = [make_passage("q1"), make_passage("b")]
    assert by_document(passages, [Anchor("b")], "q1").gains == (1.0,)
    assert by_document(passages, [Anchor("q1")], "q1").gains == (1.0, 0.0)


def test_ten_documents_at_most(make_passage: Make) -> None:
    passages = [make_passage(f"d{number}") for number in range(15)]
    ranking = by_document(passages, [Anchor("d10")], "q")
    assert (len(ranking.gains), ranking.found, ranking.first) == (10, 0, None)


def test_evidence_counts_once_and_repeats_take_a_rank(make_passage: Make) -> None:
    anchors = [Anchor("a", ((0, 10),)), Anchor("b", ((50, 60),), grade=3)]
    passages = [
        make_passage("x"),
        make_passage("a", 0, 20),
        make_passage("a", 0, 12),
        make_passage("b", 40, 70),
    ]
    ranking = by_evidence(passages, anchors)
    assert ranking.gains == (0.0, 1.0, 0.0, 3.0)
    assert (ranking.found, ranking.first, ranking.ideal) == (2, 2, (1.0, 3.0))


def test_a_passage_that_shows_two_pieces_is_as_good_as_two(make_passage: Make) -> None:
    anchors = [Anchor("a", ((0, 10),)), Anchor("a", ((20, 30),), grade=2)]
    ranking = by_evidence([make_passage("a", 0, 40), make_passage("z")], anchors)
    assert ranking.gains == (2.0, 1.0, 0.0)
    assert ranking.found == 2


@pytest.mark.parametrize(("page", "found"), [(3, 1), (4, 0)])
def test_evidence_by_page(make_passage: Make, page: int, found: int) -> None:
    assert by_evidence([make_passage("a", page=3)], [Anchor("a", page=page)]).found == found
