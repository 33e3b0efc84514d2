"""Groundedness: supported sentences / sentences that claim something; averaged over the answers given.

The sentence verdicts are the verifier's that also judges when answering. Greetings, questions and the like
("uncheckable") count on neither side. Abstentions have no groundedness: they are counted by
``over_refusal_rate`` and ``false_answer_rate``. It is the share of attributable sentences of Rashkin et
al., "Measuring Attribution in Natural Language Generation Models", Computational Linguistics 49(4), 2023,
with the verifier in the annotators' place.
"""

from __future__ import annotations


def groundedness(supported: int, unsupported: int) -> float | None:
    """``None`` when no sentence claims anything."""
    checked = supported + unsupported
    return supported / checked if checked else None
