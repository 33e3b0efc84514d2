import pytest

from evals.anchors import Anchor, Place
from evals.metrics.citation_precision import citation_precision

GOLD = [Anchor("a.md", ((100, 140),)), Anchor("b.pdf", page=2)]


def test_share_of_citations_that_show_gold_evidence() -> None:
    citations = [Place("a.md", 100, 130), Place("a.md", 500, 530), Place("b.pdf", 0, 9, page=2)]
    assert citation_precision(citations, GOLD) == pytest.approx(2 / 3)


def test_no_citation_has_no_precision() -> None:
    assert citation_precision([], GOLD) is None
