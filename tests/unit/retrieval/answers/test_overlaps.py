"""Passages of one answer say each character once, whatever the chunks overlap."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from retrieval.answers.overlaps import without_overlaps
from retrieval.passage import DocumentRef, Passage

TEXT = "One is first. Two is second. Three is third. Four is fourth. Five is fifth."


def passage(start: int, end: int, document: str = "d", version: int = 1, text: str = TEXT) -> Passage:
    return Passage(f"chk_{start}", DocumentRef(document, document, version), text[start:end], (), None, start, end)


def test_the_lower_one_loses_what_the_better_one_shows() -> None:
    second, first = TEXT.index("Two"), TEXT.index("Three")
    better, lower = passage(first, len(TEXT)), passage(second, TEXT.index("Four") - 1)
    kept = without_overlaps([better, lower])
    assert [p.text for p in kept] == ["Three is third. Four is fourth. Five is fifth.", "Two is second."]
    assert [(p.char_start, p.char_end) for p in kept] == [(first, len(TEXT)), (second, first - 1)]
    kept = without_overlaps([lower, better])
    assert [p.text for p in kept] == ["Two is second. Three is third.", "Four is fourth. Five is fifth."]


def test_one_between_two_better_ones_keeps_its_middle() -> None:
    one, two, three = passage(0, 28), passage(14, 60), passage(45, 75)
    kept = without_overlaps([one, three, two])
    assert [p.text for p in kept] == [
        "One is first. Two is second.",
        "Four is fourth. Five is fifth.",
        "Three is third.",
    ]


def test_what_adds_nothing_is_left_out() -> None:
    assert without_overlaps([passage(0, 60), passage(14, 28)]) == (passage(0, 60),)


def test_other_documents_and_versions_have_characters_of_their_own() -> None:
    every = (passage(0, 28), passage(0, 28, "e"), passage(0, 28, "d", 2))
    assert without_overlaps(every) == every


def test_passages_apart_are_kept_as_they_are() -> None:
    every = (passage(29, 44), passage(0, 13), passage(14, 28))
    assert without_overlaps(every) == every


@given(st.lists(st.tuples(st.integers(0, 70), st.integers(1, 30)), max_size=8))
def test_no_character_is_in_two(places: list[tuple[int, int]]) -> None:
    given_ = [passage(start, min(len(TEXT), start + length)) for start, length in places]
    kept = without_overlaps(given_)
    owners = [0] * len(TEXT)
    for each in kept:
        assert each.text == TEXT[each.char_start : each.char_end] == each.text.strip() != "" or each in given_
        for place in range(each.char_start, each.char_end):
            owners[place] += 1
    assert max(owners) <= 1
