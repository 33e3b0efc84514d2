"""What a search found of an item's evidence: the numbers that the retrieval metrics are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evals.anchors import Anchor, Place, hit_anchors
from retrieval.passage import Passage

DEPTH = 10


@dataclass(frozen=True, slots=True)
class Ranking:
    """``gains`` by rank, ``ideal`` = grades of all evidence, ``found`` = pieces shown by the first ten,
    ``first`` = rank of the first hit.
    """

    gains: tuple[float, ...]
    ideal: tuple[float, ...]
    found: int
    first: int | None


def place_of(passage: Passage) -> Place:
    """Where a passage lies."""
    return Place(passage.document.external_id, passage.char_start, passage.char_end, passage.page)


def by_document(passages: Sequence[Passage], anchors: Sequence[Anchor], own_id: str, depth: int = DEPTH) -> Ranking:
    """Rank documents, each by its best passage, as BEIR does.

    A document that has the query's own id is skipped, as in BEIR (some sets query with a document of the
    corpus), unless it is judged relevant.
    """
    grades = {anchor.external_id: float(anchor.grade) for anchor in anchors}
    gains: list[float] = []
    for name in distinct_documents(passages):
        if name == own_id and name not in grades:
            continue
        gains.append(grades.get(name, 0.0))
    gains = gains[:depth]
    first = next((rank for rank, gain in enumerate(gains, start=1) if gain), None)
    return Ranking(tuple(gains), tuple(grades.values()), sum(gain > 0 for gain in gains), first)


def by_evidence(passages: Sequence[Passage], anchors: Sequence[Anchor], depth: int = DEPTH) -> Ranking:
    """Rank passages by the evidence that they are the first to show.

    A passage that shows several new pieces stands for as many ranks, so that nDCG stays within 0..1; one
    that only repeats what a better one has shown, or shows nothing, takes a rank without gain.
    """
    gains: list[float] = []
    shown: set[int] = set()
    first: int | None = None
    for rank, passage in enumerate(passages[:depth], start=1):
        new = hit_anchors(anchors, place_of(passage)) - shown
        if new and first is None:
            first = rank
        shown |= new
        gains.extend(sorted((float(anchors[number].grade) for number in new), reverse=True) or [0.0])
    return Ranking(tuple(gains[:depth]), tuple(float(anchor.grade) for anchor in anchors), len(shown), first)


def distinct_documents(passages: Sequence[Passage]) -> list[str]:
    """External ids in order of their best passage."""
    return list(dict.fromkeys(passage.document.external_id for passage in passages))
