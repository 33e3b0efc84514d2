"""The lexical index in files: chunks by position, built once, mapped read-only by many processes."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tantivy
from numpy.typing import NDArray
from tantivy import Occur, Query

from retrieval.array_cache import ArrayCache
from retrieval.lexical.analysis import Analysis
from retrieval.lexical.best import Ids, Mask, Scores, best
from retrieval.lexical.build import LexicalBuilder
from retrieval.lexical.folder import BLOCK_SIZE, INDEX, Header, read_header, read_meta
from retrieval.lexical.rows import Positions, open_rows
from retrieval.lexical.scoring import (
    CorpusStatistics,
    FieldLengths,
    FieldWeights,
    QueryTerm,
    full_match,
    query_terms,
    register_tokenizer,
    scoring_query,
)

__all__ = ["LexicalBuilder", "LexicalFile"]

_ATTEMPTS = 20
_MASKS_KEPT = 64
# A filter is part of the query where its blocks hold at most this share of the chunks; above, the library's own way of
# skipping what cannot be among the best is worth more.
_STRICT = 1 / 8
# How many chunks with a rare term are looked at, to see which of them are dead.
_RARE = 128


@dataclass(frozen=True, slots=True)
class _Allowed:
    """A mask, ready for use: how many it lets pass, and of how many: those of all ``clause`` matches."""

    count: int
    among: int
    clause: Query | None


class LexicalFile:
    """A finished lexical file; safe to use from several threads, and from any number of processes at once.

    Words, scores and weights are those of ``TantivyLexical``; the two are told apart by nothing but where they are.
    """

    def __init__(
        self,
        folder: Path,
        header: Header,
        index: tantivy.Index,
        rows: Positions | None,
        weights: FieldWeights | None = None,
    ) -> None:
        """Use ``open``, which checks the files first."""
        self.count = header.count
        # What the library counts: ballast, too.
        self._held = header.count + header.ballast
        self._rows = rows
        self.lengths: FieldLengths = header.field_lengths
        self.language = header.language
        self._folder = folder
        self._analysis = Analysis(header.language)
        self._weights = weights or FieldWeights()
        self._schema = index.schema
        self._searcher = index.searcher()
        self._in_order = self._segments_are_in_order()
        self._masks: ArrayCache[_Allowed] = ArrayCache(_MASKS_KEPT)

    @classmethod
    def open(cls, folder: Path, weights: FieldWeights | None = None) -> LexicalFile:
        """Map the files of a folder.

        Raises ``FileNotFoundError`` if the file is not there or was not finished, and ``ValueError`` if it is of another
        format or damaged, as far as its list of segments and the ends of its files tell.
        """
        header = read_header(folder)
        meta = read_meta(folder / INDEX)
        chunks = sum(segment["max_doc"] for segment in meta["segments"])
        held = header.count + header.ballast
        if chunks != held or any(segment["deletes"] for segment in meta["segments"]):
            raise ValueError(f"{folder} is damaged: its index has {chunks} chunks and its header says {held}")
        # The library writes a lock beside what it opens, and these files may be read-only. Once mapped, they need no name.
        links = Path(tempfile.mkdtemp(prefix="footnote-lexical-"))
        try:
            for path in (folder / INDEX).iterdir():
                (links / path.name).symlink_to(path.absolute())
            index = tantivy.Index.open(str(links))
            # Nothing changes any more: nobody has to watch for it.
            index.config_reader("manual")
            register_tokenizer(index)
            return cls(folder, header, index, open_rows(folder, header), weights)
        except (ValueError, OSError) as error:
            raise ValueError(f"{folder} is damaged: {error}") from None
        finally:
            _remove(links)

    def _segments_are_in_order(self) -> bool:
        """Whether equal scores come by position: the segments, each sorted by position, follow one another."""
        if self._rows is not None:
            return False
        segments = read_meta(self._folder / INDEX)["segments"]
        ends = [
            tantivy.DocAddress(at, number)
            for at, segment in enumerate(segments)
            for number in (0, segment["max_doc"] - 1)
        ]
        positions = [int(position or 0) for position in self._searcher.fast_field_values("key", ends)]
        return positions == sorted(positions)

    def search(
        self, query: str, k: int, allowed: Mask | None = None, statistics: CorpusStatistics | None = None
    ) -> list[tuple[int, float]]:
        """The ``k`` best positions of those where ``allowed`` is true (``None`` = all), as ``LexicalIndex.search``.

        Raises ``ValueError`` for a mask of another length.
        """
        terms = query_terms(self._analysis, self._weights, query)
        raw = self._raw_statistics(terms)
        if statistics is None:
            statistics = raw if self._held == self.count else self._statistics(terms)
        matching = scoring_query(self._schema, terms, raw, statistics)
        if matching is None or k < 1:
            return []
        if allowed is None:
            return best(self._fetching(matching), k, in_order=self._in_order)
        mask = self._allowed(allowed)
        if not mask.count:
            return []
        if mask.clause is not None:
            matching = Query.boolean_query([(Occur.Must, matching), (Occur.Must, mask.clause)])
        return best(
            self._fetching(matching),
            k,
            lambda positions: allowed[positions],
            share=mask.count / mask.among,
            in_order=self._in_order,
        )

    def _fetching(self, query: Query) -> Callable[[int], tuple[Ids, Scores]]:
        def fetch(limit: int) -> tuple[Ids, Scores]:
            hits = self._searcher.search(query, min(limit, self.count), count=False).hits
            rows = np.array(self._searcher.fast_field_values("key", [at for _, at in hits]), dtype=np.int64)
            return rows if self._rows is None else self._rows[rows], np.array(
                [score for score, _ in hits], dtype=np.float64
            )

        return fetch

    def _allowed(self, mask: Mask) -> _Allowed:
        if mask.shape != (self.count,):
            raise ValueError(f"the mask has the shape {mask.shape} and must have ({self.count},)")
        return self._masks.derived(mask, lambda: self._prepare(mask))

    def _prepare(self, mask: Mask) -> _Allowed:
        count = int(np.count_nonzero(mask))
        if count > _STRICT * self.count:
            return _Allowed(count, self.count, None)
        # A row that holds nothing has the position -1: what the mask says of the last one is not meant for it.
        rows = mask if self._rows is None else mask[self._rows] & (self._rows >= 0)
        blocks: NDArray[np.int64] = np.unique(np.flatnonzero(rows) // BLOCK_SIZE)
        among = min(self.count, len(blocks) * BLOCK_SIZE)
        if among > _STRICT * self.count:
            return _Allowed(count, self.count, None)
        clause = Query.const_score_query(Query.term_set_query(self._schema, "block", blocks.tolist()), 0.0)
        return _Allowed(count, among, clause)

    def full_match(self, query: str, statistics: CorpusStatistics | None = None) -> float:
        """As ``LexicalIndex.full_match``."""
        terms = query_terms(self._analysis, self._weights, query)
        return full_match(terms, self._statistics(terms) if statistics is None else statistics)

    def statistics(self, query: str, alive: Mask | None = None) -> CorpusStatistics:
        """How many chunks there are, and how many of them hold each term of ``query``; those where ``alive`` is false apart.

        Of a term in more than 128 chunks as many are taken to be dead as of all chunks; a rarer one's are counted.
        """
        terms = query_terms(self._analysis, self._weights, query)
        everything = self._statistics(terms)
        if alive is None or not self.count:
            return everything
        living = self._allowed(alive).count
        if living == self.count:
            return everything
        return CorpusStatistics(
            living, {term: self._living(term, held, alive, living) for term, held in everything.frequencies.items()}
        )

    def _living(self, term: tuple[str, str], held: float, alive: Mask, living: int) -> float:
        if not held:
            return 0
        if held > _RARE:
            return held * living / self.count
        positions, _ = self._fetching(Query.term_query(self._schema, *term, "freq"))(_RARE)
        return int(np.count_nonzero(alive[positions]))

    def _statistics(self, terms: list[QueryTerm]) -> CorpusStatistics:
        return CorpusStatistics(self.count, self._raw_statistics(terms).frequencies)

    def _raw_statistics(self, terms: list[QueryTerm]) -> CorpusStatistics:
        """As the library counts."""
        return CorpusStatistics(self._held, {each.term: self._searcher.doc_freq(*each.term) for each in terms})


def _remove(folder: Path) -> None:
    """Remove a folder in which a thread of the library may write its lock once more."""
    for _ in range(_ATTEMPTS):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.01)
