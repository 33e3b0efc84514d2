"""Windows of one size: headings do not end them, pages do."""

from __future__ import annotations

from chunks import count_words, document, heading, paragraph, sentences, texts, words

from ingest.block import Block
from ingest.chunk import chunk
from ingest.chunking import ChunkingSettings
from ingest.elements import ElementKind


def test_windows_fill_up_to_the_target_over_headings() -> None:
    parsed = document(heading("One"), paragraph(sentences(3, 10)), heading("Two"), paragraph(sentences(6, 10, 3)))
    chunks = chunk(parsed, count_words, 64, ChunkingSettings("size", 41, 10))
    found = texts(parsed, chunks)
    assert [piece.count("S") for piece in found] == [3, 4, 2]
    assert found[0].startswith("One\n\nS0")
    assert found[0].endswith(".")
    # A heading that would end a window goes with what follows it.
    assert found[1].startswith("Two\n\nS3")


def test_a_window_over_a_heading_is_cited_under_what_is_shared_and_read_under_its_beginning() -> None:
    parsed = document(
        heading("Leave"),
        heading("Accrual", 2),
        paragraph(sentences(6, 10)),
        heading("Carry-over", 2),
        paragraph(sentences(2, 10, 6)),
        title="Handbook",
    )
    first, second = chunk(parsed, count_words, 64, ChunkingSettings("size", 44, 10))
    assert first.heading_path == ("Leave", "Accrual")
    assert texts(parsed, [second])[0].startswith("S4")
    assert second.heading_path == ("Leave",)
    assert second.context == "Handbook > Leave > Accrual"


def test_a_window_ends_with_its_page() -> None:
    parsed = document(
        paragraph(sentences(1, 10), page=1),
        heading("Next", page=1),
        paragraph(sentences(1, 10, 1), page=2),
        paragraph(sentences(1, 10, 2), page=3),
    )
    chunks = chunk(parsed, count_words, 64, ChunkingSettings("size", 50, 25))
    assert [each.page for each in chunks] == [1, 2, 3]
    assert texts(parsed, chunks)[1].startswith("Next\n\nS1")


def test_a_last_window_that_is_small_shares_with_the_one_before() -> None:
    parsed = document(paragraph(sentences(5, 10)))
    even = chunk(parsed, count_words, 64, ChunkingSettings("size", 44, 20))
    assert [piece.count("S") for piece in texts(parsed, even)] == [3, 2]
    greedy = chunk(parsed, count_words, 64, ChunkingSettings("size", 44, 0))
    assert [piece.count("S") for piece in texts(parsed, greedy)] == [4, 1]


def test_a_whole_table_is_one_chunk_while_it_fits() -> None:
    table = "\n".join(["Name | Value", *[f"r{number} | {words(6)}" for number in range(6)]])  # 57 tokens
    parsed = document(paragraph(sentences(3, 10)), Block(ElementKind.TABLE, table), paragraph(sentences(3, 10, 3)))
    for strategy in ("title", "size"):
        whole = texts(parsed, chunk(parsed, count_words, 62, ChunkingSettings(strategy, 30, 5, 0, "whole")))  # type: ignore[arg-type]
        assert table in whole
        rows = texts(parsed, chunk(parsed, count_words, 62, ChunkingSettings(strategy, 30, 5, 0, "rows")))  # type: ignore[arg-type]
        assert not any(table in piece for piece in rows)


def test_a_whole_table_that_does_not_fit_is_cut_into_rows_under_its_header() -> None:
    table = "\n".join(["Name | Value", *[f"r{number} | {words(6)}" for number in range(12)]])
    parsed = document(heading("Prices"), Block(ElementKind.TABLE, table), title="T")
    chunks = chunk(parsed, count_words, 62, ChunkingSettings("title", 30, 5, 0, "whole"))
    assert len(chunks) > 2
    assert all(each.context == "T > Prices\nName | Value" for each in chunks[1:])
    assert all(piece.startswith("r") and piece.endswith("w5") for piece in texts(parsed, chunks)[1:])


def test_a_table_whose_headings_leave_it_no_room_takes_them_along() -> None:
    rows = [f"r{number} | {words(7)}" for number in range(5)]
    table = "\n".join(["Name | Value", *rows, f"r5 | {words(6)}"])
    assert count_words([table])[0] == 58, "fits a window of 62, but not with the four tokens of its heading"
    parsed = document(heading("Prices of the season"), Block(ElementKind.TABLE, table))
    chunks = chunk(parsed, count_words, 62, ChunkingSettings("title", 60, 5, 0, "whole"))
    assert texts(parsed, chunks)[0].startswith("Prices of the season\n\nName | Value\nr0")
