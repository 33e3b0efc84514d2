"""Overlap: whole sentences, under one heading, and never more than was asked for."""

from __future__ import annotations

import itertools

import pytest
from chunks import count_words, document, heading, paragraph, sentences, texts, words

from ingest.block import Block
from ingest.chunk import chunk
from ingest.chunking import ChunkingSettings, Strategy
from ingest.elements import ElementKind


@pytest.mark.parametrize("strategy", ["title", "size"])
def test_the_last_sentences_are_said_again(strategy: Strategy) -> None:
    parsed = document(heading("Leave"), paragraph(sentences(4, 10)), paragraph(sentences(8, 10, 4)))
    chunks = chunk(parsed, count_words, 64, ChunkingSettings(strategy, 60, 10, 25))
    for before, after in itertools.pairwise(chunks):
        again = parsed.text[after.start : before.end]
        assert again.count("S") == 2, "two sentences of ten tokens are the most that 25 hold"
        assert again.startswith("S")
        assert again.endswith(".")
    assert all(count_words([piece])[0] - 2 <= 62 for piece in texts(parsed, chunks))


def test_nothing_is_said_again_over_a_heading() -> None:
    parsed = document(heading("One"), paragraph(sentences(4, 10)), heading("Two"), paragraph(sentences(4, 10, 4)))
    first, second = chunk(parsed, count_words, 64, ChunkingSettings("title", 60, 10, 20))
    assert first.end < second.start


def test_nothing_is_said_again_over_a_page() -> None:
    parsed = document(paragraph(sentences(4, 10), page=1), paragraph(sentences(4, 10, 4), page=2))
    first, second = chunk(parsed, count_words, 64, ChunkingSettings("title", 60, 10, 20))
    assert first.end < second.start


def test_a_sentence_longer_than_the_overlap_is_not_cut_for_it() -> None:
    parsed = document(paragraph(sentences(6, 20)))
    chunks = chunk(parsed, count_words, 64, ChunkingSettings("title", 60, 10, 19))
    assert len(chunks) > 1
    assert all(before.end < after.start for before, after in itertools.pairwise(chunks))


def test_rows_of_a_table_are_not_said_again() -> None:
    rows = "\n".join(f"r{number} | {words(3)}" for number in range(30))
    parsed = document(heading("Prices"), Block(ElementKind.TABLE, f"Name | Value\n{rows}"))
    chunks = chunk(parsed, count_words, 60, ChunkingSettings("title", 40, 4, 20))
    assert len(chunks) > 3
    assert all(before.end < after.start for before, after in itertools.pairwise(chunks))


def test_an_overlap_gives_way_where_the_window_is_full() -> None:
    parsed = document(paragraph(f"{sentences(2, 10)} S8 {words(10)}. S9 {words(4)}."), paragraph(f"{words(45)}."))
    first, second = chunk(parsed, count_words, 64, ChunkingSettings("title", 64, 0, 20))
    assert parsed.text[second.start : first.end] == f"S9 {words(4)}.", "with S8 it would be 66 tokens"
