"""A question, read: what it asks about, term by term, and what kind of thing would answer it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum

from retrieval.sentences import split_sentences
from retrieval.terms import STOP_WORDS, stem, word_set, words


class Expects(StrEnum):
    """What an answer has to contain."""

    ANYTHING = "anything"
    NUMBER = "number"
    MONEY = "money"
    TIME = "time"
    DURATION = "duration"
    PERSON = "person"
    PLACE = "place"
    REASON = "reason"


@dataclass(frozen=True, slots=True)
class Term:
    """A word of the question that an answer has to be about.

    ``weight`` is in 0..1: how much of the question is lost with it. ``exact`` terms (names, numbers, codes)
    stand for one thing only, so
    nothing similar can replace them; those with the same ``name`` number are one name ("Ken Hitchcock").
    """

    word: str
    stem: str
    weight: float
    exact: bool = False
    name: int = -1


@dataclass(frozen=True, slots=True)
class Question:
    """One question: its text without greetings, its terms in order (without repeats) and what it expects."""

    text: str
    terms: tuple[Term, ...]
    expects: Expects


# Words that carry a question rather than its subject: what remains answerable when they are not met.
_CARRIERS = word_set(
    "able accord actually allow allowed allows amount answer anyone anything apply arrange ask available aware "
    "begin big bring call called certain come company consider contain cost costs could current currently day "
    "days describe described describes detail details difference different discuss document documents early "
    "employee employees end ends everyone exactly example examples exist explain fact factor factors far fast "
    "find follow following get gets getting give given go going got happen happened happening happens hello help "
    "hi high hold hour hours include included includes including indicate information involve involved involves "
    "keep key kind kinds know late let like list long low main make makes many may mean means mention mentioned "
    "minute minutes month months much must name need needed needs new number obtain offer offered often one order "
    "part particular people permitted person place please policy possess possible primarily primary procedure "
    "process provide provided provides purpose put quick quickly reason reasons receive refer regarding related "
    "required requirement requirements result role rule rules say see several should show significant somebody "
    "someone something soon specific specifically staff start stated step steps still take taken takes taking "
    "tell term text thank thanks thing things time times total try type types understand use used uses using "
    "value want wanted way ways week weeks whole within work works would write year years"
    " aspect aspects characteristic characteristics element elements finding findings impact impacts implications influence "
    "regarding relation significance mentions purpose concerning context"
)
_CARRIER_WEIGHT = 0.3
_MAX_TOLD = 2
_TOLD_WEIGHT = 0.5
_GREETING = re.compile(
    r"(?i)^\W*(?:(?:hi|hello|hey|dear|good (?:morning|afternoon|evening)|thanks?|many thanks|regards|"
    r"cheers)\b.{0,30}$|\w+\W*$)"
)
_ASKING = re.compile(
    r"(?i)^(?:so|and|but|also|well|then|please|hi|hello|hey|dear \w+|ok|okay)?[\s,!]*"
    r"(?:who|whom|whose|what|when|where|which|why|how|is|are|was|were|do|does|did|can|could|may|might|"
    r"must|shall|should|will|would|"
    r"has|have|had|am|tell|explain|describe|list|name|give|show|find|summari[sz]e|compare)\b"
)
_MONEY = re.compile(
    r"(?i)\bhow much (?:is|are|was|were|does|do|did|will|would|can|could|may|must|should|money|extra|i|"
    r"it)\b|\b(?:cost|costs|price|prices|fee|fees|fare|salary|"
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
            r"(?i)\bhow (?:many|big|high|tall|wide|deep|heavy|large|far|hot|cold|loud|much)\b|"
            r"\bwhat (?:number|percentage|share|proportion|temperature|size|altitude)\b|\bmaximum\b|"
            r"\bminimum\b"
        ),
    ),
    (
        Expects.TIME,
        re.compile(
            r"(?i)\bwhen\b|\b(?:what|which) (?:time|date|day|year|month|hours|deadline)\b|\bby when\b|"
            r"\bdeadlines?\b|\buntil when\b"
        ),
    ),
    (Expects.PERSON, re.compile(r"(?i)^(?:\W*\w+\W+){0,3}who(?:m|se)?\b")),
    (Expects.REASON, re.compile(r"(?i)^\W*(?:\w+\W+){0,2}why\b|\b(?:for what|what) reasons?\b")),
    (Expects.PLACE, re.compile(r"(?i)\bwhere\b|\bwhich (?:room|building|floor|city|country|place|office)\b")),
)
_INTERROGATIVE = re.compile(
    r"(?i)^\W*(?:and |so |but )?(?:at |in |on |by |for |from |to |after |until |since )?(?:who|whom|"
    r"whose|what|when|where|which|why|how)\b"
)
_WORD = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?(?!\w)|[^\W_]+(?:['’.\-][^\W_]+)*")
# Written with a capital and yet no names.
_CALENDAR = word_set(
    "monday tuesday wednesday thursday friday saturday sunday january february march april may june july august "
    "september october november december christmas easter english internet web mr mrs ms dr prof i"
)
# Letters and digits in one, and numbers with points or hyphens in them: "P-419", "5.8.1", "X200". Such a
# code stands as a whole or not.
_CODE = re.compile(r"(?=\S*\d)(?:(?=\S*[A-Z])[\w.\-']+|\d+(?:[.\-]\d+){2,})\Z")
_JOINT = re.compile(r"(?i)[,;]?\s+and\s+(?=(?:who|what|when|where|which|why|how)\b)")


def read_question(text: str) -> Question:
    """Read ``text``: the sentences that ask, and up to two before them that say what it is about.

    Greetings and thanks around a question ("Hi! … Thanks") are left out; what is only told weighs half.
    """
    sentences = [text[span.start : span.end] for span in split_sentences(text)]
    asking = [index for index, sentence in enumerate(sentences) if _asks(sentence)]
    if not asking:
        return Question(text.strip(), _terms(text.strip()), _expects(text.strip()))
    asked = " ".join(sentences[index] for index in asking)
    told = " ".join(s for s in sentences[max(0, asking[0] - _MAX_TOLD) : asking[0]] if not _GREETING.match(s))
    terms = _terms(asked)
    known = {term.stem for term in terms}
    context = (replace(t, weight=t.weight * _TOLD_WEIGHT) for t in _terms(told) if t.stem not in known)
    return Question(f"{told} {asked}".strip(), (*terms, *context), _expects(asked))


def parts(question: Question) -> tuple[Question, ...]:
    """Return the questions that ``question`` joins ("What … and how …? Who …?"), or itself alone."""
    sentences = [question.text[span.start : span.end] for span in split_sentences(question.text)]
    pieces = [piece for sentence in sentences if _asks(sentence) for piece in _JOINT.split(sentence)]
    read = [Question(piece, _terms(piece), _expects(piece)) for piece in pieces]
    read = [part for part in read if any(term.weight > _CARRIER_WEIGHT for term in part.terms)]
    return tuple(read) if len(read) > 1 else (question,)


def _asks(sentence: str) -> bool:
    return sentence.rstrip(" \"')").endswith("?") or _ASKING.match(sentence) is not None


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
    tokens = list(_WORD.finditer(text))
    numbered = False
    run, name_end = 0, -1
    for index, token in enumerate(tokens):
        surface = token.group()
        starts = index == 0 or text[tokens[index - 1].end() : token.start()].strip(" \"'(")[:1] in (".", "?", "!", ":")
        following = tokens[index + 1].group() if index + 1 < len(tokens) else ""
        if numbered:  # "Brindle 3": the number went with its name
            numbered = False
            continue
        if "," in surface:
            surface = surface.replace(",", "")
        if _CODE.match(surface):
            run += 1
            found.setdefault(surface.lower(), Term(surface.lower(), surface.lower(), 1.0, exact=True, name=run))
            continue
        for word in words(surface):
            if word in STOP_WORDS or (len(word) == 1 and not word.isdigit()):
                continue
            exact = _is_exact(surface, word, starts)
            if exact and surface[0].isalpha() and following.isdigit() and text[token.end()] == " ":
                word, numbered = f"{word} {following}", True  # noqa: PLW2901
            weight = 1.0 if exact or word not in _CARRIERS else _CARRIER_WEIGHT
            root = word if exact else stem(word)
            if exact:
                run += text[name_end : token.start()] != " "
                name_end = token.end()
            found.setdefault(root, Term(word, root, weight, exact, run if exact else -1))
    return tuple(found.values())


def _is_exact(surface: str, word: str, starts: bool) -> bool:
    """Whether ``word`` of ``surface`` names one thing: it is a number, or is written as a name away from a
    sentence's start.

    Abbreviations ("CV", "PhD") are no names: what they stand for may be spelled out. A number within a word
    ("9-year-old") is none.
    """
    if any(char.isdigit() for char in word):
        return surface.replace(".", "").isdigit()
    if surface.isupper() or starts or word.removesuffix("s") in _CALENDAR:
        return False
    return surface[0].isupper() and surface[1:].replace("'s", "").islower() and len(surface) > 2
