"""Embedding the texts of a collection again by another encoder: each once, beside what there is, whatever happens meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from fakes import FakeEncoder, fake_ingestion
from numpy.typing import NDArray
from sqlalchemy import delete, select

from infra.database import Database
from infra.errors import Conflict, NotFound, Unavailable
from infra.tables import Vector
from ingest.collections import ensure_collection, get_collection
from ingest.commit import delete_document
from ingest.document import DocumentInput
from ingest.pipeline import ingest_batch
from ingest.reembed import Embedded, embed_missing
from retrieval.encoders.encoder import Kind


class Hooked(FakeEncoder):
    """An encoder that calls ``before`` with each batch."""

    def __init__(self, before: Callable[[Sequence[str]], None], name: str = "new") -> None:
        super().__init__(name)
        self._before = before

    def encode(self, texts: Sequence[str], *, kind: Kind = "document") -> NDArray[np.float32]:
        self._before(texts)
        return super().encode(texts, kind=kind)


@pytest.fixture
def stored(database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """Nine texts in ten documents, and one in another collection; four texts are a batch."""
    monkeypatch.setattr("ingest.reembed._BATCH", 4)
    with database.write() as session:
        ensure_collection(session, "other")
    texts = [f"This is note {number or 1} of the depot." for number in range(10)]
    ingestion = fake_ingestion(database)
    ingest_batch(ingestion, "default", [DocumentInput(f"{n}.txt", text=text) for n, text in enumerate(texts)])
    ingest_batch(ingestion, "other", [DocumentInput("a", text="A note elsewhere.")])
    return database


def vectors(database: Database, encoder: str) -> dict[str, bytes]:
    with database.read() as session:
        return {row.hash: row.data for row in session.scalars(select(Vector).where(Vector.encoder == encoder))}


@pytest.mark.parametrize("batches", [1, 3])
def test_each_text_is_embedded_once_beside_the_vectors_that_it_has(stored: Database, batches: int) -> None:
    before, told = vectors(stored, "fake"), list[tuple[int, int]]()
    encoder = FakeEncoder("new")
    done = embed_missing(stored, "default", encoder, batches=batches, progress=lambda done, of: told.append((done, of)))
    assert done == Embedded(texts=9, embedded=9, vanished=0)
    assert sorted(encoder.texts) == sorted(f"This is note {number} of the depot." for number in range(1, 10))
    made = vectors(stored, "new")
    assert made == {digest: data for digest, data in before.items() if digest in made}  # the fake's are alike
    assert (len(made), len(before)) == (9, 10)
    assert vectors(stored, "fake") == before
    assert max(told) == (9, 9)
    assert len(told) == 3
    assert embed_missing(stored, "default", encoder) == Embedded(texts=9, embedded=0, vanished=0)
    assert len(encoder.texts) == 9


def test_it_goes_on_where_it_was_ended(stored: Database) -> None:
    calls: list[int] = []

    def fail(texts: Sequence[str]) -> None:
        calls.append(len(texts))
        if len(calls) == 2:
            raise Unavailable("The cluster is gone.")

    with pytest.raises(Unavailable):
        embed_missing(stored, "default", Hooked(fail))
    assert len(vectors(stored, "new")) == 4
    encoder = FakeEncoder("new")
    assert embed_missing(stored, "default", encoder) == Embedded(texts=9, embedded=5, vanished=0)
    assert len(encoder.texts) == 5


def test_what_is_deleted_meanwhile_leaves_no_vector(stored: Database) -> None:
    def remove(texts: Sequence[str]) -> None:
        if "This is note 5 of the depot." in texts:
            with stored.write() as session:
                delete_document(session, get_collection(session, "default"), "5.txt")

    assert embed_missing(stored, "default", Hooked(remove)) == Embedded(texts=9, embedded=8, vanished=1)
    assert vectors(stored, "new").keys() == vectors(stored, "fake").keys() & vectors(stored, "new").keys()
    assert len(vectors(stored, "new")) == 8


def test_what_another_process_stores_meanwhile_is_no_conflict(stored: Database) -> None:
    def other(texts: Sequence[str]) -> None:
        if not vectors(stored, "new"):
            embed_missing(stored, "default", FakeEncoder("new"))

    assert embed_missing(stored, "default", Hooked(other)).embedded >= 4
    assert len(vectors(stored, "new")) == 9


def test_lost_vectors_of_the_same_encoder_are_made_again(stored: Database) -> None:
    before = vectors(stored, "fake")
    with stored.write() as session:
        session.execute(delete(Vector).where(Vector.hash.in_(sorted(before)[:5])))
    done = embed_missing(stored, "default", FakeEncoder())
    assert done.embedded + embed_missing(stored, "other", FakeEncoder()).embedded == 5
    assert vectors(stored, "fake") == before


def test_chunks_that_are_longer_than_the_window_must_be_cut_again(stored: Database) -> None:
    with pytest.raises(Conflict, match=r"longer than the window of encoder 'short' \(5 tokens\)") as caught:
        embed_missing(stored, "default", FakeEncoder("short", max_tokens=5))
    assert caught.value.code == "chunk_too_long"
    assert vectors(stored, "short") == {}


def test_a_collection_that_is_not_there(stored: Database) -> None:
    with pytest.raises(NotFound):
        embed_missing(stored, "none", FakeEncoder("new"))
