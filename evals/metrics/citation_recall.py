"""Citation recall: pieces of gold evidence shown by at least one citation / pieces of gold evidence;
averaged over the given answers.

"Shown" as in ``citation_precision``. An answer without a citation has recall 0. After Gao et al. (ALCE),
EMNLP 2023, where recall asks whether each sentence is entailed by what it cites; here it asks whether what
proves the answer was cited.
"""

from __future__ import annotations

from collections.abc import Sequence

from evals.anchors import Anchor, Place, hit_anchors


def citation_recall(citations: Sequence[Place], anchors: Sequence[Anchor]) -> float:
    """``anchors`` holds at least one piece of evidence."""
    shown: set[int] = set()
    for place in citations:
        shown |= hit_anchors(anchors, place)
    return len(shown) / len(anchors)
