from evals.anchors import Anchor, Place
from evals.metrics.citation_recall import citation_recall

GOLD = [Anchor("a.md", ((100, 140),)), Anchor("b.pdf", page=2)]


def test_share_of_evidence_that_some_citation_shows() -> None:
    assert citation_recall([Place("a.md", 90, 200), Place("a.md", 100, 120)], GOLD) == 0.5
    assert citation_recall([Place("a.md", 100, 140), Place("b.pdf", 0, 9, page=2)], GOLD) == 1.0
    assert citation_recall([], GOLD) == 0.0
    assert citation_recall([Place("b.pdf", 0, 9, page=3)], GOLD) == 0.0
