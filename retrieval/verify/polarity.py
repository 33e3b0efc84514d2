"""Polarity: what a sentence denies, limits or turns round, and where two sentences disagree in it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from retrieval.terms import stem, word_set

NEGATORS = word_set(
    "not no never none nobody nothing neither nor cannot cant dont doesnt didnt isnt arent wasnt werent wont "
    "wouldnt shouldnt couldnt hasnt havent hadnt mustnt without except excluding excludes exclude lack lacks "
    "lacking fail fails failed unless hardly rarely seldom nt"
)
# Words that deny by themselves: prohibited = not allowed.
DENIALS = {
    "prohibit": "allow", "prohibits": "allow", "prohibited": "allow", "forbid": "allow", "forbids": "allow",
    "forbidden": "allow", "ban": "allow", "bans": "allow", "banned": "allow", "disallow": "allow",
    "disallowed": "allow", "prevent": "allow", "unable": "able", "ineligible": "eligible",
    "unavailable": "available", "impossible": "possible", "unauthorized": "authorize",
    "unauthorised": "authorize", "refuse": "accept", "refused": "accept", "refuses": "accept",
    "reject": "accept", "rejected": "accept", "rejects": "accept",
    "denied": "accept", "deny": "accept", "denies": "accept",
}  # fmt: skip
# "Not only" and "no later than 5 days" deny nothing.
_NO_NEGATION = re.compile(
    r"\bnot (?:only|just|necessarily)\b|\bno (?:later|more|less|fewer|earlier|sooner|longer) than\b"
    r"|\bnot (?:later|more|less|fewer|earlier) than\b|\bno\. ?(?=\d)|\bwhether or not\b|\bno doubt\b",
    re.IGNORECASE,
)
_SCOPE_END = re.compile(r"[,;:.()!?\n|]|\b(?:but|however|although|though|while|whereas)\b", re.IGNORECASE)
_SCOPE_WORDS = 7

# Words that exclude each other. One group a line; words joined by "/" mean the same; "=": only in this form.
_EXCLUSIVE = """
increase/rise/grow/raise decrease/fall/drop/decline/reduce/lower/shrink
open/opens/opened close/closes/closed/shut
before/prior after/following
include/included exclude/excluded
begin/start/commence end/finish/terminate/cease
first last
always never/sometimes/rarely
above below
buy/purchase sell
approve/approved reject/rejected/denied
enable/enabled/activate disable/disabled/deactivate
internal external
public private/confidential
mandatory/compulsory/obligatory/required optional/voluntary
north/northern south/southern east/eastern west/western
left right
morning afternoon evening night
monday tuesday wednesday thursday friday saturday sunday
january february april june july august september october november december
spring summer autumn/fall winter
weekday/weekdays weekend/weekends
=hourly =daily =weekly =fortnightly =monthly =quarterly =annually/yearly/annual
man/men woman/women
husband wife
father mother
son daughter
brother sister
boy/boys girl/girls
domestic international
employer employee
win/won/wins lose/lost/loses
success/succeed/succeeded fail/failure/failed
early late
earlier later
earliest latest
higher/highest lower/lowest
more/greater fewer/less
most least
maximum minimum
upper lower
old/older/oldest new/newer/newest young/younger/youngest
hot cold
gain/gains loss/losses
profit loss
import/imports export/exports
temporary permanent
manual/manually automatic/automatically
full-time part-time
fixed variable
arrive/arrival depart/departure
indoor/indoors outdoor/outdoors
inside outside
online offline
calendar business/working
gross net
credit debit
wet dry
red blue green yellow black white orange purple pink brown grey/gray
positive negative
legal illegal/unlawful
safe dangerous/unsafe
encrypted unencrypted
paid unpaid
free charged
major minor
senior junior
primary secondary
better worse
best worst
large/big small
long short
strong weak
same different
single multiple
married unmarried/single/divorced
alive/living dead/died
love/loves/loved hate/hates/hated
forward backward
horizontal vertical
male female
"""
_MIN = re.compile(
    r"\b(?:at least|no(?:t)? (?:less|fewer|earlier) than|minimum|or more|or longer|or older|more than|over"
    r"|exceed(?:s|ing)?|greater than|longer than|min\.?)\b",
    re.IGNORECASE,
)
_MAX = re.compile(
    r"\b(?:at most|no(?:t)? (?:more|later|longer|greater) than|maximum|up to|or less|or fewer|less than"
    r"|fewer than|under|within|not exceed(?:ing)?|max\.?|by the latest|limit(?:ed)? (?:of|to))\b",
    re.IGNORECASE,
)
_UNIVERSAL = re.compile(
    r"\b(?:all|every|always|everyone|everybody|each|any|entirely|completely|only|solely)\b", re.IGNORECASE
)
_PARTIAL = re.compile(
    r"\b(?:some|most|many|several|sometimes|usually|generally|often|certain|few|mostly|partly|typically)\b",
    re.IGNORECASE,
)
_MUST = re.compile(
    r"\b(?:must|shall|required to|have to|has to|mandatory|obliged|compulsory|need(?:s)? to)\b", re.IGNORECASE
)
_MAY = re.compile(
    r"\b(?:may|can|could|might|optional(?:ly)?|should|recommend(?:ed|s)?|encouraged|voluntary"
    r"|not required)\b",
    re.IGNORECASE,
)
_CONDITION = re.compile(
    r"\b(?:if|unless|only (?:if|when|after|with)|provided(?: that)?|except(?: for| when)?|as long as)\b",
    re.IGNORECASE,
)
_MIN_STEMMED = 4
_PREFIXES = ("un", "non", "in", "im", "ir", "dis", "il")


def is_negator(word: str) -> bool:
    """Whether the lower-case word denies what follows it."""
    return word in NEGATORS or word.endswith("n't")


def blank_idioms(text: str) -> str:
    """Blank the phrases that look like a denial and are none, keeping every offset."""
    return _NO_NEGATION.sub(lambda match: " " * len(match.group()), text)


def negated_ranges(text: str) -> list[tuple[int, int]]:
    """Return the character ranges that stand under a negation."""
    text = blank_idioms(text)
    ranges = []
    for match in re.finditer(r"[^\W\d_]+(?:['’][^\W\d_]+)*", text):
        word = match.group().lower().replace("’", "'")
        if not is_negator(word):
            continue
        end_match = _SCOPE_END.search(text, match.end())
        end = end_match.start() if end_match else len(text)
        following = list(re.finditer(r"\w+", text[match.end() : end]))[:_SCOPE_WORDS]
        if following:
            ranges.append((match.start(), match.end() + following[-1].end()))
        else:
            ranges.append(match.span())
    return ranges


@lru_cache(maxsize=1)
def _alternatives() -> dict[str, tuple[tuple[int, int], ...]]:
    """Map each word's stem and each word to (group, alternative) pairs."""
    table: dict[str, set[tuple[int, int]]] = {}
    for group, line in enumerate(_EXCLUSIVE.strip().splitlines()):
        for number, alternative in enumerate(line.split()):
            for word in alternative.removeprefix("=").split("/"):
                table.setdefault(word, set()).add((group, number))
                if len(word) > _MIN_STEMMED and not alternative.startswith("="):
                    table.setdefault(stem(word), set()).add((group, number))
    return {word: tuple(sorted(pairs)) for word, pairs in table.items()}


def _sides(words: Iterable[str]) -> dict[int, dict[int, str]]:
    """Return which alternative of which group the words take, with the word."""
    sides: dict[int, dict[int, str]] = {}
    table = _alternatives()
    for word in words:
        for group, number in table.get(word, ()) or table.get(stem(word), ()):
            sides.setdefault(group, {})[number] = word
    return sides


def opposites(claim: Iterable[str], evidence: Iterable[str]) -> list[tuple[str, str]]:
    """Return the pairs of words (the claim's, the evidence's) that exclude each other.

    Only where the claim takes one side of a pair, and the evidence has another side and not that one.
    """
    claim_words, evidence_words = list(claim), set(evidence)
    proven = _sides(evidence_words)
    pairs = []
    for group, sides in _sides(claim_words).items():
        others = proven.get(group, {})
        for number, word in sides.items():
            if others and number not in others and not set(others) & set(sides):
                pairs.append((word, next(iter(others.values()))))
    for word in claim_words:
        if word in evidence_words or len(word) < 4:
            continue
        for prefix in _PREFIXES:
            bare = word.removeprefix(prefix)
            if prefix + word in evidence_words:
                pairs.append((word, prefix + word))
            elif bare != word and len(bare) > 3 and bare in evidence_words:
                pairs.append((word, bare))
    return pairs


def bound_conflict(claim: str, evidence: str) -> bool:
    """Whether one says "at least" and the other only "at most"."""
    claim_sides = (bool(_MIN.search(claim)), bool(_MAX.search(claim)))
    proven_sides = (bool(_MIN.search(evidence)), bool(_MAX.search(evidence)))
    return claim_sides != proven_sides and sorted(claim_sides) == sorted(proven_sides) == [False, True]


def overclaims(claim: str, evidence: str) -> int:
    """Count the ways in which the claim is stronger than its evidence: "all" for "some", "must" for "may"."""
    quantifier = _UNIVERSAL.search(claim) and not _UNIVERSAL.search(evidence) and _PARTIAL.search(evidence)
    duty = _MUST.search(claim) and not _MUST.search(evidence) and _MAY.search(evidence)
    only = re.search(r"\bonly\b", claim, re.IGNORECASE) and not re.search(
        r"\b(?:only|solely|exclusive\w*|alone)\b", evidence, re.IGNORECASE
    )
    return bool(quantifier) + bool(duty) + bool(only)


def condition_end(text: str) -> tuple[int, int] | None:
    """Return the range of the first condition ("if …", "unless …") of ``text``."""
    match = _CONDITION.search(text)
    if match is None:
        return None
    end = _SCOPE_END.search(text, match.end())
    return match.start(), end.start() if end else len(text)
