"""From a text to the terms it is indexed and searched by.

Chinese and Japanese are written without spaces, Korean with words that grow endings, and there is no dictionary here to segment
them by: each run of their characters becomes its overlapping pairs, as in Lucene's CJKAnalyzer, in every language. So do Thai,
Lao, Khmer and Burmese, coarse as pairs of letters are.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from tantivy import Filter, TextAnalyzer, TextAnalyzerBuilder, Tokenizer

from retrieval.lexical.language import DEFAULT_LANGUAGE, check_language
from retrieval.terms import utf8

_LONGEST_TOKEN = 80

# Letters and digits joined by signs within one word: "EX-104", "Zeta-7", "v2.1", "10.5281/zenodo", "1,500".
_JOINED = re.compile(r"\w+(?:[-./:,_]\w+)*")
_SIGNS = re.compile(r"[-./:,_]")

# Han with its repetition marks, kana, bopomofo, hangul and the radicals; Thai, Lao, Burmese and Khmer without their digits.
_UNSPACED = (
    "\u0e01-\u0e4e\u0e81-\u0ecd\u0edc-\u0edf\u1000-\u103f\u1050-\u108f\u1780-\u17d3"
    "\u2e80-\u2fdf\u3005\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3105-\u312f\u3131-\u318e"
    "\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\u1100-\u11ff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
)
_RUN = re.compile(f"[{_UNSPACED}]+")
# Letters, digits and signs of another width: "ＥＸ－１０４", half-width katakana.
_WIDTH = re.compile("[\uff01-\uffef]+")
# More than three chunks have lines, and less than a megabyte.
_LINES_KEPT = 512
_TURKISH = str.maketrans({"İ": "i", "I": "ı"})


class Analysis:
    """Splits texts of one language into terms; raises ``InvalidInput`` for a language that is not known.

    Words are split at everything that is no letter or digit, lower-cased, freed of accents and stemmed. English words lose
    their accents before they are stemmed, for they have none, all others after, as their stemmers look at them. Text with
    runs of a script without spaces gives the pairs of their characters and, where it is indexed, each character too: so
    a query of a single character finds the words it is in.
    """

    def __init__(self, language: str | None = None) -> None:
        self.language = check_language(language) or DEFAULT_LANGUAGE
        self._analyzer = _analyzer(self.language)
        # A chunk comes again in the surroundings of its neighbours, and that is most of what is analysed.
        self._known = lru_cache(_LINES_KEPT)(self._words)

    def words(self, text: str) -> list[str]:
        """The words that a text is indexed by, line by line: none goes on in the next."""
        return [word for line in text.split("\n") for word in self._known(line)]

    def _words(self, text: str) -> list[str]:
        rest, runs = self._split(text)
        found: list[str] = self._analyzer.analyze(rest)
        for run in runs:
            found.extend(run)
            found.extend(_pairs(run))
        return found

    def asked(self, query: str) -> list[str]:
        """The words that a query asks for."""
        rest, runs = self._split(query)
        found: list[str] = self._analyzer.analyze(rest)
        for run in runs:
            found.extend(_pairs(run) or run)
        return found

    def identifiers(self, text: str) -> list[str]:
        """See ``identifiers``; in text without spaces they end where Latin letters, digits and signs do."""
        return identifiers(self._split(text)[0])

    def _split(self, text: str) -> tuple[str, list[str]]:
        """What has spaces between its words, and the runs that have none."""
        runs: list[str] = []
        if not text.isascii():
            text = unicodedata.normalize("NFC", utf8(text))
            text = _WIDTH.sub(lambda found: unicodedata.normalize("NFKC", found[0]), text)
            runs = _RUN.findall(text)
            if runs:
                text = _RUN.sub(" ", text)
        if self.language == "turkish":
            text = text.translate(_TURKISH)
        return text, runs


def identifiers(text: str) -> list[str]:
    """Words that hold a digit, whole, lower-cased and without the signs within: "EX-104" -> "ex104"."""
    found = []
    for word in _JOINED.findall(text):
        if not word.isalpha() and any(character.isdigit() for character in word):
            bare = _SIGNS.sub("", word).lower()
            if len(bare) <= _LONGEST_TOKEN:
                found.append(bare)
    return found


def _pairs(run: str) -> list[str]:
    return [run[i : i + 2] for i in range(len(run) - 1)]


def _analyzer(language: str) -> TextAnalyzer:
    builder = (
        TextAnalyzerBuilder(Tokenizer.simple()).filter(Filter.remove_long(_LONGEST_TOKEN)).filter(Filter.lowercase())
    )
    if language == DEFAULT_LANGUAGE:
        builder = builder.filter(Filter.ascii_fold()).filter(Filter.stemmer(language))
    elif language in ("none", "cjk"):
        builder = builder.filter(Filter.ascii_fold())
    else:
        builder = builder.filter(Filter.stemmer(language)).filter(Filter.ascii_fold())
    return builder.build()
