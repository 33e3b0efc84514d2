import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from evals.gold import Evidence
from evals.importing import Import, default_name, import_goldset
from evals.store import load_goldset
from evals.subject import DocumentInput, Loaded
from infra.database import Database
from infra.errors import InvalidInput, NotFound


class FakeLoader:
    def __init__(self, refused: tuple[tuple[str, str], ...] = ()) -> None:
        self.loaded: dict[str, list[DocumentInput]] = {}
        self.refused = refused

    def __call__(self, collection: str, documents: Iterable[DocumentInput]) -> Loaded:
        self.loaded[collection] = list(documents)
        return Loaded(len(self.loaded[collection]) - len(self.refused), self.refused)


def beir(folder: Path, qrels: str = "q1\td1\t1\n") -> Path:
    (folder / "qrels").mkdir()
    (folder / "corpus.jsonl").write_text('{"_id": "d1", "title": "T", "text": "x"}\n{"_id": "d2", "text": "y"}\n')
    (folder / "queries.jsonl").write_text('{"_id": "q1", "text": "what"}\n')
    (folder / "qrels" / "test.tsv").write_text(qrels)
    return folder


def test_a_corpus_goes_into_the_collection_of_its_name(database: Database, subject: Any, tmp_path: Path) -> None:
    loader, seen = FakeLoader(), []
    done = import_goldset(
        database,
        subject,
        loader,
        Import("beir", beir(tmp_path), "tiny"),
        lambda n, total: seen.append((n, total)),
    )
    assert loader.loaded == {"tiny": [DocumentInput("d1", "T", "x"), DocumentInput("d2", None, "y")]}
    assert (done.goldset, done.collection, done.items, done.documents, done.evidence) == (
        "tiny",
        "tiny",
        1,
        2,
        1,
    )
    assert seen == [(1, 2), (2, 2)]
    with database.read() as session:
        assert load_goldset(session, "tiny")[0] == "tiny"


def test_bad_files_leave_nothing_behind(database: Database, subject: Any, tmp_path: Path) -> None:
    loader = FakeLoader()
    with pytest.raises(InvalidInput):
        import_goldset(database, subject, loader, Import("beir", beir(tmp_path, "q1\td1\tx\nq1\td1\ty\n"), "tiny"))
    assert loader.loaded == {}
    with database.read() as session, pytest.raises(NotFound):
        load_goldset(session, "tiny")


def test_a_bad_name_is_refused_before_anything_is_loaded(database: Database, subject: Any, tmp_path: Path) -> None:
    loader = FakeLoader()
    with pytest.raises(InvalidInput, match="'Tiny Set' is not a valid name"):
        import_goldset(database, subject, loader, Import("beir", beir(tmp_path), "Tiny Set"))
    assert loader.loaded == {}


def test_refused_documents_are_told(database: Database, subject: Any, tmp_path: Path) -> None:
    done = import_goldset(
        database, subject, FakeLoader((("d2", "It is empty."),)), Import("beir", beir(tmp_path), "tiny")
    )
    assert done.documents == 1
    assert "1 documents were refused, the first (d2): It is empty." in done.notes


def test_questions_alone_ask_about_the_default_collection(database: Database, subject: Any, tmp_path: Path) -> None:
    (tmp_path / "My Questions.jsonl").write_text('{"id": "1", "question": "?", "answerable": false}\n')
    done = import_goldset(database, subject, FakeLoader(), Import("footnote", tmp_path / "My Questions.jsonl"))
    assert (done.goldset, done.collection, done.documents) == ("my-questions", "default", None)


def test_contexts_without_a_document_are_looked_up(
    database: Database, subject: Any, make_passage: Any, tmp_path: Path
) -> None:
    subject.texts = {"near.md": "Something else.", "right.md": "Before.\nThe winch\npulls. After."}
    subject.searches = {"The winch pulls.": [make_passage("near.md"), make_passage("right.md")]}
    row = {"user_input": "What pulls?", "reference_contexts": ["The winch pulls.", "Nowhere written."]}
    (tmp_path / "r.jsonl").write_text(json.dumps(row))
    done = import_goldset(database, subject, FakeLoader(), Import("ragas", tmp_path / "r.jsonl", None, "docs"))
    assert done.notes == ("1 reference contexts stand in no document of 'docs' and were left out",)
    with database.read() as session:
        _, (item,) = load_goldset(session, "r")
    assert item.evidence == (Evidence(external_id="right.md", quote="The winch pulls."),)


def test_names_from_paths() -> None:
    assert default_name(Path("/x/Gold Set (v2).jsonl")) == "gold-set-v2"
    assert default_name(Path("/x/___.jsonl")) == "goldset"
