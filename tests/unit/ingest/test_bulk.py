from __future__ import annotations

from pathlib import Path

import pytest

from ingest.bulk import batches_of
from ingest.document import DocumentInput


def sizes(items: list[DocumentInput], documents: int = 3) -> list[list[str]]:
    return [[item.external_id for item in batch] for batch in batches_of(items, documents)]


def test_batches_have_so_many_documents() -> None:
    items = [DocumentInput(name, text="x") for name in "abcdefg"]
    assert sizes(items) == [["a", "b", "c"], ["d", "e", "f"], ["g"]]
    assert sizes([]) == []


def test_files_of_a_batch_have_a_size_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.bulk.BATCH_BYTES", 10)
    items = []
    for name, size in [("a", 6), ("b", 4), ("c", 1), ("huge", 99), ("d", 1), ("gone", 0)]:
        path = tmp_path / name
        if name != "gone":
            path.write_bytes(b"x" * size)
        items.append(DocumentInput(name, path=path))
    assert sizes(items) == [["a", "b"], ["c"], ["huge"], ["d", "gone"]]


def test_bytes_at_hand_count_as_files_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.bulk.BATCH_BYTES", 10)
    items = [DocumentInput(name, data=b"x" * size) for name, size in [("a", 6), ("b", 4), ("c", 1)]]
    assert sizes(items) == [["a", "b"], ["c"]]


def test_ids_of_a_batch_are_distinct() -> None:
    items = [DocumentInput(name, text="x") for name in ("a", "b", "a", "b")]
    assert sizes(items) == [["a", "b"], ["a", "b"]]
