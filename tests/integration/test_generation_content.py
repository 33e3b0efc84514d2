"""A change of encoder or chunker: a generation with chunks of its own, made beside the live ones, promoted and rolled back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeEncoder, FakeWriter, fake_ingestion
from sqlalchemy import func, select

from evals.service import ServiceSubject
from infra.database import Database
from infra.errors import Conflict, NotFound
from infra.tables import ChunkRow, Collection, Document, Generation, Vector
from ingest.chunking import ChunkingSettings, read_chunking
from ingest.collections import create_collection, get_collection
from ingest.commit import delete_document
from ingest.document import DocumentInput
from ingest.generation import build, complete, promote, rollback
from ingest.pipeline import Ingestion, ingest_batch
from ingest.rechunk import rechunk
from retrieval.access import EVERYTHING
from retrieval.dense.report import RecallTarget
from retrieval.encoders.encoder import HashingEncoder
from retrieval.encoders.others import OtherEncoders
from retrieval.engine import Engine
from retrieval.generations import switch
from retrieval.generations.indexing import IndexFiles, merge
from retrieval.index import Index
from retrieval.integrity import check_integrity
from retrieval.search import SearchQuery, search
from retrieval.verify.verifier import DeterministicVerifier

OLD, NEW = FakeEncoder("old@1"), HashingEncoder(256)
SMALL = ChunkingSettings("size", 40, 10)


@dataclass
class House:
    """A database with its index files, served by the new encoder while it still knows the old one."""

    database: Database
    folder: Path

    def engine(self, encoder: Any = NEW, others: OtherEncoders | None = None) -> Engine:
        others = others or self.others
        index = Index(self.database, encoder, self.folder, others=others)
        return Engine(self.database, encoder, index, FakeWriter(), DeterministicVerifier(), others=others)

    @property
    def others(self) -> OtherEncoders:
        return OtherEncoders({"old": lambda: OLD, "hashing-256": lambda: NEW})

    @property
    def old(self) -> Ingestion:
        return fake_ingestion(self.database, OLD)

    @property
    def new(self) -> Ingestion:
        return replace(self.old, encoder=NEW, others=self.others)

    @property
    def files(self) -> IndexFiles:
        return IndexFiles(self.database, NEW, self.folder)

    def put(self, ingestion: Ingestion, *names: str, words: str = "wagon") -> None:
        items = [DocumentInput(name, text=body(name, words)) for name in names]
        assert not [result for result in ingest_batch(ingestion, "default", items) if result.code]

    def found(self, engine: Engine, query: str, mode: Any = "hybrid") -> list[str]:
        """The external ids of what is found, best first, each once."""
        passages = search(engine, SearchQuery(query, top_k=50, mode=mode), EVERYTHING).passages
        return list(dict.fromkeys(passage.document.external_id for passage in passages))

    def row(self) -> Collection:
        with self.database.read() as session:
            return get_collection(session, "default")

    def sets(self) -> dict[int, int]:
        """How many chunks each set has."""
        with self.database.read() as session:
            query = select(ChunkRow.chunk_set, func.count()).group_by(ChunkRow.chunk_set)
            return {number: count for number, count in session.execute(query)}  # noqa: C416

    def vectors(self) -> dict[str, int]:
        """How many vectors each encoder has."""
        with self.database.read() as session:
            query = select(Vector.encoder, func.count()).group_by(Vector.encoder)
            return {name: count for name, count in session.execute(query)}  # noqa: C416


def body(name: str, words: str) -> str:
    return f"# {name}\n\n" + " ".join(f"Rule {name}.{n} speaks of {words} {name}{n} and its brakes." for n in range(12))


@pytest.fixture
def house(database: Database, tmp_path: Path) -> House:
    made = House(database, tmp_path / "index")
    made.put(made.old, "a", "b", "c")
    return made


def test_a_collection_goes_on_with_the_encoder_before(house: House) -> None:
    engine = house.engine()
    assert house.found(engine, "Rule b.3 speaks of wagon b3 and its brakes.", "dense")[0] == "b"
    house.put(house.new, "d")
    assert house.row().encoder == "old@1"
    assert house.vectors().keys() == {"old@1"}
    assert set(house.found(engine, "brakes")) == {"a", "b", "c", "d"}
    assert check_integrity(house.database, engine.index).ok


def test_without_it_the_sentence_says_what_to_do(house: House) -> None:
    with pytest.raises(
        Conflict, match=r"FOOTNOTE_PREVIOUS_ENCODER.*footnote index build --promote --collection default"
    ):
        house.found(house.engine(others=OtherEncoders({})), "brakes")
    other_weights = OtherEncoders({"old": lambda: FakeEncoder("old@2")})
    with pytest.raises(Conflict, match="'old@1'"):
        house.found(house.engine(others=other_weights), "brakes")


def test_another_encoder_is_built_beside_promoted_and_rolled_back(house: House) -> None:
    engine, before = house.engine(), house.found(house.engine(), "Rule c.7 speaks of wagon c7 and its brakes.", "dense")
    made = build(house.new, house.files, "default", RecallTarget())
    assert (made["state"], made["encoder"], made["generation"]) == ("ready", "hashing-256", 2)
    assert house.row().encoder == "old@1"
    assert house.sets().keys() == {1, 2}
    assert house.found(engine, "Rule c.7 speaks of wagon c7 and its brakes.", "dense") == before

    assert promote(house.new, "default")["state"] == "live"
    assert house.row().encoder == "hashing-256"
    assert house.found(engine, "Rule c.7 speaks of wagon c7 and its brakes.", "dense")[0] == "c"
    (state,) = engine.index.current(_states(house))
    assert (state.encoder, len(state.vector_keys())) == ("hashing-256", house.sets()[2])
    assert check_integrity(house.database, engine.index).ok
    house.put(house.new, "d")
    assert house.found(engine, "Rule d.1 speaks of wagon d1 and its brakes.")[0] == "d"

    back = rollback(house.new, "default")
    assert (back["generation"], back["encoder"]) == (1, "old@1")
    assert house.row().encoder == "old@1"
    # What came meanwhile was embedded by the old encoder before the switch.
    assert house.found(engine, "Rule d.1 speaks of wagon d1 and its brakes.", "dense")[0] == "d"
    question = "Rule c.7 speaks of wagon c7 and its brakes."
    assert house.found(house.engine(OLD), question, "dense") == house.found(engine, question, "dense")
    assert check_integrity(house.database, engine.index).ok


def _states(house: House) -> list[Any]:
    from retrieval.store import find_collections

    with house.database.read() as session:
        return find_collections(session, ["default"])


def test_what_changes_between_build_and_promotion_is_not_lost(house: House) -> None:
    build(house.new, house.files, "default", RecallTarget())
    house.put(house.new, "b", words="tram")
    house.put(house.new, "e")
    with house.database.write() as session:
        delete_document(session, get_collection(session, "default"), "a")
        with pytest.raises(Conflict, match="lacks 2 documents") as caught:
            switch.promote(session, get_collection(session, "default"))
    assert caught.value.code == "generation_behind"
    promote(house.new, "default")
    engine = house.engine()
    assert set(house.found(engine, "brakes")) == {"b", "c", "e"}
    assert house.found(engine, "tram b3", "lexical") == ["b"]
    assert check_integrity(house.database, engine.index).ok
    with house.database.read() as session:
        for document in session.scalars(select(Document)):
            mine = select(func.count()).where(ChunkRow.document_id == document.id, ChunkRow.chunk_set == 2)
            assert document.chunk_count == session.scalar(mine) > 0


def test_a_document_that_comes_while_the_set_is_filled_is_in_it(house: House) -> None:
    came: list[str] = []

    def meanwhile(done: int, total: int) -> None:
        if not came:
            came.append("late")
            house.put(house.new, "late")

    build(house.new, house.files, "default", RecallTarget(), live=True, filling=meanwhile)
    assert came == ["late"]
    engine = house.engine()
    assert house.found(engine, "Rule late.2 speaks of wagon late2 and its brakes.")[0] == "late"
    assert check_integrity(house.database, engine.index).ok


def test_another_chunker_is_a_generation_too(house: House) -> None:
    before = house.sets()[1]
    built = build(house.old, IndexFiles(house.database, OLD, house.folder), "default", RecallTarget(), chunking=SMALL)
    assert built["chunking"] == SMALL.fingerprint
    assert house.sets()[1] == before < house.sets()[2]
    assert house.row().chunking is None
    promote(house.old, "default")
    assert read_chunking(house.row().chunking) == SMALL
    engine = house.engine(OLD)
    assert house.found(engine, "Rule b.3 speaks of wagon b3 and its brakes.")[0] == "b"
    assert check_integrity(house.database, engine.index).ok
    # Sent again, nothing has changed: the live chunks are cut so.
    (result,) = ingest_batch(house.old, "default", [DocumentInput("a", text=body("a", "wagon"))])
    assert result.outcome == "unchanged"
    house.put(house.old, "d")
    with house.database.read() as session:
        cut = session.scalars(select(Document.chunking)).all()
    assert set(cut) == {SMALL.fingerprint}
    rollback(house.old, "default")
    assert house.row().chunking is None
    with house.database.read() as session:
        assert set(session.scalars(select(Document.chunking))) == {ChunkingSettings().fingerprint}
    assert check_integrity(house.database, engine.index).ok


def test_another_chunker_holds_though_there_are_no_documents_yet(house: House) -> None:
    with house.database.write() as session:
        for name in "abc":
            delete_document(session, get_collection(session, "default"), name)
    rechunk(house.old, IndexFiles(house.database, OLD, house.folder), "default", SMALL, lambda *_: None)
    assert read_chunking(house.row().chunking) == SMALL
    house.put(house.old, "d")
    with house.database.read() as session:
        assert session.scalars(select(Document.chunking)).all() == [SMALL.fingerprint]
    rollback(house.old, "default")
    assert house.row().chunking is None
    assert check_integrity(house.database, house.engine(OLD).index).ok


def test_neighbours_are_of_the_same_set(house: House) -> None:
    words = " ".join(f"Rule {n} speaks of wagon w{n} and its brakes." for n in range(60))
    ingest_batch(house.old, "default", [DocumentInput("long", text=words)])
    build(
        house.old, IndexFiles(house.database, OLD, house.folder), "default", RecallTarget(), chunking=SMALL, live=True
    )
    asked = SearchQuery("Rule 30 speaks of wagon w30 and its brakes.", top_k=1, expand=1)
    hit = search(house.engine(OLD), asked, EVERYTHING).passages[0]
    with house.database.read() as session:
        ordinal = session.scalars(select(ChunkRow.ordinal).where(ChunkRow.id == hit.chunk_id)).one()
        rows = session.scalars(
            select(ChunkRow)
            .join(Document)
            .where(Document.external_id == "long", ChunkRow.chunk_set == 2)
            .where(ChunkRow.ordinal.between(ordinal - 1, ordinal + 1))
        ).all()
    assert len(rows) == 3
    assert hit.expanded is not None
    assert hit.expanded.char_start == min(row.char_start for row in rows)
    assert hit.expanded.char_end == max(row.char_end for row in rows)


def test_generations_without_files_change_places_too(house: House) -> None:
    engine, question = house.engine(), "Rule c.7 speaks of wagon c7 and its brakes."
    assert house.found(engine, question, "dense")[0] == "c"
    built = build(house.new, IndexFiles(house.database, NEW, None), "default", RecallTarget(), live=True)
    assert (built["state"], built["report"]) == ("live", None)
    assert house.found(engine, question, "dense")[0] == "c"
    (view,) = engine.index.current(_states(house))
    assert (view.encoder, len(view.vector_keys())) == ("hashing-256", house.sets()[2])
    assert merge(IndexFiles(house.database, NEW, None), "default") is None
    rollback(house.new, "default")
    (view,) = engine.index.current(_states(house))
    assert (view.encoder, len(view.vector_keys())) == ("old@1", house.sets()[1])
    # Its first files are written by a merge, as those of any collection.
    assert merge(house.files, "default")
    assert check_integrity(house.database, engine.index).ok


def test_a_switch_while_a_document_is_embedded_has_it_embedded_again(house: House) -> None:
    build(house.new, house.files, "default", RecallTarget())
    switched: list[Any] = []

    class Late(FakeEncoder):
        def encode(self, texts: Any, *, kind: Any = "document") -> Any:
            if kind == "document" and not switched:
                switched.append(promote(house.new, "default"))
            return super().encode(texts, kind=kind)

    others = OtherEncoders({"old": lambda: Late("old@1")})
    house.put(replace(house.new, others=others), "late")
    assert switched[0]["encoder"] == house.row().encoder == "hashing-256"
    engine = house.engine()
    assert house.found(engine, "Rule late.4 speaks of wagon late4 and its brakes.", "dense")[0] == "late"
    assert check_integrity(house.database, engine.index).ok


def test_dropping_removes_chunks_and_vectors(house: House) -> None:
    mine = house.vectors()["old@1"]
    build(house.new, house.files, "default", RecallTarget(), live=True)
    assert set(house.vectors()) == {"old@1", "hashing-256"}
    with house.database.write() as session:
        switch.drop(session, get_collection(session, "default"), 1)
    assert set(house.vectors()) == {"hashing-256"}
    assert house.sets().keys() == {2}
    engine = house.engine()
    assert check_integrity(house.database, engine.index).ok
    assert mine > 0
    with pytest.raises(Exception, match="no generation to go back to"):
        rollback(house.new, "default")


def test_dropping_keeps_what_another_collection_has(house: House) -> None:
    with house.database.write() as session:
        create_collection(session, "other")
    ingest_batch(house.old, "other", [DocumentInput("a", text=body("a", "wagon"))])
    build(house.new, house.files, "default", RecallTarget(), live=True)
    with house.database.write() as session:
        switch.drop(session, get_collection(session, "default"), 1)
    engine = house.engine()
    assert check_integrity(house.database, engine.index).ok
    passages = search(
        engine,
        SearchQuery("Rule a.3 speaks of wagon a3 and its brakes.", collections=["other"], mode="dense"),
        EVERYTHING,
    ).passages
    assert passages[0].document.external_id == "a"


def test_collections_of_two_encoders_are_searched_together(house: House) -> None:
    with house.database.write() as session:
        create_collection(session, "fresh")
    house.put(house.new, *[f"n{number}" for number in range(20)])
    ingest_batch(house.new, "fresh", [DocumentInput(name, text=body(name, "ferry")) for name in "opqrstuvwxyz"])
    engine = house.engine()
    for mode in ("hybrid", "dense"):
        assert house.found(engine, "Rule z.3 speaks of ferry z3 and its brakes.", mode)[0] == "z"
        assert house.found(engine, "Rule b.3 speaks of wagon b3 and its brakes.", mode)[0] == "b"


def test_a_build_that_is_stopped_while_filling_goes_on(house: House) -> None:
    house.put(house.old, *[f"n{number}" for number in range(40)])

    def stop(done: int, total: int) -> None:
        assert total == 43
        if done >= 16:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(house.new, house.files, "default", RecallTarget(), filling=stop)
    with house.database.read() as session:
        (row,) = session.scalars(select(Generation))
        assert (row.state, row.owner, row.number) == ("building", None, 2)
    told: list[tuple[int, int]] = []
    made = build(house.new, house.files, "default", RecallTarget(), live=True, filling=lambda *at: told.append(at))
    assert made["generation"] == 2
    assert told[0] == (16, 27)
    assert house.found(house.engine(), "Rule n33.2")[0] == "n33"


def test_a_build_for_something_else_removes_what_was_begun(house: House) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(house.new, house.files, "default", RecallTarget(), filling=stop)
    assert house.sets().keys() == {1, 2}
    build(house.old, IndexFiles(house.database, OLD, house.folder), "default", RecallTarget())
    assert house.sets().keys() == {1}
    assert house.vectors().keys() == {"old@1"}


def test_merges_keep_the_collections_encoder(house: House) -> None:
    build(house.old, IndexFiles(house.database, OLD, house.folder), "default", RecallTarget(), live=True)
    house.put(house.new, "d")
    merged = merge(house.files, "default")
    assert merged is not None
    assert (merged["encoder"], merged["revision"]) == ("old@1", 1)
    engine = house.engine()
    assert house.found(engine, "Rule d.2 speaks of wagon d2 and its brakes.", "dense")[0] == "d"
    assert check_integrity(house.database, engine.index).ok


def test_another_chunker_keeps_the_collections_encoder(house: House) -> None:
    made = build(house.new, house.files, "default", RecallTarget(), chunking=SMALL, keep_encoder=True, live=True)
    assert (made["encoder"], made["chunking"], made["state"]) == ("old@1", SMALL.fingerprint, "live")
    assert house.vectors().keys() == {"old@1"}
    assert read_chunking(house.row().chunking) == SMALL
    engine = house.engine()
    assert house.found(engine, "Rule b.3 speaks of wagon b3 and its brakes.", "dense")[0] == "b"
    assert check_integrity(house.database, engine.index).ok


def test_an_old_view_and_a_new_one_are_asked_by_their_own_encoder(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The generation changes between a search's look at the database and its look at the index."""
    engine = house.engine()
    house.found(engine, "brakes")
    build(house.new, house.files, "default", RecallTarget())
    current, switched = engine.index.current, []

    def late(found: Any) -> Any:
        if not switched:
            switched.append(promote(house.new, "default"))
            current(_states(house))
        return current(found)

    monkeypatch.setattr(engine.index, "current", late)
    assert house.found(engine, "Rule c.7 speaks of wagon c7 and its brakes.", "dense")[0] == "c"
    assert switched[0]["encoder"] == "hashing-256"


def test_what_the_encoder_may_be_is_asked_by_its_whole_name() -> None:
    loaded: list[str] = []

    def load() -> FakeEncoder:
        loaded.append("x")
        return FakeEncoder("model@1")

    others = OtherEncoders({"model": load})
    assert others.named("another@1") is None
    assert loaded == []
    assert others.named("model@2") is None
    assert others.named("model@1") is others.named("model@1") is not None
    assert loaded == ["x"]


def test_a_generation_is_measured_before_it_is_live(house: House) -> None:
    build(house.new, house.files, "default", RecallTarget())
    house.put(house.new, "late")
    complete(house.new, "default", 2)
    live, pinned = house.engine(), replace(house.engine(), generations={"default": 2})
    question = "Rule late.4 speaks of wagon late4 and its brakes."
    assert house.found(pinned, question, "dense")[0] == "late"
    shown = search(pinned, SearchQuery(question), EVERYTHING)
    assert (shown.index.generation, search(live, SearchQuery(question), EVERYTHING).index.generation) == (2, 1)
    assert ServiceSubject(pinned).describe("default")["encoder"] == "hashing-256"
    assert ServiceSubject(live).describe("default")["encoder"] == "old@1"
    assert house.row().encoder == "old@1"
    with pytest.raises(NotFound, match="no generation 9"):
        house.found(replace(live, generations={"default": 9}), question)
