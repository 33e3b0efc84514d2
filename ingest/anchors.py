"""Anchors: places where a long stretch is always cut, so that an edit moves only the cuts near it.

Parts of about equal size depend on all that stands before them: one more sentence would move every later cut of a document
without headings, and all of its chunks would have to be embedded again. An anchor depends on the text around it alone, as in
content-defined chunking (here by the local minimum of a hash: Bjørner, Blass and Gurevich 2010, "Content-dependent chunking for
differential compression, the local maximum approach").
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from ingest.elements import ElementKind
from ingest.pieces import Piece

# In targets. What is shorter than the first has no anchors; two anchors are at least the second apart, twice that in the mean.
_LONG = 8
_REACH = 2
_FULL = 1.06  # the mean size of parts, in targets, where nothing is anchored


def anchored_runs(text: str, pieces: Sequence[Piece], target: int) -> list[list[Piece]]:
    """``pieces`` in runs that begin at anchors; one run where they are shorter than eight times ``target`` tokens."""
    before = [0]
    for piece in pieces:
        before.append(before[-1] + piece.tokens)
    if before[-1] < _LONG * target:
        return [list(pieces)]
    reach = _REACH * target
    ranks = [_rank(text, pieces, number) for number in range(len(pieces))]
    runs: list[list[Piece]] = [[]]
    for number, piece in enumerate(pieces):
        if before[number] >= reach and before[-1] - before[number] >= reach and _is_least(ranks, before, number, reach):
            runs.append([])
        runs[-1].append(piece)
    return runs


def _rank(text: str, pieces: Sequence[Piece], number: int) -> tuple[int, bytes]:
    """The least one becomes an anchor: starts of paragraphs before other sentences, and what belongs to a lead-in last."""
    piece = pieces[number]
    led = number > 0 and _leads(pieces[number - 1])
    digest = hashlib.blake2b(text[piece.start : piece.end].encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return (2 if led else int(piece.rest), digest)


def _is_least(ranks: Sequence[tuple[int, bytes]], before: Sequence[int], number: int, reach: int) -> bool:
    """Whether no piece within ``reach`` tokens has a smaller rank; of equal ones the first is taken."""
    if ranks[number][0] == 2:
        return False
    left = number - 1
    while left >= 0 and before[number] - before[left] < reach:
        if ranks[left] <= ranks[number]:
            return False
        left -= 1
    right = number + 1
    while right < len(ranks) and before[right] - before[number] < reach:
        if ranks[right] < ranks[number]:
            return False
        right += 1
    return True


def split_evenly(pieces: Sequence[Piece], target: int, room: int) -> list[list[Piece]]:
    """Cut a run into parts of about ``target`` tokens, each cut at the end of the piece that is nearest to an even share."""
    ends = [0]
    for piece in pieces:
        ends.append(ends[-1] + piece.tokens)
    count = max(1, round(ends[-1] / (target * _FULL)), -(-ends[-1] // room))
    cuts = [0]
    for part in range(1, count):
        even = ends[-1] * part / count
        allowed = [n for n in range(cuts[-1] + 1, len(pieces)) if not _leads(pieces[n - 1])]
        if not allowed:
            break
        cuts.append(min(allowed, key=lambda n: abs(ends[n] - even)))
    return [list(pieces[start:end]) for start, end in zip(cuts, [*cuts[1:], len(pieces)], strict=True)]


def _leads(piece: Piece) -> bool:
    """Whether a piece goes with the one that follows: a heading, or a line that ends with a colon."""
    return piece.introduces or piece.kind is ElementKind.HEADING
