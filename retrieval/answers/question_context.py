"""A follow-up question made searchable on its own: "And for contractors?" needs the question before it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from retrieval.answers.writer import Turn
from retrieval.terms import word_set

_LONGEST_CONTEXT = 400  # characters of earlier questions; a search needs their subject, not their story
_HOPS = 2  # a follow-up to a follow-up needs the question before both

# A question that begins so continues another one, in the languages of most documents and tickets.
_CONTINUES = re.compile(
    r"(?:and|or|but|also|what about|how about|what if|same for|then|so|in that case|otherwise|else|since when"
    r"|how come|how so|really|for example|such as|including|except|why(?: not)?\W*$"
    r"|und|oder|aber|auch|wie (?:ist|sieht) es (?:mit|bei)|was ist mit|wieso|warum(?: nicht)?\W*$"
    r"|et|ou|mais|aussi|qu'en est-il|pourquoi(?: pas)?\W*$"
    r"|y|o|pero|también|qué tal|por qué(?: no)?\W*$)\b",
    re.IGNORECASE,
)
# Words that stand for something said before. "It" and "that" also open plain sentences ("is it true that
# …"), so a longer question with one of them counts only when the word takes the place of its subject or
# object.
_POINTS = re.compile(
    r"\b(?:it|its|they|them|their|theirs|he|she|him|her|his|hers|those|these|this|that|there|the same"
    r"|the former|the latter|one|ones|such|either|neither|both|then"
    r"|er|sie|es|ihn|ihm|ihr|deren|dessen|dort|dies\w{0,2}|jene\w?|davon|dafür|damit"
    r"|il|elle|ils|elles|celui-ci|celle-ci|cela|ça|ello|ellos|ellas|eso|esto|ese|esa)\b",
    re.IGNORECASE,
)
_PLAIN_USES = re.compile(
    r"\b(?:true|possible|sure|ensure|says?|said|means?|know|requires?|required) that\b"
    r"|\b(?:is|was) (?:it|there)\b|\b(?:there|it) (?:is|are|was|were)\b|\bare there\b|\bif (?:there|it)\b"
    r"|\bthat (?:is|are|was|were|can|must|have|has|the|a|an|i|we|you)\b"
    r"|\bthis (?:year|month|week|quarter|company|document|page)\b"
    r"|\bone (?:of|day|week|month|year|hour|must|should|can|may|has|needs?)\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W_][\w'’.-]*")
_FUNCTION_WORDS = word_set(
    "a an the of for in on at to by with from and or but is are was were be do does did can could may might "
    "must shall should will would have has had how what when where which who whom whose why not no yes so "
    "then there it its they them their this that these those i we you he she my our your if as about also "
    "too please exactly much many long often more than one"
)


def is_follow_up(question: str) -> bool:
    """Whether ``question`` cannot be understood without the conversation before it.

    So are questions that open with a continuation ("and …", "what about …"), that point at something
    unnamed ("does it expire?"), or that name nothing at all ("how many?").
    """
    text = question.strip(" \t\n¿¡\"'“„«")
    content = [word for word in _WORD.findall(text) if word.casefold() not in _FUNCTION_WORDS]
    if not content:
        return True
    if _CONTINUES.match(text):
        return len(content) <= 8
    pointing = _POINTS.findall(_PLAIN_USES.sub(" ", text))
    if pointing:
        return len(content) <= 6
    return len(content) == 1 and len(_WORD.findall(text)) <= 3


def standalone_question(question: str, history: Sequence[Turn]) -> str:
    """``question`` with the reader's earlier question before it where it is a follow-up, else as it is.

    Of ``history`` only the reader's own turns count (an answer's words would pull the search towards what
    was already found). At most two earlier questions are taken, and at most 400 characters of each; the
    wording of ``question`` is kept and stands last.
    """
    text = question.strip()
    earlier = [turn.content.strip() for turn in history if turn.role == "user" and turn.content.strip()]
    if earlier and earlier[-1] == text:  # a history that already ends with the question
        earlier.pop()
    joined = [text]
    for previous in reversed(earlier[-_HOPS:]):
        if not is_follow_up(joined[0]):
            break
        joined.insert(0, _clip(previous))
    return " ".join(joined)


def _clip(text: str) -> str:
    """The end of a long message, where its question stands."""
    line = " ".join(text.split())
    if len(line) <= _LONGEST_CONTEXT:
        return line
    return line[-_LONGEST_CONTEXT:].partition(" ")[2]
