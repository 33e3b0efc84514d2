"""A collection's view in Milvus: rows that say from which publication to which they are seen.

A change of publication ``s`` writes the new rows as seen from ``s + 1``, marks the old ones as seen until ``s + 1``, and then has
the ledger say that ``s + 1`` is the last. A search looks at the rows of one publication, so it sees a document's old version or
its new one. What nobody can look at any more is deleted later.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from infra.errors import Unavailable
from retrieval.access import Access
from retrieval.filters import DocumentFacts, Filter
from retrieval.lexical.analysis import Analysis
from retrieval.milvus.connection import MilvusConnection, Row
from retrieval.milvus.filter import Facts, access_expression, filter_expressions
from retrieval.milvus.ledger import Ledger, Standing
from retrieval.milvus.rows import LIVE, NO_CHUNK, document_rows, query_terms
from retrieval.milvus.schema import WRITTEN
from retrieval.milvus.weights import TermWeights
from retrieval.view import IndexedChunk
from retrieval.views import Candidates, Keys, Vector

# A search makes up to a handful of calls on one publication; what was replaced stays until they have timed out.
GRACE_CALLS = 8
# How long a change waits for another writer.
WAIT_S = 60.0
_LISTED = 1_000
_PLACE = ("chunk", "document", "place")


class MilvusView:
    """One collection's view in the Milvus collection ``index``; see ``View``. Many processes may have views of the same.

    ``facts`` gives the documents' facts, for filters that Milvus cannot evaluate. Dense scores are exact cosines. BM25 counts
    over rows that wait for their deletion too, and milvus-lite by parts of the index: scores are near those of the index in this
    process, not equal, and the chunks that match are the same.
    """

    def __init__(
        self,
        name: str,
        index: str,
        dim: int,
        connection: MilvusConnection,
        ledger: Ledger,
        facts: Facts,
        *,
        encoder: str = "",
        language: str | None = None,
        grace_s: float | None = None,
    ) -> None:
        self.name = name
        self.encoder = encoder
        # Whether a search did not get an answer: Milvus may have lost the index, which is looked at before the next one.
        self.failed = False
        self.language = language
        self._analysis = Analysis(language)
        self.index = index
        self._dim = dim
        self._connection = connection
        self._ledger = ledger
        self._facts = facts
        self._grace_s = GRACE_CALLS * connection.timeout_s if grace_s is None else grace_s
        # Publications and when this process saw them replaced: what was seen until then can go after the grace time.
        self._replaced: list[tuple[int, float]] = [(ledger.read(index).stamp, time.monotonic())]
        self._weights = TermWeights(index, connection)
        self._lock = threading.Lock()

    # Changes

    def put_documents(self, documents: Iterable[tuple[DocumentFacts, Sequence[IndexedChunk]]]) -> None:
        """See ``View``."""
        latest = {facts.id: (facts, tuple(chunks)) for facts, chunks in documents}
        keys = [chunk.key for _, chunks in latest.values() for chunk in chunks]
        if len(set(keys)) != len(keys):
            raise ValueError("a chunk key was given twice")
        with self._ledger.writing(self.index, WAIT_S) as standing:
            if standing is not None:
                self._check_owners(standing, keys, latest.keys())
                self.change(standing, latest.values(), ())

    def _check_owners(self, standing: Standing, keys: Sequence[int], ids: Iterable[str]) -> None:
        allowed = set(ids)
        for start in range(0, len(keys), _LISTED):
            where = f"{_visible(standing.stamp)} and chunk in {json.dumps(keys[start : start + _LISTED])}"
            for row in self._connection.query(self.index, where, ["chunk", "document"]):
                if row["document"] not in allowed:
                    raise ValueError(f"chunk key {row['chunk']} belongs to document {row['document']}")

    def remove_documents(self, ids: Iterable[str]) -> int:
        """See ``View``."""
        with self._ledger.writing(self.index, WAIT_S) as standing:
            if standing is None:
                return 0
            wanted = list(dict.fromkeys(ids))
            known = {row["document"] for row in self._rows(standing.stamp, wanted, ["document"])}
            if known:
                self.change(standing, (), sorted(known))
            return len(known)

    def change(
        self,
        standing: Standing,
        put: Iterable[tuple[DocumentFacts, Sequence[IndexedChunk]]],
        removed: Iterable[str],
        **after: object,
    ) -> Standing:
        """Put documents, remove others, and publish both at once, by whoever holds the ledger's claim.

        ``after`` are the fields of the standing that change with it. Raises ``Unavailable`` if Milvus does not answer: then
        nothing is published, and the next change begins by clearing what was written.
        """
        standing = self._cleaned(standing)
        rows: list[Row] = []
        complete, ids = True, set(removed)
        for facts, chunks in put:
            made, tagged = document_rows(facts, chunks, self._dim, standing.stamp + 1, self._analysis)
            rows += made
            complete = complete and tagged
            ids.add(facts.id)
        # Not yet marked, so it is found by a second try as well.
        old = self._live_rows(sorted(ids))
        changed = replace(standing, overflow=standing.overflow or not complete)
        return self._publish(standing, rows, old, replace(changed, **after))  # type: ignore[arg-type]

    def _publish(self, before: Standing, rows: Sequence[Row], old: Sequence[Row], after: Standing) -> Standing:
        stamp = before.stamp + 1
        self._connection.upsert(self.index, rows, self._beat)
        self._connection.upsert(self.index, [{**row, "until": stamp} for row in old], self._beat)
        published = self._ledger.publish(self.index, before, replace(after, stamp=stamp))
        if old:
            with self._lock:
                self._replaced.append((stamp, time.monotonic()))
        return published

    def _beat(self) -> None:
        self._ledger.beat(self.index)

    def _cleaned(self, standing: Standing) -> Standing:
        """Undo what a writer did that has not published it."""
        if standing.dirty:
            self._beat()
            self._connection.delete(self.index, f"since > {standing.stamp}")
            marked = list(
                self._connection.query(self.index, f"until > {standing.stamp} and until < {LIVE}", list(WRITTEN))
            )
            self._connection.upsert(self.index, [{**_written(row), "until": LIVE} for row in marked], self._beat)
        return replace(standing, dirty=False)

    def _live_rows(self, ids: Sequence[str]) -> list[Row]:
        """All of the rows of documents ``ids`` that are not marked as replaced, to be written again."""
        found: list[Row] = []
        for start in range(0, len(ids), _LISTED):
            where = f"until == {LIVE} and document in {json.dumps(ids[start : start + _LISTED])}"
            found += [_written(row) for row in self._connection.query(self.index, where, list(WRITTEN))]
        return found

    def sweep(self) -> bool:
        """Delete what has been invisible for longer than the grace time; false when there was nothing to do yet."""
        now = time.monotonic()
        with self._lock:
            due = [entry for entry in self._replaced if now - entry[1] >= self._grace_s]
        if not due:
            return False
        self._connection.delete(self.index, f"until <= {max(stamp for stamp, _ in due)}")
        with self._lock:
            self._replaced = [entry for entry in self._replaced if entry not in due]
        return True

    # Searches

    def candidates(
        self, query: str, vector: Vector | None, depth: int, access: Access, filter_: Filter | None
    ) -> Candidates:
        """See ``View``."""
        try:
            return self._candidates(query, vector, depth, access, filter_)
        except Unavailable:
            self.failed = True
            raise

    def _candidates(
        self, query: str, vector: Vector | None, depth: int, access: Access, filter_: Filter | None
    ) -> Candidates:
        standing = self._ledger.read(self.index)
        scopes = filter_expressions(filter_, self.name, self._facts, tagged=not standing.overflow)
        shared = [_visible(standing.stamp), access_expression(access)]
        where = [" and ".join(part for part in (*shared, scope) if part) for scope in scopes]
        place: dict[int, tuple[str, int]] = {}
        terms, whole = query_terms(query, self._analysis)
        lexical: dict[int, float] = {}
        dense: dict[int, float] = {}
        if terms or whole:
            asked = " ".join([*terms.elements(), *whole])
            lexical = self._leg([asked], "sparse", "BM25", depth, where, place)
        if vector is not None:
            row = [np.asarray(vector, dtype=np.float32)]
            dense = self._leg(row, "dense", "IP", depth, [f"{part} and embedded == true" for part in where], place)
            dense = {key: min(1.0, max(-1.0, score)) for key, score in dense.items()}
        share = 0.0
        if lexical:
            # Without a single term it was found by a whole identifier.
            full_match = self._weights.full_match(standing.stamp, _visible(standing.stamp), terms)
            share = max(lexical.values()) / full_match if full_match else 1.0
        found = dense.keys() | lexical.keys()
        return Candidates(dense, lexical, {key: place[key] for key in found}, share)

    def _leg(
        self,
        data: Sequence[object],
        field: str,
        metric: str,
        depth: int,
        where: Sequence[str],
        place: dict[int, tuple[str, int]],
    ) -> dict[int, float]:
        scores: dict[int, float] = {}
        for part in where:
            for hit in self._connection.search(
                self.index, data, field=field, metric=metric, limit=depth, where=part, fields=_PLACE
            )[0]:
                row = hit["entity"]
                # Milvus-lite gives BM25 as a distance, with its sign turned.
                scores[row["chunk"]] = abs(hit["distance"]) if metric == "BM25" else float(hit["distance"])
                place[row["chunk"]] = (row["document"], row["place"])
        if len(where) > 1:
            best = sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:depth]
            scores = dict(best)
        return scores

    # Contents

    def facts_of(self, ids: Iterable[str]) -> dict[str, DocumentFacts]:
        """See ``View``."""
        known = self._facts()
        return {id_: known[id_] for id_ in ids if id_ in known}

    @property
    def documents(self) -> int:
        """See ``View``."""
        return len(self.document_ids())

    def document_ids(self) -> list[str]:
        """See ``View``."""
        return sorted({row["document"] for row in self._contents("document", "")})

    def vector_keys(self) -> Keys:
        """See ``View``."""
        return _ascending(row["chunk"] for row in self._contents("chunk", " and embedded == true"))

    def lexical_keys(self) -> Keys:
        """See ``View``."""
        return _ascending(row["chunk"] for row in self._contents("chunk", f" and chunk > {NO_CHUNK}"))

    def _contents(self, field: str, also: str) -> Iterable[Row]:
        stamp = self._ledger.read(self.index).stamp
        return self._connection.query(self.index, _visible(stamp) + also, [field])

    def _rows(self, stamp: int, ids: Sequence[str], fields: Sequence[str]) -> Iterable[Row]:
        for start in range(0, len(ids), _LISTED):
            where = f"{_visible(stamp)} and document in {json.dumps(ids[start : start + _LISTED])}"
            yield from self._connection.query(self.index, where, fields)


def _visible(stamp: int) -> str:
    return f"since <= {stamp} and until > {stamp}"


def _written(row: Row) -> Row:
    kept = {field: row[field] for field in WRITTEN}
    # The client hands lists in containers of its own, which it does not take back.
    return kept | {field: list(kept[field]) for field in ("groups", "tags")} | {"dense": _vector(kept["dense"])}


def _vector(values: Sequence[float]) -> NDArray[np.float32]:
    return np.asarray(values, dtype=np.float32)


def _ascending(keys: Iterable[int]) -> Keys:
    return np.array(sorted(keys), dtype=np.int64)
