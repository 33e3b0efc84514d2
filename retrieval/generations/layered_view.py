"""A collection's view in two layers: a generation's mapped files, and in memory what changed since.

A document that changed after the generation was built is dead in the base, and, unless it was deleted, alive in the delta.
"""

from __future__ import annotations

import heapq
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from retrieval.access import EVERYTHING, Access
from retrieval.filters import DocumentFacts, Filter
from retrieval.generations.base import Base
from retrieval.positions import position_mask
from retrieval.view import CollectionView, IndexedChunk
from retrieval.views import Candidates

Mask = NDArray[np.bool_]

_MASKS_KEPT = 64


class LayeredView:
    """Implements ``View`` with a base and a delta; safe to change and to search from several threads."""

    def __init__(self, base: Base, delta: CollectionView) -> None:
        self.name = delta.name
        self.encoder = delta.encoder
        self.base = base
        self._delta = delta
        # Which documents of the base are alive; ``None`` while all are. Never changed in place: its identity is its version.
        self._live: Mask | None = None
        self._masks: OrderedDict[tuple[int, int], tuple[Mask | None, Mask | None, Mask | None]] = OrderedDict()
        self._lock = threading.Lock()

    def put_documents(self, documents: Iterable[tuple[DocumentFacts, Sequence[IndexedChunk]]]) -> None:
        """See ``View``."""
        documents = list(documents)
        buried = self._alive(facts.id for facts, _ in documents)
        self._check_keys(documents, buried)
        self._delta.put_documents(documents, then=lambda: self._bury(buried))

    def _check_keys(
        self, documents: Sequence[tuple[DocumentFacts, Sequence[IndexedChunk]]], buried: Sequence[int]
    ) -> None:
        new = [chunk.key for _, chunks in documents for chunk in chunks]
        for position in np.flatnonzero(np.isin(self.base.keys, new)):
            ordinal = self.base.owner(int(position))
            if ordinal not in buried and (self._live is None or self._live[ordinal]):
                raise ValueError(
                    f"chunk key {self.base.keys[position]} belongs to document {self.base.facts.id(ordinal)}"
                )

    def remove_documents(self, ids: Iterable[str]) -> int:
        """See ``View``."""
        ids = set(ids)
        buried = self._alive(ids)
        return len(buried) + self._delta.remove_documents(ids, then=lambda: self._bury(buried))

    def _alive(self, ids: Iterable[str]) -> list[int]:
        """The ordinals of those of ``ids`` that are alive in the base."""
        live = self._live
        found = (self.base.facts.ordinal_of(id_) for id_ in ids)
        return [ordinal for ordinal in found if ordinal is not None and (live is None or live[ordinal])]

    def _bury(self, ordinals: Sequence[int]) -> None:
        if ordinals:
            with self._lock:
                live = np.ones(len(self.base.facts), dtype=np.bool_) if self._live is None else self._live.copy()
                live[ordinals] = False
                live.flags.writeable = False
                self._live = live

    def candidates(
        self,
        query: str,
        vector: NDArray[np.float32] | None,
        depth: int,
        access: Access,
        filter_: Filter | None,
    ) -> Candidates:
        """See ``View``."""
        while True:
            live = self._live
            statistics = None
            if query:
                # One ranking of both parts: a word is as rare as it is in all of them.
                alive = self._mask(live, EVERYTHING, None)
                statistics = self.base.lexical.statistics(query, alive) + self._delta.statistics(query)
            fresh = self._delta.candidates(query, vector, depth, access, filter_, statistics)
            # Else a document went from the base to the delta between the two looks, and would be found twice or not at all.
            if live is self._live:
                break
        mask = self._mask(live, access, filter_)
        keys = self.base.keys
        dense, lexical = dict(fresh.dense), dict(fresh.lexical)
        place = dict(fresh.place)
        positions: set[int] = set()
        if vector is not None:
            near, cosines = self.base.dense.search(vector.reshape(1, -1), depth, mask)
            found = {int(p): float(s) for p, s in zip(near[0], cosines[0], strict=True) if p >= 0}
            dense |= {int(keys[p]): score for p, score in found.items()}
            positions |= found.keys()
        if query:
            matching = self.base.lexical.search(query, depth, mask, statistics)
            lexical |= {int(keys[p]): score for p, score in matching}
            positions |= {p for p, _ in matching}
        dense, lexical = _best(dense, depth), _best(lexical, depth)
        for position in positions:
            key = int(keys[position])
            if key in dense or key in lexical:
                place[key] = self.base.place(position)
        share = 0.0
        if lexical:
            full_match = self.base.lexical.full_match(query, statistics)
            share = max(lexical.values()) / full_match if full_match else 1.0
        return Candidates(dense, lexical, place, share)

    def _mask(self, live: Mask | None, access: Access, filter_: Filter | None) -> Mask | None:
        """The positions of the base that are alive, readable and pass the filter; ``None`` when all are."""
        allowed = self.base.facts.allowed(access, filter_, self.name)
        if live is None and allowed is None:
            return None
        question = (id(live), id(allowed))
        with self._lock:
            kept = self._masks.get(question)
            if kept is not None:
                self._masks.move_to_end(question)
                return kept[2]
        documents = live if allowed is None else allowed if live is None else allowed & live
        mask = position_mask(documents, self.base.starts) if documents is not None else None
        with self._lock:
            # The arrays are kept with it, so that their identity stays theirs.
            self._masks[question] = (live, allowed, mask)
            while len(self._masks) > _MASKS_KEPT:
                self._masks.popitem(last=False)
        return mask

    def facts_of(self, ids: Iterable[str]) -> dict[str, DocumentFacts]:
        """See ``View``."""
        ids = set(ids)
        found = self._delta.facts_of(ids)
        for id_ in ids - found.keys():
            for ordinal in self._alive([id_]):
                found[id_] = self.base.facts.facts(ordinal)
        return found

    @property
    def documents(self) -> int:
        """See ``View``."""
        live = self._live
        return (len(self.base.facts) if live is None else int(live.sum())) + self._delta.documents

    @property
    def delta_chunks(self) -> int:
        """How many chunks are in memory, and not in the files."""
        return len(self._delta.lexical_keys())

    def document_ids(self) -> list[str]:
        """See ``View``."""
        live = self._live
        alive = [id_ for ordinal, id_ in enumerate(self.base.facts.ids()) if live is None or live[ordinal]]
        return sorted({*alive, *self._delta.document_ids()})

    def vector_keys(self) -> NDArray[np.int64]:
        """See ``View``."""
        mask = self._mask(self._live, EVERYTHING, None)
        present = np.ones(len(self.base.keys), dtype=np.bool_) if mask is None else mask.copy()
        present[self.base.unembedded] = False
        return np.union1d(self.base.keys[present], self._delta.vector_keys())

    def lexical_keys(self) -> NDArray[np.int64]:
        """See ``View``."""
        mask = self._mask(self._live, EVERYTHING, None)
        there = self.base.keys if mask is None else self.base.keys[mask]
        return np.union1d(there, self._delta.lexical_keys())


def _best(scores: dict[int, float], count: int) -> dict[int, float]:
    """The ``count`` highest, equal ones by key."""
    if len(scores) <= count:
        return scores
    return dict(heapq.nsmallest(count, scores.items(), key=lambda item: (-item[1], item[0])))
