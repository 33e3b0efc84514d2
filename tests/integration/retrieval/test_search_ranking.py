"""A search as its collection's settings rank it: reranked, collapsed, weighed, expanded."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from fakes import FakeWriter, fake_engine, fake_ingestion
from sqlalchemy import select, update

from infra.clock import now
from infra.database import Database
from infra.errors import InvalidInput
from infra.tables import Document
from ingest.collections import create_collection, get_collection, set_ranking
from ingest.document import Attributes, DocumentInput
from ingest.pipeline import ingest_batch
from retrieval.access import EVERYTHING, Access
from retrieval.answers.answering import Ask, answer
from retrieval.engine import Engine
from retrieval.passage import Passage
from retrieval.search import SearchQuery, search


class WordReranker:
    """Prefers texts with the word ``best``; remembers what it read."""

    name = "word"

    def __init__(self) -> None:
        self.read: list[tuple[str, list[str]]] = []

    def score(self, query: str, texts: Any, /) -> Any:
        self.read.append((query, list(texts)))
        return np.array([5.0 if "best" in text else -5.0 for text in texts], dtype=np.float32)


def put(database: Database, external_id: str, text: str, collection: str = "default", **attributes: Any) -> None:
    item = DocumentInput(external_id, text=text, attributes=Attributes(**attributes))
    ingest_batch(fake_ingestion(database), collection, [item])


def ranked_by(database: Database, collection: str = "default", **settings: Any) -> None:
    with database.write() as session:
        set_ranking(get_collection(session, collection), settings or None)


def found(engine: Engine, query: str, access: Access = EVERYTHING, **options: Any) -> list[Passage]:
    return list(search(engine, SearchQuery(query, **options), access).passages)


def names(passages: list[Passage]) -> list[str]:
    return [passage.document.external_id for passage in passages]


@pytest.fixture
def ferries(database: Database) -> Engine:
    for n in range(6):
        put(
            database,
            f"d{n}",
            f"Ferry ferry number {n} leaves at dawn" + (", the best of all boats." if n == 4 else "."),
        )
    return replace(fake_engine(database), reranker=WordReranker())


def test_a_reranked_search_has_the_rerankers_scores(ferries: Engine) -> None:
    plain = found(ferries, "ferry number 1")
    assert plain[0].document.external_id == "d1"
    assert {passage.scores.rerank for passage in plain} == {None}
    reranked = found(ferries, "ferry number 1", rerank=True, top_k=3)
    assert reranked[0].document.external_id == "d4"
    assert [passage.scores.rerank for passage in reranked] == [5.0, -5.0, -5.0]
    assert [passage.score for passage in reranked] == sorted((p.score for p in reranked), reverse=True)
    assert reranked[0].scores.dense == next(p.scores.dense for p in plain if p.document.external_id == "d4")


def test_a_collection_may_have_its_searches_reranked_unless_the_caller_says_otherwise(
    database: Database, ferries: Engine
) -> None:
    ranked_by(database, rerank=True, rerank_depth=2, rerank_weight=1.0)
    assert found(ferries, "ferry number 4")[0].scores.rerank == 5.0
    assert len(ferries.reranker.read[-1][1]) == 2  # type: ignore[union-attr]
    assert found(ferries, "ferry number 4", rerank=False)[0].scores.rerank is None
    without = replace(ferries, reranker=None)
    assert names(found(without, "ferry number 1"))[0] == "d1", "a search goes on without what is not there"
    with pytest.raises(InvalidInput, match="no reranker is configured") as refused:
        found(without, "ferry", rerank=True)
    assert refused.value.code == "no_reranker"


def test_a_reranker_reads_headings_and_only_what_the_caller_may(database: Database) -> None:
    put(database, "open", "# Harbour\n\nFerries leave at dawn.")
    put(database, "closed", "Ferries leave at noon.", allowed_groups=["crew"])
    engine = replace(fake_engine(database), reranker=WordReranker())
    found(engine, "ferries", Access(frozenset({"public"})), rerank=True)
    ((query, texts),) = engine.reranker.read  # type: ignore[union-attr]
    assert query == "ferries"
    assert len(texts) == 1
    assert "Harbour" in texts[0]
    assert texts[0].endswith("Ferries leave at dawn.")


def test_the_same_text_is_shown_once_with_the_others_beside_it(database: Database) -> None:
    text = "Unused leave lapses on 31 March of the following year."
    put(database, "leave.md", text)
    put(database, "copy.md", text.upper())
    put(database, "secret.md", text, allowed_groups=["hr"])
    put(database, "older.md", text.replace("31 March", "30 June"))
    engine = fake_engine(database)
    everyone = found(engine, "unused leave lapses on 31 March", Access(frozenset()), top_k=2, collapse=True)
    assert len(everyone) == 2
    shown = {passage.document.external_id: names(list(passage.duplicates)) for passage in everyone}
    assert sorted(shown) == ["leave.md", "older.md"] or sorted(shown) == ["copy.md", "older.md"]
    assert shown["older.md"] == []
    assert {"leave.md", "copy.md"} == {*shown, *(name for more in shown.values() for name in more)} - {"older.md"}
    staff = found(engine, "unused leave lapses on 31 March", Access(frozenset({"hr"})), top_k=2, collapse=True)
    assert {"leave.md", "copy.md", "secret.md", "older.md"} == {
        name for p in staff for name in (p.document.external_id, *names(list(p.duplicates)))
    }
    assert len(found(engine, "unused leave lapses")) == 4, "unless asked, every document is a result of its own"
    ranked_by(database, collapse_threshold=1)
    assert len(found(engine, "unused leave lapses")) == 2
    assert len(found(engine, "unused leave lapses", collapse=False)) == 4


def test_as_many_results_as_were_asked_for_however_many_are_the_same(database: Database) -> None:
    for n in range(45):
        put(database, f"same{n}", "Ferries leave the quay at dawn.")
    for n in range(3):
        put(database, f"other{n}", f"Ferries rest in harbour {n} at night.")
    results = found(fake_engine(database), "ferries leave the quay at dawn", top_k=3, collapse=True)
    assert len(results) == 3
    assert len({passage.text for passage in results}) == 3
    assert len(results[0].duplicates) == 44


def test_age_and_preference_change_the_order(database: Database) -> None:
    put(database, "old", "Ferries leave at dawn.", metadata={"state": "final"})
    put(database, "new", "Ferries leave at dawn or at noon.", metadata={"state": "draft"})
    with database.write() as session:
        session.execute(
            update(Document).where(Document.external_id == "old").values(updated_at=now() - timedelta(days=300))
        )
    engine = fake_engine(database)
    assert names(found(engine, "ferries leave at dawn")) == ["old", "new"]
    before = {p.document.external_id: p.score for p in found(engine, "ferries leave at dawn")}
    ranked_by(database, recency_half_life_days=30, recency_weight=0.9)
    aged = {p.document.external_id: p.score for p in found(engine, "ferries leave at dawn")}
    assert aged["new"] == pytest.approx(before["new"])
    assert aged["old"] == pytest.approx(before["old"] * (0.1 + 0.9 * 2**-10), rel=1e-3)
    ranked_by(database, weights=[{"filter": {"state": "final"}, "weight": 0.25}])
    weighed = {p.document.external_id: p.score for p in found(engine, "ferries leave at dawn")}
    assert weighed == {"old": pytest.approx(before["old"] / 4), "new": pytest.approx(before["new"])}


def test_collections_that_differ_are_searched_together_by_what_they_agree_on(database: Database) -> None:
    with database.write() as session:
        create_collection(session, "more", ranking={"fusion": "reciprocal_rank", "collapse_threshold": 1})
        create_collection(session, "empty", ranking={"dense_weight": 0.9})
    put(database, "a", "Ferries leave at dawn.")
    put(database, "b", "Ferries leave at dawn.", "more")
    engine = fake_engine(database)
    alone = search(engine, SearchQuery("ferries", ["more"]), EVERYTHING)
    assert (alone.ranking.fusion, alone.passages[0].score) == ("reciprocal_rank", pytest.approx(2 / 61))
    both = search(engine, SearchQuery("ferries"), EVERYTHING)
    assert (both.ranking.fusion, both.ranking.collapse_threshold, both.ranking.dense_weight) == ("min_max", 0.0, 0.5)
    assert [len(passage.duplicates) for passage in both.passages] == [0, 0]
    pair = search(engine, SearchQuery("ferries", ["empty", "more"]), EVERYTHING)
    assert pair.ranking.fusion == "reciprocal_rank"


LONG = "\n\n".join(f"## Part {n}\n\n" + f"Sentence of part {n} speaks of topic{n} at length. " * 4 for n in range(7))


def test_a_passage_may_be_shown_with_its_neighbours(database: Database) -> None:
    put(database, "long", LONG)
    put(database, "beside", "Another document speaks of topic3 too.")
    engine = fake_engine(database)
    order = sorted(
        (p for p in found(engine, "sentence of part", top_k=100) if p.document.external_id == "long"),
        key=lambda p: p.char_start,
    )
    assert len(order) > 6
    assert order[0].expanded is None
    for expand in (1, 3):
        for hit in found(engine, "sentence of part", top_k=100, expand=expand):
            assert hit.expanded is not None
            if hit.document.external_id == "beside":
                assert hit.expanded.text == hit.text
                continue
            at = [p.chunk_id for p in order].index(hit.chunk_id)
            first, last = order[max(0, at - expand)], order[min(len(order) - 1, at + expand)]
            assert (hit.expanded.char_start, hit.expanded.char_end) == (first.char_start, last.char_end)
            assert hit.expanded.text == LONG[first.char_start : last.char_end]
            assert hit.text in hit.expanded.text


def test_a_writer_may_be_given_the_neighbours_as_passages_of_their_own(database: Database) -> None:
    put(database, "long", LONG)
    writer = FakeWriter()
    engine = fake_engine(database, writer=writer)
    ask = Ask("What does topic3 say?", top_k=1)
    asyncio.run(answer(engine, ask, EVERYTHING))
    ranked_by(database, expand=1)
    done = asyncio.run(answer(engine, ask, EVERYTHING))
    alone, wide = (list(task.passages) for task in writer.tasks)
    assert len(alone) == 1
    assert wide[0].chunk_id == alone[0].chunk_id
    assert len(wide) == 3
    assert {p.document.external_id for p in wide} == {"long"}
    for passage in wide:
        assert passage.text == LONG[passage.char_start : passage.char_end]
    (citation,) = done.answer.citations[:1]
    assert citation.quote == LONG[citation.char_start : citation.char_end]


def test_settings_that_were_stored_are_those_that_are_shown(database: Database) -> None:
    ranked_by(database, dense_weight=0.25)
    with database.read() as session:
        stored = get_collection(session, "default").ranking
    assert stored is not None
    assert stored["dense_weight"] == 0.25
    ranked_by(database)
    with database.read() as session:
        assert session.scalar(select(Document.id)) is None
        assert get_collection(session, "default").ranking is None
