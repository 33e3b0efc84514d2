"""Citation precision: citations that show gold evidence / citations; averaged over the given answers that
cite something.

A citation shows evidence when its quoted characters overlap the evidence's by at least half of the shorter
of the two, or, for evidence that names only a page or a document, when it lies there. After Gao et al.,
"Enabling Large Language Models to Generate Text with Citations" (ALCE), EMNLP 2023, where a model judges
whether a citation is needed; here the gold set does.
"""

from __future__ import annotations

from collections.abc import Sequence

from evals.anchors import Anchor, Place, hit_anchors


def citation_precision(citations: Sequence[Place], anchors: Sequence[Anchor]) -> float | None:
    """``None`` when nothing is cited."""
    if not citations:
        return None
    return sum(bool(hit_anchors(anchors, place)) for place in citations) / len(citations)
