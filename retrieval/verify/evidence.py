"""Evidence: the sentences of the passages, indexed by term, and the windows that may prove a claim."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from retrieval.sentences import split_sentences
from retrieval.terms import STOP_WORDS, stem, words
from retrieval.verify.names import Name, find_names
from retrieval.verify.polarity import DENIALS, negated_ranges
from retrieval.verify.quantities import Quantity, find_quantities
from retrieval.verify.synonyms import canonical

MAX_CHARS = 2_000_000  # of all passages together; what lies beyond is not looked at
_MAX_UNIT = 1200  # characters; a longer sentence is cut at a space, so that no check meets an endless one
_MAX_LIST = 12  # items or rows that are looked at as one window
_WINDOW = 3  # adjacent sentences
_MAX_POSTINGS = 20_000  # looked up for one claim, rarest terms first
_CLAUSE_BREAK = re.compile(r"[;,]\s+|\s+(?:and|but|while|whereas|or)\s+")
_CELL = re.compile(r"[^|\t]+")


def term_of(word: str) -> str:
    """Return the form in which words are compared: the canonical synonym of the stem.

    "Prohibited" becomes "allowed": that it denies is judged as polarity.
    """
    return canonical(stem(DENIALS.get(word, word)))


def terms_of(text: str) -> list[str]:
    """Return the content terms of ``text``, synonyms unified; a hyphenated word also counts as one."""
    found = [term_of(word) for word in words(text) if word not in STOP_WORDS]
    found += [term_of(a + b) for a, b in re.findall(r"\b([a-z]{2,})[-‑]([a-z]{2,})\b", text.lower())]
    return found


@dataclass(frozen=True, slots=True)
class Clause:
    """A piece of a unit, its terms, and those of the subject that it shares with the unit's first piece."""

    text: str
    terms: frozenset[str]
    inherited: frozenset[str]


def negated_terms(text: str) -> frozenset[str]:
    """Return the content terms that ``text`` denies, by a negation or by a word such as "prohibited"."""
    negated = {term for start, end in negated_ranges(text) for term in terms_of(text[start:end])}
    denied = {term_of(word) for word in words(text) if word in DENIALS}
    return frozenset(negated ^ denied)  # "not prohibited" denies nothing


class Unit:
    """One sentence, list item, heading or table row of a passage.

    Its parts are worked out when first asked for.
    """

    def __init__(self, passage: int, start: int, end: int, text: str, kind: str, context: str) -> None:
        self.passage, self.start, self.end = passage, start, end
        self.text, self.kind, self.context = text, kind, context
        self.terms: frozenset[str] = frozenset(terms_of(text))

    @cached_property
    def context_terms(self) -> frozenset[str]:
        """Terms of what stands over the unit: headings, and the header row of a table."""
        return frozenset(terms_of(self.context))

    @cached_property
    def words(self) -> frozenset[str]:
        """All words, stop words too."""
        return frozenset(words(self.text))

    @cached_property
    def quantities(self) -> tuple[Quantity, ...]:
        """The numbers, amounts, dates and times."""
        return tuple(find_quantities(self.text))

    @cached_property
    def names(self) -> tuple[Name, ...]:
        """The names and codes."""
        return tuple(find_names(self.text))

    @cached_property
    def negated_terms(self) -> frozenset[str]:
        """The content terms that stand under a negation."""
        return negated_terms(self.text)

    @cached_property
    def clauses(self) -> tuple[Clause, ...]:
        """Pieces with their terms; of a table row each cell, with the row's first cell and the column's
        header.
        """
        if self.kind == "row":
            cells = [cell.strip() for cell in _CELL.findall(self.text)]
            headers = [cell.strip() for cell in _CELL.findall(self.context.rsplit("\n", 1)[-1])]
            if len(headers) != len(cells):
                headers = [""] * len(cells)
            first = cells[0] if cells else ""
            pieces = [(cell, f"{first} {header} {cell}") for cell, header in zip(cells, headers, strict=True)]
        else:
            pieces = [(piece, piece) for piece in _CLAUSE_BREAK.split(self.text)]
        clauses = [(piece, frozenset(terms_of(full))) for piece, full in pieces if piece]
        # "The depot opens at 9 and closes at 5": a clause that repeats nothing has the first one's subject.
        return tuple(
            Clause(piece, terms, frozenset() if terms & clauses[0][1] else clauses[0][1]) for piece, terms in clauses
        )


@dataclass(frozen=True, slots=True)
class Window:
    """Adjacent units ``[first:last]`` (inclusive) of one passage, looked at together."""

    first: int
    last: int


def _plain(text: str) -> str:
    return " ".join(text.split()).rstrip(" .")


class EvidenceIndex:
    """All units of the passages, with an inverted index over their terms."""

    def __init__(self, passages: Sequence[str], max_chars: int = MAX_CHARS) -> None:
        self.units: list[Unit] = []
        self.truncated = False
        left = max_chars
        for number, passage in enumerate(passages):
            if len(passage) > left:
                self.truncated = True
            self._add(number, passage[:left])
            left -= min(left, len(passage))
        self._postings: dict[str, list[int]] = {}
        for position, unit in enumerate(self.units):
            for term in unit.terms | unit.context_terms:
                self._postings.setdefault(term, []).append(position)

    @cached_property
    def _by_text(self) -> dict[str, Unit]:
        return {_plain(unit.text): unit for unit in reversed(self.units)}

    def verbatim(self, text: str) -> Unit | None:
        """The unit (whole sentence, item or row) that ``text`` repeats to the letter, white space aside."""
        return self._by_text.get(_plain(text))

    def _add(self, number: int, passage: str) -> None:
        """Cut a passage into units, each with the headings and the table header that stand over it."""
        headings: dict[int, str] = {}
        header, header_end, last_end = "", -1, 0
        for span in split_sentences(passage):
            line_start = passage.rfind("\n", 0, span.start) + 1
            lead = passage[max(line_start, last_end) : span.start].strip()
            last_end = span.end
            text = passage[span.start : span.end]
            kind = "sentence"
            context = "\n".join(headings.values())
            if lead.startswith("#"):
                kind = "heading"
                level = len(lead)
                headings = {depth: title for depth, title in headings.items() if depth < level} | {level: text}
            elif "|" in text or "\t" in text:
                kind = "row"
                if header_end < 0 or passage[header_end : span.start].count("\n\n"):
                    header = text
                else:
                    context += "\n" + header
                header_end = span.end
            elif lead:
                kind = "item"
            if kind != "row":
                header_end = -1
            for start, end in _pieces(passage, span.start, span.end):
                self.units.append(Unit(number, start, end, passage[start:end], kind, context))

    def document_frequency(self, term: str) -> int:
        """Return in how many units the term stands."""
        return len(self._postings.get(term, ()))

    def weights(self, terms: Iterable[str]) -> dict[str, float]:
        """Weigh terms by rarity: 1 for a term of every unit, up to 2 for one that is rare among them."""
        total = math.log(len(self.units) + 2)
        return {term: 2.0 - math.log(self.document_frequency(term) + 1) / total for term in terms}

    def best_units(self, weights: Mapping[str, float], limit: int) -> list[int]:
        """Return the units that hold most of the weighted terms, best first."""
        scores: dict[int, float] = {}
        visited = 0
        for term, weight in sorted(weights.items(), key=lambda item: (self.document_frequency(item[0]), item[0])):
            if visited > _MAX_POSTINGS:
                break  # what is left stands nearly everywhere and tells no place from another
            postings = self._postings.get(term, [])[:_MAX_POSTINGS]
            visited += len(postings)
            for position in postings:
                own = term in self.units[position].terms
                scores[position] = scores.get(position, 0.0) + weight * (1.0 if own else 0.5)
        return [position for position, _ in sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:limit]]

    def windows(self, position: int) -> list[Window]:
        """Return the windows around one unit:

        up to three adjacent sentences, or the whole list it belongs to.
        """
        found = []
        passage = self.units[position].passage
        for size in range(1, _WINDOW + 1):
            for first in range(position - size + 1, position + 1):
                last = first + size - 1
                if (
                    first >= 0
                    and last < len(self.units)
                    and self.units[first].passage == passage == self.units[last].passage
                ):
                    found.append(Window(first, last))
        if self.units[position].kind in ("item", "row"):
            found.append(self._list_around(position))
        return found

    def _list_around(self, position: int) -> Window:
        kind, passage = self.units[position].kind, self.units[position].passage

        def belongs(index: int) -> bool:
            return (
                0 <= index < len(self.units) and self.units[index].kind == kind and self.units[index].passage == passage
            )

        first = last = position
        while last - first < _MAX_LIST and belongs(first - 1):
            first -= 1
        while last - first < _MAX_LIST and belongs(last + 1):
            last += 1
        if first > 0 and self.units[first - 1].passage == passage:
            first -= 1  # the sentence that introduces the list
        return Window(first, last)


def _pieces(text: str, start: int, end: int) -> Iterable[tuple[int, int]]:
    while end - start > _MAX_UNIT:
        cut = text.rfind(" ", start + _MAX_UNIT // 2, start + _MAX_UNIT)
        cut = cut if cut > 0 else start + _MAX_UNIT
        yield start, cut
        start = cut + (text[cut] == " ")
    if start < end:
        yield start, end
