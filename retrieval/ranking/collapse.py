"""Collapsing: results that say the same are shown once, with the others listed beside the best of them.

Texts are the same if they are so word by word, however they are set: case, white space and punctuation aside, but with the
signs that change what a number says. Below a threshold of 1, texts are also the same if their word triples are nearly so, by
the Jaccard coefficient (Broder 1997, "On the resemblance and containment of documents"); of a handful of results it is
computed outright, so that MinHash, its estimate for large sets, has nothing to save. Two texts with different numbers or
negations, or under different headings, are never the same: they may well be of one form and say the opposite.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

from retrieval.passage import Passage
from retrieval.verify.polarity import NEGATORS

# Results looked at beyond the last one shown: a duplicate of any that stands there is listed too.
LOOKAHEAD = 10
_TOKEN = re.compile(r"\w+|[<>≤≥=%+$€£¥]|[-−](?=[\d.])|(?<=\d)[.,:/](?=\d)")
_SIGN = re.compile(r"[\d<>≤≥=%+$€£¥−-]")

Triple = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What two texts are compared by: their words, those that must not differ, and the nearest heading."""

    words: tuple[str, ...]
    decisive: tuple[str, ...]
    heading: tuple[str, ...]


def fingerprint(text: str, heading_path: tuple[str, ...] = ()) -> Fingerprint:
    """The fingerprint of a text; one without words stands for itself alone."""
    words = _words(text) or (text.strip(),)
    decisive = tuple(sorted(word for word in words if _SIGN.search(word) or word in NEGATORS))
    return Fingerprint(words, decisive, _words(heading_path[-1]) if heading_path else ())


def likeness(one: Fingerprint, other: Fingerprint, *, near: bool = True) -> float:
    """The Jaccard coefficient of the word triples, ``|A ∩ B| / |A ∪ B|``: 1 for the same words, and 0 where the numbers,
    the negations or the headings (if both have one) differ. Unless ``near``, it is 0 for all that are not the same, and soon
    said.
    """
    if one.decisive != other.decisive or (one.heading and other.heading and one.heading != other.heading):
        return 0.0
    if one.words == other.words:
        return 1.0
    if not near:
        return 0.0
    mine, others = _triples(one.words), _triples(other.words)
    shared = len(mine & others)
    # Texts with equal triples in another order are nearly the same, not the same.
    return min(shared / (len(mine) + len(others) - shared), 1.0 - 1e-9)


def collapse(passages: Iterable[Passage], count: int, threshold: float) -> list[Passage]:
    """The first ``count`` of ``passages`` (best first) that differ, each with its ``duplicates``, of ``likeness``
    ``threshold`` or more; a threshold of 0 collapses nothing.

    It takes from ``passages`` no more than it needs to find these, and ``LOOKAHEAD`` beyond.
    """
    shown: list[Passage] = []
    prints: list[Fingerprint] = []
    duplicates: list[list[Passage]] = []
    beyond = 0
    for passage in passages:
        own = fingerprint(passage.text, passage.heading_path) if threshold else None
        place = None
        if own is not None:
            alike = (likeness(print_, own, near=threshold < 1.0) >= threshold for print_ in prints)
            place = next((number for number, same in enumerate(alike) if same), None)
        if place is not None:
            duplicates[place].append(passage)
        elif len(shown) < count:
            shown.append(passage)
            duplicates.append([])
            if own is not None:
                prints.append(own)
        if len(shown) == count:
            beyond += 1
            if not threshold or beyond > LOOKAHEAD:
                break
    return [replace(best, duplicates=tuple(more)) for best, more in zip(shown, duplicates, strict=True)]


@lru_cache(maxsize=1024)
def _triples(words: tuple[str, ...]) -> frozenset[Triple]:
    padded = words if len(words) > 2 else (*words, "", "")
    return frozenset((*pair, third) for pair, third in zip(pairwise(padded), padded[2:], strict=False))


def _words(text: str) -> tuple[str, ...]:
    return tuple(_TOKEN.findall(unicodedata.normalize("NFKC", text).casefold()))
