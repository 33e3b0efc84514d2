"""A question, read: what it asks about, term by term, and what kind of thing would answer it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from retrieval.sentences import split_sentences
from retrieval.terms import STOP_WORDS, stem, words


class Expects(StrEnum):
    """What an answer has to contain."""

    ANYTHING = "anything"
    NUMBER = "number"
    MONEY = "money"
    TIME = "time"
    DURATION = "duration"
    PERSON = "person"
    PLACE = "place"


@dataclass(frozen=True, slots=True)
class Term:
    """A word of the question that an answer has to be about.

    ``weight`` is in 0..1: how much of the question is lost with it. ``exact`` terms (names, numbers, codes) stand for one thing
    only, so nothing similar can replace them.
    """

    word: str
    stem: str
    weight: float
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """One question: its text without greetings, its terms in order (without repeats) and what it expects."""

    text: str
    terms: tuple[Term, ...]
    expects: Expects


# Words that carry a question rather than its subject: what remains answerable when they are not met.
_CARRIERS = frozenset(
    ["accord", "actually", "allow", "allowed", "allows", "amount", "answer", "anyone", "anything", "apply", "arrange", "ask", "available", "aware", "bring", "call", "called", "certain", "come", "consider", "contain", "cost", "costs", "could", "current", "currently", "describe", "describes", "described", "detail", "details", "difference", "different", "discuss", "document", "documents", "everyone", "example", "examples", "exactly", "exist", "explain", "factor", "factors", "fact", "find", "following", "follow", "get", "gets", "getting", "give", "given", "go", "going", "got", "happen", "happened", "happens", "happening", "help", "hello", "hi", "hold", "include", "included", "includes", "including", "indicate", "information", "involve", "involved", "involves", "keep", "key", "kind", "kinds", "know", "let", "like", "list", "long", "main", "make", "makes", "many", "may", "mean", "means", "mention", "mentioned", "much", "name", "need", "needed", "needs", "new", "number", "offer", "offered", "obtain", "one", "order", "part", "particular", "people", "permitted", "person", "place", "please", "possible", "primarily", "primary", "procedure", "process", "provide", "provided", "provides", "purpose", "put", "quickly", "reason", "reasons", "receive", "refer", "regarding", "related", "required", "requirement", "requirements", "result", "role", "say", "see", "several", "should", "show", "significant", "somebody", "someone", "something", "soon", "specific", "specifically", "start", "stated", "step", "steps", "take", "taken", "takes", "taking", "tell", "term", "text", "thank", "thanks", "thing", "things", "time", "times", "total", "try", "type", "types", "understand", "use", "used", "uses", "using", "value", "want", "wanted", "way", "ways", "whole", "within", "work", "works", "would", "write", "year", "years", "day", "days", "week", "weeks", "hour", "hours", "month", "months", "minute", "minutes", "often", "fast", "far", "big", "high", "low", "quick", "early", "late", "company", "staff", "employee", "employees", "policy", "rule", "rules", "begin", "end", "ends", "still", "possess", "must", "able"]
)
_CARRIER_WEIGHT = 0.3
_MEASURES = frozenset(
    ["day", "days", "week", "weeks", "hour", "hours", "month", "months", "minute", "minutes", "year", "years", "people", "person", "percent"]
)
_ASKING = re.compile(
    r"(?i)^(?:so|and|but|also|well|then|please|hi|hello|hey|dear \w+|ok|okay)?[\s,!]*"
    r"(?:who|whom|whose|what|when|where|which|why|how|is|are|was|were|do|does|did|can|could|may|might|must|shall|should|will|would|"
    r"has|have|had|am|tell|explain|describe|list|name|give|show|find|summari[sz]e|compare)\b"
)
_MONEY = re.compile(
    r"(?i)\bhow much (?:is|are|was|were|does|do|did|will|would|can|could|may|must|should|money|extra|i|it)\b|\b(?:cost|costs|price|prices|fee|fees|fare|salary|"
    r"wage|earn|earns|pay|paid|fine|budget|rent|deposit|tuition|charge|charged|allowance|per diem|rate)\b"
)
_RULES: tuple[tuple[Expects, re.Pattern[str]], ...] = (
    (
        Expects.DURATION,
        re.compile(r"(?i)\bhow (?:long|soon|quickly|fast|old|often|frequently)\b|\bfor how (?:long|many)\b"),
    ),
    (
        Expects.NUMBER,
        re.compile(
            r"(?i)\bhow (?:many|big|high|tall|wide|deep|heavy|large|far|hot|cold|loud|much)\b|\bwhat (?:number|percentage|share|proportion|temperature|size|altitude)\b|\bmaximum\b|\bminimum\b"
        ),
    ),
    (
        Expects.TIME,
        re.compile(
            r"(?i)\bwhen\b|\b(?:what|which) (?:time|date|day|year|month|hours|deadline)\b|\bby when\b|\bdeadlines?\b|\buntil when\b"
        ),
    ),
    (Expects.PERSON, re.compile(r"(?i)^(?:\W*\w+\W+){0,3}who(?:m|se)?\b")),
    (Expects.PLACE, re.compile(r"(?i)\bwhere\b|\bwhich (?:room|building|floor|city|country|place|office)\b")),
)
_INTERROGATIVE = re.compile(
    r"(?i)^\W*(?:and |so |but )?(?:at |in |on |by |for |from |to |after |until |since )?(?:who|whom|whose|what|when|where|which|why|how)\b"
)
_WORD = re.compile(r"[^\W_]+(?:['’.\-][^\W_]+)*")
_JOINT = re.compile(r"(?i)[,;]?\s+and\s+(?=(?:who|what|when|where|which|why|how)\b)")


def read_question(text: str) -> Question:
    """Read ``text``; greetings and thanks around a question ("Hi! … Thanks") are left out where a sentence asks."""
    asked = " ".join(_asking_sentences(text)) or text.strip()
    return Question(asked, _terms(asked), _expects(asked))


def parts(question: Question) -> tuple[Question, ...]:
    """Return the questions that ``question`` joins ("What … and how …? Who …?"), or itself alone."""
    pieces = [piece for sentence in _asking_sentences(question.text) for piece in _JOINT.split(sentence)]
    read = [Question(piece, _terms(piece), _expects(piece)) for piece in pieces]
    read = [part for part in read if any(term.weight > _CARRIER_WEIGHT for term in part.terms)]
    return tuple(read) if len(read) > 1 else (question,)


def _asking_sentences(text: str) -> list[str]:
    sentences = [text[span.start : span.end] for span in split_sentences(text)]
    return [
        sentence
        for sentence in sentences
        if sentence.rstrip(" \"')").endswith("?") or _ASKING.match(sentence)
    ]


def _expects(text: str) -> Expects:
    asks = _INTERROGATIVE.match(text) is not None
    if not asks and not re.search(r"(?i)\b(?:how (?:many|much|long)|when|where|who)\b", text):
        return Expects.ANYTHING
    for expects, pattern in _RULES[:1]:
        if pattern.search(text):
            return expects
    if re.search(r"(?i)\bhow much\b|^\W*what\b|^\W*which\b", text) and _MONEY.search(text):
        return Expects.MONEY
    return next((expects for expects, pattern in _RULES[1:] if pattern.search(text)), Expects.ANYTHING)


def _terms(text: str) -> tuple[Term, ...]:
    found: dict[str, Term] = {}
    first = True
    for match in _WORD.finditer(text):
        surface = match.group()
        starts, first = first, surface[-1] in ".?!"
        for word in words(surface):
            if word in STOP_WORDS or (len(word) == 1 and not word.isdigit()):
                continue
            root = stem(word)
            if root in found:
                continue
            exact = _is_exact(surface, word, starts)
            weight = 1.0 if exact or word not in _CARRIERS else _CARRIER_WEIGHT
            found[root] = Term(word, root, weight, exact)
    return tuple(found.values())


def _is_exact(surface: str, word: str, starts: bool) -> bool:
    """Whether ``word`` of ``surface`` names one thing: it holds a digit, or is written as a name away from a sentence's start.

    Abbreviations ("CV", "PhD") are no names: what they stand for may be spelled out.
    """
    if any(char.isdigit() for char in word):
        return True
    if surface.isupper() or starts:
        return False
    return surface[0].isupper() and surface[1:].islower() and len(surface) > 2
