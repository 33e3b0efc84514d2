"""Content terms: the words of a text that carry its meaning, in the form in which two texts are compared."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from threading import Lock

import Stemmer  # type: ignore[import-not-found, unused-ignore]


def word_set(text: str) -> frozenset[str]:
    """Return the words of ``text``, a list of words with spaces between."""
    return frozenset(text.split())


# Words that only hold a sentence together. Negations, quantifiers and modal verbs change what is said, but
# how is judged by polarity, not by presence, and so they are left out here.
STOP_WORDS = word_set(
    "a about above after again against all also am an and any are aren't as at be because been before "
    "being below between both but by can can't cannot could couldn't did didn't do does doesn't doing "
    "don't down during each either else ever every few for from further had hadn't has hasn't have "
    "haven't having he her here hers herself him himself his how however i i'd i'll i'm i've if in into "
    "is isn't it it's its itself just let's may me might more most much must mustn't my myself neither no "
    "nor not of off on once one's only or other ought our ours ourselves out over own per same shall she "
    "should shouldn't so some such than that that's the their theirs them themselves then there there's "
    "therefore these they they're this those through thus to too under until up upon us very via was "
    "wasn't we we're were weren't what what's when where whether which while who whom whose why will with "
    "within without won't would wouldn't yet you you'll you're you've your yours yourself yourselves "
    "never none nt n't 's 'll 're 've 'd 'm s t ll re ve d m etc eg ie"
)

# "don't" and "2.1" are one word each, and so is "u.s"; "end.Next" is two.
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+|\.(?=\d|[^\W\d_]\b)[^\W_]+)*")
_stemmer = Stemmer.Stemmer("english")
_stemmer_lock = Lock()  # a stemmer keeps state between calls and is shared by all threads


@lru_cache(maxsize=1 << 16)
def stem(word: str) -> str:
    """Return the Snowball (Porter2) English stem of a lower-case word; other scripts pass unchanged."""
    if not word.isascii() or not word.isalpha():
        return word
    with _stemmer_lock:
        stemmed: str = _stemmer.stemWord(word)
    return stemmed


def words(text: str) -> list[str]:
    """Return the lower-case words of ``text`` in order: compatibility forms and accents folded, no "'s"."""
    folded = unicodedata.normalize("NFKD", text.replace("’", "'")).casefold()
    folded = "".join(char for char in folded if not unicodedata.combining(char))
    return [word.removesuffix("'s") for word in _WORD.findall(folded)]


def content_terms(text: str) -> list[str]:
    """Return the stems of the words of ``text`` that are no stop words, in order, repeats kept."""
    return [stem(word) for word in words(text) if word not in STOP_WORDS]


def utf8(text: str) -> str:
    """The text with what no UTF-8 can hold (half of a surrogate pair) replaced: tokenizers and indexes take no other."""
    return text.encode("utf-8", "replace").decode("utf-8")
