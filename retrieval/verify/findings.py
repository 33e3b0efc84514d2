"""Findings: what the checks say of one claim beside one window of evidence."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from retrieval.terms import words
from retrieval.verify.alignment import align
from retrieval.verify.evidence import EvidenceIndex, Unit, Window, negated_terms, term_of, terms_of
from retrieval.verify.names import Name, find_names
from retrieval.verify.polarity import (
    bound_conflict,
    condition_end,
    opposites,
    overclaims,
)
from retrieval.verify.quantities import Quantity, find_quantities, is_year, same

# Words that say little by themselves.
_LIGHT = frozenset(
    terms_of(
        "include provide make get use need require following various specific ensure also however "
        "important please note refer addition additionally overall would could given set way thing "
        "people person kind sort certain known named called say said prior regarding company going able "
        "mention state according document passage text answer information source "
    )
)
_FUZZY_PREFIX = 4
_FUZZY_SHARE = 0.7
_FUZZY_MATCH = 0.8
_TOPIC_WEIGHT = 0.3
_FLIPPED = 0.34  # of the weight of the words in common, denied by only one side
_HALF = 0.5
_INHERITED = 0.8  # what a word of the shared subject counts in a later clause
_CLEARLY = 0.15
_WELL_COVERED = 0.6
_PERMISSIONS = frozenset(term_of(word) for word in ("allowed", "accepted", "able", "eligible", "available", "possible"))
_NUMBER = re.compile(r"\d")


class Claim:
    """A sentence or clause of an answer, taken apart once. ``topic`` is text that it silently refers to."""

    def __init__(self, text: str, index: EvidenceIndex, topic: str = "") -> None:
        self.text = text
        self.quantities: tuple[Quantity, ...] = tuple(find_quantities(text))
        wordy = text
        for quantity in self.quantities:
            wordy = wordy[: quantity.start] + " " * (quantity.end - quantity.start) + wordy[quantity.end :]
        self.ordered = [term for term in terms_of(wordy) if not _NUMBER.search(term)]
        weights = index.weights(dict.fromkeys(self.ordered))
        self.weights = {term: weight * (0.5 if term in _LIGHT else 1.0) for term, weight in weights.items()}
        self.topic = {
            term: _TOPIC_WEIGHT * weight
            for term, weight in index.weights(dict.fromkeys(terms_of(topic))).items()
            if term not in self.weights and term not in _LIGHT
        }
        self.names: tuple[Name, ...] = tuple(find_names(text))
        self.words = words(text)
        # Numbers take part in finding the place, and are judged on their own.
        numbers = {term for term in terms_of(text) if _NUMBER.search(term)}
        self.lookup = self.weights | self.topic | dict.fromkeys(numbers, 2.0)

    @cached_property
    def negated_terms(self) -> frozenset[str]:
        """The content terms that stand under a negation."""
        return negated_terms(self.text)


@dataclass(frozen=True, slots=True)
class Findings:
    """What the checks found. Shares are of the claim's weight, 0..1; conflicts are counts.

    ``foreign``: the weight of the words that the evidence does not have; ``quoted``: it has the claim word for word;
    ``reasons`` are for a person, worst first.
    """

    coverage: float = 0.0
    foreign: float = 0.0
    quoted: bool = False
    missing_numbers: float = 0.0
    missing_names: float = 0.0
    moved: float = 0.0
    polarity: float = 0.0
    opposite: float = 0.0
    overclaim: float = 0.0
    condition: float = 0.0
    reasons: tuple[str, ...] = ()


def match(term: str, pool: frozenset[str]) -> float:
    """Return 1 for a term of the pool, 0.8 for one that shares only a long beginning with one, else 0."""
    if term in pool:
        return 1.0
    if len(term) >= _FUZZY_PREFIX:
        head = term[:_FUZZY_PREFIX]
        for other in pool:
            if other.startswith(head):
                shared = _shared_prefix(term, other)
                if shared >= _FUZZY_SHARE * max(len(term), len(other)) and shared >= _FUZZY_PREFIX:
                    return _FUZZY_MATCH
    return 0.0


def _shared_prefix(a: str, b: str) -> int:
    count = 0
    for left, right in zip(a, b, strict=False):
        if left != right:
            break
        count += 1
    return count


def coverage(weights: Mapping[str, float], pool: frozenset[str]) -> float:
    """Return the share of the weight whose terms are in the pool; 1.0 where there is nothing to cover."""
    total = sum(weights.values())
    return sum(weight * match(term, pool) for term, weight in weights.items()) / total if total else 1.0


def pool_of(units: Sequence[Unit]) -> frozenset[str]:
    """Return the terms of the units and of what stands over them."""
    return frozenset().union(*(unit.terms | unit.context_terms for unit in units))


def examine(claim: Claim, index: EvidenceIndex, window: Window) -> Findings:
    """Run all checks of ``claim`` against one window."""
    units = index.units[window.first : window.last + 1]
    pool = pool_of(units)
    text = " ".join(unit.text for unit in units)
    context = " ".join(dict.fromkeys(unit.context for unit in units))
    # The unit that says most of the claim is the one whose polarity counts.
    anchor = max(units, key=lambda unit: coverage(claim.weights, unit.terms))
    reasons: list[str] = []
    opposed = opposites(claim.words, words(f"{text} {context}"))
    alignment = align(claim.words, words(anchor.text))
    polarity = 1.0 if alignment.flipped else _polarity(claim, anchor, units)
    if polarity and opposed:
        polarity, opposed = 0.0, []  # "does not increase" beside "decreases"
    missing_numbers = _missing_numbers(claim, units, context, reasons)
    exchanged = frozenset(alignment.exchanged) - anchor.words
    missing_names = _missing_names(claim, f"{text} {context}", exchanged, reasons)
    moved = _moved(claim, units, reasons)
    if polarity:
        reasons.append("the passage says the opposite: one of the two is a denial")
    reasons += [f"“{ours}” where the passage has “{theirs}”" for ours, theirs in opposed]
    if bounds := bound_conflict(claim.text, text):
        reasons.append("a minimum where the passage has a maximum, or the other way round")
    full = claim.weights | claim.topic
    proven = {term: weight * match(term, pool) for term, weight in full.items()}
    share = sum(proven.values()) / sum(full.values()) if full else 1.0
    if share < _WELL_COVERED:
        absent = [word for word in claim.words if any(not match(term, pool) for term in terms_of(word))]
        reasons += ["not in the passages: " + ", ".join(dict.fromkeys(absent[:4]))] if absent else []
    return Findings(
        coverage=share,
        foreign=sum(claim.weights[term] - proven[term] for term in claim.weights),
        quoted=alignment.repeats,
        missing_numbers=missing_numbers,
        missing_names=missing_names,
        moved=moved,
        polarity=polarity,
        opposite=float(len(opposed) + bounds),
        overclaim=float(overclaims(claim.text, text)),
        condition=_condition_dropped(claim, anchor),
        reasons=tuple(reasons),
    )


def _missing_numbers(claim: Claim, units: Sequence[Unit], context: str, reasons: list[str]) -> float:
    """Return the share of the claim's numbers and codes that the evidence does not have."""
    codes = [name for name in claim.names if name.is_code]
    if not claim.quantities and not codes:
        return 0.0
    proven = [quantity for unit in units for quantity in unit.quantities] + find_quantities(context)
    missing = [q for q in claim.quantities if not any(same(q, other) for other in proven)]
    joined = re.sub(r"[\W_]+", "", (" ".join(unit.text for unit in units) + context).lower())
    unknown = [code for code in codes if "".join(code.parts) not in joined]
    reasons += [f"the number {_shown(claim, quantity)} is not in the evidence" for quantity in missing]
    reasons += [f"{code.text} is not in the evidence" for code in unknown]
    return (len(missing) + len(unknown)) / (len(claim.quantities) + len(codes))


def _shown(claim: Claim, quantity: Quantity) -> str:
    return claim.text[quantity.start : quantity.end].strip(" .")


def _missing_names(claim: Claim, text: str, exchanged: frozenset[str], reasons: list[str]) -> float:
    """Return the share of the claim's names that the evidence lacks, or has only where another one stands."""
    names = [name for name in claim.names if not name.is_code]
    if not names:
        return 0.0
    pool, terms = frozenset(words(text)), frozenset(terms_of(text))
    initials = "".join(word[0] for word in text.split() if word[0].isupper()).lower()
    missing = [
        name for name in names if not exchanged.isdisjoint(name.parts) or not _is_known(name, pool, terms, initials)
    ]
    reasons += [f"the name {name.text} is not there in the evidence" for name in missing]
    return len(missing) / len(names)


def _is_known(name: Name, pool: frozenset[str], terms: frozenset[str], initials: str) -> bool:
    """Whether the evidence has each word of the name, or spells its initials."""
    if len(name.parts) == 1 and name.text.isupper() and name.parts[0] in initials:
        return True
    return all(part in pool or any(match(term, terms) for term in terms_of(part)) for part in name.parts)


def _moved(claim: Claim, units: Sequence[Unit], reasons: list[str]) -> float:
    """Return 1.0 if a number of the claim stands in the evidence beside another subject than the claim's.

    The clause with the number is held against the clauses with another number of the same kind: if one of
    those says more of the claim's own words than the number's does, the number was moved.
    """
    moved = [
        quantity
        for quantity in claim.quantities
        if not (is_year(quantity) and len(claim.quantities) > 1) and _is_moved(claim, quantity, units)
    ]
    reasons += [f"{_shown(claim, quantity)} belongs to something else in the passage" for quantity in moved]
    return float(bool(moved))


def _is_moved(claim: Claim, quantity: Quantity, units: Sequence[Unit]) -> bool:
    own_terms = _near(claim, quantity)
    if not own_terms:
        return False
    here, there = -1.0, -1.0
    for clause in (clause for unit in units for clause in unit.clauses):
        values = find_quantities(clause.text)
        share = coverage(own_terms, clause.terms)
        if clause.inherited:
            share += _INHERITED * (coverage(own_terms, clause.terms | clause.inherited) - share)
        if any(same(quantity, value) for value in values):
            here = max(here, share)
        elif any(value.kind == quantity.kind for value in values):
            there = max(there, share)
    return 0 <= here < there - _CLEARLY


def _near(claim: Claim, quantity: Quantity) -> dict[str, float]:
    """Return the weighted terms of the claim's own clause around the number."""
    topic = {term: weight / _TOPIC_WEIGHT for term, weight in claim.topic.items()}
    pieces = list(re.finditer(r"(?:(?!;|,\s| and | but | while | whereas | or ).)+", claim.text, re.DOTALL))
    for piece in pieces:
        if piece.start() <= quantity.start < piece.end():
            near = {term: claim.weights[term] for term in terms_of(piece.group()) if term in claim.weights}
            if len(near) > 1 or len(claim.quantities) > 1:
                return near | topic if len(near) > 1 else {}
    return claim.weights | topic


def _polarity(claim: Claim, anchor: Unit, units: Sequence[Unit]) -> float:
    """Return 1.0 if one of the two denies what the other says."""
    ours, theirs = claim.negated_terms, anchor.negated_terms
    matched = {term: weight for term, weight in claim.weights.items() if term in anchor.terms}
    if ours & matched.keys():
        return 0.0 if theirs else 1.0
    if ours:
        return 0.0 if any(unit.negated_terms for unit in units) else 1.0
    flipped = sum(weight for term, weight in matched.items() if term in theirs)
    if flipped > _FLIPPED * sum(matched.values()):
        return 1.0
    if theirs & _PERMISSIONS:
        return 1.0 if theirs & _PERMISSIONS & matched.keys() or len(matched) >= _HALF * len(claim.weights) else 0.0
    return 0.0


def _condition_dropped(claim: Claim, anchor: Unit) -> float:
    """Return 1.0 if the evidence holds only under a condition of which the claim says nothing."""
    where = condition_end(anchor.text)
    if where is None or condition_end(claim.text) is not None:
        return 0.0
    condition = frozenset(terms_of(anchor.text[where[0] : where[1]]))
    return 1.0 if condition and not any(term in condition for term in claim.weights) else 0.0
