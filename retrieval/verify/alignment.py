"""Alignment: where a sentence that nearly repeats another differs from it, word by word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from retrieval.terms import STOP_WORDS
from retrieval.verify.polarity import DENIALS, is_negator

_NEARLY = 0.6  # share of the claim's words that must stand in the other sentence in the same order
_MAX_WORDS = 200
_SHORT_CHANGE = 4  # words; longer ones are another way of putting it


@dataclass(frozen=True, slots=True)
class Alignment:
    """How a claim differs from a sentence that it nearly repeats.

    ``repeats``: all its words stand there in a row; ``flipped``: a negation was put in or left out;
    ``exchanged``: its words that stand where the other sentence has other ones.
    """

    repeats: bool = False
    flipped: bool = False
    exchanged: tuple[str, ...] = ()


def align(claim: Sequence[str], evidence: Sequence[str]) -> Alignment:
    """Compare two sentences given as lower-case words."""
    if not claim or len(claim) > _MAX_WORDS or len(evidence) > 2 * _MAX_WORDS:
        return Alignment()
    matcher = SequenceMatcher(None, claim, evidence, autojunk=False)
    operations = matcher.get_opcodes()
    same = sum(i2 - i1 for kind, i1, i2, _, _ in operations if kind == "equal")
    if same < _NEARLY * len(claim):
        return Alignment()
    flipped = False
    exchanged: list[str] = []
    for position, (kind, i1, i2, j1, j2) in enumerate(operations):
        inner = 0 < position < len(operations) - 1
        if kind == "equal" or j2 - j1 > _SHORT_CHANGE:
            continue
        denials = [
            sum(is_negator(word) or word in DENIALS for word in words) for words in (claim[i1:i2], evidence[j1:j2])
        ]
        flipped = flipped or (denials[0] % 2 != denials[1] % 2 and (inner or i2 > i1))
        replaced = any(word not in STOP_WORDS for word in evidence[j1:j2])
        if kind == "replace" and replaced and i2 - i1 <= _SHORT_CHANGE:
            exchanged += claim[i1:i2]
    blocks = [operation for operation in operations if operation[2] > operation[1]]
    repeats = len(blocks) == 1 and blocks[0][0] == "equal"
    return Alignment(repeats, flipped, tuple(exchanged))
