"""Claims: what of an answer can be checked at all, and the clauses it is checked by."""

from __future__ import annotations

import re

from retrieval.terms import content_terms

_MARK = re.compile(r"\[\^?\d+(?:[ ]?[,–-][ ]?\d+)*\]|【\d+[^】]{0,20}】")
_NO_CLAIM = re.compile(
    r"\A\W*(?:"
    r"(?:hi|hello|hey|dear|good (?:morning|afternoon|evening|day)|greetings)\b[^.]{0,40}"
    r"|(?:thanks?|thank you|you['’]re welcome|my pleasure|no problem|of course|sure(?: thing)?|certainly"
    r"|absolutely"
    r"|great|okay|ok|yes|no|well|sorry|cheers|(?:best|kind|warm) regards|sincerely|bye|goodbye|see you"
    r"|good luck"
    r"|take care|have a (?:nice|good|great) (?:day|one|weekend|evening))\b[^.]{0,30}"
    r"|(?:i|we) (?:hope|trust) (?:this|that|it)\b.{0,60}"
    r"|(?:i['’]m|i am|we['’]re|we are) (?:happy|glad|here|sorry|afraid|pleased)\b.{0,80}"
    r"|(?:i|we) apologi[sz]e\b.*"
    r"|(?:please )?(?:feel free|do not hesitate|don['’]t hesitate|let me know|let us know)\b.*"
    r"|(?:is|are) there anything else\b.*"
    r"|if you (?:have|need) (?:any|more|further|other|additional)\b.*"
    r"|here['’]?s?(?: is| are)? (?:the|a|an|what|some|your|how)\b.{0,60}:"
    r"|(?:based on|according to) (?:the|these|your)(?: \w+){0,3} (?:documents?|passages?|context|sources?"
    r"|information)"
    r"(?: \w+){0,2}[,:]?"
    r"|as an? (?:ai|language model)\b.*"
    r")\W*\Z",
    re.IGNORECASE | re.DOTALL,
)
_SOURCE = (
    r"(?:documents?|documentation|passages?|contexts?|sources?|texts?|excerpts?|articles?|knowledge base"
    r"|(?:provided|given|available|retrieved) (?:\w+ )?information)"
)
_SAY = (
    r"(?:say|state|mention|contain|provide|specify|include|cover|give|address|describe|answer|explain"
    r"|indicate|discuss"
    r"|list|tell|define|clarify|have|offer)"
)
_NOTHING = r"(?:information|mention|details?|answer|evidence|data|reference|indication|statement)"
_SILENCE = re.compile(
    rf"\b(?:the|these|this|those|your|our|provided|given|any of the)(?: \w+)? {_SOURCE}(?: \w+){{0,3}}"
    rf" (?:(?:do(?:es)?|did)(?: not|n['’]t) (?:\w+ ){{0,2}}{_SAY}|can(?:not|['’]t) {_SAY}"
    rf"|(?:contain|ha[sv]e?|give|provide|offer|include|make)s? no (?:\w+ ){{0,2}}{_NOTHING}|sa(?:y"
    rf"|id)s? nothing"
    r"|(?:is|are|was|were)(?: not|n['’]t) (?:clear|specific|sufficient|enough))\b"
    r"|\b(?:i|we) (?:do not|don['’]t|did not|didn['’]t|cannot|can['’]?t|could not|couldn['’]t|am unable to"
    r"|was unable to"
    r"|am not able to)(?: \w+)? (?:know|find|found|say|tell|answer|determine|locate|see any)\b"
    rf"|\b(?:i|we) (?:do not|don['’]t) have (?:\w+ ){{0,3}}{_NOTHING}\b|\bi(?: am|['’]m) not sure\b"
    r"|(?: not|n['’]t) (?:\w+ )?(?:mentioned|specified|stated|provided|found|covered|included|addressed"
    r"|given|discussed"
    rf"|described)(?: \w+){{0,2}} (?:in|by) (?:the|these|this)(?: \w+)? {_SOURCE}\b"
    rf"|\bthere (?:is|was) (?:no|not enough|insufficient) (?:\w+ ){{0,2}}{_NOTHING}\b"
    r"|\A\W*(?:unanswerable|no answer|not (?:stated|specified|mentioned|provided|answerable)"
    r"|unable to answer)\W*",
    re.IGNORECASE,
)
_CLAUSE_BREAK = re.compile(
    r";\s+|,?\s+(?:but|while|whereas|although|though|however)\s+|,\s+(?:and|or|so|because|which|who|where"
    r"|since)\s+"
    r"|\s+[–—]\s+|:\s+",
    re.IGNORECASE,
)
_MIN_CLAUSE_TERMS = 2


def blank_marks(answer: str) -> str:
    """Blank the citation marks of ``answer``, keeping every offset."""
    return _MARK.sub(lambda match: " " * len(match.group()), answer)


def is_uncheckable(sentence: str) -> bool:
    """Whether the sentence claims nothing: a greeting, a question, "the documents don't say"."""
    text = " ".join(sentence.split())
    if text.rstrip("\"'”’)*_ ").endswith("?"):
        return True
    if not any(char.isalnum() for char in text):
        return True
    return _NO_CLAIM.match(text) is not None or _SILENCE.search(text) is not None


def split_clauses(text: str) -> list[tuple[int, int]]:
    """Return a sentence's clauses as ranges of characters.

    Pieces of fewer than two content terms are joined to the piece before.
    """
    ranges: list[tuple[int, int]] = []
    start = 0
    for match in _CLAUSE_BREAK.finditer(text):
        ranges.append((start, match.start()))
        start = match.end()
    ranges.append((start, len(text)))
    joined: list[tuple[int, int]] = []
    for begin, end in ranges:
        if joined and (
            len(content_terms(text[begin:end])) < _MIN_CLAUSE_TERMS
            or len(content_terms(text[joined[-1][0] : joined[-1][1]])) < _MIN_CLAUSE_TERMS
        ):
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((begin, end))
    return joined
