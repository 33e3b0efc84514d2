"""From evidence to places in the text as it is now: quotes are looked up, ranges and hashes are checked."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from evals.gold import Evidence

_FOLD = str.maketrans({"‘": "'", "’": "'", "‛": "'", "“": '"', "”": '"', "‐": "-", "‑": "-", "–": "-", "—": "-"})


@dataclass(frozen=True, slots=True)
class Anchor:
    """Where evidence lies.

    ``ranges`` are alternatives (a quote may stand in several places); none = the page, else the document.
    """

    external_id: str
    ranges: tuple[tuple[int, int], ...] = ()
    page: int | None = None
    grade: int = 1

    @property
    def whole_document(self) -> bool:
        """Whether any part of the document will do."""
        return not self.ranges and self.page is None


@dataclass(frozen=True, slots=True)
class Unresolved:
    """Evidence that has no place in the documents as they are, and why, in one sentence."""

    external_id: str
    reason: str
    code: str  # missing_document, stale_document, missing_quote or bad_range


@dataclass(frozen=True, slots=True)
class Place:
    """A passage or a citation: characters ``[start:end]`` of a document, and its page where it has one."""

    external_id: str
    start: int
    end: int
    page: int | None = None


def resolve(evidence: Evidence, text: str | None) -> Anchor | Unresolved:
    """Anchor ``evidence`` in ``text``, the document's (``None`` = there is no such document).

    With both a range and a quote, the range is believed if the quote stands there; otherwise the quote is
    looked up, for it survives a re-extraction that moves characters.
    """
    name = evidence.external_id
    if text is None:
        return Unresolved(name, f"document {name!r} is not in the collection", "missing_document")
    if evidence.sha256 is not None and evidence.sha256 != sha256(text.encode()).hexdigest():
        return Unresolved(
            name, f"document {name!r} has changed: its sha256 is not that of the evidence", "stale_document"
        )
    span: tuple[int, int] | None = None
    if evidence.char_start is not None and evidence.char_end is not None:
        span = (evidence.char_start, evidence.char_end)
    if evidence.quote is not None:
        wanted = normalise(evidence.quote)
        if span and span[1] <= len(text) and normalise(text[slice(*span)]) == wanted:
            return Anchor(name, (span,), evidence.page, evidence.grade)
        ranges = find_quote(text, evidence.quote)
        if not ranges:
            return Unresolved(
                name, f"the quote {_short(evidence.quote)!r} is not in the text of {name!r}", "missing_quote"
            )
        return Anchor(name, ranges, evidence.page, evidence.grade)
    if span:
        if span[1] > len(text):
            return Unresolved(
                name,
                f"the range {span[0]}:{span[1]} ends after the text of {name!r} ({len(text)})",
                "bad_range",
            )
        return Anchor(name, (span,), evidence.page, evidence.grade)
    return Anchor(name, (), evidence.page, evidence.grade)


def hits(anchor: Anchor, place: Place) -> bool:
    """Whether ``place`` shows the evidence.

    With ranges: the overlap is at least half of the shorter of the two, so that a chunk may cut evidence in
    two, and a citation may quote one sentence of it, but touching by a word does not count. Without: same
    page, or same document.
    """
    if anchor.external_id != place.external_id:
        return False
    if anchor.ranges:
        return any(_overlaps(start, end, place.start, place.end) for start, end in anchor.ranges)
    return anchor.page is None or anchor.page == place.page


def hit_anchors(anchors: Iterable[Anchor], place: Place) -> set[int]:
    """Numbers of the anchors that ``place`` shows."""
    return {number for number, anchor in enumerate(anchors) if hits(anchor, place)}


def normalise(text: str) -> str:
    """Fold typographic quotes and dashes, and make every run of whitespace one space."""
    return " ".join(text.translate(_FOLD).split())


def find_quote(text: str, quote: str) -> tuple[tuple[int, int], ...]:
    """Every range of ``text`` that equals ``quote`` up to whitespace and typographic quotes and dashes."""
    words = normalise(quote).split(" ")
    if words == [""]:
        return ()
    # The fold is one character to one, so ranges in the folded text are ranges in the text.
    pattern = re.compile(r"\s+".join(re.escape(word) for word in words))
    return tuple(found.span() for found in pattern.finditer(text.translate(_FOLD)))


def _overlaps(start: int, end: int, other_start: int, other_end: int) -> bool:
    shared = min(end, other_end) - max(start, other_start)
    shorter = min(end - start, other_end - other_start)
    return shared > 0 and 2 * shared >= shorter


def _short(text: str, limit: int = 60) -> str:
    flat = normalise(text)
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"
