"""Anchors: an edit in a long text without headings moves the cuts near it and no others."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from chunks import count_words, texts

from ingest.anchors import anchored_runs, split_evenly
from ingest.chunk import chunk
from ingest.chunking import ChunkingSettings, Strategy
from ingest.elements import ElementKind
from ingest.pieces import Piece
from ingest.plain import parse_plain


def story(sentences: int, seed: int = 7) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(f"w{rng.randrange(900)}" for _ in range(rng.randrange(4, 16))) + "." for _ in range(sentences)]


def pieces_of(lines: list[str], **changes: object) -> tuple[str, list[Piece]]:
    text, pieces = "", []
    for line in lines:
        start = len(text) + 1 if text else 0
        text = f"{text} {line}" if text else line
        piece = Piece(start, len(text), ElementKind.PARAGRAPH, tokens=len(line.split()))
        pieces.append(replace(piece, **changes))  # type: ignore[arg-type]
    return text, pieces


@pytest.mark.parametrize("strategy", ["title", "size"])
def test_an_edit_changes_few_chunks_of_a_long_text(strategy: Strategy) -> None:
    lines = story(1200)
    settings = ChunkingSettings(strategy, 40, 20)

    def cut(lines: list[str]) -> list[str]:
        parsed = parse_plain(" ".join(lines))
        return texts(parsed, chunk(parsed, count_words, 64, settings))

    before = cut(lines)
    assert len(before) > 200
    for place in range(50, 1200, 230):
        edited = [*lines[:place], "This sentence was added by an editor.", *lines[place:]]
        after = cut(edited)
        assert len(set(after) - set(before)) <= 12, f"after an edit of sentence {place}"


def test_runs_are_the_pieces_in_order_and_of_a_size() -> None:
    text, pieces = pieces_of(story(600))
    runs = anchored_runs(text, pieces, 40)
    assert [piece for run in runs for piece in run] == pieces
    sizes = [sum(piece.tokens for piece in run) for run in runs]
    assert len(runs) > 10
    assert min(sizes) >= 80, "two targets is the least"


def test_a_short_text_has_no_anchors() -> None:
    text, pieces = pieces_of(story(30))
    assert sum(piece.tokens for piece in pieces) < 8 * 40
    assert anchored_runs(text, pieces, 40) == [pieces]


def test_an_anchor_is_the_start_of_a_paragraph_where_one_is_near() -> None:
    text, pieces = pieces_of(story(600))
    pieces = [replace(piece, rest=number % 5 > 0) for number, piece in enumerate(pieces)]
    assert all(not run[0].rest for run in anchored_runs(text, pieces, 40))


def test_what_introduces_is_not_cut_off_from_what_follows() -> None:
    text, pieces = pieces_of(story(600))
    pieces = [replace(piece, introduces=number % 3 == 0) for number, piece in enumerate(pieces)]
    runs = anchored_runs(text, pieces, 40)
    assert len(runs) > 5
    assert not any(run[-1].introduces for run in runs[:-1])
    parts = [part for run in runs for part in split_evenly(run, 40, 1000)]
    assert not any(part[-1].introduces for part in parts[:-1] if part[-1] is not pieces[-1])


def test_parts_of_a_run_are_even() -> None:
    _, pieces = pieces_of(["w " * 9 + "w."] * 17)
    assert [len(part) for part in split_evenly(pieces, 40, 1000)] == [4, 4, 5, 4]
    assert max(len(part) for part in split_evenly(pieces, 400, 40)) == 4, "no part is larger than the room"


def test_equal_sentences_do_not_anchor_each_other_away() -> None:
    text, pieces = pieces_of(["The same again and again."] * 300)
    assert [piece for run in anchored_runs(text, pieces, 20) for piece in run] == pieces
