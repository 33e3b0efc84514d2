"""Freeing segments of what was deleted: what is left, that its words are, and that nothing else changes."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tantivy

from retrieval.lexical import purge
from retrieval.lexical.build import LexicalBuilder
from retrieval.lexical.folder import INDEX, gather, read_meta
from retrieval.lexical.purge import NotPurged, purged, slices_of
from retrieval.lexical.scoring import LexicalEntry


@pytest.mark.parametrize(
    ("sizes", "wanted"),
    [
        ([200_000], [8]),
        ([50_000] * 4, [2] * 4),
        ([50_000] * 8, [1] * 8),
        # One in eleven of the new part's size.
        ([200_000, 20_000], [7, 1]),
        # All below 10,000 count alike.
        ([9_000, 10], [8, 1]),
        ([3], [8]),
        # No number of slices of the one is like the other.
        ([4_000_000, 20_000], None),
    ],
)
def test_slices_are_as_many_and_as_alike_as_the_library_merges(sizes, wanted):
    assert slices_of(sizes) == wanted


def filled(folder: Path, count: int, parts: int) -> Path:
    builder = LexicalBuilder(folder)
    for part in np.array_split(np.arange(count), parts):
        builder.add(LexicalEntry(int(at), "", f"every own{at} third{at % 3}") for at in part)
        builder.commit()
    builder.finish()
    return folder / INDEX


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def rows_with(searcher: tantivy.Searcher, schema: tantivy.Schema, word: str) -> list[int]:
    hits = searcher.search(tantivy.Query.term_query(schema, "body", word, "freq"), 10_000).hits
    return sorted(int(key or 0) for key in searcher.fast_field_values("key", [at for _, at in hits]))


@pytest.mark.parametrize(
    ("parts", "dead"),
    [
        (1, [0]),
        (1, list(range(60, 130))),
        # Two chunks are left, and six without words come to them.
        (1, list(range(698))),
        (3, [0, 5, 6, 7, 63, 64, 400, 699]),
        (9, [699]),
    ],
)
def test_what_is_dead_goes_with_its_words(tmp_path, parts, dead):
    index = filled(tmp_path / "file", 700, parts)
    before = hashes(index)
    alive = np.ones(700, dtype=np.bool_)
    alive[dead] = False
    gather(purged(index, tmp_path / "work", alive), tmp_path / "after")
    segments = read_meta(tmp_path / "after")["segments"]
    assert sum(segment["max_doc"] for segment in segments) == alive.sum() + (6 if len(dead) == 698 else 0)
    assert not any(segment["deletes"] for segment in segments)
    opened = tantivy.Index.open(str(tmp_path / "after"))
    searcher, left = opened.searcher(), np.flatnonzero(alive).tolist()
    assert rows_with(searcher, opened.schema, "everi") == left
    assert rows_with(searcher, opened.schema, "third2") == [at for at in left if at % 3 == 2]
    words = {term for term, _ in searcher.terms_with_prefix("body", "own", limit=1000)}
    assert words == {f"own{at}" for at in left}, "no word of what is gone is left in any list of words"
    assert hashes(index) == before


def test_segments_without_dead_chunks_are_left_alone(tmp_path):
    index = filled(tmp_path / "file", 300, 3)
    (folder,) = purged(index, tmp_path / "work", np.ones(300, dtype=np.bool_))
    contents = [sorted(path.read_bytes() for path in each.glob("*.idx")) for each in (folder, index)]
    assert contents[0] == contents[1]
    assert len(contents[0]) == 3


def test_a_library_that_merges_otherwise_is_noticed(tmp_path, monkeypatch):
    index = filled(tmp_path / "file", 300, 1)
    alive = np.arange(300) > 5
    with monkeypatch.context() as patched:
        patched.setattr(purge, "_AT_LEAST", 7)
        with pytest.raises(NotPurged, match="merges no segments of this size"):
            purged(index, tmp_path / "one", alive)
    segments = purge._segments

    def more(index, alive):
        return [replace(each, alive=np.append(each.alive, 299)) for each in segments(index, alive)]

    monkeypatch.setattr(purge, "_segments", more)
    with pytest.raises(NotPurged, match="changed the number"):
        purged(index, tmp_path / "two", alive)
