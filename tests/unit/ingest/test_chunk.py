"""Chunking: nothing lost, nothing twice, nothing too long, cut where the structure is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from chunks import FIXED, count_words, document, heading, paragraph, texts, words
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.block import Block
from ingest.chunk import chunk
from ingest.chunking import ChunkingSettings
from ingest.elements import Chunk, Element, ElementKind, ParsedDocument, encoded_text
from ingest.plain import parse_plain


def check_invariants(parsed: ParsedDocument, chunks: Sequence[Chunk], max_tokens: int) -> None:
    owners = [0] * len(parsed.text)
    end = 0
    for each in chunks:
        assert end <= each.start < each.end <= len(parsed.text)
        end = each.end
        for place in range(each.start, each.end):
            owners[place] += 1
        piece = parsed.text[each.start : each.end]
        assert piece == piece.strip() != ""
        assert count_words([encoded_text(each.context, piece)])[0] <= max_tokens
    for place, char in enumerate(parsed.text):
        assert owners[place] == 1 or (owners[place] == 0 and char.isspace())


blocks = st.lists(
    st.builds(
        Block,
        kind=st.sampled_from(list(ElementKind)),
        text=st.text(alphabet="abcdefgh .?!|\n:é日🙂-", min_size=1, max_size=300)
        | st.integers(1, 120).map(words)
        | st.integers(1, 400).map(lambda n: "x" * n),
        level=st.integers(1, 6),
        page=st.none() | st.integers(1, 3),
    ),
    max_size=12,
)


@settings(max_examples=200, deadline=None)
@given(
    blocks=blocks,
    max_tokens=st.integers(4, 80),
    target=st.integers(1, 80),
    title=st.none() | st.just("A title of the document"),
)
def test_every_character_is_in_exactly_one_chunk_that_fits(
    blocks: list[Block], max_tokens: int, target: int, title: str | None
) -> None:
    parsed = document(*blocks, title=title)
    chunks = chunk(parsed, count_words, max_tokens, ChunkingSettings(target_tokens=target, minimum_tokens=target // 4))
    check_invariants(parsed, chunks, max_tokens)


@settings(max_examples=400, deadline=None)
@given(
    blocks=blocks,
    max_tokens=st.integers(4, 80),
    chunking=st.builds(
        lambda strategy, target, minimum, overlap, tables: ChunkingSettings(
            strategy, target, target * minimum // 100, target * overlap // 100, tables
        ),
        st.sampled_from(["title", "size"]),
        st.integers(1, 80),
        st.integers(0, 100),
        st.integers(0, 50),
        st.sampled_from(["rows", "whole"]),
    ),
    title=st.none() | st.just("A title of the document"),
)
def test_nothing_is_lost_or_too_long_whatever_the_settings(
    blocks: list[Block], max_tokens: int, chunking: ChunkingSettings, title: str | None
) -> None:
    parsed = document(*blocks, title=title)
    chunks = chunk(parsed, count_words, max_tokens, chunking)
    covered, own = 0, []
    for before, each in zip([None, *chunks], chunks, strict=False):
        assert before is None or before.start < each.start < each.end
        piece = parsed.text[each.start : each.end]
        assert piece == piece.strip() != ""
        assert count_words([encoded_text(each.context, piece)])[0] <= max_tokens
        assert not parsed.text[covered : each.start].strip()
        repeated = parsed.text[each.start : covered]
        if repeated.strip():
            assert count_words([repeated])[0] - FIXED <= chunking.overlap_tokens
            assert before is not None
            assert before.page == each.page
            assert before.end == covered
            kinds = {e.kind for e in parsed.elements if e.start < covered and each.start < e.end}
            assert kinds <= {ElementKind.PARAGRAPH, ElementKind.LIST_ITEM}
        own.append(Chunk(max(covered, each.start), each.end, context=each.context))
        covered = each.end
    assert not parsed.text[covered:].strip()
    stripped = [replace(each, start=_first_char(parsed.text, each.start)) for each in own]
    check_invariants(parsed, stripped, max_tokens)  # without what is repeated: every character in exactly one


def _first_char(text: str, start: int) -> int:
    return start + len(text[start:]) - len(text[start:].lstrip())


@settings(max_examples=100, deadline=None)
@given(
    text=st.text(alphabet="ab c.\n", max_size=200),
    cuts=st.lists(st.integers(0, 200), max_size=6),
    max_tokens=st.integers(4, 40),
)
def test_text_that_no_element_covers_is_chunked_too(text: str, cuts: list[int], max_tokens: int) -> None:
    places = sorted({min(cut, len(text)) for cut in cuts})
    elements = tuple(
        Element(ElementKind.PARAGRAPH, start, end)
        for start, end in zip(places[::2], places[1::2], strict=False)
        if start < end
    )
    parsed = ParsedDocument(text, elements, "text/plain")
    check_invariants(parsed, chunk(parsed, count_words, max_tokens), max_tokens)


def test_no_text_gives_no_chunks() -> None:
    assert chunk(document(), count_words, 32) == []


def test_a_window_without_room_is_an_error() -> None:
    with pytest.raises(ValueError, match="no room"):
        chunk(document(paragraph("a")), count_words, FIXED)


def test_a_section_is_a_chunk_with_its_headings_as_path_and_context() -> None:
    parsed = document(
        heading("Leave", 1),
        paragraph(words(20)),
        heading("Accrual", 2),
        paragraph(words(20, 20)),
        title="Handbook",
    )
    first, second = chunk(parsed, count_words, 64, ChunkingSettings(target_tokens=30, minimum_tokens=4))
    assert texts(parsed, [first, second]) == [f"Leave\n\n{words(20)}", f"Accrual\n\n{words(20, 20)}"]
    assert (first.heading_path, first.context) == (("Leave",), "Handbook")
    # The chunk shows its own heading: only what is above it is context.
    assert (second.heading_path, second.context) == (("Leave", "Accrual"), "Handbook > Leave")


def test_later_chunks_of_a_section_have_its_heading_as_context() -> None:
    parsed = document(heading("Leave"), *[paragraph(words(20, 20 * number)) for number in range(4)])
    chunks = chunk(parsed, count_words, 64, ChunkingSettings(target_tokens=40, minimum_tokens=4))
    assert [each.context for each in chunks] == ["", "Leave"]
    assert [each.heading_path for each in chunks] == [("Leave",), ("Leave",)]


def test_a_heading_is_never_a_chunk_without_its_body() -> None:
    parsed = document(heading("A"), heading("B", 2), heading("C", 3), paragraph(words(60)), heading("Last"))
    chunks = chunk(parsed, count_words, 40, ChunkingSettings(target_tokens=20, minimum_tokens=4))
    assert texts(parsed, chunks)[0].startswith("A\n\nB\n\nC\n\nw0")
    assert chunks[0].heading_path == ("A", "B", "C")


def test_a_sibling_heading_replaces_the_deeper_ones() -> None:
    parsed = document(
        heading("A"),
        heading("B", 2),
        paragraph(words(20)),
        heading("C", 2),
        paragraph(words(20)),
        heading("D"),
        paragraph(words(20)),
    )
    chunks = chunk(parsed, count_words, 64, ChunkingSettings(target_tokens=20, minimum_tokens=4))
    assert [each.heading_path for each in chunks] == [("A", "B"), ("A", "C"), ("D",)]


def test_small_sections_are_put_together_under_what_they_share() -> None:
    parsed = document(
        heading("FAQ"),
        heading("One", 2),
        paragraph("Yes it is."),
        heading("Two", 2),
        paragraph("No it is not."),
        title="T",
    )
    (only,) = chunk(parsed, count_words, 64, ChunkingSettings(target_tokens=40, minimum_tokens=16))
    assert only.heading_path == ("FAQ",)
    assert parsed.text[only.start : only.end] == parsed.text


def test_chunks_do_not_cross_pages_and_a_heading_goes_with_its_body() -> None:
    parsed = document(
        paragraph(f"One {words(9)}.", page=1),
        heading("Next", page=1),
        paragraph(f"Two {words(9)}.", page=2),
        paragraph(f"Three {words(9)}.", page=3),
    )
    chunks = chunk(parsed, count_words, 64, ChunkingSettings(target_tokens=60, minimum_tokens=4))
    assert [each.page for each in chunks] == [1, 2, 3]
    assert texts(parsed, chunks)[1].startswith("Next")


def test_the_end_of_a_sentence_stays_with_it_over_the_page() -> None:
    parsed = document(
        paragraph("Changes are posted on our", page=7),
        Block(ElementKind.PARAGRAPH, "website.", page=8, continues=True),
        paragraph(f"Then {words(12)}", page=8),
    )
    chunks = chunk(parsed, count_words, 64, ChunkingSettings(target_tokens=60, minimum_tokens=1))
    assert texts(parsed, chunks)[0] == "Changes are posted on our\nwebsite."
    assert chunks[0].page == 7


def test_a_line_that_introduces_a_list_goes_with_it() -> None:
    items = [Block(ElementKind.LIST_ITEM, f"- {words(8, 10 * number)}") for number in range(3)]
    parsed = document(paragraph(words(24)), paragraph("You need:"), *items, heading("More"), paragraph(words(30)))
    chunks = chunk(parsed, count_words, 64, ChunkingSettings(target_tokens=32, minimum_tokens=4))
    assert texts(parsed, chunks)[1].startswith("You need:\n\n- w0")


def test_rows_of_a_long_table_have_its_header_as_context() -> None:
    rows = "\n".join(f"r{number} | {words(3)}" for number in range(30))
    parsed = document(heading("Prices"), Block(ElementKind.TABLE, f"Name | Value\n{rows}"), title="T")
    chunks = chunk(parsed, count_words, 60, ChunkingSettings(target_tokens=40, minimum_tokens=4))
    assert len(chunks) > 3
    assert texts(parsed, chunks)[0].startswith("Prices\n\nName | Value\nr0 |")
    assert all(each.context == "T > Prices\nName | Value" for each in chunks[1:])
    assert all(piece.split("\n")[0].startswith("r") for piece in texts(parsed, chunks)[1:])


def test_a_table_that_fits_is_not_cut() -> None:
    table = "\n".join(["Name | Value", *[f"r{number} | {number}" for number in range(8)]])
    parsed = document(paragraph(words(30)), Block(ElementKind.TABLE, table), paragraph(words(30)))
    chunks = chunk(parsed, count_words, 64, ChunkingSettings(target_tokens=30, minimum_tokens=4))
    assert any(table in piece for piece in texts(parsed, chunks))


def test_a_long_paragraph_is_cut_at_sentence_ends() -> None:
    parsed = document(paragraph(" ".join(f"Sentence {words(8)}." for _ in range(20))))
    chunks = chunk(parsed, count_words, 40, ChunkingSettings(target_tokens=30, minimum_tokens=4))
    assert len(chunks) > 4
    assert all(piece.startswith("Sentence") and piece.endswith(".") for piece in texts(parsed, chunks))


def test_a_word_longer_than_the_window_is_cut_at_characters() -> None:
    parsed = document(paragraph("x" * 1000))
    chunks = chunk(parsed, count_words, 12)
    check_invariants(parsed, chunks, 12)
    assert "".join(texts(parsed, chunks)) == "x" * 1000


def test_a_long_heading_path_gives_way_to_the_text() -> None:
    parsed = document(
        *[heading(words(12, level), level) for level in range(1, 7)], paragraph(words(60)), title=words(12)
    )
    chunks = chunk(parsed, count_words, 40, ChunkingSettings(target_tokens=30, minimum_tokens=4))
    check_invariants(parsed, chunks, 40)
    last = chunks[-1]
    assert count_words([last.context])[0] - FIXED <= (40 - FIXED) // 4
    assert len(last.heading_path) == 6


def test_the_callers_title_stands_for_the_documents() -> None:
    parsed = document(paragraph("Hello there."), title="file name")
    assert chunk(parsed, count_words, 32, title="Given")[0].context == "Given"


def test_a_title_equal_to_the_heading_is_not_said_twice() -> None:
    parsed = document(heading("Leave"), *[paragraph(words(20, 20 * number)) for number in range(4)], title="Leave")
    assert [
        each.context for each in chunk(parsed, count_words, 64, ChunkingSettings(target_tokens=40, minimum_tokens=20))
    ] == ["", "Leave"]


def test_tokens_are_counted_in_few_batches() -> None:
    calls = 0

    def counting(batch: Sequence[str]) -> list[int]:
        nonlocal calls
        calls += 1
        return count_words(batch)

    parsed = document(*[paragraph(f"Sentence {words(20)}.") for _ in range(2000)])
    chunk(parsed, counting, 64)
    assert calls < 20


def test_a_short_document_of_one_section_is_one_chunk() -> None:
    def count(texts: Sequence[str]) -> list[int]:
        return [len(text.split()) + 2 for text in texts]

    paragraph = " ".join(f"word{n}" for n in range(110))
    text = f"{paragraph}\n\n{paragraph}"

    assert [(c.start, c.end) for c in chunk(parse_plain(text), count, 256)] == [(0, len(text))]
    assert [c.start for c in chunk(parse_plain(f"{text}\n\n{paragraph}"), count, 256)] == [0, len(text) + 2]
