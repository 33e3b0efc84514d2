"""Merges that take from the live files what is unchanged: the same as a build from the database, and nothing of what is gone."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from fakes import FakeEncoder, fake_engine, fake_ingestion
from sqlalchemy import select, update

from infra.database import Database
from infra.tables import ChunkRow, Collection, Document, Generation, Vector
from ingest.collections import get_collection, set_language
from ingest.commit import delete_document
from ingest.document import Attributes, DocumentInput
from ingest.pipeline import ingest_batch
from retrieval.access import EVERYTHING
from retrieval.dense.report import RecallTarget
from retrieval.generations import files as generation_files
from retrieval.generations import reuse
from retrieval.generations.base import Base, open_base
from retrieval.generations.indexing import IndexFiles, build, merge
from retrieval.generations.manifest import damaged_files
from retrieval.generations.reuse import Sealed, carried_index, open_sealed
from retrieval.generations.states import folder_of
from retrieval.index import Index
from retrieval.integrity import check_integrity
from retrieval.search import SearchQuery, search

WORDS = [
    a + b for a in ("brake", "depot", "ferry", "wagon", "signal", "tariff") for b in ("", "ing", "al", "X7", "-104")
]
IVF = RecallTarget(kind="ivf_sq8", sample=20)
QUERIES = ("wagon", "ferrying depot", "brake-104 signalX7 tariffal", "depotal depotal wagoning", "nothing of it")


@pytest.fixture
def files(database: Database, tmp_path: Path) -> IndexFiles:
    return IndexFiles(database, FakeEncoder(), tmp_path / "index")


def text(pick: random.Random) -> str:
    paragraphs = [
        " ".join(pick.choices(WORDS, k=pick.randint(5, 45))).capitalize() + "." for _ in range(pick.randint(1, 4))
    ]
    return f"# About {pick.choice(WORDS)}\n\n" + "\n\n".join(paragraphs)


def put(files: IndexFiles, made: dict[str, str], **metadata: Any) -> None:
    items = [
        DocumentInput(id_, text=text_, attributes=Attributes(metadata={"depot": len(text_) % 5, **metadata}))
        for id_, text_ in made.items()
    ]
    ingest_batch(fake_ingestion(files.database), "default", items)


def remove(files: IndexFiles, *external_ids: str) -> None:
    with files.database.write() as session:
        for external_id in external_ids:
            delete_document(session, get_collection(session, "default"), external_id)


def base_of(files: IndexFiles, described: dict[str, Any]) -> tuple[Base, Path]:
    with files.database.read() as session:
        row = session.scalars(select(Generation).where(Generation.number == described["generation"])).one()
    folder = folder_of(files.folder, row.collection_id, row.number, row.revision)
    assert row.manifest_sha256 is not None
    return open_base(folder, row.manifest_sha256), folder


def merged(files: IndexFiles) -> dict[str, Any]:
    described = merge(files, "default")
    assert described is not None
    return described


def same_files(one: Base, other: Base) -> None:
    """Both hold the same, at the same positions, and answer the same."""
    for name in ("keys", "starts", "places", "unembedded"):
        assert getattr(one, name).tolist() == getattr(other, name).tolist(), name
    assert list(one.facts.ids()) == list(other.facts.ids())
    assert [one.facts.facts(at) for at in range(len(one.facts))] == [
        other.facts.facts(at) for at in range(len(other.facts))
    ]
    everything = np.arange(one.dense.count)
    assert one.dense.vectors(everything).tobytes() == other.dense.vectors(everything).tobytes()
    assert one.lexical.lengths == other.lexical.lengths
    random_mask = np.random.default_rng(1).random(one.lexical.count) < 0.4
    few = np.zeros(one.lexical.count, dtype=np.bool_)
    few[one.lexical.count // 2 : one.lexical.count // 2 + 3] = True
    for query in QUERIES:
        assert one.lexical.statistics(query) == other.lexical.statistics(query)
        assert one.lexical.full_match(query) == pytest.approx(other.lexical.full_match(query))
        for mask in (None, random_mask, few):
            scores, expected = (dict(each.lexical.search(query, 10_000, mask)) for each in (one, other))
            assert scores == pytest.approx(expected, rel=1e-5)
            best, others = (one.lexical.search(query, 5, mask), list(scores.values()))
            assert [score for _, score in best] == sorted(others, reverse=True)[:5]
    queries = other.dense.vectors(np.arange(0, other.dense.count, 7))
    deep = other.dense.count
    for mask in (None, random_mask):
        found, cosines = one.dense.search(queries, deep, mask)
        expected_found, expected_cosines = other.dense.search(queries, deep, mask)
        assert found.tolist() == expected_found.tolist()
        assert cosines.tolist() == expected_cosines.tolist()


@pytest.mark.parametrize("target", [RecallTarget(), IVF], ids=["exact", "ivf"])
def test_merges_make_what_a_build_from_the_database_makes(files: IndexFiles, target: RecallTarget) -> None:
    pick = random.Random(3)
    put(files, {f"d{n}": text(pick) for n in range(120)})
    first = build(files, "default", target, live=True)["report"]["dense"]
    for round_ in range(3):
        put(files, {f"d{n}": text(pick) for n in pick.sample(range(60, 120), 8)})
        put(files, {f"new {round_}-{n}": text(pick) for n in range(6)})
        remove(files, *(f"d{round_ * 10 + n}" for n in range(5)))
        made = merged(files)
        assert made["report"]["reused"] >= 100
        # The lists of the first build, where there are any.
        assert (made["report"]["dense"]["trained_rows"] == first["count"]) == (target == IVF)
    anew = build(files, "default", target)
    assert anew["report"]["reused"] == 0
    (one, folder), (other, _) = base_of(files, made), base_of(files, anew)
    same_files(one, other)
    assert not damaged_files(folder, one.manifest)
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        path.name for path in folder.with_name("3-0").iterdir()
    )
    engine = fake_engine(files.database)
    assert check_integrity(files.database, Index(files.database, engine.encoder, files.folder)).ok


def test_lists_are_kept_and_the_recall_is_measured_again(files: IndexFiles) -> None:
    pick = random.Random(5)
    put(files, {f"d{n}": text(pick) for n in range(80)})
    first = build(files, "default", IVF, live=True)["report"]["dense"]
    put(files, {f"new {n}": text(pick) for n in range(20)})
    second = merged(files)["report"]["dense"]
    assert second["trained_rows"] == first["trained_rows"] == first["count"] < second["count"]
    assert (second["lists"], second["factory"]) == (first["lists"], first["factory"])
    assert second["recall"] >= 0.99
    for start in range(0, 200, 50):
        put(files, {f"more {n}": text(pick) for n in range(start, start + 50)})
        last = merged(files)["report"]["dense"]
    assert last["trained_rows"] > second["trained_rows"], (
        "a collection of more than double the size has lists of its own"
    )


def test_nothing_of_a_deleted_document_is_in_the_next_files(files: IndexFiles) -> None:
    pick = random.Random(7)
    put(files, {f"d{n}": text(pick) for n in range(40)})
    put(files, {"secret": "Zyzzyva is the word nobody else has, zyzzyva-9041."}, owner="qwertzuiop")
    base, folder = base_of(files, build(files, "default", RecallTarget(), live=True))
    with files.database.read() as session:
        document = session.scalars(select(Document.id).where(Document.external_id == "secret")).one()
        key = session.scalars(select(ChunkRow.key).where(ChunkRow.document_id == document)).one()
    vector = base.dense.vectors(np.flatnonzero(base.keys == key)).tobytes()
    traces = (b"qwertzuiop", document.encode(), vector)

    def found(folder: Path) -> list[bool]:
        content = b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.suffix in (".bin", ".npy"))
        return [trace in content for trace in traces]

    def words(base: Base) -> list[float]:
        return [*base.lexical.statistics("zyzzyva zyzzyva-9041").frequencies.values()]

    assert found(folder) == [True] * 3
    assert min(words(base)) == 1
    remove(files, "secret")
    made = merged(files)
    base, folder = base_of(files, made)
    assert made["report"]["reused"] == 40
    assert found(folder) == [False] * 3
    assert key not in base.keys
    assert words(base) == [0] * len(words(base))
    assert base.lexical.search("zyzzyva zyzzyva-9041", 5) == []


@pytest.mark.parametrize("damaged", ["dense/vectors.npy", "lexical/index", "keys.npy", "lexical/rows.npy"])
def test_damage_is_not_carried_over(files: IndexFiles, damaged: str) -> None:
    pick = random.Random(11)
    put(files, {f"d{n}": text(pick) for n in range(40)})
    build(files, "default", RecallTarget(), live=True)
    put(files, {"one": text(pick)})
    _, folder = base_of(files, merged(files))
    path = folder / damaged
    if path.is_dir():
        path = max(path.glob("*.idx"), key=lambda each: each.stat().st_size)
    content = bytearray(path.read_bytes())
    content[-9 if path.suffix == ".npy" else len(content) // 2] ^= 4
    path.write_bytes(content)
    put(files, {"two": text(pick)})
    made = merged(files)
    assert made["report"]["reused"] == 0, "all is read from the database instead"
    one, folder = base_of(files, made)
    assert not damaged_files(folder, one.manifest)
    same_files(one, base_of(files, build(files, "default", RecallTarget()))[0])


def test_files_of_another_encoder_or_language_are_not_taken(files: IndexFiles) -> None:
    put(files, {f"d{n}": f"Die Wagen stehen im Depot {n}." for n in range(10)})
    _, folder = base_of(files, build(files, "default", RecallTarget(), live=True))
    with files.database.read() as session:
        sha256 = session.scalars(select(Generation.manifest_sha256).where(Generation.number == 2)).one()
    assert sha256 is not None
    sealed = Sealed(folder, sha256)
    assert open_sealed(sealed, "fake", 1, 64, None) is not None
    others = (("other", 1, 64, None), ("fake", 2, 64, None), ("fake", 1, 32, None), ("fake", 1, 64, "german"))
    for encoder, chunk_set, dim, language in others:
        assert open_sealed(sealed, encoder, chunk_set, dim, language) is None
    assert open_sealed(Sealed(folder, "0" * 64), "fake", 1, 64, None) is None
    with files.database.write() as session:
        set_language(session, get_collection(session, "default"), "german")
    assert merged(files)["report"]["reused"] == 0


@pytest.fixture(autouse=True)
def _lists_never_become_dear() -> Iterator[None]:
    """Ids are drawn, and with them the order: so few vectors may become dearer by chance, which is not the matter here."""
    with mock.patch("retrieval.dense.build.DEARER", float("inf")):
        yield


class Killed(BaseException):
    pass


def test_a_merge_that_was_stopped_goes_on_with_what_it_took(files: IndexFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    pick = random.Random(13)
    put(files, {f"d{n}": text(pick) for n in range(60)})
    build(files, "default", IVF, live=True)
    put(files, {"one": text(pick)})

    def die(*_: Any, **__: Any) -> None:
        raise Killed

    monkeypatch.setattr(generation_files, "build_dense", die)
    with pytest.raises(Killed):
        merge(files, "default")
    monkeypatch.undo()
    monkeypatch.setattr(reuse, "merge_chunks", die)
    made = merged(files)
    assert (made["revision"], made["report"]["reused"]) == (1, 60)
    assert made["report"]["dense"]["trained_rows"] < made["report"]["dense"]["count"]
    base, folder = base_of(files, made)
    assert not (folder / reuse.CARRIED).exists()
    same_files(base, base_of(files, build(files, "default", IVF))[0])


def test_lists_that_were_damaged_meanwhile_are_trained_anew(files: IndexFiles, tmp_path: Path) -> None:
    put(files, {f"d{n}": f"Wagon {n}." for n in range(30)})
    _, folder = base_of(files, build(files, "default", IVF, live=True))
    with files.database.read() as session:
        sha256 = session.scalars(select(Generation.manifest_sha256).where(Generation.number == 2)).one()
    assert sha256 is not None
    work = tmp_path / "work"
    work.mkdir()
    sealed = Sealed(folder, sha256)
    assert carried_index(work, sealed) is None, "there was no merge"
    np.save(work / reuse.CARRIED, np.arange(30))
    assert carried_index(work, None) is None
    carried = carried_index(work, sealed)
    assert carried is not None
    assert carried.positions.tolist() == list(range(30))
    content = bytearray((folder / "dense/index.faiss").read_bytes())
    content[-1] ^= 1
    (folder / "dense/index.faiss").write_bytes(content)
    assert carried_index(work, sealed) is None


def test_too_little_that_is_unchanged_is_not_taken(files: IndexFiles) -> None:
    put(files, {f"d{n}": f"Wagon {n}." for n in range(10)})
    build(files, "default", RecallTarget(), live=True)
    put(files, {f"new {n}": f"Ferry {n}." for n in range(11)})
    made = merged(files)
    assert made["report"]["reused"] == 0
    same_files(base_of(files, made)[0], base_of(files, build(files, "default", RecallTarget()))[0])


def test_a_vector_that_came_without_a_change_is_taken_in(files: IndexFiles) -> None:
    put(files, {f"d{n}": f"Wagon {n} of the depot." for n in range(10)})
    with files.database.write() as session:
        hash_ = session.scalars(select(ChunkRow.vector_hash).order_by(ChunkRow.key)).first()
        session.execute(update(Vector).where(Vector.hash == hash_).values(encoder="elsewhere"))
    base, _ = base_of(files, build(files, "default", RecallTarget(), live=True))
    assert len(base.unembedded) == 1
    with files.database.write() as session:
        session.execute(update(Vector).where(Vector.hash == hash_).values(encoder="fake"))
    made = merged(files)
    assert made["report"]["reused"] == 9
    assert len(base_of(files, made)[0].unembedded) == 0


def test_permissions_come_from_the_database(files: IndexFiles) -> None:
    """Facts are never copied: even a change that nobody logged is in the next files."""
    put(files, {f"d{n}": f"Wagon {n}." for n in range(10)})
    build(files, "default", RecallTarget(), live=True)
    with files.database.write() as session:
        session.execute(update(Document).where(Document.external_id == "d3").values(allowed_groups=["board"]))
    made = merged(files)
    assert made["report"]["reused"] == 10
    base, _ = base_of(files, made)
    groups = {base.facts.facts(at).external_id: base.facts.facts(at).allowed_groups for at in range(10)}
    assert groups["d3"] == ("board",)
    assert groups["d4"] is None


def test_what_changes_while_a_merge_runs_is_seen(files: IndexFiles) -> None:
    put(files, {f"d{n}": f"Wagon {n}." for n in range(10)})
    build(files, "default", RecallTarget(), live=True)
    put(files, {"d1": "Wagon one is a ferry."})

    def meanwhile(_done: int, _of: int) -> None:
        put(files, {"d2": "Wagon two is a balloon."})
        remove(files, "d5")

    described = merge(files, "default", meanwhile)
    assert described is not None
    assert described["report"]["reused"] == 9
    engine = fake_engine(files.database)
    engine = replace(engine, index=Index(files.database, engine.encoder, files.folder))
    for query, wanted in (("ferry", ["d1"]), ("balloon", ["d2"]), ("5", [])):
        found = search(engine, SearchQuery(query, mode="lexical"), EVERYTHING).passages
        assert [passage.document.external_id for passage in found] == wanted
    with files.database.read() as session:
        assert session.scalars(select(Collection.generation)).one() == 2
